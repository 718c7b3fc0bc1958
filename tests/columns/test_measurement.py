"""Alignment: one row per token that has a next token, and the published slips only where they are wanted."""

from __future__ import annotations

import numpy as np
import pytest

from pathlen.columns.measurement import Measurement, as_published, from_traces
from pathlen.columns.table import Trace
from pathlen.errors import UndefinedEstimate
from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.tracer import measure_passages, trace


@pytest.fixture(scope="module")
def traces(tiny: LoadedModel, short: Passage, long: Passage) -> list[Trace]:
    return [trace(tiny, short), trace(tiny, long)]


@pytest.fixture(scope="module")
def measurement(traces: list[Trace]) -> Measurement:
    return from_traces(traces)


def test_a_row_is_a_token_that_has_a_next_token_and_is_not_the_first(
    traces: list[Trace], measurement: Measurement
) -> None:
    lengths = [len(trace.token_ids) - 2 for trace in traces]
    assert np.bincount(measurement.passage).tolist() == lengths
    first = measurement.token[measurement.passage == 0]
    assert first.tolist() == list(range(1, len(traces[0].token_ids) - 1))


def test_a_step_is_paired_with_the_logit_of_its_next_token(traces: list[Trace], measurement: Measurement) -> None:
    row = int(np.flatnonzero((measurement.passage == 1) & (measurement.token == 7))[0])
    assert measurement.next_logit[row] == traces[1].next_logit[7]
    assert measurement.last_step[row] == traces[1].step_length[-1, 7]
    assert measurement.next_log_probability[row] == traces[1].next_log_probability[7]


def test_the_published_pairing_has_one_more_row_per_text_with_a_zero_logit(traces: list[Trace]) -> None:
    published = as_published(traces)
    lengths = [len(trace.token_ids) - 1 for trace in traces]
    assert np.bincount(published.passage).tolist() == lengths
    ends = np.cumsum(lengths) - 1
    assert published.next_logit[ends].tolist() == [0.0, 0.0]
    assert np.count_nonzero(published.next_logit == 0) == 2
    assert published.last_step[ends[0]] == traces[0].final_norm_step[-1]
    assert published.displacement[-1, ends[0]] == traces[0].final_norm_displacement[-1]
    assert published.residual_norm[-1, ends[0]] == traces[0].final_norm_length[-1]
    assert published.residual_norm[-2, ends[0]] == traces[0].residual_norm[-2, -1]


@pytest.mark.parametrize("through", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_each_slip_can_be_left_out(traces: list[Trace], measurement: Measurement, through: bool, last: bool) -> None:
    columns = as_published(traces, through_final_norm=through, with_last_token=last)
    assert np.count_nonzero(columns.next_logit == 0) == 2 * last
    has_next = columns.next_logit != 0
    assert np.array_equal(columns.next_logit[has_next], measurement.next_logit)
    expected = measurement.final_norm_step if through else measurement.last_step
    assert np.array_equal(columns.last_step[has_next], expected)
    if not through and not last:
        assert np.array_equal(columns.residual_norm, measurement.residual_norm)
        assert np.array_equal(columns.displacement, measurement.displacement)


def test_frequency_counts_a_token_over_all_texts(measurement: Measurement) -> None:
    often = np.bincount(measurement.token_id).argmax()
    rows = measurement.token_id == often
    np.testing.assert_allclose(np.exp(measurement.log_frequency[rows]), rows.sum())


def test_path_straightness_is_1_for_equal_steps(measurement: Measurement) -> None:
    steps = np.full((6, len(measurement.passage)), 2.0)
    assert measurement.with_columns(step_length=steps).path_straightness.min() > 1 - 1e-9
    steps[:3] = 0.01
    assert measurement.with_columns(step_length=steps).path_straightness.max() < 0.9


def test_the_sum_of_heads_is_never_longer_than_the_sum_of_their_lengths(measurement: Measurement) -> None:
    assert measurement.heads_shorten.all()
    assert not measurement.with_columns(heads_norm=3 * measurement.heads_norm).heads_shorten.all()
    assert measurement.late_head_norm.shape == (1, 2, len(measurement.passage))
    assert np.array_equal(measurement.late_heads_norm, measurement.heads_norm[-1:])


def test_quarters_are_taken_within_each_text(measurement: Measurement) -> None:
    for passage in (0, 1):
        rows = measurement.passage == passage
        sure, unsure = (quarter[rows] for quarter in (measurement.surest_quarter, measurement.least_sure_quarter))
        chance = measurement.next_probability[rows]
        assert chance[sure].min() >= chance[~sure].max()
        assert chance[unsure].max() <= chance[~unsure].min()
        assert abs(sure.mean() - 0.25) < 0.05 > abs(unsure.mean() - 0.25)


def test_a_squared_step_splits_into_stretching_and_turning(measurement: Measurement) -> None:
    assert measurement.stretch_error.max() < 1e-9
    bent = measurement.with_columns(turning_angle=measurement.turning_angle * 1.01)
    assert bent.stretch_error.max() > 1e-3


def test_a_measurement_of_some_tokens_keeps_all_columns(measurement: Measurement) -> None:
    later = measurement.where(measurement.token > 5)
    assert later.token.min() == 6
    assert later.step_length.shape == (2, len(later.token))
    assert (later.total_length == 2 * later.mean_step).all()
    assert (later.earlier_steps == later.step_length[:1]).all()
    with pytest.raises(UndefinedEstimate, match="none of the"):
        measurement.where(measurement.token < 0)


def test_early_and_late_steps_leave_a_middle_block_out(measurement: Measurement) -> None:
    steps = np.arange(1.0, 6.0)[:, None] * np.ones((5, len(measurement.passage)))
    five = measurement.with_columns(step_length=steps)
    assert set(five.early_steps) == {1.5}
    assert set(five.late_steps) == {4.5}


def test_the_path_is_the_running_sum_of_steps(measurement: Measurement) -> None:
    np.testing.assert_allclose(measurement.path_length[-1], measurement.step_length.sum(axis=0))
    assert measurement.path_grows.all()


def test_displacement_growth_leaves_the_first_block_out(measurement: Measurement) -> None:
    assert measurement.displacement_grows.shape == (1, len(measurement.passage))


def test_columns_of_different_length_are_refused(measurement: Measurement) -> None:
    with pytest.raises(ValueError, match=r"next_logit must have \d+ rows like passage, but has 3"):
        measurement.with_columns(next_logit=np.zeros(3))


def test_values_that_are_not_finite_are_refused(measurement: Measurement) -> None:
    broken = measurement.next_logit.copy()
    broken[2] = np.nan
    with pytest.raises(ValueError, match="next_logit must be finite, but holds 1 values"):
        measurement.with_columns(next_logit=broken)


def test_measuring_passages_aligns_their_traces(
    tiny: LoadedModel, short: Passage, long: Passage, measurement: Measurement
) -> None:
    again = measure_passages(tiny, [short, long])
    assert np.array_equal(again.step_length, measurement.step_length)
