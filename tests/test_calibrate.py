"""The simulation that counts coverage: its data are what they are said to be, and the shipped table is its output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pathlen.stats import calibrate
from pathlen.stats.calibrate import KINDS, STATISTICS, Cell, cells, rate, simulated
from pathlen.stats.calibration import Rate, table
from pathlen.stats.serial import lag_one


def make(**changes: object) -> Cell:
    return Cell(**({"statistic": "pearson", "kind": "independent", "passages": 40, "rho": -0.3} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_have_the_declared_correlation_inside_passages(kind: str) -> None:
    found = []
    for seed in range(10):
        columns, passage = simulated(make(kind=kind), seed)
        inside = columns - np.stack([[row[passage == one].mean() for one in range(40)] for row in columns])[:, passage]
        found.append(np.corrcoef(inside)[0, 1])
    assert np.mean(found) == pytest.approx(-0.3, abs=0.01)


@pytest.mark.parametrize(("kind", "serial"), [("independent", 0.0), ("ar 0.3", 0.3), ("ar 0.6", 0.6), ("icc 0.3", 0.3)])
def test_tokens_depend_on_their_neighbours_as_declared(kind: str, serial: float) -> None:
    columns, passage = simulated(make(kind=kind), 1)
    assert lag_one(columns[2], passage=passage) == pytest.approx(serial, abs=0.03)
    assert columns[:, passage == 0][:, 0].std() < 3  # the first token is no special one


@pytest.mark.parametrize("between", [0.1, 0.3])
def test_passage_means_make_up_the_declared_share_of_variance(between: float) -> None:
    means = [
        simulated(make(kind=f"icc {between}"), seed)[0].reshape(3, 40, -1).mean(axis=2).var() for seed in range(40)
    ]
    assert np.mean(means) == pytest.approx(between, rel=0.1)


def test_t5_has_heavy_tails_and_the_outlier_is_one_token() -> None:
    assert np.abs(simulated(make(kind="t5"), 1)[0]).max() > 6
    assert np.count_nonzero(simulated(make(kind="outlier"), 1)[0][1] == 4.0) == 1


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_true_value_is_the_mean_estimate_of_large_data(statistic: str) -> None:
    rho = 0.0 if STATISTICS[statistic].only_null else -0.6
    cell = make(statistic=statistic, rho=rho)
    values = [STATISTICS[statistic].of(*simulated(cell, seed)).estimate(replicates=199).value for seed in range(20)]
    assert np.mean(values) == pytest.approx(STATISTICS[statistic].truth(cell), abs=0.008)


def test_every_kind_statistic_and_number_of_passages_has_its_cells() -> None:
    every = list(cells())
    assert len(set(every)) == len(every)
    assert {cell.statistic for cell in every} == set(STATISTICS)
    assert {cell.kind for cell in every} == set(KINDS)


def test_a_rate_counts_and_the_same_seeds_count_the_same() -> None:
    one, again = (rate(make(passages=8, rho=-0.6), 20, 199) for _ in range(2))
    assert one == again
    assert one.runs == 20
    assert one.said_below == 1.0
    assert one.said_about_zero == 0.0
    assert one.covered_95 >= one.covered_90 > 0.5


def test_the_command_continues_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = [make(passages=8), make(passages=5)]
    counted: list[Cell] = []
    true_rate = calibrate.rate

    def counting_rate(cell: Cell, runs: int) -> Rate:
        counted.append(cell)
        return true_rate(cell, runs, 199)

    monkeypatch.setattr(calibrate, "rate", counting_rate)
    monkeypatch.setattr(calibrate, "cells", lambda: iter(two[:1]))
    arguments = ["--out", str(tmp_path / "table.json"), "--runs", "3"]
    calibrate.main(arguments)
    monkeypatch.setattr(calibrate, "cells", lambda: iter(two))
    calibrate.main(arguments)
    assert counted == two


def test_the_shipped_table_has_every_cell() -> None:
    shipped = {(row.statistic, row.kind, row.passages, row.rho) for row in table()}
    assert shipped == {(cell.statistic, cell.kind, cell.passages, cell.rho) for cell in cells()}
    assert min(row.runs for row in table()) >= 1000
    assert sum(row.undefined for row in table()) == 0


@pytest.mark.parametrize("cell", [make(passages=14, statistic="share", rho=0.0), make(passages=8, kind="ar 0.6")])
def test_a_cell_of_the_shipped_table_is_found_again(cell: Cell) -> None:
    """The first 100 runs again; they stray from the share of all by over 8 points once in some 5,000 times."""
    (row,) = (row for row in table() if Cell(**{name: getattr(row, name) for name in Cell.__slots__}) == cell)
    assert rate(cell, 100).covered_95 == pytest.approx(row.covered_95, abs=0.08)


def test_with_eight_passages_or_more_intervals_cover_what_they_promise() -> None:
    """A cell of 1,000 runs strays by over 3 points from a true 95 % once in some 70,000 times.

    Ratios between passages that differ much (icc 0.3) are known to undercover by some 3 points; the page shows it.
    """
    for row in table():
        if row.passages >= 8:
            lowest = 0.90 if (row.statistic, row.kind) == ("ratio", "icc 0.3") else 0.92
            assert lowest <= row.covered_95 <= 0.98, row
