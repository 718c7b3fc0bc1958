"""Aligned columns from traces: one row per token *that has a next token*, over all texts.

Alignment is a property of the type. A `Measurement` has no row for a token without a next token, and none for the positions
left out at the start of a text, so a step can't be paired with a logit that does not belong to it. The published procedure
did exactly that: its last row pairs a step with the zero that an array was initialised with. `Published` holds that pairing,
and it is the only type that can.

torch ends here: columns are NumPy arrays, floats in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathlen.columns.docstrings import lists_columns
from pathlen.columns.table import Array, Table, Trace
from pathlen.errors import UndefinedEstimate

__all__ = ["LEFT_OUT", "PUBLISHED", "Measurement", "Published", "as_published", "from_traces"]

LEFT_OUT = 1  # tokens at the start of each text that get no row
# The columns of the published procedure, and the column that it took each one's last entry from.
PUBLISHED = {
    "residual_norm": "final_norm_length",
    "step_length": "final_norm_step",
    "displacement": "final_norm_displacement",
    "next_logit": "",
}


@lists_columns({"token": "rows", "next": "rows"}, except_for={"token_ids"})
class Measurement(Table):
    """Aligned columns, one row per token that has a next token; lengths are before the final norm.

    A column is an attribute that is made when it is first read: any column of the catalog, any custom column, both with their
    last axis cut to the tokens that have a row, and the derived quantities below.

    Raises
    ------
    ValueError
        If columns differ in length or hold a value that is not finite. A column that is made later is checked when it is read.
    AttributeError
        If there is no such column; the message names the nearest.
    UnmeasuredColumn
        If the column was left out when the texts were measured.

    Attributes
    ----------
    passage : ndarray of int, shape (rows,)
        Index of the text, in the order they were given.
    token_id : ndarray of int, shape (rows,)
        The token, as the model's vocabulary numbers it.
    token : ndarray of int, shape (rows,)
        Index of the token in its text. The first ``LEFT_OUT`` tokens of a text have no row, as in the published procedure:
        the norm of GPT-2's first token is hundreds of times the others'.

    """

    __slots__ = ()

    passage: NDArray[np.int64]
    token_id: NDArray[np.int64]
    token: NDArray[np.int64]

    def __init__(
        self,
        make: Callable[[str], NDArray[Any]] | None = None,
        *,
        passage: NDArray[np.int64],
        **columns: NDArray[Any],
    ) -> None:
        super().__init__(make, passage=passage, **columns)

    def _is_column(self, name: str) -> bool:
        return name in ("token_id", "token") or (name != "token_ids" and super()._is_column(name))

    def _checked(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        rows = self._made.get("passage", values).shape[-1]
        if values.shape[-1] != rows:
            raise ValueError(f"{name} must have {rows} rows like passage, but has {values.shape[-1]}")
        if not np.isfinite(values).all():
            bad = np.count_nonzero(~np.isfinite(values))
            raise ValueError(f"{name} must be finite, but holds {bad} values that are not")
        return values

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.passage)

    def _like(
        self,
        make: Callable[[str], NDArray[Any]],
        rows: NDArray[np.bool_] | None = None,
        *,
        passage: NDArray[np.int64],
        **columns: NDArray[Any],
    ) -> Measurement:
        """Return a measurement of the same texts, of some ``rows`` or of all, whose columns come from ``make``."""
        return Measurement(make, passage=passage, **columns)

    def with_columns(self, **columns: NDArray[Any]) -> Measurement:
        """Return a measurement with some columns replaced."""
        given = {"passage": self.passage} | columns
        return self._like(lambda name: getattr(self, name), **given)

    @property
    def last_step(self) -> Array:
        """Length of the last block's step, shape ``(rows,)``."""
        last: Array = self.step_length[-1]
        return last

    @property
    def path_length(self) -> Array:
        """Cumulative length of the path through the blocks, shape ``(steps, rows)``."""
        return np.cumsum(self.step_length, axis=0)

    @property
    def total_length(self) -> Array:
        """Length of the whole path through the blocks, shape ``(rows,)``."""
        total: Array = self.step_length.sum(axis=0)
        return total

    @property
    def straightness(self) -> Array:
        """Straight-line distance over path length, ``||h_n - h_0|| / sum_L s_L``, shape ``(rows,)``.

        1 for a straight path; about ``1 / sqrt(n)`` for ``n`` steps of equal length in unrelated directions.
        """
        share: Array = self.displacement[-1] / self.total_length
        return share

    @property
    def radial_share(self) -> Array:
        """The share of a squared step that is stretching, ``(||h_L|| - ||h_(L-1)||)^2 / s_L^2``, shape ``(steps, rows)``.

        The rest is turning: ``s^2 = (||y|| - ||x||)^2 + 2 ||x|| ||y|| (1 - cos theta)``.
        """
        share: Array = np.diff(self.residual_norm, axis=0) ** 2 / self.step_length**2
        return share

    @property
    def angular_share(self) -> Array:
        """The share of a squared step that is turning, ``1 - radial_share``, shape ``(steps, rows)``."""
        return 1 - self.radial_share

    @property
    def mean_step(self) -> Array:
        """Each token's mean step over all blocks, shape ``(rows,)``."""
        mean: Array = self.step_length.mean(axis=0)
        return mean

    @property
    def earlier_steps(self) -> Array:
        """Length of every block's step except the last, shape ``(steps - 1, rows)``."""
        return self.step_length[:-1]

    @property
    def next_probability(self) -> Array:
        """Probability of the token that came next, shape ``(rows,)``."""
        probability: Array = np.exp(self.next_log_probability)
        return probability

    @property
    def log_frequency(self) -> Array:
        """Logarithm of how often a row's token occurs among all rows, shape ``(rows,)``."""
        _, token, counts = np.unique(self.token_id, return_inverse=True, return_counts=True)
        logarithm: Array = np.log(counts)[token]
        return logarithm

    @property
    def late_head_norm(self) -> Array:
        """`head_norm` in the last quarter of the blocks, shape ``(late blocks, heads, rows)``."""
        return self.head_norm[-self._quarter :]

    @property
    def late_heads_norm(self) -> Array:
        """`heads_norm` in the last quarter of the blocks, shape ``(late blocks, rows)``."""
        return self.heads_norm[-self._quarter :]

    @property
    def _quarter(self) -> int:
        return max(1, len(self.heads_norm) // 4)

    @property
    def heads_shorten(self) -> NDArray[np.bool_]:
        """Whether ``||sum_h v_h|| <= sum_h ||v_h||`` up to rounding, shape ``(blocks, rows)``."""
        shorter: NDArray[np.bool_] = self.heads_norm <= self.head_norm.sum(axis=1) * (1 + 1e-5)
        return shorter

    @property
    def path_straightness(self) -> Array:
        """R squared of each token's cumulative path length on the block's number, shape ``(rows,)``.

        It is near 1 for any steps of similar size: a cumulative sum is smooth, whatever it sums.
        """
        path = self.path_length
        block = np.arange(len(path)) - (len(path) - 1) / 2
        centred = path - path.mean(axis=0)
        explained: Array = (block @ centred) ** 2 / (block @ block * np.sum(centred**2, axis=0))
        return explained

    @property
    def surest_quarter(self) -> NDArray[np.bool_]:
        """Whether a token is in the quarter of its text with the most likely next tokens, shape ``(rows,)``."""
        return self._rank_in_text() > 0.75

    @property
    def least_sure_quarter(self) -> NDArray[np.bool_]:
        """Whether a token is in the quarter of its text with the least likely next tokens, shape ``(rows,)``."""
        return self._rank_in_text() <= 0.25

    def _rank_in_text(self) -> Array:
        """Return the rank of each token's `next_log_probability` in its text, as a share from 0 to 1."""
        rank = np.empty(len(self.passage))
        for passage in np.unique(self.passage):
            rows = self.passage == passage
            order = np.argsort(np.argsort(self.next_log_probability[rows], kind="stable"))
            rank[rows] = (order + 1) / np.count_nonzero(rows)
        return rank

    @property
    def stretch_error(self) -> Array:
        """Relative error of splitting each squared step into stretching and turning, shape ``(steps, rows)``.

        ``s^2 = (b - a)^2 + 2 a b (1 - cos theta)`` for norms ``a`` and ``b`` before and after a step ``s`` that turns by
        ``theta``.
        """
        before, after = self.residual_norm[:-1], self.residual_norm[1:]
        turned = 4 * before * after * np.sin(self.turning_angle / 2) ** 2
        error: Array = np.abs((after - before) ** 2 + turned - self.step_length**2) / self.step_length**2
        return error

    def where(self, rows: NDArray[np.bool_]) -> Measurement:
        """Return the measurement of some tokens only, in their order.

        Parameters
        ----------
        rows : ndarray of bool, shape (rows,)
            Which tokens to keep.

        Raises
        ------
        UndefinedEstimate
            If no token is left.

        """
        if not rows.any():
            raise UndefinedEstimate(f"none of the {len(rows):,} tokens is of the kind that the claim speaks about")
        return self._like(lambda name: getattr(self, name)[..., rows], rows, passage=self.passage[rows])

    @property
    def early_steps(self) -> Array:
        """Each token's mean step over the first half of the blocks, shape ``(rows,)``; a middle block is left out."""
        return _early(self.step_length)

    @property
    def late_steps(self) -> Array:
        """Each token's mean step over the second half of the blocks, shape ``(rows,)``; see `early_steps`."""
        return _late(self.step_length)

    @property
    def displacement_grows(self) -> NDArray[np.bool_]:
        """Whether a block takes a token farther from its embedding, shape ``(steps - 1, rows)``, from the second block on.

        The first block is left out: it starts at the embedding, so it can only lead away from it.
        """
        return _grows(self.displacement)

    @property
    def path_grows(self) -> NDArray[np.bool_]:
        """Whether a block adds to the cumulative length, shape ``(steps, rows)``: a sum of lengths always grows."""
        return self.step_length > 0


class Published(Table):
    """Columns as the published procedure paired them, its slips included; see the module's docstring.

    Attributes
    ----------
    passage : ndarray of int, shape (rows,)
        Index of the text. Each text has a row for every token but its first, *the last one included*.
    step_length : ndarray, shape (steps, rows)
        Steps as published: the last one ends at the state *after* the final norm, ``||norm(h_n) - h_(n-1)||``.
    residual_norm, displacement : ndarray, shape (states, rows) and (steps, rows)
        As in `Measurement`, with the last entry taken after the final norm.
    next_logit : ndarray, shape (rows,)
        Of the token that came next; **0 in each text's last row**, which has no next token.

    """

    __slots__ = ()

    passage: NDArray[np.int64]

    def _is_column(self, name: str) -> bool:
        return name in PUBLISHED

    @property
    def last_step(self) -> Array:
        """Length of the last block's step through the final norm, shape ``(rows,)``."""
        last: Array = self.step_length[-1]
        return last

    @property
    def early_steps(self) -> Array:
        """As `Measurement.early_steps`."""
        return _early(self.step_length)

    @property
    def late_steps(self) -> Array:
        """As `Measurement.late_steps`, including the step through the final norm."""
        return _late(self.step_length)

    @property
    def displacement_grows(self) -> NDArray[np.bool_]:
        """As `Measurement.displacement_grows`, the last block's displacement taken after the final norm."""
        return _grows(self.displacement)


def _early(step_length: Array) -> Array:
    mean: Array = step_length[: len(step_length) // 2].mean(axis=0)
    return mean


def _late(step_length: Array) -> Array:
    mean: Array = step_length[-(len(step_length) // 2) :].mean(axis=0)
    return mean


def _grows(displacement: Array) -> NDArray[np.bool_]:
    return np.diff(displacement, axis=0) > 0


def from_traces(traces: Sequence[Trace]) -> Measurement:
    """Return the aligned columns of several texts, in their order; a column is joined when it is first read."""
    rows = [slice(LEFT_OUT, len(trace.token_ids) - 1) for trace in traces]

    def joined(name: str) -> NDArray[Any]:
        if name == "token":
            return np.concatenate([np.arange(row.start, row.stop) for row in rows])
        name = "token_ids" if name == "token_id" else name
        parts = [getattr(trace, name)[..., row] for trace, row in zip(traces, rows, strict=True)]
        return np.concatenate(parts, axis=-1)

    lengths = [row.stop - row.start for row in rows]
    return Measurement(joined, passage=np.repeat(np.arange(len(traces)), lengths))


def as_published(
    traces: Sequence[Trace], *, through_final_norm: bool = True, with_last_token: bool = True
) -> Published:
    """Return the columns as the published procedure paired them, from the same traces.

    Parameters
    ----------
    traces : sequence of Trace
        One per text.
    through_final_norm : bool
        Whether the last state is the one after the final norm: the first slip.
    with_last_token : bool
        Whether each text's last token has a row, with the zero that its array was initialised with: the second slip.

    """
    rows = slice(LEFT_OUT, None if with_last_token else -1)
    filler = [0.0] if with_last_token else []
    lengths = [len(trace.token_ids) - LEFT_OUT - (not with_last_token) for trace in traces]

    def paired(name: str) -> NDArray[Any]:
        if name == "next_logit":
            return np.concatenate([np.append(trace.next_logit[LEFT_OUT:], filler) for trace in traces])
        parts = []
        for trace in traces:
            column = getattr(trace, name)
            last = getattr(trace, PUBLISHED[name]) if through_final_norm else column[-1]
            parts.append(np.vstack([column[:-1], last])[:, rows])
        return np.hstack(parts)

    return Published(paired, passage=np.repeat(np.arange(len(traces)), lengths))
