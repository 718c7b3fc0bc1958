"""The catalog of columns: everything that can be measured of a text, described in one place.

`CATALOG` is the only description of a column. The docstrings of `pathlen.Trace` and `pathlen.Measurement` and the table in the
documentation are made from it; `pathlen.traces` computes what it lists.

A column belongs to a *part* of the measurement, and each part has its own cost: lengths of steps are nearly free, entropy takes
a pass over the vocabulary. Only the columns that are asked for are measured. `pathlen.columns.used_in_code` finds the ones that a
claim's body reads.

Custom columns are functions of the states, declared with `measures` and called during the forward pass. States are never kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pathlen.errors import InvalidColumn, near

__all__ = [
    "ALIGNMENT",
    "CATALOG",
    "CUSTOM_COLUMNS",
    "Column",
    "CustomColumn",
    "column",
    "columns_named",
    "measures",
]

Part = Literal["alignment", "path", "centroid", "heads", "sublayers", "next", "vocabulary", "custom"]
HookPoint = Literal["step", "state", "end"]
ALIGNMENT = ("token_ids", "window", "position")  # every trace has these


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the catalog.

    Attributes
    ----------
    name : str
    axes : tuple of str
        The last one is ``"token"``, or ``"next"`` if the column has no entry for the text's last token, which no token follows.
        ``"state"`` counts the embedding and every block, ``"step"`` and ``"block"`` only the blocks.
    unit : str
        ``"stream"`` for the units of the residual stream, ``"radians"``, ``"nats"``, ``"logit"``, ``"count"`` or ``"1"``.
    part : str
        What it takes to measure the column: ``"path"`` is hooks on the blocks and nearly free, ``"centroid"`` a mean per
        block, ``"heads"`` and ``"sublayers"`` hooks inside the blocks, ``"next"`` one dot product per token, ``"vocabulary"``
        a pass over the vocabulary.
    meaning : str
        One sentence with the formula.
    is_integer : bool
        Whether the column holds integers instead of floats.

    """

    name: str
    axes: tuple[str, ...]
    unit: str
    part: Part
    meaning: str
    is_integer: bool = False


def _column(name: str, axes: str, unit: str, part: Part, meaning: str, *, is_integer: bool = False) -> Column:
    return Column(name=name, axes=tuple(axes.split()), unit=unit, part=part, meaning=meaning, is_integer=is_integer)


CATALOG: Mapping[str, Column] = {
    entry.name: entry
    for entry in (
        _column(
            "token_ids",
            "token",
            "count",
            "alignment",
            "The tokens, as the model's vocabulary numbers them.",
            is_integer=True,
        ),
        _column(
            "window",
            "token",
            "count",
            "alignment",
            "The window each token was measured in, from 0; several if the text is longer than the model's context.",
            is_integer=True,
        ),
        _column("position", "token", "count", "alignment", "The token's position inside that window.", is_integer=True),
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
            "||h_L - c_L||, c_L the mean state of the tokens measured in the same window without the text's first one, "
            "which in GPT-2 is hundreds of times as long as the others.",
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
        _column(
            "attention_norm",
            "block token",
            "stream",
            "sublayers",
            "||a_L||, what a block's attention adds, biases included, so that h_L = h_(L-1) + a_L + m_L.",
        ),
        _column(
            "mlp_norm",
            "block token",
            "stream",
            "sublayers",
            "||m_L||, what a block's feed-forward part adds, biases included.",
        ),
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
            is_integer=True,
        ),
        _column("entropy", "token", "nats", "vocabulary", "-sum p log p of the prediction after each token."),
        _column("top_logit", "token", "logit", "vocabulary", "The largest logit after each token."),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomColumn:
    """A column that a user defines: a function of the states, called during the forward pass.

    Attributes
    ----------
    column : Column
        As in the catalog.
    at : str
        ``"step"``: called at every block with the states before and after it; ``"state"``: with every state, the embedding
        first; ``"end"``: once, with the last state before and after the final norm.
    function : callable
        From tensors of shape ``(tokens, d_model)`` to a tensor of shape ``(tokens,)``.

    """

    column: Column
    at: HookPoint
    function: Callable[..., Any]


CUSTOM_COLUMNS: dict[str, CustomColumn] = {}
STATES_TAKEN: dict[HookPoint, int] = {"step": 2, "state": 1, "end": 2}
Function = TypeVar("Function", bound=Callable[..., Any])


def measures(*, at: HookPoint, unit: str) -> Callable[[Function], Function]:
    """Declare a function as a custom column, named like the function.

    Parameters
    ----------
    at : str
        ``"step"`` for a function of the states before and after each block, which makes a column of shape
        ``(steps, tokens)``; ``"state"`` for a function of each state, ``(states, tokens)``; ``"end"`` for a function of the last
        state before and after the final norm, ``(tokens,)``.
    unit : str
        The unit of its numbers, for readers: ``"stream"`` for the units of the residual stream, ``"1"`` for a plain number.

    Raises
    ------
    InvalidColumn
        If the name is taken, ``at`` is unknown, the unit is empty, the docstring is missing, or the function takes another
        number of states. While measuring: if it returns another shape than ``(tokens,)``, or a number that is not finite.

    Notes
    -----
    The function gets the states of each text's real tokens, without padding, in the network's precision and on its device.
    Only the one number per token that it returns is kept, never the states.

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
        if at not in STATES_TAKEN:
            raise InvalidColumn(f"column {name!r}: at must be one of {', '.join(STATES_TAKEN)}, but {at!r} was given")
        _refuse_name(name, function)
        if not unit:
            raise InvalidColumn(f'column {name!r} needs a unit, unit="1" for a plain number')
        meaning = inspect.getdoc(function)
        if not meaning:
            raise InvalidColumn(f"column {name!r} needs a docstring that says what it measures")
        parameters = len(inspect.signature(function).parameters)
        if parameters != STATES_TAKEN[at]:
            raise InvalidColumn(
                f"column {name!r}: a function at {at!r} takes {STATES_TAKEN[at]} states, "
                f"but {name} takes {parameters} arguments"
            )
        axes = ("token",) if at == "end" else (at, "token")
        description = Column(name=name, axes=axes, unit=unit, part="custom", meaning=meaning.splitlines()[0])
        CUSTOM_COLUMNS[name] = CustomColumn(column=description, at=at, function=function)
        return function

    return declare


def _refuse_name(name: str, function: Callable[..., Any]) -> None:
    """Raise `InvalidColumn` if a custom column can't have this name; declaring the same function again is fine."""
    if not name.isidentifier() or name.startswith("_"):
        raise InvalidColumn(f"a column is named like its function, but {name!r} is no name for one")
    if name in CATALOG:
        raise InvalidColumn(f"column {name!r} is measured already: name the function otherwise")
    known = CUSTOM_COLUMNS.get(name)
    if known is not None and _location(known.function) != _location(function):
        raise InvalidColumn(
            f"column {name!r} is declared twice, in {_location(known.function)} and {_location(function)}"
        )


def _location(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def column(name: str) -> Column:
    """Return the description of a column, from the catalog or a custom one.

    Raises
    ------
    InvalidColumn
        If there is no such column; the message names the nearest.

    """
    if name in CATALOG:
        return CATALOG[name]
    if name in CUSTOM_COLUMNS:
        return CUSTOM_COLUMNS[name].column
    raise InvalidColumn(f"there is no column {name!r}{near(name, [*CATALOG, *CUSTOM_COLUMNS], repr)}")


def columns_named(names: Iterable[str]) -> frozenset[str]:
    """Return the names after checking that each is a column; ``"all"`` stands for the whole catalog and all custom columns.

    Raises
    ------
    InvalidColumn
        If there is no such column; the message names the nearest.

    """
    checked: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        checked |= {*CATALOG, *CUSTOM_COLUMNS} if name == "all" else {column(name).name}
    return frozenset(checked)
