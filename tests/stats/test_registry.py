"""The register of public statistics and everything that is read from it, or has to agree with it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import pathlen
import pathlen.stats
from pathlen.report.sentences import short
from pathlen.stats import Statistic
from pathlen.stats.calibration.simulation import STATISTICS
from pathlen.stats.registry import (
    Kind,
    PublicStatistic,
    kind_of,
    public_names,
    public_statistic,
    public_statistics,
    statistics_table,
)

PASSAGE = np.repeat(np.arange(6), 30)
X, Y, Z = np.random.default_rng(5).normal(size=(3, 180))
NOT_STATISTICS = {"Estimate", "Estimator", "Interval", "Statistic", "detrended"}


def of_kind() -> dict[str, Statistic]:
    """Return an example of every statistic that sentences have a short name for."""
    pearson = pathlen.pearson(X, Y, passage=PASSAGE)
    return {
        "pearson": pearson,
        "spearman": pathlen.spearman(X, Y, passage=PASSAGE),
        "partial": pathlen.partial(X, Y, given=[Z], passage=PASSAGE),
        "cliffs_delta": pathlen.cliffs_delta(X, top=Y > 0, bottom=Y < 0, passage=PASSAGE),
        "largest_difference": pathlen.largest_difference([pearson, pathlen.pearson(X, Z, passage=PASSAGE)]),
        "largest_excess": pathlen.largest_excess(pearson, [pathlen.pearson(X, Z, passage=PASSAGE)]),
    }


def test_the_package_of_statistics_exports_the_register() -> None:
    assert set(pathlen.stats.__all__) == {*public_names(), *NOT_STATISTICS}
    for statistic in public_statistics():
        assert getattr(pathlen.stats, statistic.name) is statistic.function
        module = inspect.getmodule(statistic.function)
        assert module is not None
        assert statistic.name in module.__all__


def test_the_face_of_the_package_names_every_registered_statistic() -> None:
    for name in public_names():
        assert name in pathlen.__all__
        assert getattr(pathlen, name) is getattr(pathlen.stats, name)


def test_the_face_names_no_statistic_that_is_not_registered() -> None:
    functions = {
        name
        for name in pathlen.__all__
        if inspect.isfunction(getattr(pathlen, name)) and getattr(pathlen, name).__module__.startswith("pathlen.stats.")
    }
    assert functions - NOT_STATISTICS == set(public_names())


def test_type_checkers_see_every_registered_statistic() -> None:
    tree = ast.parse(Path(pathlen.__file__).read_text("utf-8"))
    imported = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(public_names()) <= imported


def test_calibrated_statistics_are_those_that_the_simulation_knows() -> None:
    calibrated = {statistic.name for statistic in public_statistics() if statistic.calibrated}
    assert set(STATISTICS) == {*calibrated, "contrast"}


def test_the_table_has_a_row_for_every_statistic() -> None:
    lines = statistics_table().splitlines()
    assert len(lines) == 2 + len(public_statistics())
    assert {line.count("|") for line in lines} == {5}
    assert all(f"| `{name}` |" in statistics_table() for name in public_names())


def test_examples_cover_every_statistic_of_a_kind() -> None:
    assert set(of_kind()) == {statistic.name for statistic in public_statistics() if statistic.kind is not None}


@pytest.mark.parametrize(
    "statistic", [entry for entry in public_statistics() if entry.kind], ids=lambda entry: entry.name
)
def test_the_kind_of_an_estimate_is_the_registered_one(statistic: PublicStatistic) -> None:
    estimate = of_kind()[statistic.name].estimate(replicates=199)
    assert estimate.statistic.startswith(statistic.named)
    assert estimate.kind is statistic.kind
    assert statistic.kind is not None
    assert short(estimate) == statistic.kind.symbol


def test_winsorised_and_pooled_correlations_and_contrasts_have_kinds() -> None:
    correlations = (
        pathlen.winsorised(X, Y, passage=PASSAGE),
        pathlen.pooled_pearson(X, Y, passage=PASSAGE),
    )
    for statistic in correlations:
        assert statistic.estimate(replicates=199).kind is Kind.CORRELATION
    contrast = pathlen.pearson(X, Y, passage=PASSAGE).minus(pathlen.pearson(X, Z, passage=PASSAGE))
    estimate = contrast.estimate(replicates=199)
    assert estimate.kind is Kind.DIFFERENCE_OF_CORRELATIONS
    assert short(estimate) == Kind.DIFFERENCE_OF_CORRELATIONS.symbol


def test_other_numbers_have_no_kind() -> None:
    for statistic in (pathlen.mean(X, passage=PASSAGE), pathlen.every(X > 0), pathlen.slope(Y, X, passage=PASSAGE)):
        assert statistic.estimate(replicates=199).kind is None
    assert kind_of("") is None


def test_names_are_unique_and_a_kind_needs_the_beginning_of_a_name() -> None:
    def pearson() -> None: ...

    with pytest.raises(ValueError, match="two public statistics are called 'pearson'"):
        public_statistic(number="", interval="")(pearson)
    with pytest.raises(ValueError, match="named and kind go together, but '' and Kind.DOMINANCE were given"):
        public_statistic(number="", interval="", kind=Kind.DOMINANCE)
