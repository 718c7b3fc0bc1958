"""Load a model and its tokenizer, after checking that they are what the spec says.

Every tensor must be present, of the right shape and finite, and the network must fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen._util.memory import available
from pathlen.errors import ModelMismatch, ModelTooLarge
from pathlen.models.checkpoint import find, identify, refuse_other_shape, weight_files
from pathlen.models.families import ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["DTYPES", "WORKING_MEMORY", "LoadedModel", "load", "refuse_device", "tokenizer_of", "tokenizing"]

DTYPES = ("float64", "float32", "bfloat16", "float16")
WORKING_MEMORY = 10**9  # bytes beside the weights, for a forward pass


def tokenizer_of(spec: ModelSpec) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model on this machine without loading its weights; errors as in `find`."""
    return _tokenizer(find(spec))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model ready to be measured, in evaluation mode, gradients off.

    Attributes
    ----------
    spec : ModelSpec
        The model's name and shape.
    network : PreTrainedModel
        The network itself.
    tokenizer : PreTrainedTokenizerBase
        Used without special tokens, as in the document under test.
    context : int
        Tokens in the longest text it can read at once.
    weights_sha256, tokenizer_sha256 : str
        Digests of the files that were loaded; the first is empty for an untrained network.

    """

    spec: ModelSpec
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    context: int
    weights_sha256: str
    tokenizer_sha256: str

    def token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens.

        Raises
        ------
        ModelMismatch
            If the tokenizer gives an id that the network has no embedding for.

        """
        ids = _token_ids(self.tokenizer, text)
        vocabulary = _vocabulary(self.network)
        if max(ids, default=0) >= vocabulary:
            raise ModelMismatch(
                f"the tokenizer of {self.spec.title} must give tokens below {vocabulary:,}, the network's vocabulary, but a text has "
                f"{max(ids):,}: they belong to different models"
            )
        return ids


def _vocabulary(network: PreTrainedModel) -> int:
    """Return how many tokens a network has embeddings for."""
    weight: Any = network.get_input_embeddings().weight
    return int(weight.shape[0])


def _refuse_other_vocabulary(spec: ModelSpec, tokens: int, vocabulary: int) -> None:
    """Raise `ModelMismatch` if a tokenizer's size shows that it is not the network's.

    Networks pad their vocabularies, mostly by 1 or 2 %; one more than twice as large was trained with another
    tokenizer.
    """
    if not vocabulary / 2 <= tokens <= vocabulary:
        raise ModelMismatch(
            f"the tokenizer of {spec.title} must have as many tokens as the network's vocabulary, or a few less, but has "
            f"{tokens:,} and the network {vocabulary:,}: they belong to different models"
        )


def load(spec: ModelSpec, *, untrained: int | None = None, device: str = "cpu", dtype: str = "float32") -> LoadedModel:
    """Load a model from this machine, after checking that it is what its spec says.

    Parameters
    ----------
    spec : ModelSpec
        From a family's table, or of a directory or repository.
    untrained : int, optional
        Seed. If given, the network keeps the configuration and the tokenizer, but its weights are drawn as its
        architecture initialises them before training, and the checkpoint's are not read.
    device : str
        Where it runs: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    dtype : str
        One of `DTYPES`. Lengths are always summed in float64; ``tests/benchmarks/PRECISION.md`` says what half
        precision costs.

    Raises
    ------
    ValueError
        If the device is not on this machine, or the type is unknown.
    ModelNotFound
        If the checkpoint or its tokenizer is missing.
    ModelMismatch
        If its shape differs from the spec, a tensor is missing, reshaped or not finite, the weights are damaged or not
        safetensors, or the tokenizer has another vocabulary.
    ModelTooLarge
        If it does not fit into memory; the message says how much it needs and how much is free.

    """
    refuse_device(device, dtype)
    folder = find(spec)
    refuse_other_shape(folder, spec)
    if device == "cpu":  # first, because digests read the files to their ends
        _refuse_too_large(spec, weight_files(folder, spec) if untrained is None else [], dtype)
    identity = identify(spec, trained=untrained is None)
    tokenizer = _tokenizer_known_by(identity.tokenizer_sha256, folder)
    network = _network(folder, spec, dtype) if untrained is None else _untrained(folder, untrained, dtype)
    _refuse_other_vocabulary(spec, tokenizer.vocab_size, _vocabulary(network))
    model = LoadedModel(
        spec=spec,
        network=network,
        tokenizer=tokenizer,
        context=identity.context,
        weights_sha256=identity.weights_sha256,
        tokenizer_sha256=identity.tokenizer_sha256,
    )
    model.network.to(device)  # type: ignore[arg-type]  # its annotations lack device names
    return model


def tokenizing(spec: ModelSpec) -> Callable[[str], list[int]]:
    """Return a function that does what `LoadedModel.token_ids` does, but needs no weights; errors as in `find`."""
    return partial(_token_ids, _tokenizer(find(spec)))


def refuse_device(device: str, dtype: str) -> None:
    """Raise `ValueError` unless a device is on this machine and a type is one of `DTYPES`."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, but {dtype!r} was given")
    if device == "cpu":
        return
    import torch

    kind = device.partition(":")[0]
    available_kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in available_kinds:
        raise ValueError(f"device must be cpu, cuda or mps, but {device!r} was given")
    if not available_kinds[kind]:
        raise ValueError(f"device {device!r} is not on this machine, or torch was built without it")


def _refuse_too_large(spec: ModelSpec, weights: list[Path], dtype: str) -> None:
    """Raise `ModelTooLarge` if the weights and a forward pass don't fit into memory."""
    parameters = _parameters(weights) if weights else spec.parameters
    needed, half = (size * parameters + WORKING_MEMORY for size in ({"float64": 8, "float32": 4}.get(dtype, 2), 2))
    free = available()
    if free is not None and needed > free:
        remedy = (
            f"; --dtype bfloat16 needs {half / 1e9:.1f} GB, and is less exact" if half <= free and half < needed else ""
        )
        raise ModelTooLarge(
            f"{spec.title} needs about {needed / 1e9:.1f} GB of memory ({parameters / 1e6:,.0f} million parameters in {dtype} and "
            f"1 GB to work with), but {free / 1e9:.1f} GB are free{remedy}"
        )


def _parameters(weights: list[Path]) -> int:
    from safetensors import safe_open

    count = 0
    for file in weights:
        with safe_open(file, framework="np") as tensors:
            count += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return count


def _network(folder: Path, spec: ModelSpec, dtype: str) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    loader: Any = AutoModelForCausalLM  # its annotations lack the report that it returns too
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # The type is always named: by default the checkpoint's is used, and half precision changes correlations.
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
        network = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # the same draw for every type
    frozen: PreTrainedModel = network.to(getattr(torch, dtype)).requires_grad_(False).eval()
    return frozen


@lru_cache(maxsize=4)
def _tokenizer_known_by(sha256: str, folder: Path) -> PreTrainedTokenizerBase:
    """Return a tokenizer, read once for all networks that share it, such as the untrained ones of a model."""
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
