"""From traces to aligned columns: one row per token *that has a next token*, over all texts.

Alignment is a property of the type. A `Measurement` has no row for a token without a next token and none for the
positions that are left out at the start of a text, so a step can't be paired with a logit that does not belong to
it. The published procedure did just that: its last row pairs a step with the zero an array was filled with.
`Published` holds that pairing, and it is the only type that can.

torch ends here: columns are NumPy arrays in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathlen.columns.table import CatalogTable, Table, Trace
from pathlen.errors import UndefinedEstimate

__all__ = ["LEFT_OUT", "PUBLISHED", "Measurement", "Published", "as_published", "from_traces"]

LEFT_OUT = 1
Array = NDArray[np.float64]
# What the published procedure measured, and what it took for each column's last entry.
PUBLISHED = {
    "residual_norm": "final_norm_length",
    "step_length": "final_norm_step",
    "displacement": "final_norm_displacement",
    "next_logit": "",
}


class Measurement(CatalogTable):
    """Aligned columns, one row per token that has a next token; lengths are before the final norm.

    A column is an attribute, made when it is first asked for: any of `pathlen.columns.catalog.CATALOG` and of one's own, the tokens on
    the last axis cut to those that have a row; and what is derived of them, below.

    Attributes
    ----------
    passage : ndarray of int, shape (rows,)
        Index of the text, in the order they were given.
    token_id : ndarray of int, shape (rows,)
        The token, as the model's vocabulary numbers it.
    token : ndarray of int, shape (rows,)
        Index of the token in its text; the first ``LEFT_OUT`` tokens of a text have no row, as in the published
        procedure: GPT-2's first token has a norm hundreds of times the others'.
    position : ndarray of int, shape (rows,)
        Position inside the window that was read.
    window : ndarray of int, shape (rows,)
        Window of the text, 0 unless the text is longer than the model's context.
    residual_norm : ndarray, shape (states, rows)
        ``||h_L||``, embedding first.
    step_length : ndarray, shape (steps, rows)
        ``||h_L - h_(L-1)||``.
    displacement : ndarray, shape (steps, rows)
        ``||h_L - h_0||``.
    turning_angle : ndarray, shape (steps, rows)
        Angle between ``h_(L-1)`` and ``h_L``, radians.
    centroid_distance : ndarray, shape (states, rows)
        Distance of ``h_L`` from the mean state of the text's tokens; see `pathlen.columns.table.Trace`.
    final_norm_step : ndarray, shape (rows,)
        ``||norm(h_n) - h_(n-1)||``: the last step together with the final norm, which the published procedure took for the
        last step; here to compare with.
    head_norm : ndarray, shape (blocks, heads, rows)
        ``||v_h||``, the length of what each attention head adds to the residual stream.
    heads_norm : ndarray, shape (blocks, rows)
        ``||sum_h v_h||``.
    attention_norm, mlp_norm : ndarray, shape (blocks, rows)
        Lengths of what attention and the feed-forward part of a block add.
    attention_mlp_cosine : ndarray, shape (blocks, rows)
        The cosine of the angle between the two.
    entropy, top_logit : ndarray, shape (rows,)
        Of the model's distribution over the next token: entropy in nats, and the largest logit.
    next_logit, next_log_probability : ndarray, shape (rows,)
        Of the token that came next.
    next_rank : ndarray of int, shape (rows,)
        Its rank in the vocabulary, 1 for the likeliest.

    Raises
    ------
    ValueError
        If columns differ in length or hold a value that is not finite; of a column that is made later, when it is asked for.
    AttributeError
        If there is no such column; the message names the nearest.
    UnmeasuredColumn
        If it was left out when the texts were measured.

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
        """Return a measurement of the same texts, of some ``rows`` or of all, with columns of another make."""
        return Measurement(make, passage=passage, **columns)

    def with_columns(self, **columns: NDArray[Any]) -> Measurement:
        """Return a measurement with other columns in the place of some."""
        own = {"passage": self.passage} | columns
        return self._like(lambda name: getattr(self, name), **own)

    @property
    def last_step(self) -> Array:
        """Length of the last block's step, shape ``(rows,)``."""
        last: Array = self.step_length[-1]
        return last

    @property
    def path_length(self) -> Array:
        """Cumulative length of the way through the blocks, shape ``(steps, rows)``."""
        return np.cumsum(self.step_length, axis=0)

    @property
    def total_length(self) -> Array:
        """Length of the whole way through the blocks, shape ``(rows,)``."""
        total: Array = self.step_length.sum(axis=0)
        return total

    @property
    def straightness(self) -> Array:
        """The whole way's length as the crow flies over its length, ``||h_n - h_0|| / sum_L s_L``, shape ``(rows,)``.

        1 for a straight way; ``1 / sqrt(n)`` for ``n`` steps of one length in unrelated directions.
        """
        share: Array = self.displacement[-1] / self.total_length
        return share

    @property
    def radial_share(self) -> Array:
        """How much of a step is stretching, ``(||h_L|| - ||h_(L-1)||)^2 / s_L^2``, shape ``(steps, rows)``.

        The rest is turning: ``s^2 = (||y|| - ||x||)^2 + 2 ||x|| ||y|| (1 - cos theta)``.
        """
        share: Array = np.diff(self.residual_norm, axis=0) ** 2 / self.step_length**2
        return share

    @property
    def angular_share(self) -> Array:
        """How much of a step is turning: 1 less `radial_share`, shape ``(steps, rows)``."""
        return 1 - self.radial_share

    @property
    def mean_step(self) -> Array:
        """Each token's own mean step, shape ``(rows,)``."""
        mean: Array = self.step_length.mean(axis=0)
        return mean

    @property
    def earlier_steps(self) -> Array:
        """Length of every block's step but the last one's, shape ``(steps - 1, rows)``."""
        return self.step_length[:-1]

    @property
    def next_probability(self) -> Array:
        """Probability of the token that came next, shape ``(rows,)``."""
        return np.exp(self.next_log_probability)

    @property
    def log_frequency(self) -> Array:
        """Logarithm of how often a row's token occurs among all rows, shape ``(rows,)``."""
        _, which, times = np.unique(self.token_id, return_inverse=True, return_counts=True)
        logarithm: Array = np.log(times)[which]
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
        """Whether the heads' sum is at most as long as their lengths' sum, shape ``(blocks, rows)``, to rounding."""
        shorter: NDArray[np.bool_] = self.heads_norm <= self.head_norm.sum(axis=1) * (1 + 1e-5)
        return shorter

    @property
    def path_straightness(self) -> Array:
        """R squared of each token's cumulative path length on the block's number, shape ``(rows,)``.

        It is near one for any steps of about one size: a cumulative sum is smooth whatever it sums.
        """
        path = self.path_length
        place = np.arange(len(path)) - (len(path) - 1) / 2
        away = path - path.mean(axis=0)
        explained: Array = (place @ away) ** 2 / (place @ place * np.sum(away**2, axis=0))
        return explained

    @property
    def surest_quarter(self) -> NDArray[np.bool_]:
        """Whether a token is in the quarter of its text whose next tokens were likeliest, shape ``(rows,)``."""
        return self._rank_in_text() > 0.75

    @property
    def least_sure_quarter(self) -> NDArray[np.bool_]:
        """Whether a token is in the quarter of its text whose next tokens were least likely, shape ``(rows,)``."""
        return self._rank_in_text() <= 0.25

    def _rank_in_text(self) -> Array:
        place = np.empty(len(self.passage))
        for one in np.unique(self.passage):
            rows = self.passage == one
            order = np.argsort(np.argsort(self.next_log_probability[rows], kind="stable"))
            place[rows] = (order + 1) / np.count_nonzero(rows)
        return place

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

        Raises
        ------
        UndefinedEstimate
            If none is left, so that nothing can be said of them.

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
        """Whether a block takes a token farther from its embedding, shape ``(steps - 1, rows)``, from the second on.

        The first block is left out: it starts at the embedding itself and can't but lead away from it.
        """
        return _grows(self.displacement)

    @property
    def path_grows(self) -> NDArray[np.bool_]:
        """Whether a block adds to the cumulative length, shape ``(steps, rows)``: a sum of lengths always grows."""
        return self.step_length > 0


class Published(Table):
    """The pairing of the published procedure, its slips included; see the module's docstring.

    Attributes
    ----------
    passage : ndarray of int, shape (rows,)
        Index of the text. Each text has a row for every token but its first, *the last one included*.
    step_length : ndarray, shape (steps, rows)
        Steps as published: the last reaches to the state *after* the final norm, ``||norm(h_n) - h_(n-1)||``.
    residual_norm, displacement : ndarray, shape (states, rows) and (steps, rows)
        As in `Measurement`, the last entry taken after the final norm.
    next_logit : ndarray, shape (rows,)
        Of the token that came next; **0 in each text's last row**, which has none.

    """

    __slots__ = ()

    passage: NDArray[np.int64]
    residual_norm: Array
    step_length: Array
    displacement: Array
    next_logit: Array

    def _is_column(self, name: str) -> bool:
        return name in PUBLISHED

    @property
    def last_step(self) -> Array:
        """The last block's step together with the final norm, shape ``(rows,)``."""
        last: Array = self.step_length[-1]
        return last

    @property
    def early_steps(self) -> Array:
        """As `Measurement.early_steps`."""
        return _early(self.step_length)

    @property
    def late_steps(self) -> Array:
        """As `Measurement.late_steps`, the step through the final norm among them."""
        return _late(self.step_length)

    @property
    def displacement_grows(self) -> NDArray[np.bool_]:
        """As `Measurement.displacement_grows`, the last block's together with the final norm."""
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
    """Return the aligned columns of several texts, in their order; a column is joined when it is first asked for."""
    rows = [slice(LEFT_OUT, len(trace.token_ids) - 1) for trace in traces]

    def joined(name: str) -> NDArray[Any]:
        if name == "token":
            return np.concatenate([np.arange(keep.start, keep.stop) for keep in rows])
        name = "token_ids" if name == "token_id" else name
        parts = [getattr(trace, name)[..., keep] for trace, keep in zip(traces, rows, strict=True)]
        return np.concatenate(parts, axis=-1)

    lengths = [keep.stop - keep.start for keep in rows]
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
        Whether each text's last token keeps its row, with the zero of an array that was never filled: the second slip.

    """
    rows = slice(LEFT_OUT, None if with_last_token else -1)
    filler = [0.0] if with_last_token else []
    lengths = [len(one.token_ids) - LEFT_OUT - (not with_last_token) for one in traces]

    def paired(name: str) -> NDArray[Any]:
        if name == "next_logit":
            return np.concatenate([np.append(one.next_logit[LEFT_OUT:], filler) for one in traces])
        ends = [getattr(one, PUBLISHED[name]) if through_final_norm else getattr(one, name)[-1] for one in traces]
        parts = [np.vstack([getattr(one, name)[:-1], end])[:, rows] for one, end in zip(traces, ends, strict=True)]
        return np.hstack(parts)

    return Published(paired, passage=np.repeat(np.arange(len(traces)), lengths))
