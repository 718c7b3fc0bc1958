"""A checkpoint's files: where they lie on this machine, what they say the model is, and what identifies it.

A checkpoint is refused rather than repaired. Its shape must be the one its spec gives, and its weights must be safetensors:
a pickle runs code when it is opened. A model that brings its own code is refused for the same reason. Nothing here touches
the network.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pathlen._util.cache import Cache
from pathlen._util.cache import folder as folder_of_cache
from pathlen._util.digests import digest
from pathlen.errors import ModelMismatch, ModelNotFound
from pathlen.models.families import FAMILIES, ModelSpec

__all__ = [
    "Identity",
    "find",
    "from_directory",
    "from_name",
    "identify",
    "refuse_other_shape",
    "suggestion",
    "weight_files",
]

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("tokenizer.model",))
CAUSAL = ("ForCausalLM", "LMHeadModel")
BOUNDLESS = 2048  # tokens read at once where a model has no longest text, as without position embeddings


def from_name(name: str) -> ModelSpec:
    """Return the spec of a local directory, or of a repository of the Hub whose files are on this machine.

    Parameters
    ----------
    name : str
        A directory; or ``owner/repository``, with ``@revision`` behind it for another than the one that its main branch was
        at when it was fetched.

    Raises
    ------
    ModelNotFound
        If it is neither.
    ModelMismatch
        If the configuration is damaged, or not of a causal language model.

    """
    if Path(name).is_dir() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        return from_directory(Path(name))
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = name.partition("@")
    config = try_to_load_from_cache(repository, "config.json", revision=revision or "main")
    if not isinstance(config, str):
        raise ModelNotFound(
            f"{name!r} is neither a directory nor a model on this machine{suggestion(name)}", f"pathlen fetch {name}"
        )
    folder = Path(config).parent
    return _spec_of(folder, family=repository.split("/")[1], source=repository, revision=folder.name)


def from_directory(directory: Path) -> ModelSpec:
    """Return the spec of a local checkpoint, read from its ``config.json``.

    Raises
    ------
    ModelNotFound
        If the directory or its ``config.json`` is missing.
    ModelMismatch
        If the configuration is damaged, or not of a causal language model.

    """
    if not directory.is_dir():
        raise ModelNotFound(
            f"model must be a directory with a checkpoint, but {str(directory)!r} is not a directory{suggestion(str(directory))}"
        )
    return _spec_of(directory, family=directory.resolve().name, source=str(directory), revision="")


def _spec_of(folder: Path, *, family: str, source: str, revision: str) -> ModelSpec:
    shape = _shape(folder)
    return ModelSpec(
        family=family,
        size="model",
        title=family,
        source=source,
        revision=revision,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        d_model=shape.d_model,
    )


def find(spec: ModelSpec) -> Path:
    """Return the local folder that holds a model's checkpoint; never looks beyond this machine.

    Raises
    ------
    ModelNotFound
        If the checkpoint is not there, or not complete; its ``remedy`` is the command that gets it.

    """
    if not spec.revision:
        folder = Path(spec.source)
        if not (folder / "config.json").is_file():
            raise ModelNotFound(f"{spec.title} has no config.json in {str(folder)!r}")
        return folder
    from huggingface_hub import try_to_load_from_cache

    # The Hub knows the same repository with and without its organisation, its cache keeps them apart.
    for repository in (spec.source, spec.source.split("/")[-1]):
        _refuse_broken_links(repository, spec)
        config = try_to_load_from_cache(repository, "config.json", revision=spec.revision)
        if isinstance(config, str):
            folder = Path(config).parent
            if any((folder / name).is_file() for name in WEIGHTS):
                return folder
    raise ModelNotFound(f"the weights of {spec.title} are not on this machine", spec.remedy)


def _refuse_broken_links(repository: str, spec: ModelSpec) -> None:
    """Raise `ModelNotFound` if the cache links to a file of a model that is gone: a folder that was copied or cleaned in part."""
    from huggingface_hub import constants

    home = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    folder = home / "snapshots" / spec.revision
    read = {"config.json", *WEIGHTS}.union(*TOKENIZERS)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path.name in read or path.suffix == ".safetensors") and path.is_symlink() and not path.exists():
            raise ModelNotFound(
                f"{path.name} of {spec.title} is a broken link: {path} points to {path.readlink()}, which is gone",
                spec.remedy,
            )


def suggestion(name: str) -> str:
    """Return "; did you mean ...?" for a name that is like that of a known repository, else an empty string.

    Known are those of the table, and those in the local cache of the Hub.
    """
    from huggingface_hub import constants

    table = [one.source for sizes in FAMILIES.values() for one in sizes.values() if one.revision]
    cached = [path.name.removeprefix("models--") for path in Path(constants.HF_HUB_CACHE).glob("models--*")]
    known = {one: one for one in (*table, *(name.replace("--", "/") for name in cached))}
    known |= {one.split("/")[-1]: one for one in known}
    asked = name.partition("@")[0]
    alike = difflib.get_close_matches(asked, [one for one, whole in known.items() if whole != asked], n=1, cutoff=0.8)
    return f"; did you mean {known[alike[0]]!r}?" if alike else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes a checkpoint this one: the longest text it reads, and digests of its files."""

    context: int
    weights_sha256: str
    tokenizer_sha256: str
    config_sha256: str


def identify(spec: ModelSpec, *, trained: bool = True) -> Identity:
    """Return the identity of a model on this machine, without loading it; errors as in `load`.

    Of what is not ``trained``, the weights are no file, and none is read.
    """
    folder = find(spec)
    shape = refuse_other_shape(folder, spec)
    return Identity(
        context=shape.context,
        weights_sha256=_digest(weight_files(folder, spec)) if trained else "",
        tokenizer_sha256=_digest(_tokenizer_files(folder, spec)),
        config_sha256=_digest([folder / "config.json"]),
    )


def refuse_other_shape(folder: Path, spec: ModelSpec) -> _Shape:
    shape = _shape(folder)
    for name in ("n_layer", "n_head", "d_model"):
        expected, found = getattr(spec, name), getattr(shape, name)
        if found != expected:
            raise ModelMismatch(f"{spec.title} must have {name} = {expected}, but {folder} says {found}")
    return shape


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    n_layer: int
    n_head: int
    d_model: int
    context: int


def _shape(folder: Path) -> _Shape:
    """Return what a configuration says, whatever names its architecture has for it."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(f"a checkpoint needs a config.json, but {str(folder)!r} has none")
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelMismatch(f"{path} is not JSON: {error}") from error
    _refuse_other_kinds(given, path)
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).get_text_config()
    except Exception as error:
        # Each architecture checks its configuration in its own way, with errors of its own.
        raise ModelMismatch(f"{path} is no configuration that can be read: {str(error).strip()}") from error
    found: dict[str, Any] = {
        "n_layer": getattr(config, "num_hidden_layers", None),
        "n_head": getattr(config, "num_attention_heads", None),
        "d_model": getattr(config, "hidden_size", None),
        "context": getattr(config, "max_position_embeddings", None) or BOUNDLESS,
    }
    for key, value in found.items():
        if not isinstance(value, int) or value < 1:
            raise ModelMismatch(f"{path} must give {key} as a whole number above 0, but says {value!r}")
    return _Shape(**found)


def _refuse_other_kinds(given: dict[str, Any], path: Path) -> None:
    """Raise `ModelMismatch` unless a configuration is of a causal language model that brings no code of its own."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind, classes = given.get("model_type"), given.get("architectures") or []
    if given.get("auto_map"):
        raise ModelMismatch(f"{path} asks for code of its own, which is never run: {', '.join(given['auto_map'])}")
    if given.get("is_encoder_decoder"):
        raise ModelMismatch(f"{path} is of an encoder with a decoder ({kind}); path length here is a causal model's")
    is_causal = any(str(name).endswith(CAUSAL) for name in classes) if classes else True
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or not is_causal:
        what = ", ".join(map(str, classes)) or "no architecture"
        raise ModelMismatch(f"model_type must be of a causal language model, but {path} says {kind!r} with {what}")


def weight_files(folder: Path, spec: ModelSpec) -> list[Path]:
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        files = [folder / "model.safetensors"]
    elif index.is_file():
        parts = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        files = [folder / name for name in sorted(set(parts))]
    else:
        pickles = sorted(path.name for path in folder.glob("*.bin"))
        if pickles:
            raise ModelMismatch(
                f"{spec.title} must come as safetensors, but {folder} holds only {', '.join(pickles)}: "
                "a pickle runs code when it is opened, so it is never read"
            )
        raise ModelNotFound(f"{spec.title} has no model.safetensors in {str(folder)!r}", spec.remedy)
    for file in files:
        try:
            with safe_open(file, framework="np") as tensors:
                tensors.keys()
        except (SafetensorError, OSError) as error:
            raise ModelMismatch(f"{file} is damaged or incomplete: {error}") from error
    return files


def _tokenizer_files(folder: Path, spec: ModelSpec) -> list[Path]:
    for names in TOKENIZERS:
        files = [folder / name for name in names]
        if all(file.is_file() for file in files):
            return files
    raise ModelNotFound(
        f"{spec.title} has no tokenizer.json, nor vocab.json with merges.txt, in {str(folder)!r}", spec.remedy
    )


def _digest(files: list[Path]) -> str:
    """Return a digest of files, as one after the other; kept while size and time of change say they are the same."""
    states = [(path.resolve(), path.stat()) for path in files]
    return _read_digest(tuple((path, state.st_size, state.st_mtime_ns) for path, state in states))


@lru_cache(maxsize=64)
def _read_digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    # Some take seconds to read, so what was read is kept between runs, too.
    kept, name = Cache(folder_of_cache()), digest("files", *files)
    found = kept.get(name)
    if found is None:
        whole = hashlib.sha256()
        for path, *_ in files:
            with path.open("rb") as stream:
                hashlib.file_digest(stream, lambda: whole)
        found = whole.hexdigest()
        kept.put(name, found)
    return found
