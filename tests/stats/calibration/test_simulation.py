"""The simulation that counts coverage: its data are as described, and the shipped table is its output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from project import PROJECT

from pathlen.stats.autocorrelation import lag_one
from pathlen.stats.calibration import simulation
from pathlen.stats.calibration.simulation import KINDS, STATISTICS, Cell, cells, markdown, rate, simulated
from pathlen.stats.calibration.table import Rate, table
from pathlen.stats.correlation import pearson, pooled_pearson


def make(**changes: object) -> Cell:
    return Cell(**({"statistic": "pearson", "kind": "independent", "passages": 40, "rho": -0.3} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_have_the_declared_correlation_inside_passages(kind: str) -> None:
    correlations = []
    for seed in range(10):
        columns, passage = simulated(make(kind=kind), seed)
        means = np.stack([[column[passage == number].mean() for number in range(40)] for column in columns])
        correlations.append(np.corrcoef(columns - means[:, passage])[0, 1])
    assert np.mean(correlations) == pytest.approx(-0.3, abs=0.01)


@pytest.mark.parametrize(("kind", "serial"), [("independent", 0.0), ("ar 0.3", 0.3), ("ar 0.6", 0.6), ("icc 0.3", 0.3)])
def test_tokens_depend_on_their_neighbours_as_declared(kind: str, serial: float) -> None:
    columns, passage = simulated(make(kind=kind), 1)
    assert lag_one(columns[2], passage=passage) == pytest.approx(serial, abs=0.03)
    assert columns[:, passage == 0][:, 0].std() < 3  # the first token is like the others


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
    near = 0.03 if statistic == "largest_difference" else 0.012  # the largest of several is above 0 by chance
    assert np.mean(values) == pytest.approx(STATISTICS[statistic].truth(cell), abs=near)


@pytest.mark.parametrize("rho", [-0.1, -0.6])
def test_a_simulated_truth_is_the_formula_where_there_is_one(rho: float) -> None:
    known = STATISTICS["spearman"].truth(make(statistic="spearman", kind="independent", rho=rho))
    assert known == pytest.approx(6 / np.pi * np.arcsin(rho / 2), abs=0.004)


def test_every_kind_statistic_and_number_of_passages_has_its_cells() -> None:
    every = list(cells())
    assert len(set(every)) == len(every)
    assert {cell.statistic for cell in every} == set(STATISTICS)
    assert {cell.kind for cell in every} == set(KINDS)


def test_a_rate_counts_and_the_same_seeds_count_the_same() -> None:
    counted, again = (rate(make(passages=8, rho=-0.6), 20, 199) for _ in range(2))
    assert counted == again
    assert counted.runs == 20
    assert counted.said_below == 1.0
    assert counted.said_about_zero == 0.0
    assert counted.covered_95 >= counted.covered_90 > 0.5


def test_the_command_continues_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = [make(passages=8), make(passages=5)]
    counted: list[Cell] = []
    true_rate = simulation.rate

    def counting_rate(cell: Cell, runs: int) -> Rate:
        counted.append(cell)
        return true_rate(cell, runs, 199)

    monkeypatch.setattr(simulation, "rate", counting_rate)
    monkeypatch.setattr(simulation, "cells", lambda: iter(two[:1]))
    arguments = ["--out", str(tmp_path / "table.json"), "--runs", "3"]
    simulation.main(arguments)
    monkeypatch.setattr(simulation, "cells", lambda: iter(two))
    simulation.main(arguments)
    assert counted == two


def test_the_shipped_table_has_every_cell() -> None:
    shipped = {(row.statistic, row.kind, row.passages, row.rho) for row in table()}
    assert shipped == {(cell.statistic, cell.kind, cell.passages, cell.rho) for cell in cells()}
    assert min(row.runs + row.undefined for row in table()) >= 1000
    assert sum(row.undefined for row in table() if row.passages != 5) == 0
    assert max(row.undefined for row in table()) <= 2  # five passages whose resamples all lie on one side of the value


@pytest.mark.parametrize(
    "cell",
    [
        make(passages=12, statistic="share", rho=0.0),
        make(passages=8, kind="ar 0.6"),
        make(passages=1, kind="ar 0.6", rho=-0.6),
        make(passages=5, statistic="spearman", kind="icc 0.3", rho=-0.3),
        make(passages=20, statistic="ratio", kind="icc 0.3", rho=0.0),
    ],
)
def test_a_cell_of_the_shipped_table_can_be_reproduced(cell: Cell) -> None:
    """The first 200 runs again; they stray from the share of all by over 6 points once in some 8,000 times."""
    (row,) = (row for row in table() if Cell(**{name: getattr(row, name) for name in Cell.__slots__}) == cell)
    assert rate(cell, 200).covered_95 == pytest.approx(row.covered_95, abs=0.06)


def strays(row: Rate, target: float, tail: float) -> float:
    """By how many standard errors of its count a rate lies beyond a target, towards ``tail`` (1 above, -1 below)."""
    seen = row.covered_95 if target > 0.5 else (row.said_below if row.truth == 0 else row.said_about_zero)
    return float(tail * (seen - target) / (target * (1 - target) / row.runs) ** 0.5)


CALM = [row for row in table() if row.statistic != "pooled_pearson"]


def test_with_eight_passages_or_more_95_percent_intervals_cover_93_5_to_96_5() -> None:
    """No cell is farther out than 3.5 standard errors of its count: by luck, of 800 cells on an edge, one in five tables."""
    for row in CALM:
        if row.passages >= 8:
            assert strays(row, 0.935, -1) < 3.5, row
            assert strays(row, 0.965, 1) < 3.5, row


def test_on_average_every_statistic_covers_what_it_promises() -> None:
    for statistic in {row.statistic for row in CALM} - {"largest_difference"}:  # conservative where nothing differs
        covered = [row.covered_95 for row in CALM if row.statistic == statistic and row.passages >= 8]
        assert np.mean(covered) == pytest.approx(0.95, abs=0.006), statistic


def test_below_zero_is_falsely_supported_at_most_3_times_in_100_and_about_zero_5() -> None:
    for row in CALM:
        if row.passages >= 8 and row.truth == 0:
            assert strays(row, 0.03, 1) < 3.5, row
        if row.passages >= 8 and row.truth == -0.1:
            assert strays(row, 0.05, 1) < 3.5, row


def test_estimates_that_cover_too_rarely_say_so() -> None:
    worst = min(row.covered_95 for row in table() if row.statistic == "pooled_pearson" and row.passages >= 8)
    columns, passage = simulated(make(passages=8), 0)
    pooled = pooled_pearson(columns[0], columns[1], passage=passage).estimate(replicates=199)
    assert f"as little as {worst:.0%}".replace("%", " %") in pooled.caution
    assert not pearson(columns[0], columns[1], passage=passage).estimate(replicates=199).caution
    alone = {kind: min(row.covered_95 for row in CALM if row.passages == 1 and row.kind == kind) for kind in KINDS}
    for kind in ("ar 0.3", "ar 0.6"):
        columns, passage = simulated(make(passages=1, kind=kind), 0)
        caution = pearson(columns[0], columns[1], passage=passage).estimate().caution
        assert (f"as little as {alone[kind]:.1%}".replace("%", " %") in caution) == (kind == "ar 0.6")


def test_the_readme_summarises_the_table() -> None:
    coverage = [row.covered_95 for row in CALM if row.passages >= 8]
    inside = sum(0.935 <= covered <= 0.965 for covered in coverage)
    readme = " ".join((PROJECT / "README.md").read_text("utf-8").split())
    assert f"{inside} of {len(coverage)} kinds of data" in readme
    assert round(100 * float(np.mean(coverage))) == 95


def test_the_table_to_read_is_the_one_that_ships() -> None:
    assert (Path(simulation.__file__).parent / "CALIBRATION.md").read_text("utf-8") == markdown(table())
