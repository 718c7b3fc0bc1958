"""Where the parts of a causal language model are, found by running it once instead of by knowing its architecture.

A few tokens go through the whole model while every module says when it ran and on what. From that follow, whatever the
parts are called:

- the *blocks*: the list of as many modules as the configuration has layers;
- a block's *attention output projection*: the last linear map that runs inside its attention;
- what attention and the feed-forward part *add*: the modules whose outputs, added to a block's input, are its output;
  a norm behind a projection belongs to what is added, as in Gemma 2. A block that adds otherwise has no such parts;
- the *final norm*: the first module after the last block that takes the last block's output; there may be none.

Then it is checked that these parts explain the model: the output of each block is the input of the next, the captured last
state put through the final norm is the base model's own last state, and that state times the unembedding gives the model's
own logits. A model that does anything else on the way (a cap on its logits, a projection to another width) is refused,
because lengths measured in it would be of something else than what it predicts from.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pathlen.errors import ModelMismatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Architecture", "ArchitecturePaths", "find_architecture", "state_after", "state_before"]

CUSTOM_COLUMNS = 1e-5  # how near a model's own logits, against the largest of them, the captured states have to come
TOLERANCE = 1e-4
HALF_TOLERANCE = 0.05  # bfloat16 keeps three digits, and one product after the other loses some


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The parts of a network that a measurement needs.

    Attributes
    ----------
    base : Module
        The network without its head: token ids to last state.
    blocks : tuple of Module
        In order.
    projections : tuple of Module
        Each block's attention output projection.
    added : tuple of (Module, Module) or None
        Of each block, the modules whose outputs attention and the feed-forward part add to the stream; None where a
        block's output is not the sum of its input and two such outputs.
    heads : int
        Attention heads, which share a projection's input in order.
    unembedding : Tensor, shape (vocabulary, d_model)
        What the last state is multiplied by.
    offset : Tensor or None, shape (vocabulary,)
        What is added to logits, where the head has a bias.

    """

    base: nn.Module
    blocks: tuple[nn.Module, ...]
    projections: tuple[nn.Module, ...]
    added: tuple[tuple[nn.Module, nn.Module], ...] | None
    heads: int
    unembedding: Tensor
    offset: Tensor | None

    def mixing(self, block: int) -> Tensor:
        """Return a projection's matrix as ``(heads * width, d_model)``: what a head's output meets."""
        projection = self.projections[block]
        weight = projection.weight
        assert isinstance(weight, Tensor)  # noqa: S101  # it was found because it has one
        return weight.T if isinstance(projection, nn.Linear) else weight  # GPT-2 keeps it the other way round


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchitecturePaths:
    """Where a network's parts are, by name: another network of the same configuration has them there, too."""

    base: str
    blocks: tuple[str, ...]
    projections: tuple[str, ...]
    added: tuple[tuple[str, str], ...] | None
    heads: int

    @classmethod
    def of(cls, parts: Architecture, network: PreTrainedModel) -> ArchitecturePaths:
        """Return where the parts of a network are in it."""
        names = {id(module): name for name, module in network.named_modules()}
        return cls(
            base=names[id(parts.base)],
            blocks=tuple(names[id(one)] for one in parts.blocks),
            projections=tuple(names[id(one)] for one in parts.projections),
            added=None if parts.added is None else tuple((names[id(one)], names[id(two)]) for one, two in parts.added),
            heads=parts.heads,
        )

    def parts(self, network: PreTrainedModel) -> Architecture:
        """Return a network's parts, unchecked."""
        at, head = network.get_submodule, network.get_output_embeddings()
        return Architecture(
            base=at(self.base),
            blocks=tuple(map(at, self.blocks)),
            projections=tuple(map(at, self.projections)),
            added=None if self.added is None else tuple((at(one), at(two)) for one, two in self.added),
            heads=self.heads,
            unembedding=head.weight,
            offset=head.bias,
        )


def state_before(inputs: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    """Return the state that a block was called with, ``(texts, tokens, d_model)``."""
    state: Tensor = inputs[0] if inputs else named["hidden_states"]
    return state


def state_after(output: Any) -> Tensor:
    """Return the state that a module gave, ``(texts, tokens, d_model)``; some return it in a tuple."""
    state: Tensor = output[0] if isinstance(output, tuple) else output
    return state


@dataclass(slots=True)
class _Call:
    module: nn.Module
    taken: Tensor | None
    given: Any


@torch.inference_mode()
def find_architecture(network: PreTrainedModel, ids: Tensor, title: str) -> Architecture:
    """Return the parts of a network, found and checked on a few tokens.

    Parameters
    ----------
    network : PreTrainedModel
        A causal language model in evaluation mode.
    ids : Tensor, shape (tokens,)
        A few are enough.
    title : str
        Its name, for errors.

    Raises
    ------
    ModelMismatch
        If a part can't be found, or the parts don't explain the model's own logits.

    """
    config = network.config.get_text_config()
    base = network.base_model
    blocks = _blocks(base, int(config.num_hidden_layers), title)
    inside = {id(module) for block in blocks for module in block.modules()}
    calls: list[_Call] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        first = inputs[0] if inputs else named.get("hidden_states")
        calls.append(_Call(module, first if isinstance(first, Tensor) else None, output))

    handles = [module.register_forward_hook(note, with_kwargs=True) for module in base.modules()]
    try:
        logits = network(ids[None], use_cache=False).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    states = _states(calls, blocks, title)
    last = states[-1]
    after = [call for call in calls[_place(calls, blocks[-1]) + 1 :] if id(call.module) not in inside]
    normed = next(
        (
            state_after(call.given)[0]
            for call in after
            if call.taken is not None and call.taken.shape[1:] == last.shape and torch.equal(call.taken[0], last)
        ),
        last,
    )
    final = base(ids[None], use_cache=False).last_hidden_state[0]
    _refuse_other(normed, final, f"the last block's state through the final norm must be the last state of {title}")
    head = network.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.weight.shape[-1] != last.shape[-1]:
        raise ModelMismatch(
            f"the unembedding of {title} must be a matrix from the width of its blocks, {last.shape[-1]}, but is {head}"
        )
    projections = tuple(_projection(calls, block, title) for block in blocks)
    found = Architecture(
        base=base,
        blocks=blocks,
        projections=projections,
        added=_added(calls, blocks, projections),
        heads=int(config.num_attention_heads),
        unembedding=head.weight,
        offset=head.bias,
    )
    ours = final @ head.weight.T + (0 if head.bias is None else head.bias)
    _refuse_other(ours, logits.to(ours.dtype), f"the captured states of {title} must give the model's own logits")
    for number in range(len(blocks)):
        width = found.mixing(number).shape[0]
        if width % found.heads:
            raise ModelMismatch(
                f"the heads of {title} must divide the width of their outputs, but block {number + 1} has "
                f"{found.heads} heads in a width of {width}"
            )
    return found


def _blocks(base: nn.Module, count: int, title: str) -> tuple[nn.Module, ...]:
    for module in base.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and len({type(one) for one in module}) == 1:
            return tuple(module)
    raise ModelMismatch(f"{title} must have a list of {count} blocks, as its configuration says, but none was found")


def _place(calls: list[_Call], module: nn.Module) -> int:
    return next(place for place, call in enumerate(calls) if call.module is module)


def _states(calls: list[_Call], blocks: tuple[nn.Module, ...], title: str) -> list[Tensor]:
    """Return each block's output, after checking that it is the next one's input."""
    made = [calls[_place(calls, block)] for block in blocks]
    for number, (one, following) in enumerate(pairwise(made), 1):
        taken = following.taken
        if taken is None or not torch.equal(state_after(one.given), taken):
            raise ModelMismatch(
                f"the blocks of {title} must hand on one state, but block {number + 1} is given another than block "
                f"{number} made"
            )
    return [state_after(call.given)[0] for call in made]


def _projection(calls: list[_Call], block: nn.Module, title: str) -> nn.Module:
    from transformers.pytorch_utils import Conv1D

    attention = next((one for one in block.modules() if "attention" in type(one).__name__.lower()), None)
    if attention is None:
        raise ModelMismatch(f"each block of {title} must have an attention, but one has none: {type(block).__name__}")
    inside = {id(module) for module in attention.modules()}
    linear = [
        call.module for call in calls if id(call.module) in inside and isinstance(call.module, nn.Linear | Conv1D)
    ]
    if not linear:
        raise ModelMismatch(
            f"the attention of {title} must end in a linear map, but has none: {type(attention).__name__}"
        )
    return linear[-1]


def _added(
    calls: list[_Call], blocks: tuple[nn.Module, ...], projections: tuple[nn.Module, ...]
) -> tuple[tuple[nn.Module, nn.Module], ...] | None:
    found = []
    for block, projection in zip(blocks, projections, strict=True):
        parts = _sublayers(calls, block, projection)
        if parts is None:
            return None
        found.append(parts)
    return tuple(found)


def _sublayers(calls: list[_Call], block: nn.Module, projection: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    """Return the modules whose outputs a block adds to its input, if its output is that sum."""
    whole = calls[_place(calls, block)]
    inside = {id(module) for module in block.modules()} - {id(block)}
    here = [call for call in calls if id(call.module) in inside]
    at = next(place for place, call in enumerate(here) if call.module is projection)
    attention = [here[at]]
    for call in here[at + 1 :]:  # a norm of what is added, where there is one
        last = state_after(attention[-1].given)
        if call.taken is not None and call.taken.shape == last.shape and torch.equal(call.taken, last):
            attention.append(call)
    start, end = whole.taken, state_after(whole.given)
    assert start is not None  # noqa: S101  # states were followed from block to block
    for one in reversed(attention):
        rest = end - start - state_after(one.given)
        for call in reversed(here):
            given = call.given[0] if isinstance(call.given, tuple) and call.given else call.given
            is_other = call.module is not one.module and isinstance(given, Tensor) and given.shape == rest.shape
            if is_other and _is_rest(given, rest, end):
                return one.module, call.module
    return None


def _is_rest(given: Tensor, rest: Tensor, end: Tensor) -> bool:
    """Whether an output is what is left of a block's step, token by token, to the rounding of the states it is taken from."""
    tolerance = _tolerance(end)
    error, size, state = ((one.float() ** 2).sum(dim=-1).sqrt() for one in (given - rest, rest, end))
    return bool((error <= tolerance * size + 0.1 * tolerance * state).all())


def _tolerance(tensor: Tensor) -> float:
    return TOLERANCE if tensor.dtype in (torch.float32, torch.float64) else HALF_TOLERANCE


def _refuse_other(ours: Tensor, theirs: Tensor, rule: str) -> None:
    if ours.shape != theirs.shape:
        raise ModelMismatch(f"{rule}, but one has the shape {tuple(ours.shape)} and the other {tuple(theirs.shape)}")
    error = (ours - theirs).abs().max().item() / max(1.0, theirs.abs().max().item())
    tolerance = CUSTOM_COLUMNS if _tolerance(theirs) == TOLERANCE else HALF_TOLERANCE
    if not error < tolerance:
        raise ModelMismatch(f"{rule} to {tolerance:g}, but they differ by {error:.2g}")
