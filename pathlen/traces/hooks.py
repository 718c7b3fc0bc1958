"""Hooks that turn states into columns while a forward pass runs.

At most three states are in memory at any time. What each attention head adds to the residual stream is never formed: with ``W``
the rows of the output projection that a head's ``z`` meets, and ``W' = QR`` with orthonormal ``Q``, ``||z W|| = ||z R'||``, a
product as wide as one head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pathlen.columns.catalog import CATALOG, CUSTOM_COLUMNS, CustomColumn
from pathlen.errors import InvalidColumn
from pathlen.models.architecture import Architecture, state_after, state_before
from pathlen.traces.geometry import distance, length, turning_angle, widest
from pathlen.traces.windows import Window

__all__ = ["HEADS", "SUBLAYERS", "Collector", "head_factors"]

HEADS = frozenset(name for name, column in CATALOG.items() if column.part == "heads")
SUBLAYERS = frozenset(name for name, column in CATALOG.items() if column.part == "sublayers")
# Columns computed from three lengths of every step: ||h_(L-1)||, ||h_L|| and ||h_L - h_(L-1)||.
FROM_LENGTHS: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "turning_angle": turning_angle,
}


class Collector:
    """Collects columns from the blocks during one forward pass; keeps only the embedding and the last two states.

    Every array has shape ``(texts, ..., tokens)`` here.

    Parameters
    ----------
    batch : sequence of Window
        The windows that are read in this pass, one per row of the states.
    wanted : frozenset of str
        Names of the columns to collect.
    factors : sequence of Tensor, each of shape (heads, rank, width)
        From `head_factors`, one per block; not used unless columns of heads are wanted.
    blocks : int
        How many blocks the model has.

    """

    def __init__(self, batch: Sequence[Window], wanted: frozenset[str], factors: Sequence[Tensor], blocks: int) -> None:
        self.batch = batch
        self.wanted = wanted
        self.factors = factors
        self.capacity = blocks + 1  # states
        self.arrays: dict[str, Tensor] = {}
        self.filled: Counter[str] = Counter()
        self.custom = [custom for name, custom in CUSTOM_COLUMNS.items() if name in wanted]
        self.needs_norm = bool(wanted & {"residual_norm", *FROM_LENGTHS})
        self.needs_step = bool(wanted & {"step_length", *FROM_LENGTHS})
        self.embedding = self.before_last = self.last = torch.empty(0)
        self.has_begun = False
        self.attention = self.mlp = torch.empty(0)

    def attach(self, model: Architecture) -> Iterator[Any]:
        """Yield the handle of each hook after registering it on the model."""
        for block in model.blocks:
            yield block.register_forward_hook(self.after_block, with_kwargs=True)
        if self.wanted & HEADS:
            for projection in model.projections:
                yield projection.register_forward_hook(self.after_heads)
        if self.wanted & SUBLAYERS:
            for attention, mlp in model.added or ():
                yield attention.register_forward_hook(self.after_attention)
                yield mlp.register_forward_hook(self.after_mlp)

    def store(self, name: str, values: Tensor) -> None:
        """Write a column's values at one more state, step or block into the column's array, allocated at the first.

        Separate small arrays would outlive the large ones around them and fragment the memory that those free: the next large
        arrays would not fit, and a pass through GPT-2 Medium would hold 800 MB instead of 100.
        """
        if name not in self.arrays:
            self.arrays[name] = values.new_empty((len(values), self.capacity, *values.shape[1:]))
        self.arrays[name][:, self.filled[name]] = values
        self.filled[name] += 1

    def after_block(self, block: object, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        """Measure the state after a block and the step to it; before the first block, the embedding too."""
        before, after = state_before(inputs, named), state_after(output)
        if not self.has_begun:
            self.has_begun = True
            self.embedding = before
            self._measure_state(before)
        self._measure_state(after)
        if self.needs_step:
            self.store("step_length", distance(before, after))
        if "displacement" in self.wanted:
            self.store("displacement", distance(self.embedding, after))
        for custom in self.custom:
            if custom.at == "step":
                self.store(custom.column.name, self._custom_values(custom, before, after))
        self.before_last, self.last = before, after

    def _measure_state(self, state: Tensor) -> None:
        if self.needs_norm:
            self.store("residual_norm", length(state))
        if "centroid_distance" in self.wanted:
            centroids = torch.stack([state[row, window.central].mean(dim=0) for row, window in enumerate(self.batch)])
            self.store("centroid_distance", distance(centroids[:, None], state))
        for custom in self.custom:
            if custom.at == "state":
                self.store(custom.column.name, self._custom_values(custom, state))

    def after_heads(self, projection: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Measure what each head adds and what all heads add together, from the output projection's input and output."""
        if "head_norm" in self.wanted:
            factors = self.factors[self.filled["head_norm"]]
            mixed = inputs[0].unflatten(-1, (len(factors), -1)).transpose(1, 2)
            self.store("head_norm", length(mixed.to(factors.dtype) @ factors.mT))
        if "heads_norm" in self.wanted:
            # The bias belongs to no head.
            together = length(output) if projection.bias is None else distance(projection.bias, output)
            self.store("heads_norm", together)

    def after_attention(self, module: object, inputs: object, output: Any) -> None:
        """Keep what a block's attention adds until its feed-forward part has run too."""
        self.attention = state_after(output)
        self._measure_sublayers()

    def after_mlp(self, module: object, inputs: object, output: Any) -> None:
        """Keep what a block's feed-forward part adds until its attention has run too."""
        self.mlp = state_after(output)
        self._measure_sublayers()

    def _measure_sublayers(self) -> None:
        """Measure what a block's two parts add, once both have run; in parallel blocks either may come first."""
        if not (len(self.attention) and len(self.mlp)):
            return
        attention, mlp = self.attention, self.mlp
        self.attention = self.mlp = torch.empty(0)
        wide = widest(mlp)
        lengths = length(attention), length(mlp)
        if "attention_norm" in self.wanted:
            self.store("attention_norm", lengths[0])
        if "mlp_norm" in self.wanted:
            self.store("mlp_norm", lengths[1])
        if "attention_mlp_cosine" in self.wanted:
            product = torch.linalg.vecdot(attention.to(wide), mlp.to(wide))
            self.store("attention_mlp_cosine", (product / (lengths[0] * lengths[1])).clamp(-1, 1))

    def _custom_values(self, custom: CustomColumn, *states: Tensor) -> Tensor:
        """Return a custom column's values on each text's real tokens, checked; 0 at padding."""
        name = custom.column.name
        values = torch.zeros(states[0].shape[:2], dtype=widest(states[0]), device=states[0].device)
        for row, window in enumerate(self.batch):
            tokens = len(window)
            returned = custom.function(*(state[row, :tokens] for state in states))
            if not isinstance(returned, Tensor) or tuple(returned.shape) != (tokens,):
                is_tensor = isinstance(returned, Tensor)
                shape = f"a tensor of shape {tuple(returned.shape)}" if is_tensor else repr(type(returned))
                raise InvalidColumn(
                    f"column {name!r} must be one number for each token, a tensor of shape ({tokens},), but is {shape}"
                )
            if not torch.isfinite(returned).all():
                bad = int((~torch.isfinite(returned)).sum())
                raise InvalidColumn(f"column {name!r} must be finite, but holds {bad} values that are not")
            values[row, :tokens] = returned.to(values.dtype)
        return values

    def columns(self, final: Tensor) -> dict[str, Tensor]:
        """Return the wanted columns after the pass, given the states after the final norm, ``(texts, tokens, d_model)``."""
        columns = {name: array[:, : self.filled[name]] for name, array in self.arrays.items()}
        for name, function in FROM_LENGTHS.items():
            if name in self.wanted:
                norms = columns["residual_norm"]
                columns[name] = function(norms[:, :-1], norms[:, 1:], columns["step_length"])
        if "final_norm_step" in self.wanted:
            columns["final_norm_step"] = distance(self.before_last, final)
        if "final_norm_displacement" in self.wanted:
            columns["final_norm_displacement"] = distance(self.embedding, final)
        if "final_norm_length" in self.wanted:
            columns["final_norm_length"] = length(final)
        for custom in self.custom:
            if custom.at == "end":
                columns[custom.column.name] = self._custom_values(custom, self.last, final)
        return {name: column for name, column in columns.items() if name in self.wanted}


def head_factors(projection: Tensor, heads: int) -> Tensor:
    """Return ``R`` of each head from a block's output projection; see the module's docstring.

    Parameters
    ----------
    projection : Tensor, shape (heads * width, d_model)
        The projection's weight, from heads to the residual stream.
    heads : int
        How many heads the block has.

    Returns
    -------
    Tensor, shape (heads, rank, width)

    """
    rows = projection.unflatten(0, (heads, -1)).mT
    factors: Tensor = torch.linalg.qr(rows if rows.dtype == torch.float64 else rows.float(), mode="r").R
    return factors.contiguous().clone()  # a copy lets the memory of the factorisation be freed
