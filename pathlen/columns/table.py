"""Tables of columns: a column is made when it is first asked for, and kept from then on.

Nothing here knows torch, so what was measured elsewhere or earlier can be read without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathlen.columns.catalog import CATALOG, CUSTOM_COLUMNS, Array
from pathlen.errors import UnmeasuredColumn, near

__all__ = ["CatalogTable", "Table", "Trace", "unmeasured"]


def unmeasured(name: str, there: Iterable[str]) -> UnmeasuredColumn:
    """Return the error of a column that was left out, where those in ``there`` were measured."""
    measured = ", ".join(sorted(there)) or "none"
    return UnmeasuredColumn(f"column {name!r} was not measured: name it in columns=[...] (measured: {measured})")


class Table:
    """Columns by name, each an attribute, made when it is first asked for and kept from then on.

    Parameters
    ----------
    make : callable, optional
        Returns a column by name, or raises what keeps it from being made.
    columns : ndarray
        Columns that are there already.

    """

    __slots__ = ("_made", "_make")

    _made: dict[str, NDArray[Any]]
    _make: Callable[[str], NDArray[Any]]

    def __init__(self, make: Callable[[str], NDArray[Any]] | None = None, **columns: NDArray[Any]) -> None:
        object.__setattr__(self, "_make", make or self._refuse)
        object.__setattr__(self, "_made", {})
        for name, values in columns.items():
            self._made[name] = self._checked(name, values)

    def _refuse(self, name: str) -> NDArray[Any]:
        raise unmeasured(name, self._made)

    def _checked(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        return values

    def _is_column(self, name: str) -> bool:
        return name in CATALOG or name in CUSTOM_COLUMNS

    def __getattr__(self, name: str) -> Any:
        """Return a column; called for whatever is not found as a method or property."""
        if name.startswith("_") or not (name in self._made or self._is_column(name)):
            known = [one for one in (*CATALOG, *CUSTOM_COLUMNS, *dir(type(self))) if not one.startswith("_")]
            raise AttributeError(
                f"a {type(self).__name__} has no column {name!r}{near(name, known, repr)}", name=name, obj=self
            )
        if name not in self._made:
            self._made[name] = self._checked(name, self._make(name))
        return self._made[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"columns can't be assigned to; use with_columns({name}=...)", name=name, obj=self)

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the columns that are there."""
        return tuple(self._made)


class CatalogTable(Table):
    """A table of the catalog's columns, each with its type; what they are is said by the tables that have them."""

    __slots__ = ()

    window: NDArray[np.int64]
    position: NDArray[np.int64]
    residual_norm: Array
    step_length: Array
    displacement: Array
    turning_angle: Array
    centroid_distance: Array
    final_norm_step: Array
    final_norm_displacement: Array
    final_norm_length: Array
    head_norm: Array
    heads_norm: Array
    attention_norm: Array
    mlp_norm: Array
    attention_mlp_cosine: Array
    entropy: Array
    top_logit: Array
    next_logit: Array
    next_log_probability: Array
    next_rank: NDArray[np.int64]


class Trace(CatalogTable):
    """The lengths of one text's way through one model, in float64 and the units of the residual stream.

    A column that was not measured is measured when it is asked for, where the trace knows its model; else it is an
    `UnmeasuredColumn`.

    Parameters
    ----------
    passage : str
        Name of the text.
    make : callable, optional
        Measures a column that is not there.
    columns : ndarray
        By name, as below.

    Attributes
    ----------
    passage : str
        Name of the text.
    token_ids : ndarray of int, shape (tokens,)
    window : ndarray of int, shape (tokens,)
        The window in which each token was measured, 0 upwards.
    position : ndarray of int, shape (tokens,)
        The token's position inside that window.
    residual_norm : ndarray, shape (states, tokens)
        ``||h_L||``, the embedding first, all before the final norm.
    step_length : ndarray, shape (steps, tokens)
        ``||h_L - h_(L-1)||``, all before the final norm.
    displacement : ndarray, shape (steps, tokens)
        ``||h_L - h_0||``.
    turning_angle : ndarray, shape (steps, tokens)
        Angle between ``h_(L-1)`` and ``h_L`` in radians.
    centroid_distance : ndarray, shape (states, tokens)
        ``||h_L - c_L||`` with ``c_L`` the mean state of the tokens measured in the same window. The text's first token is
        not in the mean: in GPT-2 it is hundreds of times as long as the others.
    final_norm_step, final_norm_displacement, final_norm_length : ndarray, shape (tokens,)
        ``||norm(h_n) - h_(n-1)||``, ``||norm(h_n) - h_0||`` and ``||norm(h_n)||``: what the published procedure takes
        for the last step, the last displacement and the last residual norm.
    head_norm : ndarray, shape (blocks, heads, tokens)
        ``||v_h||``, the length of what each attention head adds to the residual stream, its share of the projection's
        weight included and the projection's bias, which belongs to no head, left out.
    heads_norm : ndarray, shape (blocks, tokens)
        ``||sum_h v_h||``, the length of what all heads of a block add together.
    attention_norm, mlp_norm : ndarray, shape (blocks, tokens)
        ``||a_L||`` and ``||m_L||``: what attention and what the feed-forward part of a block add, biases included, so that
        ``h_L = h_(L-1) + a_L + m_L``.
    attention_mlp_cosine : ndarray, shape (blocks, tokens)
        The cosine of the angle between the two; 0 if they are orthogonal.
    entropy, top_logit : ndarray, shape (tokens,)
        Of the model's distribution over the next token: entropy in nats, and the largest logit.
    next_logit, next_log_probability : ndarray, shape (tokens - 1,)
        Of the token that came next in the text; the last token has none.
    next_rank : ndarray of int, shape (tokens - 1,)
        How many tokens of the vocabulary have a larger logit than the one that came next, plus one.

    """

    __slots__ = ("passage",)

    passage: str
    token_ids: NDArray[np.int64]

    def __init__(
        self, *, passage: str, make: Callable[[str], NDArray[Any]] | None = None, **columns: NDArray[Any]
    ) -> None:
        object.__setattr__(self, "passage", passage)
        super().__init__(make, **columns)

    def with_columns(self, make: Callable[[str], NDArray[Any]] | None = None, **columns: NDArray[Any]) -> Trace:
        """Return a trace with other columns in the place of some.

        ``make`` returns a column by name where it is not one of this trace's own; asked of it are those that are not given.
        """
        return Trace(passage=self.passage, make=make or (lambda name: getattr(self, name)), **columns)

    def __repr__(self) -> str:
        return f"Trace({self.passage!r}, {len(self.token_ids)} tokens, {', '.join(self.made)})"
