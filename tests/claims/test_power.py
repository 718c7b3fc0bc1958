"""The power of an estimate in words."""

from __future__ import annotations

import numpy as np
import pytest

from pathlen import above, below, cliffs_delta, mean, pearson, within
from pathlen.claims.power import crossed_edges, detectable, needed, rounded_up
from pathlen.claims.verdict import Region
from pathlen.stats import Statistic

PASSAGE = np.repeat(np.arange(12), 60)
X, Y = np.random.default_rng(3).normal(size=(2, 720))


@pytest.mark.parametrize(
    ("statistic", "name"),
    [
        (pearson(X, Y, passage=PASSAGE), "an r"),
        (cliffs_delta(X, top=Y > 0, bottom=Y <= 0, passage=PASSAGE), "a delta"),
        (mean(X, passage=PASSAGE), "a value"),
    ],
    ids=["correlation", "Cliff's delta", "mean"],
)
def test_what_could_have_been_found_is_named_after_the_statistic(statistic: Statistic, name: str) -> None:
    estimate = statistic.estimate()
    assert detectable(estimate, below(0.0)).startswith(f"find {name} of -0.")
    assert detectable(estimate, above(0.0)).startswith(f"find {name} of 0.")
    assert detectable(estimate, within(-0.1, 0.1)).startswith(f"show {name} between -0.")


@pytest.mark.parametrize(
    ("region", "edges"), [(below(0.0), [0.0]), (within(-0.01, 0.01), [-0.01, 0.01]), (below(0.9), []), (above(0.9), [])]
)
def test_only_edges_inside_the_interval_are_crossed(region: Region, edges: list[float]) -> None:
    estimate = pearson(X, Y, passage=PASSAGE).estimate()
    assert crossed_edges(estimate, region) == edges
    assert bool(needed(estimate, region)) == bool(edges)


@pytest.mark.parametrize(
    ("number", "expected"), [(7, 7), (99, 99), (100, 100), (101, 110), (6163, 6200), (99_001, 100_000)]
)
def test_counts_are_rounded_up_to_two_digits(number: int, expected: int) -> None:
    assert rounded_up(number) == expected
