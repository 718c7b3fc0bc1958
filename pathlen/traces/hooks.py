"""Hooks that turn states into columns while a forward pass runs.

At no time are more than three states in memory. What each attention head adds to the residual stream is never formed: with
``W`` the rows of the output projection that a head's ``z`` meets, and ``W' = QR`` with orthonormal ``Q``, ``||z W|| = ||z R'||``,
a product of a head's width alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pathlen.columns.catalog import CATALOG, CUSTOM_COLUMNS, CustomColumn
from pathlen.errors import InvalidColumn
from pathlen.models.architecture import Architecture, state_after, state_before
from pathlen.traces.geometry import distance, length, turning_angle, widest
from pathlen.traces.windows import Window

__all__ = ["HEADS", "SUBLAYERS", "Collector", "head_factors"]

HEADS = frozenset(name for name, one in CATALOG.items() if one.part == "heads")
SUBLAYERS = frozenset(name for name, one in CATALOG.items() if one.part == "sublayers")


class Collector:
    """Collects columns from the blocks of one forward pass; keeps the embedding and the last two states only.

    Every column is ``(texts, ..., tokens)`` here.
    """

    def __init__(self, batch: Sequence[Window], wanted: frozenset[str], heads: Sequence[Tensor], blocks: int) -> None:
        self.batch = batch
        self.wanted = wanted
        self.heads = heads
        self.most = blocks + 1  # states
        self.kept: dict[str, Tensor] = {}
        self.count: Counter[str] = Counter()
        self.own = [one for name, one in CUSTOM_COLUMNS.items() if name in wanted]
        self.needs_norm = bool(wanted & {"residual_norm", "turning_angle"})
        self.needs_step = bool(wanted & {"step_length", "turning_angle"})
        self.embedding = self.before_last = self.last = torch.empty(0)
        self.has_begun = False
        self.added = self.mlp = torch.empty(0)

    def attach(self, model: Architecture) -> Iterator[Any]:
        """Yield the handle of each hook that is put on the model."""
        for block in model.blocks:
            yield block.register_forward_hook(self.after_block, with_kwargs=True)
        if self.wanted & HEADS:
            for projection in model.projections:
                yield projection.register_forward_hook(self.after_heads)
        if self.wanted & SUBLAYERS:
            for attention, mlp in model.added or ():
                yield attention.register_forward_hook(self.after_attention)
                yield mlp.register_forward_hook(self.after_mlp)

    def keep(self, name: str, values: Tensor) -> None:
        """Write what a column is of one more state, step or block into the array that it gets at its first.

        Arrays of their own, small ones that stay between large ones that go, would split the memory that those leave: the next
        large ones would not fit, and a pass through GPT-2 Medium would hold 800 MB instead of 100.
        """
        if name not in self.kept:
            self.kept[name] = values.new_empty((len(values), self.most, *values.shape[1:]))
        self.kept[name][:, self.count[name]] = values
        self.count[name] += 1

    def after_block(self, block: object, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        before, after = state_before(inputs, named), state_after(output)
        if not self.has_begun:
            self.has_begun = True
            self.embedding = before
            self._at(before)
        self._at(after)
        if self.needs_step:
            self.keep("step_length", distance(before, after))
        if "displacement" in self.wanted:
            self.keep("displacement", distance(self.embedding, after))
        for own in self.own:
            if own.where == "step":
                self.keep(own.column.name, self._computed(own, before, after))
        self.before_last, self.last = before, after

    def _at(self, state: Tensor) -> None:
        if self.needs_norm:
            self.keep("residual_norm", length(state))
        if "centroid_distance" in self.wanted:
            middle = torch.stack([state[row, self._central(one)].mean(dim=0) for row, one in enumerate(self.batch)])
            self.keep("centroid_distance", distance(middle[:, None], state))
        for own in self.own:
            if own.where == "state":
                self.keep(own.column.name, self._computed(own, state))

    def _central(self, one: Window) -> slice:
        """Return the tokens that a window's centroid is made of: those measured in it, but for the text's first."""
        return slice(max(one.first - one.start, 1), len(one))

    def after_heads(self, projection: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        if "head_norm" in self.wanted:
            factors = self.heads[self.count["head_norm"]]
            mixed = inputs[0].unflatten(-1, (len(factors), -1)).transpose(1, 2)
            self.keep("head_norm", length(mixed.to(factors.dtype) @ factors.mT))
        if "heads_norm" in self.wanted:
            # The bias belongs to no head.
            together = length(output) if projection.bias is None else distance(projection.bias, output)
            self.keep("heads_norm", together)

    def after_attention(self, module: object, inputs: object, output: Any) -> None:
        self.added = state_after(output)
        self._pair()

    def after_mlp(self, module: object, inputs: object, output: Any) -> None:
        self.mlp = state_after(output)
        self._pair()

    def _pair(self) -> None:
        """Measure what a block's two parts add, once both are there; in parallel blocks either may come first."""
        if not (len(self.added) and len(self.mlp)):
            return
        attention, mlp = self.added, self.mlp
        self.added = self.mlp = torch.empty(0)
        wide = widest(mlp)
        lengths = length(attention), length(mlp)
        if "attention_norm" in self.wanted:
            self.keep("attention_norm", lengths[0])
        if "mlp_norm" in self.wanted:
            self.keep("mlp_norm", lengths[1])
        if "attention_mlp_cosine" in self.wanted:
            product = torch.linalg.vecdot(attention.to(wide), mlp.to(wide))
            self.keep("attention_mlp_cosine", (product / (lengths[0] * lengths[1])).clamp(-1, 1))

    def _computed(self, own: CustomColumn, *states: Tensor) -> Tensor:
        """Return what a column of one's own makes of each text's own tokens, checked, the fillers' places empty."""
        found = torch.zeros(states[0].shape[:2], dtype=widest(states[0]), device=states[0].device)
        for row, one in enumerate(self.batch):
            name, tokens = own.column.name, len(one)
            value = own.function(*(state[row, :tokens] for state in states))
            if not isinstance(value, Tensor) or tuple(value.shape) != (tokens,):
                shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(type(value))
                raise InvalidColumn(
                    f"column {name!r} must be one number for each token, a tensor of shape ({tokens},), but is {shape}"
                )
            if not torch.isfinite(value).all():
                bad = int((~torch.isfinite(value)).sum())
                raise InvalidColumn(f"column {name!r} must be finite, but holds {bad} values that are not")
            found[row, :tokens] = value.to(found.dtype)
        return found

    def columns(self, final: Tensor) -> dict[str, Tensor]:
        """Return the columns that were wanted, the states through the final norm among them."""
        columns = {name: whole[:, : self.count[name]] for name, whole in self.kept.items()}
        if "turning_angle" in self.wanted:
            norm = columns["residual_norm"]
            columns["turning_angle"] = turning_angle(norm[:, :-1], norm[:, 1:], columns["step_length"])
        if "final_norm_step" in self.wanted:
            columns["final_norm_step"] = distance(self.before_last, final)
        if "final_norm_displacement" in self.wanted:
            columns["final_norm_displacement"] = distance(self.embedding, final)
        if "final_norm_length" in self.wanted:
            columns["final_norm_length"] = length(final)
        for own in self.own:
            if own.where == "end":
                columns[own.column.name] = self._computed(own, self.last, final)
        return {name: column for name, column in columns.items() if name in self.wanted}


def head_factors(projection: Tensor, heads: int) -> Tensor:
    """Return ``R`` of each head, ``(heads, rank, width)``, from the output projection ``(heads * width, d_model)``."""
    whole = projection.unflatten(0, (heads, -1)).mT
    factors: Tensor = torch.linalg.qr(whole if whole.dtype == torch.float64 else whole.float(), mode="r").R
    return factors.contiguous().clone()  # a copy of its own lets what was factored be given back
