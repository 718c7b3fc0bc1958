"""What is measured of a text: a catalog of columns, and tables that make a column when it is first asked for.

A column belongs to a *part* of the measurement, and each part costs something of its own: lengths of steps are nearly free,
entropy takes a pass over the vocabulary. Whoever measures names the columns that are wanted, and the others are left out:
`pathlen.traces` measures what is named, `pathlen.measurements` finds out what a claim's body names.

Own columns are functions of states as they stream by, declared with `measures`. No state is kept for them.

Nothing here knows torch, so that what was measured elsewhere or earlier can be read without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pathlen.errors import InvalidColumn, UnmeasuredColumn, near

__all__ = [
    "ALIGNMENT",
    "CATALOG",
    "OWN",
    "CatalogTable",
    "Column",
    "OwnColumn",
    "Table",
    "Trace",
    "column",
    "columns_named",
    "measures",
    "unmeasured",
]

Array = NDArray[np.float64]
Part = Literal["alignment", "path", "centroid", "heads", "sublayers", "next", "vocabulary", "own"]
Where = Literal["step", "state", "end"]
ALIGNMENT = ("token_ids", "window", "position")  # every trace has these


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the catalog.

    Attributes
    ----------
    name : str
    axes : tuple of str
        The last one is ``"token"``, or ``"next"`` where the text's last token, which has no next one, has no entry.
        ``"state"`` counts the embedding and every block, ``"step"`` and ``"block"`` the blocks alone.
    unit : str
        ``"stream"`` for the units of the residual stream, ``"radians"``, ``"nats"``, ``"logit"``, ``"count"`` or ``"1"``.
    part : str
        What has to be done for it: ``"path"`` is hooks on the blocks and nearly free, ``"centroid"`` a mean per block,
        ``"heads"`` and ``"sublayers"`` hooks inside the blocks, ``"next"`` one dot product a token, ``"vocabulary"``
        a pass over the vocabulary.
    meaning : str
        One sentence with the formula.
    is_whole : bool
        Whether its numbers are whole.

    """

    name: str
    axes: tuple[str, ...]
    unit: str
    part: Part
    meaning: str
    is_whole: bool = False


def _column(name: str, axes: str, unit: str, part: Part, meaning: str, *, is_whole: bool = False) -> Column:
    return Column(name=name, axes=tuple(axes.split()), unit=unit, part=part, meaning=meaning, is_whole=is_whole)


CATALOG: Mapping[str, Column] = {
    one.name: one
    for one in (
        _column(
            "token_ids",
            "token",
            "count",
            "alignment",
            "The tokens, as the model's vocabulary numbers them.",
            is_whole=True,
        ),
        _column(
            "window", "token", "count", "alignment", "The window each token was measured in, from 0.", is_whole=True
        ),
        _column("position", "token", "count", "alignment", "The token's position inside that window.", is_whole=True),
        _column(
            "residual_norm", "state token", "stream", "path", "||h_L||, the embedding first, before the final norm."
        ),
        _column("step_length", "step token", "stream", "path", "||h_L - h_(L-1)||, before the final norm."),
        _column("displacement", "step token", "stream", "path", "||h_L - h_0||, before the final norm."),
        _column("turning_angle", "step token", "radians", "path", "The angle between h_(L-1) and h_L."),
        _column(
            "final_norm_step",
            "token",
            "stream",
            "path",
            "||norm(h_n) - h_(n-1)||: what was published as the last step.",
        ),
        _column(
            "final_norm_displacement",
            "token",
            "stream",
            "path",
            "||norm(h_n) - h_0||: what was published as the last displacement.",
        ),
        _column("final_norm_length", "token", "stream", "path", "||norm(h_n)||: what was published as the last norm."),
        _column(
            "centroid_distance",
            "state token",
            "stream",
            "centroid",
            "||h_L - c_L||, c_L the mean state of the tokens measured in the same window without the text's first one.",
        ),
        _column(
            "head_norm",
            "block head token",
            "stream",
            "heads",
            "||v_h||, what a head adds through its rows of the output projection, whose bias belongs to no head.",
        ),
        _column(
            "heads_norm", "block token", "stream", "heads", "||sum_h v_h||, what all heads of a block add together."
        ),
        _column("attention_norm", "block token", "stream", "sublayers", "||a_L||, what a block's attention adds."),
        _column("mlp_norm", "block token", "stream", "sublayers", "||m_L||, what a block's feed-forward part adds."),
        _column(
            "attention_mlp_cosine", "block token", "1", "sublayers", "a_L . m_L / (||a_L|| ||m_L||): 0 if orthogonal."
        ),
        _column("next_logit", "next", "logit", "next", "The raw logit of the token that came next."),
        _column(
            "next_log_probability", "next", "nats", "vocabulary", "The log-probability of the token that came next."
        ),
        _column(
            "next_rank",
            "next",
            "count",
            "vocabulary",
            "How many tokens have a larger logit than the one that came next, plus one.",
            is_whole=True,
        ),
        _column("entropy", "token", "nats", "vocabulary", "-sum p log p of the prediction after each token."),
        _column("top_logit", "token", "logit", "vocabulary", "The largest logit after each token."),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnColumn:
    """A column of one's own: a function of states as they stream by.

    Attributes
    ----------
    column : Column
        As in the catalog.
    where : str
        ``"step"``: called at every block with the states before and after it; ``"state"``: with every state, the embedding
        first; ``"end"``: once, with the last state before and after the final norm.
    function : callable
        From tensors of shape ``(tokens, d_model)`` to a tensor of shape ``(tokens,)``.

    """

    column: Column
    where: Where
    function: Callable[..., Any]


OWN: dict[str, OwnColumn] = {}
TAKES: dict[Where, int] = {"step": 2, "state": 1, "end": 2}

Function = TypeVar("Function", bound=Callable[..., Any])


def measures(*, at: Where, unit: str) -> Callable[[Function], Function]:
    """Declare a function as a column of one's own, named like the function.

    Parameters
    ----------
    at : str
        ``"step"`` for a function of the states before and after each block, which makes a column of shape
        ``(steps, tokens)``; ``"state"`` for one of each state, ``(states, tokens)``; ``"end"`` for one of the last state before
        and after the final norm, ``(tokens,)``.
    unit : str
        Of its numbers, for readers: ``"stream"`` for the units of the residual stream, ``"1"`` for a plain number.

    Raises
    ------
    InvalidColumn
        If the name is taken, ``at`` is unknown, the unit is empty, the docstring is missing, or the function takes another
        number of states. While measuring: if it returns another shape than ``(tokens,)``, or a number that is not finite.

    Notes
    -----
    The function is given each text's own tokens only, in the network's type and on its device, and whatever it returns is
    let go but for one number a token: states are never kept.

    Examples
    --------
    >>> @measures(at="step", unit="stream")
    ... def largest_change(before, after):
    ...     "The largest change of any one coordinate."
    ...     return (after - before).abs().amax(dim=-1)
    >>> column("largest_change").axes
    ('step', 'token')
    >>> del OWN["largest_change"]

    """

    def declare(function: Function) -> Function:
        name = getattr(function, "__name__", "")
        if at not in TAKES:
            raise InvalidColumn(f"column {name!r}: at must be one of {', '.join(TAKES)}, but {at!r} was given")
        if not name.isidentifier() or name.startswith("_"):
            raise InvalidColumn(f"a column is named like its function, but {name!r} is no name for one")
        if name in CATALOG:
            raise InvalidColumn(f"column {name!r} is measured already: name the function otherwise")
        known = OWN.get(name)
        if known is not None and _place(known.function) != _place(function):
            raise InvalidColumn(
                f"column {name!r} is declared twice, in {_place(known.function)} and {_place(function)}"
            )
        if not unit:
            raise InvalidColumn(f'column {name!r} needs a unit, unit="1" for a plain number')
        meaning = inspect.getdoc(function)
        if not meaning:
            raise InvalidColumn(f"column {name!r} needs a docstring that says what it measures")
        taken = len(inspect.signature(function).parameters)
        if taken != TAKES[at]:
            raise InvalidColumn(
                f"column {name!r}: a function at {at!r} takes {TAKES[at]} states, but {name} takes {taken} arguments"
            )
        axes = ("token",) if at == "end" else (at, "token")
        made = Column(name=name, axes=axes, unit=unit, part="own", meaning=meaning.splitlines()[0])
        OWN[name] = OwnColumn(column=made, where=at, function=function)
        return function

    return declare


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def column(name: str) -> Column:
    """Return a column of the catalog, or one's own, by name.

    Raises
    ------
    InvalidColumn
        If there is none; the message names the nearest.

    """
    found = CATALOG.get(name) or (OWN[name].column if name in OWN else None)
    if found is None:
        raise InvalidColumn(f"there is no column {name!r}{near(name, [*CATALOG, *OWN], repr)}")
    return found


def columns_named(names: Iterable[str]) -> frozenset[str]:
    """Return columns by name after checking that there are such; ``"all"`` stands for the whole catalog and one's own."""
    found: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        found |= {*CATALOG, *OWN} if name == "all" else {column(name).name}
    return frozenset(found)


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
        return name in CATALOG or name in OWN

    def __getattr__(self, name: str) -> Any:
        """Return a column; called for whatever is not found as a method or property."""
        if name.startswith("_") or not (name in self._made or self._is_column(name)):
            known = [one for one in (*CATALOG, *OWN, *dir(type(self))) if not one.startswith("_")]
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
