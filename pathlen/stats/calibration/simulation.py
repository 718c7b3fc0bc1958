"""How often do the intervals cover, and how often do verdicts err? ``python -m pathlen.stats.calibration --out FILE``.

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

One text alone can't show how texts differ: its intervals are about the text, so there are no cells of it for statistics
that a difference between passages moves. Where the true value has no formula (ranks, pulled-in values, dominance), it is
what the same statistic comes to on 8,000 passages of that kind.

A count of N runs has a standard error: at a true coverage of 95 % and 1,000 runs, 0.7 points. Runs are made in
batches that share their resamples, 50 data sets to a batch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import norm
from scipy.stats import t as student

from pathlen._util.files import write_text
from pathlen.errors import UndefinedEstimate
from pathlen.stats.arrays import Array
from pathlen.stats.base import Statistic
from pathlen.stats.calibration.table import Rate
from pathlen.stats.correlation import partial, pearson, pooled_pearson, spearman, winsorised
from pathlen.stats.inference import Sampling
from pathlen.stats.means import cliffs_delta, log_slope, mean, ratio, share
from pathlen.stats.multiplicity import largest_difference
from pathlen.stats.statistic import Smooth
from pathlen.stats.transforms import SCALES

__all__ = ["KINDS", "STATISTICS", "Cell", "Simulated", "cells", "main", "markdown", "rate", "simulated"]

PASSAGES = (1, 5, 8, 12, 20, 40)
RHOS = (0.0, -0.1, -0.3, -0.6)
TOKENS = 340
REPLICATES = 1999
BATCH = 50
TRUTH_PASSAGES = 8000
MARGIN = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKind:
    """A kind of data.

    Attributes
    ----------
    serial : float
        Lag-one autocorrelation of the columns within a passage.
    between : float
        Share of each column's variance that lies between passages.
    heavy_tails, has_outlier : bool

    """

    serial: float = 0.0
    between: float = 0.0
    heavy_tails: bool = False
    has_outlier: bool = False


KINDS = {
    "independent": DataKind(),
    "ar 0.3": DataKind(serial=0.3),
    "ar 0.6": DataKind(serial=0.6),
    "t5": DataKind(heavy_tails=True),
    "outlier": DataKind(has_outlier=True),
    "icc 0.1": DataKind(serial=0.3, between=0.1),
    "icc 0.3": DataKind(serial=0.3, between=0.3),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A statistic and the data it is computed from."""

    statistic: str
    kind: str
    passages: int
    rho: float


def simulated(cell: Cell, seed: int, tokens: int = TOKENS) -> tuple[Array, NDArray[np.int64]]:
    """Return three standardised columns and the passage of each row, shapes ``(3, rows)`` and ``(rows,)``.

    The second and the third column each have correlation ``rho`` with the first and are independent of each other given it.

    Examples
    --------
    >>> (x, y, z), _ = simulated(Cell(statistic="pearson", kind="ar 0.6", passages=40, rho=-0.6), seed=1)
    >>> [round(float(r), 1) for r in (np.corrcoef(x, y)[0, 1], np.corrcoef(x, z)[0, 1], np.corrcoef(x[1:], x[:-1])[0, 1])]
    [-0.6, -0.6, 0.6]

    """
    kind = KINDS[cell.kind]
    draw = np.random.default_rng([seed, list(KINDS).index(cell.kind), cell.passages, round(-100 * cell.rho)])
    columns = draw.normal(size=(3, cell.passages, tokens))
    columns[1:] = cell.rho * columns[0] + np.sqrt(1 - cell.rho**2) * columns[1:]
    if kind.serial:
        columns[..., 1:] *= np.sqrt(1 - kind.serial**2)  # the first token has the stationary variance already
        columns = lfilter([1.0], [1.0, -kind.serial], columns, axis=-1)
    if kind.heavy_tails:
        columns /= np.sqrt(draw.chisquare(5, size=(1, cell.passages, tokens)) / 5)
    if kind.between:
        shifts = draw.normal(size=(3, cell.passages, 1))
        columns = np.sqrt(1 - kind.between) * columns + np.sqrt(kind.between) * shifts
    rows = columns.reshape(3, -1)
    if kind.has_outlier:
        rows[1, draw.integers(rows.shape[1])] = 4.0
    return rows, np.repeat(np.arange(cell.passages), tokens)


@dataclass(frozen=True, slots=True)
class Simulated:
    """A statistic of simulated columns, and its true value there.

    Attributes
    ----------
    of : callable
        From columns ``(3, rows)``, or ``(3, data sets, rows)`` where it is batched, and passages to the statistic.
    truth : callable
        From a cell to the true value.
    batched : bool
        Whether it takes many data sets side by side.
    only_null : bool
        Whether the true value is known for rho = 0 only.
    by_rho : bool
        Whether it depends on rho.
    of_texts : bool
        Whether differences between passages move it.
    from_one_text : bool
        Whether there are cells of a single passage.

    """

    of: Callable[[Array, NDArray[np.int64]], Statistic]
    truth: Callable[[Cell], float]
    batched: bool = False
    only_null: bool = False
    by_rho: bool = True
    of_texts: bool = False
    from_one_text: bool = True


def _tail(cell: Cell) -> float:
    return float(student.sf(1.0, 5) if KINDS[cell.kind].heavy_tails else norm.sf(1.0))


def _pooled_truth(cell: Cell) -> float:
    between = KINDS[cell.kind].between
    return cell.rho * (1 - between) if between else cell.rho


def _simulated_truth(cell: Cell) -> float:
    kind = "independent" if KINDS[cell.kind].has_outlier else cell.kind  # the outlier is not part of the population
    return _on_many_passages(cell.statistic, kind, cell.rho) if cell.rho else 0.0


@cache
def _on_many_passages(statistic: str, kind: str, rho: float) -> float:
    cell = Cell(statistic=statistic, kind=kind, passages=TRUTH_PASSAGES, rho=rho)
    smooth = STATISTICS[statistic].of(*simulated(cell, seed=0))
    assert isinstance(smooth, Smooth)  # noqa: S101  # correlations and dominance are
    return SCALES[smooth.scale].back(float(smooth.function(smooth.moments.sum(axis=-1))))


def _spread(columns: Array, passage: NDArray[np.int64]) -> Statistic:
    return largest_difference([pearson(columns[i], columns[j], passage=passage) for i, j in ((0, 1), (0, 2), (1, 2))])


# All that `pathlen.stats.registry` calls calibrated, and a contrast. A test compares the two.
STATISTICS = {
    "pearson": Simulated(lambda c, p: pearson(c[0], c[1], passage=p), lambda cell: cell.rho, batched=True),
    "pooled_pearson": Simulated(
        lambda c, p: pooled_pearson(c[0], c[1], passage=p), _pooled_truth, batched=True, of_texts=True
    ),
    "spearman": Simulated(lambda c, p: spearman(c[0], c[1], passage=p), _simulated_truth, batched=True),
    "winsorised": Simulated(lambda c, p: winsorised(c[0], c[1], passage=p), _simulated_truth, batched=True),
    "partial": Simulated(
        lambda c, p: partial(c[0], c[1], given=[c[2]], passage=p), lambda cell: cell.rho / (1 + cell.rho**2) ** 0.5
    ),
    "contrast": Simulated(
        lambda c, p: pearson(c[0], c[1], passage=p).minus(pearson(c[0], c[2], passage=p)),
        lambda cell: 0.0,
        batched=True,
    ),
    "largest_difference": Simulated(_spread, lambda cell: 0.0, only_null=True, by_rho=False, from_one_text=False),
    "cliffs_delta": Simulated(
        lambda c, p: cliffs_delta(c[0], top=c[1] > 0.67, bottom=c[1] < -0.67, passage=p),
        _simulated_truth,
        of_texts=True,
    ),
    "mean": Simulated(lambda c, p: mean(c[0], passage=p), lambda cell: 0.0, batched=True, by_rho=False, of_texts=True),
    "ratio": Simulated(
        lambda c, p: ratio(np.abs(c[0]), np.abs(c[1]), passage=p),
        lambda cell: 1.0,
        batched=True,
        by_rho=False,
        of_texts=True,
    ),
    "share": Simulated(lambda c, p: share(c[0] > 1.0, passage=p), _tail, by_rho=False, of_texts=True),
    "log_slope": Simulated(
        lambda c, p: log_slope(np.abs(c) * np.array([[1.0], [1.1], [1.21]]), passage=p),
        lambda cell: float(np.log(1.1)),
        by_rho=False,
        of_texts=True,
    ),
}


def cells() -> Iterator[Cell]:
    """Yield every cell: all kinds, passages and, where it matters, correlations, for every statistic."""
    for name, kind, passages, rho in product(STATISTICS, KINDS, PASSAGES, RHOS):
        statistic = STATISTICS[name]
        if (statistic.only_null or not statistic.by_rho) and rho:
            continue
        if passages == 1 and ((statistic.of_texts and KINDS[kind].between) or not statistic.from_one_text):
            continue
        yield Cell(statistic=name, kind=kind, passages=passages, rho=rho)


def rate(cell: Cell, runs: int, replicates: int = REPLICATES) -> Rate:
    """Return what is counted over simulated data sets of one cell."""
    statistic = STATISTICS[cell.statistic]
    truth = statistic.truth(cell)
    counts = np.zeros(4)
    undefined = 0
    for first in range(0, runs, BATCH):
        seeds = range(first, min(first + BATCH, runs))
        for sampling in _samplings(statistic, cell, seeds, replicates):
            try:
                estimate = sampling.estimate() if sampling else None
            except UndefinedEstimate:
                estimate = None
            if estimate is None:
                undefined += 1
                continue
            wide, narrow = estimate.at(0.95), estimate.at(0.90)
            counts += (
                wide.low <= truth <= wide.high,
                narrow.low <= truth <= narrow.high,
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


def _samplings(statistic: Simulated, cell: Cell, seeds: range, replicates: int) -> Iterator[Sampling | None]:
    """Yield the sampling of each data set, None where it is undefined."""
    data_sets = [simulated(cell, seed) for seed in seeds]
    if statistic.batched:
        smooth = statistic.of(np.stack([columns for columns, _ in data_sets], axis=1), data_sets[0][1])
        assert isinstance(smooth, Smooth)  # noqa: S101  # every batched one is
        yield from smooth.samplings(seed=seeds[0], replicates=replicates)
        return
    for columns, passage in data_sets:
        try:
            yield statistic.of(columns, passage).sampling(seed=seeds[0], replicates=replicates)
        except UndefinedEstimate:
            yield None


def markdown(table: Sequence[Rate]) -> str:
    """Return the table as Markdown: each cell's coverage at 95 % and 90 %, and how often verdicts were wrong."""
    lines = [
        "# How often intervals cover",
        "",
        "Made by `python -m pathlen.stats.calibration --out FILE --markdown FILE`; `calibration.json` holds the same numbers. In each",
        "cell, the share of simulated data sets whose 95 % interval holds the true value, then that of the 90 % interval,",
        "in per cent. A share of N runs has a standard error of `sqrt(p (1 - p) / N)`: near 95 %, 0.7 points with 1,000 runs and",
        "0.3 with 4,000. The kinds of data are explained in `simulation.py`.",
        "",
    ]
    for statistic, rho in dict.fromkeys((rate.statistic, rate.rho) for rate in table):
        rates = [rate for rate in table if (rate.statistic, rate.rho) == (statistic, rho)]
        runs = min(rate.runs + rate.undefined for rate in rates)
        about = f", rho = {rho:g}" if STATISTICS[statistic].by_rho else ""
        lines += [f"## {statistic}{about}: {runs:,} runs a cell", "", *_coverage(rates), "", *_false_support(rates)]
    return "\n".join(lines).rstrip() + "\n"


def _coverage(rates: Sequence[Rate]) -> list[str]:
    """Return a Markdown table with a row for each kind of data and a column for each number of passages."""
    by_cell = {(rate.kind, rate.passages): rate for rate in rates}
    numbers = sorted({rate.passages for rate in rates})
    lines = [
        "| passages | " + " | ".join("1 text" if passages == 1 else str(passages) for passages in numbers) + " |",
        "|---" * (len(numbers) + 1) + "|",
    ]
    for kind in dict.fromkeys(rate.kind for rate in rates):
        row = (by_cell.get((kind, passages)) for passages in numbers)
        texts = (f"{100 * rate.covered_95:.1f} / {100 * rate.covered_90:.1f}" if rate else "" for rate in row)
        lines.append(f"| {kind} | " + " | ".join(texts) + " |")
    return lines


def _false_support(rates: Sequence[Rate]) -> list[str]:
    """Return sentences about the cells on the edge of a region, where support is wrong."""
    lines = []
    for label, wrong in (
        ("False support of `below(0)` at a true 0", [rate.said_below for rate in rates if rate.truth == 0]),
        (
            "False support of `within(-0.1, 0.1)` at a true -0.1",
            [rate.said_about_zero for rate in rates if rate.truth == -MARGIN],
        ),
    ):
        if wrong:
            worst, average = max(wrong), sum(wrong) / len(wrong)
            lines += [f"{label}: {100 * average:.1f} % on average, {100 * worst:.1f} % in the worst cell.", ""]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. An interrupted table is continued where it stopped."""
    parser = argparse.ArgumentParser(prog="python -m pathlen.stats.calibration", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the table")
    parser.add_argument("--runs", type=int, default=1000, help="simulated data sets a cell (default: 1000)")
    parser.add_argument("--markdown", type=Path, help="file for the table to read")
    parser.add_argument("--only", metavar="STATISTIC", nargs="+", choices=STATISTICS, help="only these")
    options = parser.parse_args(arguments)
    table: list[dict[str, object]] = json.loads(options.out.read_text("utf-8")) if options.out.exists() else []
    done = {tuple(row[key] for key in Cell.__dataclass_fields__) for row in table}
    for cell in cells():
        if astuple(cell) in done or (options.only and cell.statistic not in options.only):
            continue
        row = asdict(rate(cell, options.runs))
        table.append(row)
        write_text(options.out, "[\n" + ",\n".join(map(json.dumps, table)) + "\n]\n")
        print(f"{row['covered_95']:.3f} {row['covered_90']:.3f}  {cell}", file=sys.stderr)
    if options.markdown:
        write_text(options.markdown, markdown([Rate(**row) for row in table]))  # type: ignore[arg-type]
