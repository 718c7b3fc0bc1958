"""Which models there are, where their weights lie, and the only place that loads them.

Two families have a table of sizes, ``gpt2`` (the four checkpoints of the Hub) and ``mini`` (the four networks
that ship with this package); any other checkpoint of GPT-2's architecture is named by its directory. All of them
take one path: `find` says where the weights are without touching the network, `load` checks them and loads them.

A checkpoint is refused rather than repaired. Its shape must be the table's, every tensor must be there in the
right shape and finite, and the weights must be safetensors: a pickle runs code when it is opened.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen import SIZES, mini
from pathlen.errors import ModelMismatch, ModelNotFound

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase

__all__ = ["FAMILIES", "LoadedModel", "ModelSpec", "find", "from_directory", "load", "spec"]

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))


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
    def origin(self) -> str:
        """Where the weights come from, for a record: a repository, a directory, or this package itself."""
        shipped = self.family == "mini" and self.source == str(mini.checkpoint(self.size))
        return "shipped with pathlen" if shipped else self.source

    @property
    def remedy(self) -> str:
        """A command that gets the weights from the Hub into its local cache; empty for a directory."""
        if not self.revision:
            return ""
        return (
            f"hf download {self.source} config.json model.safetensors tokenizer.json vocab.json merges.txt "
            f"--revision {self.revision}"
        )


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


def from_directory(directory: Path) -> ModelSpec:
    """Return the spec of a local checkpoint, read from its ``config.json``.

    Raises
    ------
    ModelNotFound
        If the directory or its ``config.json`` is missing.
    ModelMismatch
        If the configuration is damaged or not of GPT-2's architecture.

    """
    if not directory.is_dir():
        raise ModelNotFound(f"model must be a directory with a checkpoint, but {str(directory)!r} is not a directory")
    config = _config(directory)
    return ModelSpec(
        family=directory.resolve().name,
        size="model",
        title=directory.resolve().name,
        source=str(directory),
        revision="",
        n_layer=config["n_layer"],
        n_head=config["n_head"],
        d_model=config["n_embd"],
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
        config = try_to_load_from_cache(repository, "config.json", revision=spec.revision)
        if isinstance(config, str):
            folder = Path(config).parent
            if any((folder / name).is_file() for name in WEIGHTS):
                return folder
    raise ModelNotFound(f"the weights of {spec.title} are not on this machine", spec.remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model ready to be measured, in float32 and evaluation mode, gradients off.

    Attributes
    ----------
    spec : ModelSpec
        What it is.
    network : GPT2LMHeadModel
        The network itself.
    tokenizer : PreTrainedTokenizerBase
        Used without special tokens, as the document did.
    context : int
        The longest run of tokens it can read.
    weights_sha256, tokenizer_sha256, config_sha256 : str
        Digests of the files that were loaded; an untrained network's weights are no file.

    """

    spec: ModelSpec
    network: GPT2LMHeadModel
    tokenizer: PreTrainedTokenizerBase
    context: int
    weights_sha256: str
    tokenizer_sha256: str
    config_sha256: str = ""

    def token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text; no special token is added anywhere."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids


def load(spec: ModelSpec, *, untrained: int | None = None) -> LoadedModel:
    """Load a model from this machine, after checking that it is what its spec says.

    Parameters
    ----------
    spec : ModelSpec
        From the family's table, or of a directory.
    untrained : int, optional
        Seed of a network with the same configuration and tokenizer whose weights are drawn as its architecture draws them
        before training; the checkpoint's own are not read.

    Raises
    ------
    ModelNotFound
        If the checkpoint or its tokenizer is not there.
    ModelMismatch
        If its shape differs from the spec, a tensor is missing, reshaped or not finite, or the weights are
        damaged or not safetensors.

    """
    folder = find(spec)
    config = _config(folder)
    declared = {"n_layer": spec.n_layer, "n_head": spec.n_head, "n_embd": spec.d_model}
    for key, expected in declared.items():
        if config[key] != expected:
            raise ModelMismatch(f"{spec.title} must have {key} = {expected}, but {folder} says {config[key]}")
    weights = _weight_files(folder, spec) if untrained is None else []
    tokenizer = _tokenizer_files(folder, spec)
    return LoadedModel(
        spec=spec,
        network=_network(folder, spec) if untrained is None else _untrained(folder, untrained),
        tokenizer=_tokenizer(folder),
        context=int(config["n_positions"]),
        weights_sha256=_digest(weights) if weights else "",
        tokenizer_sha256=_digest(tokenizer),
        config_sha256=_digest([folder / "config.json"]),
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelNotFound(f"a checkpoint needs a config.json, but {str(folder)!r} has none")
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelMismatch(f"{path} is not JSON: {error}") from error
    kind = config.get("model_type")
    if kind != "gpt2":
        raise ModelMismatch(f"model_type must be 'gpt2', but {path} says {kind!r}; other architectures can't be read")
    for key in ("n_layer", "n_head", "n_embd", "n_positions"):
        if not isinstance(config.get(key), int):
            raise ModelMismatch(f"{path} must give {key} as a whole number, but says {config.get(key)!r}")
    if config["n_head"] < 1 or config["n_embd"] % config["n_head"]:
        raise ModelMismatch(
            f"n_head must divide n_embd, but {path} says {config['n_head']} heads in a width of {config['n_embd']}"
        )
    return config


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
    raise ModelNotFound(f"{spec.title} has no tokenizer.json, nor vocab.json with merges.txt, in {str(folder)!r}")


def _network(folder: Path, spec: ModelSpec) -> GPT2LMHeadModel:
    import torch
    from transformers import GPT2LMHeadModel
    from transformers.utils import logging

    loader: Any = GPT2LMHeadModel  # its annotations don't know that it returns a report as well

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # float32 by name: the default takes the checkpoint's own type, and half precision moves correlations.
        network, report = loader.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
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
    frozen: GPT2LMHeadModel = network.requires_grad_(False).eval()
    return frozen


def _untrained(folder: Path, seed: int) -> GPT2LMHeadModel:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = GPT2LMHeadModel(GPT2Config.from_pretrained(folder, local_files_only=True)).float()
    frozen: GPT2LMHeadModel = network.requires_grad_(False).eval()
    return frozen


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()
