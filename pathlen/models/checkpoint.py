"""A checkpoint's files: where they are on this machine, what model they declare, and what identifies them.

A checkpoint is refused rather than repaired. Its shape must be the one its spec gives, and its weights must be
safetensors: a pickle runs code when it is opened. A model that brings its own code is refused for the same reason.
Nothing here touches the network.
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
    "Shape",
    "digest_of_files",
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
DEFAULT_CONTEXT = 2048  # tokens read at once by a model whose configuration names no longest text


def from_name(name: str) -> ModelSpec:
    """Return the spec of a local directory, or of a repository of the Hub whose files are on this machine.

    Parameters
    ----------
    name : str
        A directory; or ``owner/repository``, optionally followed by ``@revision``. Without a revision it is the one
        that the main branch had when it was fetched.

    Raises
    ------
    ModelNotFound
        If it is neither.
    ModelMismatch
        If the configuration is damaged, or not that of a causal language model.

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
        If the configuration is damaged, or not that of a causal language model.

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
    """Return the local folder that holds a model's checkpoint, without asking the network.

    Raises
    ------
    ModelNotFound
        If the checkpoint is missing or incomplete; its ``remedy`` is the command that gets it.

    """
    if not spec.revision:
        folder = Path(spec.source)
        if not (folder / "config.json").is_file():
            raise ModelNotFound(f"{spec.title} has no config.json in {str(folder)!r}")
        return folder
    from huggingface_hub import try_to_load_from_cache

    # The Hub knows a repository with and without its owner as the same; its cache has a folder for each name.
    for repository in (spec.source, spec.source.split("/")[-1]):
        _refuse_broken_links(repository, spec)
        config = try_to_load_from_cache(repository, "config.json", revision=spec.revision)
        if isinstance(config, str):
            folder = Path(config).parent
            if any((folder / name).is_file() for name in WEIGHTS):
                return folder
    raise ModelNotFound(f"the weights of {spec.title} are not on this machine", spec.remedy)


def _refuse_broken_links(repository: str, spec: ModelSpec) -> None:
    """Raise `ModelNotFound` if a link in the cache is broken, as after copying or cleaning a part of it."""
    from huggingface_hub import constants

    home = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    folder = home / "snapshots" / spec.revision
    names = {"config.json", *WEIGHTS}.union(*TOKENIZERS)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path.name in names or path.suffix == ".safetensors") and path.is_symlink() and not path.exists():
            raise ModelNotFound(
                f"{path.name} of {spec.title} is a broken link: {path} points to {path.readlink()}, which is gone",
                spec.remedy,
            )


def suggestion(name: str) -> str:
    """Return "; did you mean ...?" for a name that resembles a known repository's, else an empty string.

    Known repositories are those of the table and those in the local cache of the Hub.
    """
    from huggingface_hub import constants

    table = [spec.source for sizes in FAMILIES.values() for spec in sizes.values() if spec.revision]
    cached = [path.name.removeprefix("models--") for path in Path(constants.HF_HUB_CACHE).glob("models--*")]
    known = {repository: repository for repository in (*table, *(folder.replace("--", "/") for folder in cached))}
    known |= {repository.split("/")[-1]: repository for repository in known}
    asked = name.partition("@")[0]
    candidates = [spelling for spelling, repository in known.items() if repository != asked]
    alike = difflib.get_close_matches(asked, candidates, n=1, cutoff=0.8)
    return f"; did you mean {known[alike[0]]!r}?" if alike else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What identifies a checkpoint.

    Attributes
    ----------
    context : int
        Tokens in the longest text the model reads at once.
    weights_sha256 : str
        Digest of the weight files; empty for an untrained network.
    tokenizer_sha256, config_sha256 : str
        Digests of the tokenizer's files and of ``config.json``.

    """

    context: int
    weights_sha256: str
    tokenizer_sha256: str
    config_sha256: str


def identify(spec: ModelSpec, *, trained: bool = True) -> Identity:
    """Return the identity of a model on this machine, without loading it.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    trained : bool
        Whether the checkpoint's weights count; those of an untrained network are in no file, so none is read.

    Raises
    ------
    ModelNotFound, ModelMismatch
        As in `find`, `refuse_other_shape` and `weight_files`; and if there is no tokenizer.

    """
    folder = find(spec)
    shape = refuse_other_shape(folder, spec)
    return Identity(
        context=shape.context,
        weights_sha256=digest_of_files(weight_files(folder, spec)) if trained else "",
        tokenizer_sha256=digest_of_files(_tokenizer_files(folder, spec)),
        config_sha256=digest_of_files([folder / "config.json"]),
    )


def refuse_other_shape(folder: Path, spec: ModelSpec) -> Shape:
    """Return the shape that a checkpoint's ``config.json`` declares, if it is the one of the spec.

    Raises
    ------
    ModelNotFound
        If there is no ``config.json``.
    ModelMismatch
        If the configuration is damaged, not that of a causal language model, or has another shape.

    """
    shape = _shape(folder)
    for name in ("n_layer", "n_head", "d_model"):
        expected, declared = getattr(spec, name), getattr(shape, name)
        if declared != expected:
            raise ModelMismatch(f"{spec.title} must have {name} = {expected}, but {folder} says {declared}")
    return shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a configuration declares: blocks, heads, width, and tokens in the longest text."""

    n_layer: int
    n_head: int
    d_model: int
    context: int


def _shape(folder: Path) -> Shape:
    """Return the shape in a ``config.json``, whose keys differ between architectures."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(f"a checkpoint needs a config.json, but {str(folder)!r} has none")
    try:
        configuration: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelMismatch(f"{path} is not JSON: {error}") from error
    _refuse_other_kinds(configuration, path)
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).get_text_config()
    except Exception as error:
        # Each architecture validates its configuration itself, and raises errors of its own types.
        raise ModelMismatch(f"{path} is no configuration that can be read: {str(error).strip()}") from error
    sizes: dict[str, Any] = {
        "n_layer": getattr(config, "num_hidden_layers", None),
        "n_head": getattr(config, "num_attention_heads", None),
        "d_model": getattr(config, "hidden_size", None),
        "context": getattr(config, "max_position_embeddings", None) or DEFAULT_CONTEXT,
    }
    for key, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise ModelMismatch(f"{path} must give {key} as a whole number above 0, but says {value!r}")
    return Shape(**sizes)


def _refuse_other_kinds(configuration: dict[str, Any], path: Path) -> None:
    """Raise `ModelMismatch` unless a configuration is that of a causal language model without code of its own."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind, classes = configuration.get("model_type"), configuration.get("architectures") or []
    if configuration.get("auto_map"):
        names = ", ".join(configuration["auto_map"])
        raise ModelMismatch(f"{path} asks for code of its own, which is never run: {names}")
    if configuration.get("is_encoder_decoder"):
        raise ModelMismatch(f"{path} is of an encoder with a decoder ({kind}); path length here is a causal model's")
    is_causal = any(str(name).endswith(CAUSAL) for name in classes) if classes else True
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or not is_causal:
        architectures = ", ".join(map(str, classes)) or "no architecture"
        raise ModelMismatch(
            f"model_type must be of a causal language model, but {path} says {kind!r} with {architectures}"
        )


def weight_files(folder: Path, spec: ModelSpec) -> list[Path]:
    """Return a checkpoint's safetensors files: the single file, or the shards that its index names, sorted.

    Raises
    ------
    ModelNotFound
        If there are no weights; its ``remedy`` is the command that gets them.
    ModelMismatch
        If the weights are pickles only, or a file is damaged.

    """
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        files = [folder / "model.safetensors"]
    elif index.is_file():
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        files = [folder / name for name in sorted(set(shards))]
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


def digest_of_files(files: list[Path]) -> str:
    """Return the SHA-256 of the files' bytes, joined in order.

    The digest of files whose paths, sizes and times of change are the same is not computed again.
    """
    states = [(path.resolve(), path.stat()) for path in files]
    return _digest_of_states(tuple((path, state.st_size, state.st_mtime_ns) for path, state in states))


@lru_cache(maxsize=64)
def _digest_of_states(files: tuple[tuple[Path, int, int], ...]) -> str:
    # Reading some files takes seconds, so digests are also kept between runs.
    cache, key = Cache(folder_of_cache()), digest("files", *files)
    sha256 = cache.get(key)
    if sha256 is None:
        joined = hashlib.sha256()
        for path, *_ in files:
            with path.open("rb") as stream:
                hashlib.file_digest(stream, lambda: joined)
        sha256 = joined.hexdigest()
        cache.put(key, sha256)
    return sha256
