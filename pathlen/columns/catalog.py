"""The catalog of columns: everything that can be measured of a text, described in one place.

A column belongs to a *part* of the measurement, and each part costs something of its own: lengths of steps are nearly free,
entropy takes a pass over the vocabulary. Whoever measures names the columns that are wanted, and the others are left out:
`pathlen.traces.tracer` measures what is named, `pathlen.columns.named` finds out what a claim's body names.

Custom columns are functions of states as they stream by, declared with `measures`. No state is kept for them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pathlen.errors import InvalidColumn, near

__all__ = [
    "ALIGNMENT",
    "CATALOG",
    "CUSTOM_COLUMNS",
    "Array",
    "Column",
    "CustomColumn",
    "column",
    "columns_named",
    "measures",
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
class CustomColumn:
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


CUSTOM_COLUMNS: dict[str, CustomColumn] = {}
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
    >>> del CUSTOM_COLUMNS["largest_change"]

    """

    def declare(function: Function) -> Function:
        name = getattr(function, "__name__", "")
        if at not in TAKES:
            raise InvalidColumn(f"column {name!r}: at must be one of {', '.join(TAKES)}, but {at!r} was given")
        if not name.isidentifier() or name.startswith("_"):
            raise InvalidColumn(f"a column is named like its function, but {name!r} is no name for one")
        if name in CATALOG:
            raise InvalidColumn(f"column {name!r} is measured already: name the function otherwise")
        known = CUSTOM_COLUMNS.get(name)
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
        CUSTOM_COLUMNS[name] = CustomColumn(column=made, where=at, function=function)
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
    found = CATALOG.get(name) or (CUSTOM_COLUMNS[name].column if name in CUSTOM_COLUMNS else None)
    if found is None:
        raise InvalidColumn(f"there is no column {name!r}{near(name, [*CATALOG, *CUSTOM_COLUMNS], repr)}")
    return found


def columns_named(names: Iterable[str]) -> frozenset[str]:
    """Return columns by name after checking that there are such; ``"all"`` stands for the whole catalog and one's own."""
    found: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        found |= {*CATALOG, *CUSTOM_COLUMNS} if name == "all" else {column(name).name}
    return frozenset(found)
