"""From a claim's body to its finding: differences between sizes, and other universes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_run import DIFFER, NEGATIVE, TEXTS, CountingProvider, check_of, differ, evaluator_of

from pathlen import LAST_STEP_AND_NEXT_TOKEN, SHIFTED, SIZES, below, claim, pearson
from pathlen._util.cache import Cache
from pathlen.claims.claim import TOGETHER
from pathlen.claims.multiverse import Curve, curve
from pathlen.columns.measurement import Measurement
from pathlen.errors import InvalidClaim
from pathlen.models.families import ModelSpec
from pathlen.runner.provider import ColumnProvider
from pathlen.stats import Statistic


def test_a_difference_is_the_largest_between_its_sizes(specs: dict[str, ModelSpec]) -> None:
    provider = CountingProvider(TEXTS)
    finding = evaluator_of(specs, provider).finding(DIFFER, TOGETHER, {})
    z = []
    for size in ("small", "medium"):
        measured: Measurement = provider.columns(specs[size]).measured
        z.append(np.arctanh(differ(measured).value))
    assert finding.estimate is not None
    assert finding.estimate.value == pytest.approx(abs(z[0] - z[1]))
    assert {size for size, _ in provider.perturbations} == {"small", "medium"}
    assert [(tally.control, tally.runs) for tally in finding.controls] == [("shifted", 5), ("untrained", 2)]


def test_the_first_universe_is_the_claims_own_analysis(specs: dict[str, ModelSpec]) -> None:
    finding = evaluator_of(specs, ColumnProvider(TEXTS), effort="none").finding(NEGATIVE, "small", {})
    assert finding.universes is not None
    assert finding.estimate is not None
    assert finding.universes.values[0] == round(finding.estimate.value, 4)
    assert finding.universes.verdict == finding.verdict.value


def test_universes_of_something_else_are_refused(specs: dict[str, ModelSpec]) -> None:
    @claim(sizes=SIZES, expect=below(0.0), controls=[SHIFTED], universes=LAST_STEP_AND_NEXT_TOKEN)
    def other(measured: Any) -> Statistic:
        """Not about the last step."""
        return pearson(measured.step_length[0], measured.next_logit, passage=measured.passage)

    evaluator = evaluator_of(specs, ColumnProvider(TEXTS), effort="none")
    with pytest.raises(
        InvalidClaim, match="declares the universes of last step and next token, but its number .* is none"
    ):
        evaluator.finding(check_of(other), "small", {})


def test_a_curve_of_universes_is_kept_until_the_seed_or_the_code_changes(
    specs: dict[str, ModelSpec], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @claim(sizes=SIZES, expect=below(0.99), controls=[SHIFTED], universes=LAST_STEP_AND_NEXT_TOKEN)
    def test_related(measured: Any) -> Statistic:
        """They are related."""
        return pearson(measured.last_step, measured.next_logit, passage=measured.passage)

    calls: list[object] = []

    def counted(*arguments: Any, **options: Any) -> Curve:
        calls.append(arguments)
        return curve(*arguments, **options)

    monkeypatch.setattr("pathlen.runner.evaluator.curve", counted)
    cache = Cache(empty_cache)

    def universes(seed: int = 0) -> Curve | None:
        evaluator = evaluator_of(specs, ColumnProvider(TEXTS, cache=cache), "none", seed=seed, cache=cache)
        return evaluator.finding(check_of(test_related), "small", {}).universes

    first, second = universes(), universes()
    assert first is not None
    assert first == second
    assert len(calls) == 1
    universes(seed=1)
    assert len(calls) == 2
    monkeypatch.setattr("pathlen.runner.evaluator.code_fingerprint", lambda *roots: f"other code of {roots}")
    universes()
    assert len(calls) == 3
