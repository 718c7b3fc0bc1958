"""The architecture of a causal language model: where its parts are, found by running it once rather than by its type.

A few tokens go through the model while hooks record every module's call, its input and its output. From these calls
follow, whatever the parts are called:

- the *blocks*: the first `ModuleList` with as many modules of one type as the configuration has layers;
- a block's *attention output projection*: the last linear map that runs inside its attention;
- what attention and the feed-forward part *add*: the modules whose outputs, added to a block's input, give its output.
  A norm behind a projection belongs to what is added, as in Gemma 2. A block that combines them in another way has no
  such parts;
- the *final norm*: the first module after the last block that takes the last block's output; some models have none.

Three checks then show that these parts explain the model: each block's output is the next block's input, the captured
last state put through the final norm is the base model's own last state, and that state times the unembedding gives the
model's own logits. A model that does anything else on the way (caps its logits, projects to another width) is refused,
because lengths would then be measured in states that it does not predict from.
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

LOGIT_TOLERANCE = 1e-5  # largest error of logits recomputed from captured states, as a share of the largest logit
SUM_TOLERANCE = 1e-4  # relative error of a block's step as the sum of its two parts
HALF_TOLERANCE = 0.05  # for both: bfloat16 has about three digits, and errors of successive products add up


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The parts of a network that a measurement needs; `find_architecture` finds and checks them.

    Attributes
    ----------
    base : Module
        The network without its head: maps token ids to the last state.
    blocks : tuple of Module
        Transformer blocks, in order.
    projections : tuple of Module
        Each block's attention output projection.
    added : tuple of (Module, Module) or None
        For each block, the two modules whose outputs attention and the feed-forward part add to the residual stream;
        None if any block's output is not the sum of its input and two such outputs.
    heads : int
        Attention heads per block; a projection's input is their outputs, concatenated in order.
    unembedding : Tensor, shape (vocabulary, d_model)
        The matrix that maps the last state to logits.
    offset : Tensor or None, shape (vocabulary,)
        The head's bias, which is added to the logits; None if it has none.

    """

    base: nn.Module
    blocks: tuple[nn.Module, ...]
    projections: tuple[nn.Module, ...]
    added: tuple[tuple[nn.Module, nn.Module], ...] | None
    heads: int
    unembedding: Tensor
    offset: Tensor | None

    def mixing(self, block: int) -> Tensor:
        """Return the matrix of a block's attention output projection, of shape ``(heads * head_width, d_model)``."""
        projection = self.projections[block]
        weight = projection.weight
        assert isinstance(weight, Tensor)  # noqa: S101  # a projection is a linear map
        return weight.T if isinstance(projection, nn.Linear) else weight  # GPT-2's Conv1D has the input dimension first


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchitecturePaths:
    """The module paths of a network's parts; they hold for every network of the same configuration.

    The attributes are those of `Architecture`, with a dotted module name in place of each module.
    """

    base: str
    blocks: tuple[str, ...]
    projections: tuple[str, ...]
    added: tuple[tuple[str, str], ...] | None
    heads: int

    @classmethod
    def of(cls, parts: Architecture, network: PreTrainedModel) -> ArchitecturePaths:
        """Return the paths of parts that were found in a network."""
        names = {module: name for name, module in network.named_modules()}
        return cls(
            base=names[parts.base],
            blocks=tuple(names[block] for block in parts.blocks),
            projections=tuple(names[projection] for projection in parts.projections),
            added=None
            if parts.added is None
            else tuple((names[first], names[second]) for first, second in parts.added),
            heads=parts.heads,
        )

    def parts(self, network: PreTrainedModel) -> Architecture:
        """Return the modules at these paths in a network of the same configuration, without checking them again."""
        module_at, head = network.get_submodule, network.get_output_embeddings()
        return Architecture(
            base=module_at(self.base),
            blocks=tuple(map(module_at, self.blocks)),
            projections=tuple(map(module_at, self.projections)),
            added=None
            if self.added is None
            else tuple((module_at(first), module_at(second)) for first, second in self.added),
            heads=self.heads,
            unembedding=head.weight,
            offset=head.bias,
        )


def state_before(inputs: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    """Return the state that a block was called with, of shape ``(texts, tokens, d_model)``.

    Parameters
    ----------
    inputs, named : tuple, dict
        Positional and keyword arguments, as a forward hook receives them.

    """
    state: Tensor = inputs[0] if inputs else named["hidden_states"]
    return state


def state_after(output: Any) -> Tensor:
    """Return the state in a module's output, ``(texts, tokens, d_model)``; some modules return it first in a tuple."""
    state: Tensor = output[0] if isinstance(output, tuple) else output
    return state


@dataclass(slots=True)
class _Call:
    """One call of a module in the probing pass; `taken` is None if its first argument was no tensor."""

    module: nn.Module
    taken: Tensor | None
    returned: Any

    @property
    def state(self) -> Tensor:
        return state_after(self.returned)

    def took(self, state: Tensor) -> bool:
        """Whether the module was called with exactly this state."""
        return self.taken is not None and self.taken.shape == state.shape and torch.equal(self.taken, state)


@torch.inference_mode()
def find_architecture(network: PreTrainedModel, ids: Tensor, title: str) -> Architecture:
    """Return the parts of a network, found and checked on a few tokens.

    Parameters
    ----------
    network : PreTrainedModel
        A causal language model in evaluation mode.
    ids : Tensor, shape (tokens,)
        Token ids of a probe text; a few are enough.
    title : str
        The model's name, for error messages.

    Raises
    ------
    ModelMismatch
        If a part can't be found, or the parts don't explain the model's own logits.

    """
    config = network.config.get_text_config()
    base = network.base_model
    blocks = _blocks(base, int(config.num_hidden_layers), title)
    calls, logits = _probe(network, ids)
    last = _last_state(calls, blocks, title)
    final = base(ids[None], use_cache=False).last_hidden_state[0]
    normed = _final_norm_output(calls, blocks, last)
    _refuse_difference(
        normed, final, f"the last block's state through the final norm must be the last state of {title}"
    )
    head = network.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.weight.shape[-1] != last.shape[-1]:
        raise ModelMismatch(
            f"the unembedding of {title} must be a matrix from the width of its blocks, {last.shape[-1]}, but is {head}"
        )
    projections = tuple(_projection(calls, block, title) for block in blocks)
    architecture = Architecture(
        base=base,
        blocks=blocks,
        projections=projections,
        added=_added(calls, blocks, projections),
        heads=int(config.num_attention_heads),
        unembedding=head.weight,
        offset=head.bias,
    )
    recomputed = final @ head.weight.T + (0 if head.bias is None else head.bias)
    rule = f"the captured states of {title} must give the model's own logits"
    _refuse_difference(recomputed, logits.to(recomputed.dtype), rule)
    _refuse_uneven_heads(architecture, title)
    return architecture


def _probe(network: PreTrainedModel, ids: Tensor) -> tuple[list[_Call], Tensor]:
    """Return the calls of all modules in the order they ended, and the logits, ``(tokens, vocabulary)``."""
    calls: list[_Call] = []

    def record(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        first = inputs[0] if inputs else named.get("hidden_states")
        calls.append(_Call(module, first if isinstance(first, Tensor) else None, output))

    handles = [module.register_forward_hook(record, with_kwargs=True) for module in network.base_model.modules()]
    try:
        logits: Tensor = network(ids[None], use_cache=False).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    return calls, logits


def _blocks(base: nn.Module, count: int, title: str) -> tuple[nn.Module, ...]:
    for modules in base.modules():
        if (
            isinstance(modules, nn.ModuleList)
            and len(modules) == count
            and len({type(block) for block in modules}) == 1
        ):
            return tuple(modules)
    raise ModelMismatch(f"{title} must have a list of {count} blocks, as its configuration says, but none was found")


def _index_of(calls: list[_Call], module: nn.Module) -> int:
    return next(index for index, call in enumerate(calls) if call.module is module)


def _last_state(calls: list[_Call], blocks: tuple[nn.Module, ...], title: str) -> Tensor:
    """Return the last block's output, ``(tokens, d_model)``, if every block takes the output of the one before."""
    block_calls = [calls[_index_of(calls, block)] for block in blocks]
    for number, (call, following) in enumerate(pairwise(block_calls), 1):
        if following.taken is None or not torch.equal(call.state, following.taken):
            raise ModelMismatch(
                f"the blocks of {title} must hand on one state, but block {number + 1} is given another than block "
                f"{number} made"
            )
    return block_calls[-1].state[0]


def _final_norm_output(calls: list[_Call], blocks: tuple[nn.Module, ...], last: Tensor) -> Tensor:
    """Return the output of the first module after the blocks that takes the last state, else that state."""
    inside = {id(module) for block in blocks for module in block.modules()}
    for call in calls[_index_of(calls, blocks[-1]) + 1 :]:
        if id(call.module) not in inside and call.took(last[None]):
            return call.state[0]
    return last


def _projection(calls: list[_Call], block: nn.Module, title: str) -> nn.Module:
    from transformers.pytorch_utils import Conv1D

    # transformers has no common base class of attentions: their class names are all there is to go by.
    attention = next((module for module in block.modules() if "attention" in type(module).__name__.lower()), None)
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
    """Return `Architecture.added`."""
    pairs = []
    for block, projection in zip(blocks, projections, strict=True):
        pair = _sublayers(calls, block, projection)
        if pair is None:
            return None
        pairs.append(pair)
    return tuple(pairs)


def _sublayers(calls: list[_Call], block: nn.Module, projection: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    """Return the modules whose outputs a block adds to its input; None if its output is no such sum."""
    block_call = calls[_index_of(calls, block)]
    inside = {id(module) for module in block.modules()} - {id(block)}
    inner_calls = [call for call in calls if id(call.module) in inside]
    start, end = block_call.taken, block_call.state
    assert start is not None  # noqa: S101  # `_last_state` followed the state from block to block
    for attention in reversed(_projection_and_norms(inner_calls, projection)):
        rest = end - start - attention.state
        for call in reversed(inner_calls):
            returned = call.returned[0] if isinstance(call.returned, tuple) and call.returned else call.returned
            is_other = call.module is not attention.module and isinstance(returned, Tensor)
            if is_other and returned.shape == rest.shape and _is_rest(returned, rest, end):
                return attention.module, call.module
    return None


def _projection_and_norms(inner_calls: list[_Call], projection: nn.Module) -> list[_Call]:
    """Return the call of the attention output projection, followed by those of norms of its output."""
    index = _index_of(inner_calls, projection)
    chain = [inner_calls[index]]
    for call in inner_calls[index + 1 :]:
        if call.took(chain[-1].state):
            chain.append(call)
    return chain


def _is_rest(output: Tensor, rest: Tensor, end: Tensor) -> bool:
    """Whether an output equals the rest of a block's step for every token, up to rounding of the states."""
    tolerance = _sum_tolerance(end)
    error, size, state = ((difference.float() ** 2).sum(dim=-1).sqrt() for difference in (output - rest, rest, end))
    return bool((error <= tolerance * size + 0.1 * tolerance * state).all())


def _is_full_precision(tensor: Tensor) -> bool:
    return tensor.dtype in (torch.float32, torch.float64)


def _sum_tolerance(tensor: Tensor) -> float:
    return SUM_TOLERANCE if _is_full_precision(tensor) else HALF_TOLERANCE


def _refuse_difference(ours: Tensor, theirs: Tensor, rule: str) -> None:
    """Raise `ModelMismatch` if our result differs from the model's, in shape or by more than rounding."""
    if ours.shape != theirs.shape:
        raise ModelMismatch(f"{rule}, but one has the shape {tuple(ours.shape)} and the other {tuple(theirs.shape)}")
    error = (ours - theirs).abs().max().item() / max(1.0, theirs.abs().max().item())
    tolerance = LOGIT_TOLERANCE if _is_full_precision(theirs) else HALF_TOLERANCE
    if not error < tolerance:
        raise ModelMismatch(f"{rule} to {tolerance:g}, but they differ by {error:.2g}")


def _refuse_uneven_heads(architecture: Architecture, title: str) -> None:
    for number in range(len(architecture.blocks)):
        width = architecture.mixing(number).shape[0]
        if width % architecture.heads:
            raise ModelMismatch(
                f"the heads of {title} must divide the width of their outputs, but block {number + 1} has "
                f"{architecture.heads} heads in a width of {width}"
            )
