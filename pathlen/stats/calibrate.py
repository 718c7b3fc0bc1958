"""How often do the intervals cover, and how often do verdicts err? ``python -m pathlen.stats.calibrate --out FILE``.

A claim about calibration is one that can be checked, so it is: data are simulated whose true value is known, the very
estimates that claims use are made of them, and what is counted is printed and kept. Each cell is one kind of data:

=============== ==========================================================================================
``independent`` normal tokens, independent of each other
``ar 0.3/0.6``  both columns are AR(1) inside a passage, with that coefficient
``t5``          elliptical t with 5 degrees of freedom: heavy tails that come together in both columns
``outlier``     independent, and one token of the whole data moved to 4 standard deviations in one column
``icc 0.1/0.3`` AR(1) 0.3 with passage means that make up that share of each column's variance
=============== ==========================================================================================

``rho`` is the correlation of a token's columns inside its passage, each passage has 340 tokens; one passage alone is the
case where blocks of tokens are resampled.

A count of N runs has a standard error: at a true coverage of 95 % and 1,000 runs, 0.7 points.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import norm
from scipy.stats import t as student

from pathlen.errors import UndefinedEstimate
from pathlen.files import write_text
from pathlen.stats.bootstrap import Statistic
from pathlen.stats.calibration import Rate
from pathlen.stats.correlation import partial, pearson, spearman, winsorised
from pathlen.stats.means import cliffs_delta, log_slope, mean, ratio, share

__all__ = ["KINDS", "STATISTICS", "Cell", "cells", "rate", "simulated"]

KINDS = ("independent", "ar 0.3", "ar 0.6", "t5", "outlier", "icc 0.1", "icc 0.3")
PASSAGES = (1, 5, 8, 12, 20, 40)
RHOS = (0.0, -0.1, -0.3, -0.6)
TOKENS = 340
REPLICATES = 999
MARGIN = 0.1

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of data and one statistic of it."""

    statistic: str
    kind: str
    passages: int
    rho: float


def simulated(cell: Cell, seed: int, tokens: int = TOKENS) -> tuple[Array, NDArray[np.int64]]:
    """Return three columns of standard margins and the passage of each row, shapes ``(3, rows)`` and ``(rows,)``.

    The second and the third are each correlated ``rho`` with the first and, given it, independent of each other.

    Examples
    --------
    >>> (x, y, z), _ = simulated(Cell(statistic="pearson", kind="ar 0.6", passages=40, rho=-0.6), seed=1)
    >>> [round(float(r), 1) for r in (np.corrcoef(x, y)[0, 1], np.corrcoef(x, z)[0, 1], np.corrcoef(x[1:], x[:-1])[0, 1])]
    [-0.6, -0.6, 0.6]

    """
    draw = np.random.default_rng([seed, KINDS.index(cell.kind), cell.passages, round(-100 * cell.rho)])
    columns = draw.normal(size=(3, cell.passages, tokens))
    columns[1:] = cell.rho * columns[0] + np.sqrt(1 - cell.rho**2) * columns[1:]
    serial = {"ar 0.3": 0.3, "ar 0.6": 0.6, "icc 0.1": 0.3, "icc 0.3": 0.3}.get(cell.kind, 0.0)
    if serial:
        columns[..., 1:] *= np.sqrt(1 - serial**2)  # the first token is in the stationary state already
        columns = lfilter([1.0], [1.0, -serial], columns, axis=-1)
    if cell.kind == "t5":
        columns /= np.sqrt(draw.chisquare(5, size=(1, cell.passages, tokens)) / 5)
    if cell.kind.startswith("icc"):
        between = float(cell.kind.split()[1])
        columns = np.sqrt(1 - between) * columns + np.sqrt(between) * draw.normal(size=(3, cell.passages, 1))
    rows = columns.reshape(3, -1)
    if cell.kind == "outlier":
        rows[1, draw.integers(rows.shape[1])] = 4.0
    return rows, np.repeat(np.arange(cell.passages), tokens)


@dataclass(frozen=True, slots=True)
class _Known:
    """A statistic of simulated columns, and its true value there; ``only_null`` if that is known for rho = 0 alone."""

    of: Callable[[Array, NDArray[np.int64]], Statistic]
    truth: Callable[[Cell], float]
    only_null: bool = False


def _tail(cell: Cell) -> float:
    return float(student.sf(1.0, 5) if cell.kind == "t5" else norm.sf(1.0))


STATISTICS = {
    "pearson": _Known(lambda c, p: pearson(c[0], c[1], passage=p), lambda cell: cell.rho),
    "spearman": _Known(
        lambda c, p: spearman(c[0], c[1], passage=p), lambda cell: 6 / np.pi * float(np.arcsin(cell.rho / 2))
    ),
    "winsorised": _Known(lambda c, p: winsorised(c[0], c[1], passage=p), lambda cell: 0.0, only_null=True),
    "partial": _Known(
        lambda c, p: partial(c[0], c[1], given=[c[2]], passage=p), lambda cell: cell.rho / (1 + cell.rho**2) ** 0.5
    ),
    "contrast": _Known(
        lambda c, p: pearson(c[0], c[1], passage=p).minus(pearson(c[0], c[2], passage=p)), lambda cell: 0.0
    ),
    "cliffs_delta": _Known(
        lambda c, p: cliffs_delta(c[0], top=c[1] > 0.67, bottom=c[1] < -0.67, passage=p),
        lambda cell: 0.0,
        only_null=True,
    ),
    "mean": _Known(lambda c, p: mean(c[0], passage=p), lambda cell: 0.0),
    "ratio": _Known(lambda c, p: ratio(np.abs(c[0]), np.abs(c[1]), passage=p), lambda cell: 1.0),
    "share": _Known(lambda c, p: share(c[0] > 1.0, passage=p), _tail),
    "log_slope": _Known(
        lambda c, p: log_slope(np.abs(c) * np.array([[1.0], [1.1], [1.21]]), passage=p), lambda cell: float(np.log(1.1))
    ),
}


def cells() -> Iterator[Cell]:
    """Yield every cell: all kinds, passages and correlations for `pearson`, and a cross-section for the others."""
    for kind, passages, rho in product(KINDS, PASSAGES, RHOS):
        yield Cell(statistic="pearson", kind=kind, passages=passages, rho=rho)
    for name, kind, passages, rho in product(STATISTICS, ("independent", "ar 0.6", "icc 0.3"), (1, 8, 14), (0.0, -0.3)):
        needs_passages = name == "cliffs_delta" and passages == 1
        if name != "pearson" and not needs_passages and not (STATISTICS[name].only_null and rho):
            yield Cell(statistic=name, kind=kind, passages=passages, rho=rho)


def rate(cell: Cell, runs: int, replicates: int = REPLICATES) -> Rate:
    """Return what is counted over simulated data sets of one cell."""
    known = STATISTICS[cell.statistic]
    truth = known.truth(cell)
    counts = np.zeros(4)
    undefined = 0
    for seed in range(runs):
        columns, passage = simulated(cell, seed)
        statistic = known.of(columns, passage)
        try:
            wide = statistic.estimate(level=0.95, seed=seed, replicates=replicates)
            narrow = statistic.estimate(level=0.90, seed=seed, replicates=replicates)
        except UndefinedEstimate:
            undefined += 1
            continue
        counts += (
            wide.low < truth < wide.high,
            narrow.low < truth < narrow.high,
            wide.high < 0,
            narrow.low > -MARGIN and narrow.high < MARGIN,
        )
    covered_95, covered_90, said_below, said_about_zero = (counts / max(1, runs - undefined)).tolist()
    return Rate(
        **asdict(cell),
        truth=truth,
        runs=runs - undefined,
        undefined=undefined,
        covered_95=covered_95,
        covered_90=covered_90,
        said_below=said_below,
        said_about_zero=said_about_zero,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a table that was interrupted is continued where it stopped."""
    parser = argparse.ArgumentParser(prog="python -m pathlen.stats.calibrate", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the table")
    parser.add_argument("--runs", type=int, default=1000, help="simulated data sets a cell (default: 1000)")
    parser.add_argument("--only", metavar="STATISTIC", choices=STATISTICS, help="only this statistic")
    options = parser.parse_args(arguments)
    table: list[dict[str, object]] = json.loads(options.out.read_text("utf-8")) if options.out.exists() else []
    done = {tuple(row[key] for key in Cell.__dataclass_fields__) for row in table}
    for cell in cells():
        if astuple(cell) in done or options.only not in (None, cell.statistic):
            continue
        row = asdict(rate(cell, options.runs))
        table.append(row)
        write_text(options.out, json.dumps(table, indent=0) + "\n")
        print(f"{row['covered_95']:.3f} {row['covered_90']:.3f}  {cell}", file=sys.stderr)


if __name__ == "__main__":
    main()
