"""From the published reading of a claim to the corrected one: what each correction changes."""

from __future__ import annotations

from typing import Any

import pytest
from sample_run import NEGATIVE, OF_ONE_SIZE, PUBLISHED, TEXTS, check_of, evaluator_of

from pathlen import SHIFTED, SIZES, below, claim, pearson
from pathlen.models.families import ModelSpec
from pathlen.runner.corrections import CORRECTIONS
from pathlen.runner.provider import ColumnProvider
from pathlen.stats import Statistic


def test_corrections_lead_from_the_published_number_to_the_corrected_one(specs: dict[str, ModelSpec]) -> None:
    evaluator = evaluator_of(specs, ColumnProvider(TEXTS), effort="none")
    evaluator.register(OF_ONE_SIZE)
    corrected, published = (evaluator.finding(check, "small", {}) for check in (NEGATIVE, PUBLISHED))
    attribution = corrected.attribution
    assert attribution is not None
    assert corrected.estimate is not None
    assert published.estimate is not None
    assert attribution.published == pytest.approx(published.estimate.value, abs=1e-12)
    assert attribution.corrected == pytest.approx(corrected.estimate.value, abs=1e-12)
    assert tuple(name for name, _ in attribution.changes) == CORRECTIONS
    total = sum(change for _, change in attribution.changes)
    assert attribution.published + total == pytest.approx(attribution.corrected, abs=1e-12)
    assert any(abs(change) > 1e-3 for _, change in attribution.changes)
    assert published.attribution is None


def test_a_corrected_body_may_ask_for_a_column_that_the_published_procedure_lacks(specs: dict[str, ModelSpec]) -> None:
    @claim(sizes=SIZES, expect=below(0.0), controls=[SHIFTED])
    def negative(measured: Any) -> Statistic:
        """A relation of another column."""
        return pearson(measured.last_step, measured.next_log_probability, passage=measured.passage)

    evaluator = evaluator_of(specs, ColumnProvider(TEXTS), effort="none")
    evaluator.register([PUBLISHED])
    finding = evaluator.finding(check_of(negative), "small", {})
    assert finding.estimate is not None
    assert finding.attribution is None


def test_a_corrected_reading_is_compared_with_a_published_one_that_is_not_run(specs: dict[str, ModelSpec]) -> None:
    evaluator = evaluator_of(specs, ColumnProvider(TEXTS), effort="none")
    assert evaluator.finding(NEGATIVE, "small", {}).attribution is None
    evaluator.add_readings([PUBLISHED])
    assert evaluator.finding(NEGATIVE, "small", {}).attribution is not None
