"""The calibration table that ships with the package; `pathlen.stats.calibration.simulation` makes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["Rate", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The counts of one cell of the simulation.

    Attributes
    ----------
    statistic, kind, passages, rho
        The cell; see `pathlen.stats.calibration.simulation`.
    truth : float
        The true value of the statistic there.
    runs : int
        Number of simulated data sets that gave an estimate.
    undefined : int
        Number of those that gave none.
    covered_95, covered_90 : float
        Share of runs whose interval of that level contains the true value.
    said_below : float
        Share of runs that support ``below(0)``, by the 95 % interval.
    said_about_zero : float
        Share of runs that support ``within(-0.1, 0.1)``, by the 90 % interval.

    """

    statistic: str
    kind: str
    passages: int
    rho: float
    truth: float
    runs: int
    undefined: int
    covered_95: float
    covered_90: float
    said_below: float
    said_about_zero: float


def table() -> tuple[Rate, ...]:
    """Return every cell of the shipped table."""
    text = files("pathlen.stats.calibration").joinpath("calibration.json").read_text(encoding="utf-8")
    return tuple(Rate(**row) for row in json.loads(text))
