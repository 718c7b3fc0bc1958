"""Which models there are, where their weights lie, and the only place that loads them.

Two families have a table of sizes, ``gpt2`` (the four checkpoints of the Hub) and ``mini`` (the four networks
that ship with this package); any other causal language model is named by its directory or by its repository on the Hub. All
of them take one path: `find` says where the weights are without touching the network, `load` checks them and loads them.

A checkpoint is refused rather than repaired. Its shape must be the table's, every tensor must be there in the
right shape and finite, and the weights must be safetensors: a pickle runs code when it is opened, and so does a model that
brings its own code, which is refused as well. There must be room for it in memory.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen import SIZES, mini
from pathlen.cache import Cache
from pathlen.cache import folder as folder_of_cache
from pathlen.errors import ModelMismatch, ModelNotFound, ModelTooLarge
from pathlen.fingerprint import digest
from pathlen.memory import available

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "DTYPES",
    "FAMILIES",
    "LARGE_NETWORK",
    "WORKING_MEMORY",
    "Identity",
    "LoadedModel",
    "ModelSpec",
    "find",
    "from_directory",
    "from_name",
    "identify",
    "load",
    "refuse_device",
    "spec",
    "suggestion",
    "tokenizer_of",
    "tokenizing",
]

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("tokenizer.model",))
DTYPES = ("float64", "float32", "bfloat16", "float16")
CAUSAL = ("ForCausalLM", "LMHeadModel")
LARGE_NETWORK = 50_000_000  # parameters
WORKING_MEMORY = 10**9
BOUNDLESS = 2048  # tokens read at once where a model has no longest text, as without position embeddings


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The name and shape of a model, before any of its weights are read.

    Attributes
    ----------
    family, size : str
        ``gpt2`` or ``mini`` and one of `SIZES`; a directory's own name and ``"model"`` for any other checkpoint.
    title : str
        For readers: ``"GPT-2 Small"``.
    source : str
        A Hub repository, or a directory.
    revision : str
        The commit of the repository; empty for a directory.
    n_layer, n_head, d_model : int
        Blocks, heads, width of the residual stream.

    """

    family: str
    size: str
    title: str
    source: str
    revision: str
    n_layer: int
    n_head: int
    d_model: int

    @property
    def parameters(self) -> int:
        """About how many parameters the blocks have: ``12 d^2`` each."""
        return 12 * self.n_layer * self.d_model**2

    @property
    def is_large(self) -> bool:
        """Whether a pass through it is no trifle: it keeps all cores busy by itself, and two should not be in memory."""
        return self.parameters > LARGE_NETWORK

    @property
    def origin(self) -> str:
        """Where the weights come from, for a record: a repository, a directory, or this package itself."""
        shipped = self.family == "mini" and self.source == str(mini.checkpoint(self.size))
        return "shipped with pathlen" if shipped else self.source

    @property
    def remedy(self) -> str:
        """A command that gets the weights from the Hub into its local cache; empty for a directory."""
        if not self.revision:
            return ""
        return f"pathlen fetch {self.size}" if self.family == "gpt2" else f"pathlen fetch {self.source}@{self.revision}"


def _gpt2(size: str, name: str, revision: str, n_layer: int, n_head: int, d_model: int) -> ModelSpec:
    return ModelSpec(
        family="gpt2",
        size=size,
        title=f"GPT-2 {_title(size)}",
        source=f"openai-community/{name}",
        revision=revision,
        n_layer=n_layer,
        n_head=n_head,
        d_model=d_model,
    )


def _mini(size: str) -> ModelSpec:
    shape = mini.SHAPES[size]
    return ModelSpec(
        family="mini",
        size=size,
        title=f"mini {_title(size)}",
        source=str(mini.checkpoint(size)),
        revision="",
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        d_model=shape.d_model,
    )


def _title(size: str) -> str:
    return "XL" if size == "xl" else size.capitalize()


FAMILIES: dict[str, dict[str, ModelSpec]] = {
    "gpt2": {
        "small": _gpt2("small", "gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", 12, 12, 768),
        "medium": _gpt2("medium", "gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", 24, 16, 1024),
        "large": _gpt2("large", "gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519", 36, 20, 1280),
        "xl": _gpt2("xl", "gpt2-xl", "15ea56dee5df4983c59b2538573817e1667135e2", 48, 25, 1600),
    },
    "mini": {size: _mini(size) for size in SIZES},
}


def spec(family: str, size: str) -> ModelSpec:
    """Return the table's entry for a family and a size.

    Raises
    ------
    ValueError
        If either is unknown; the message lists the valid ones.

    Examples
    --------
    >>> spec("gpt2", "xl").n_layer
    48

    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, but {family!r} was given")
    sizes = FAMILIES[family]
    if size not in sizes:
        raise ValueError(f"size must be one of {', '.join(sizes)}, but {size!r} was given")
    return sizes[size]


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
    shape = _refuse_other_shape(folder, spec)
    return Identity(
        context=shape.context,
        weights_sha256=_digest(_weight_files(folder, spec)) if trained else "",
        tokenizer_sha256=_digest(_tokenizer_files(folder, spec)),
        config_sha256=_digest([folder / "config.json"]),
    )


def _refuse_other_shape(folder: Path, spec: ModelSpec) -> _Shape:
    shape = _shape(folder)
    for name in ("n_layer", "n_head", "d_model"):
        expected, found = getattr(spec, name), getattr(shape, name)
        if found != expected:
            raise ModelMismatch(f"{spec.title} must have {name} = {expected}, but {folder} says {found}")
    return shape


def tokenizer_of(spec: ModelSpec) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model on this machine, without loading its weights; errors as in `find`."""
    return _tokenizer(find(spec))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model ready to be measured, in evaluation mode, gradients off.

    Attributes
    ----------
    spec : ModelSpec
        What it is.
    network : PreTrainedModel
        The network itself.
    tokenizer : PreTrainedTokenizerBase
        Used without special tokens, as the document did.
    context : int
        The longest run of tokens it can read.
    weights_sha256, tokenizer_sha256 : str
        Digests of the files that were loaded; an untrained network's weights are no file.

    """

    spec: ModelSpec
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    context: int
    weights_sha256: str
    tokenizer_sha256: str

    def token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text; no special token is added anywhere."""
        ids = _token_ids(self.tokenizer, text)
        rows = _rows(self.network)
        if max(ids, default=0) >= rows:
            raise ModelMismatch(
                f"the tokenizer of {self.spec.title} must give tokens below {rows:,}, the network's vocabulary, but a text has "
                f"{max(ids):,}: they belong to different models"
            )
        return ids


def _rows(network: PreTrainedModel) -> int:
    """Return how many tokens a network knows."""
    weight: Any = network.get_input_embeddings().weight
    return int(weight.shape[0])


def _refuse_other_vocabulary(spec: ModelSpec, tokens: int, rows: int) -> None:
    """Raise `ModelMismatch` if a tokenizer can't be the network's own.

    Networks pad their vocabularies, by 1 or 2 % mostly; one that is more than twice as large was trained with another tokenizer.
    """
    if not rows / 2 <= tokens <= rows:
        raise ModelMismatch(
            f"the tokenizer of {spec.title} must have as many tokens as the network's vocabulary, or a few less, but has "
            f"{tokens:,} and the network {rows:,}: they belong to different models"
        )


def load(spec: ModelSpec, *, untrained: int | None = None, device: str = "cpu", dtype: str = "float32") -> LoadedModel:
    """Load a model from this machine, after checking that it is what its spec says.

    Parameters
    ----------
    spec : ModelSpec
        From the family's table, or of a directory.
    untrained : int, optional
        Seed of a network with the same configuration and tokenizer whose weights are drawn as its architecture draws them
        before training; the checkpoint's own are not read.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``: where it runs.
    dtype : str
        One of `DTYPES`. Lengths are summed in float64 in any case; what half precision costs is in
        ``tests/benchmarks/PRECISION.md``.

    Raises
    ------
    ValueError
        If the device is not there, or the type is unknown.
    ModelNotFound
        If the checkpoint or its tokenizer is not there.
    ModelMismatch
        If its shape differs from the spec, a tensor is missing, reshaped or not finite, the weights are
        damaged or not safetensors, or the tokenizer is of another vocabulary.
    ModelTooLarge
        If there is no room for it in memory; the message says how much it needs and how much is free.

    """
    refuse_device(device, dtype)
    folder = find(spec)
    _refuse_other_shape(folder, spec)
    if device == "cpu":  # before the files are read for their digests
        _refuse_too_large(spec, _weight_files(folder, spec) if untrained is None else [], dtype)
    own = identify(spec, trained=untrained is None)
    tokenizer = _tokenizer_known_by(own.tokenizer_sha256, folder)
    network = _network(folder, spec, dtype) if untrained is None else _untrained(folder, untrained, dtype)
    _refuse_other_vocabulary(spec, tokenizer.vocab_size, _rows(network))
    model = LoadedModel(
        spec=spec,
        network=network,
        tokenizer=tokenizer,
        context=own.context,
        weights_sha256=own.weights_sha256,
        tokenizer_sha256=own.tokenizer_sha256,
    )
    model.network.to(device)  # type: ignore[arg-type]  # a name is a device, whatever the annotations say
    return model


def tokenizing(spec: ModelSpec) -> Callable[[str], list[int]]:
    """Return what makes token ids of a text as `LoadedModel.token_ids` does, without loading any weights; errors as in `find`."""
    return partial(_token_ids, _tokenizer(find(spec)))


def refuse_device(device: str, dtype: str) -> None:
    """Raise `ValueError` unless a device is there and a type is one of `DTYPES`."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, but {dtype!r} was given")
    if device == "cpu":
        return
    import torch

    kind = device.partition(":")[0]
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in there:
        raise ValueError(f"device must be cpu, cuda or mps, but {device!r} was given")
    if not there[kind]:
        raise ValueError(f"device {device!r} is not on this machine, or torch was built without it")


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


def _refuse_too_large(spec: ModelSpec, weights: list[Path], dtype: str) -> None:
    """Raise `ModelTooLarge` if there is no room in memory for the weights and a forward pass."""
    parameters = _parameters(weights) if weights else spec.parameters
    needed, half = (size * parameters + WORKING_MEMORY for size in ({"float64": 8, "float32": 4}.get(dtype, 2), 2))
    free = available()
    if free is not None and needed > free:
        helps = (
            f"; --dtype bfloat16 needs {half / 1e9:.1f} GB, and is less exact" if half <= free and half < needed else ""
        )
        raise ModelTooLarge(
            f"{spec.title} needs about {needed / 1e9:.1f} GB of memory ({parameters / 1e6:,.0f} million parameters in {dtype} and "
            f"1 GB to work with), but {free / 1e9:.1f} GB are free{helps}"
        )


def _parameters(weights: list[Path]) -> int:
    from safetensors import safe_open

    count = 0
    for file in weights:
        with safe_open(file, framework="np") as tensors:
            count += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return count


def _weight_files(folder: Path, spec: ModelSpec) -> list[Path]:
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


def _network(folder: Path, spec: ModelSpec, dtype: str) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    loader: Any = AutoModelForCausalLM  # its annotations don't know that it returns a report as well

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # By name: the default takes the checkpoint's own type, and half precision moves correlations.
        network, report = loader.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelMismatch(f"the weights in {folder} don't fit {spec.title}: {error}") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(problem):
            names = ", ".join(sorted(str(key) for key in report[problem])[:5])
            raise ModelMismatch(f"the weights in {folder} don't fit {spec.title}: {problem.replace('_', ' ')} {names}")
    for name, tensor in network.named_parameters():
        if not torch.isfinite(tensor).all():
            raise ModelMismatch(f"tensor {name} in {folder} holds values that are not finite")
    frozen: PreTrainedModel = network.requires_grad_(False).eval()
    return frozen


def _untrained(folder: Path, seed: int, dtype: str) -> PreTrainedModel:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        network = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # drawn alike for every type
    frozen: PreTrainedModel = network.to(getattr(torch, dtype)).requires_grad_(False).eval()
    return frozen


@lru_cache(maxsize=4)
def _tokenizer_known_by(sha256: str, folder: Path) -> PreTrainedTokenizerBase:
    """Return a tokenizer that many networks share, as the untrained ones of a model do."""
    return _tokenizer(folder)


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    return tokenizer


def _token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


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
