"""The register of public statistics: each is described once, by a decorator on its function.

`pathlen.stats.__all__`, the tables of the documentation, the list of calibrated statistics and the words that sentences
use are read from here. To add a statistic, write its function in one of the modules that `pathlen.stats` imports, name it
in that module's ``__all__``, decorate it with `public_statistic`, and name it in ``pathlen/__init__.py``, which imports
nothing and so can't read the register. Tests compare the two.

This module imports nothing from its neighbours. The register is complete once `pathlen.stats` has been imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

__all__ = [
    "Kind",
    "PublicStatistic",
    "kind_of",
    "public_names",
    "public_statistic",
    "public_statistics",
    "statistics_table",
]

Function = TypeVar("Function", bound=Callable[..., Any])


class Kind(Enum):
    """A kind of number that sentences have a short name for.

    Attributes
    ----------
    symbol : str
        The short name: ``"r"``.
    indefinite : str
        The same with an indefinite article: ``"an r"``.

    """

    CORRELATION = ("r", "an r")
    RANK_CORRELATION = ("rank r", "an r")
    PARTIAL_CORRELATION = ("partial r", "an r")
    DOMINANCE = ("delta", "a delta")
    DIFFERENCE_OF_CORRELATIONS = ("the difference of z(r)", "a value")
    LARGEST_DIFFERENCE = ("the largest difference", "a value")
    LARGEST_EXCESS = ("the largest excess", "a value")

    def __init__(self, symbol: str, indefinite: str) -> None:
        self.symbol = symbol
        self.indefinite = indefinite

    @property
    def is_symbol(self) -> bool:
        """Whether the short name is a symbol such as ``r``, and no phrase that a sentence can begin with."""
        return self in (Kind.CORRELATION, Kind.RANK_CORRELATION, Kind.PARTIAL_CORRELATION, Kind.DOMINANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicStatistic:
    """A public statistic.

    Attributes
    ----------
    function : callable
        The constructor that claims call.
    number : str
        What the number is, in a few words.
    interval : str
        The scale on which its interval is made, in words.
    sentence : str
        The sentence that it puts into a number.
    named : str
        How the name of its estimates begins, where they are of a `Kind`.
    kind : Kind or None
    calibrated : bool
        Whether `pathlen.stats.calibration` counts how often its intervals cover.

    """

    function: Callable[..., Any]
    number: str
    interval: str
    sentence: str
    named: str
    kind: Kind | None
    calibrated: bool

    @property
    def name(self) -> str:
        """The name it is imported by."""
        return self.function.__name__


_REGISTER: dict[str, PublicStatistic] = {}
_KINDS = {"difference of Pearson r": Kind.DIFFERENCE_OF_CORRELATIONS}  # a contrast, which no function of its own makes


def public_statistic(
    *,
    number: str,
    interval: str,
    sentence: str = "",
    named: str = "",
    kind: Kind | None = None,
    calibrated: bool = False,
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function as a public statistic and leaves it as it is.

    Parameters are the attributes of `PublicStatistic`.

    Raises
    ------
    ValueError
        If another function was registered under the same name, or only one of ``named`` and ``kind`` is given.

    """
    if bool(named) != bool(kind):
        raise ValueError(f"named and kind go together, but {named!r} and {kind} were given")

    def register(function: Function) -> Function:
        name = function.__name__
        if name in _REGISTER and _REGISTER[name].function.__module__ != function.__module__:
            raise ValueError(f"two public statistics are called {name!r}")
        _REGISTER[name] = PublicStatistic(
            function=function,
            number=number,
            interval=interval,
            sentence=sentence,
            named=named,
            kind=kind,
            calibrated=calibrated,
        )
        if kind is not None:
            _KINDS[named] = kind
        return function

    return register


def public_statistics() -> tuple[PublicStatistic, ...]:
    """Return all public statistics, in the order of their definition."""
    return tuple(_REGISTER.values())


def public_names() -> list[str]:
    """Return the names of all public statistics, sorted."""
    return sorted(_REGISTER)


def kind_of(statistic: str) -> Kind | None:
    """Return the kind of an estimate by the name that its record holds, `Estimate.statistic`; None for all others.

    Records hold an estimate's name and not its kind. This is the only place that reads one from the other.

    Examples
    --------
    >>> kind_of("Pearson r within passages, trend removed")
    <Kind.CORRELATION: ('r', 'an r')>
    >>> kind_of("ratio of means") is None
    True

    """
    beginnings = [beginning for beginning in _KINDS if statistic.startswith(beginning)]
    return _KINDS[max(beginnings, key=len)] if beginnings else None


def statistics_table() -> str:
    """Return all public statistics as a Markdown table, for the documentation."""
    lines = ["| statistic | its number | scale of its interval | for a sentence such as |", "|---|---|---|---|"]
    lines += [
        f"| `{statistic.name}` | {statistic.number} | {statistic.interval} | {statistic.sentence} |"
        for statistic in public_statistics()
    ]
    return "\n".join(lines) + "\n"
