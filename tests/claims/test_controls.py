"""Negative controls: shifted predictions, planted relations, and when control runs make support vacuous."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from pathlen.claims.controls import (
    EFFORTS,
    PLANTED,
    PLANTED_R,
    SHIFTED,
    SHUFFLED,
    UNTRAINED,
    Control,
    Effort,
    Perturbation,
    Tally,
    moved,
    perturbations,
    planted,
    shifted,
)
from pathlen.columns.catalog import CATALOG
from pathlen.columns.measurement import LEFT_OUT, from_traces
from pathlen.columns.table import Trace
from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.tracer import Tracer

SEEDS = range(12)
NEXT_COLUMNS = ("next_logit", "next_log_probability", "next_rank")
VOCABULARY_COLUMNS = ("entropy", "top_logit")
STEPS = ("step_length", "final_norm_step")


@pytest.fixture(scope="module")
def tracer(tiny: LoadedModel) -> Tracer:
    return Tracer(tiny)


@pytest.fixture(scope="module")
def traced(tracer: Tracer, long: Passage) -> Trace:
    """A text of several windows, so that the window column varies too."""
    return tracer.trace(long)


@pytest.fixture(scope="module")
def brief(tracer: Tracer, short: Passage) -> Trace:
    return tracer.trace(short)


def columns(trace: Trace) -> dict[str, np.ndarray]:
    return {name: getattr(trace, name) for name in CATALOG}


def shift_of(before: np.ndarray, after: np.ndarray) -> int:
    """Return how far a column of distinct values was rotated."""
    assert len(np.unique(before)) == len(before)
    shift = int(np.flatnonzero(after == before[0])[0])
    assert np.array_equal(np.roll(before, shift), after)
    return shift


# Shifted predictions.


@pytest.mark.parametrize("control", [shifted, planted])
def test_a_control_does_not_change_the_original_trace(traced: Trace, control: Callable[[Trace, int], Trace]) -> None:
    before = {name: column.copy() for name, column in columns(traced).items()}
    control(traced, 3)
    assert all(np.array_equal(before[name], column) for name, column in columns(traced).items())


def test_lengths_are_unchanged_bit_for_bit(traced: Trace) -> None:
    before, after = columns(traced), columns(shifted(traced, 3))
    lengths = before.keys() - {*NEXT_COLUMNS, *VOCABULARY_COLUMNS}
    assert {"step_length", "residual_norm", "head_norm", "final_norm_step", "token_ids", "window"} <= lengths
    for name in lengths:
        assert before[name].dtype == after[name].dtype
        assert before[name].tobytes() == after[name].tobytes(), name


@pytest.mark.parametrize("seed", SEEDS)
def test_all_predictions_shift_together_and_never_by_zero(brief: Trace, seed: int) -> None:
    after = shifted(brief, seed)
    shift = shift_of(brief.next_logit, after.next_logit)
    assert 0 < shift < len(brief.next_logit)
    for name in NEXT_COLUMNS:
        assert np.array_equal(getattr(after, name), np.roll(getattr(brief, name), shift)), name
    for name in VOCABULARY_COLUMNS:
        assert np.array_equal(getattr(after, name)[:-1], np.roll(getattr(brief, name)[:-1], shift)), name


def test_no_prediction_is_lost_and_each_logit_keeps_its_probability_and_rank(traced: Trace) -> None:
    before, after = (
        set(zip(trace.next_logit, trace.next_log_probability, trace.next_rank, strict=True))
        for trace in (traced, shifted(traced, 0))
    )
    assert before == after


def test_the_last_token_keeps_its_own_entropy_and_top_logit(traced: Trace) -> None:
    for seed in SEEDS:
        after = shifted(traced, seed)
        assert after.entropy[-1] == traced.entropy[-1]
        assert after.top_logit[-1] == traced.top_logit[-1]


def test_a_shift_depends_on_its_seed_alone(traced: Trace) -> None:
    assert np.array_equal(shifted(traced, 4).next_logit, shifted(traced, 4).next_logit)
    shifts = {moved(traced, seed)[0] for seed in range(20)}
    assert len(shifts) > 15  # 20 draws out of several hundred


def test_a_shift_depends_on_the_tokens_so_that_every_size_shifts_alike(traced: Trace) -> None:
    other = traced.with_columns(step_length=traced.step_length * 2, next_logit=-traced.next_logit)
    for seed in SEEDS:
        assert np.array_equal(moved(traced, seed), moved(other, seed))


def test_texts_of_one_run_shift_by_different_amounts(tracer: Tracer, long: Passage) -> None:
    words = long.text.split()
    texts = [" ".join(words[start : start + 120]) for start in range(0, 60, 10)]
    traces = [tracer.trace(Passage(name="part", text=text, origin="test")) for text in texts]
    shares = {round(moved(trace, 0)[0] / len(trace.next_logit), 6) for trace in traces}
    assert len(shares) == len(texts)


def test_shifts_are_uniform_over_the_text(brief: Trace) -> None:
    """Uniform from 1 to n - 1. If so, a Kolmogorov-Smirnov p-value is below 0.001 once in 1,000 times; the seeds are fixed."""
    paired = len(brief.next_logit)
    shifts = [(-int(moved(brief, seed)[0])) % paired for seed in range(400)]
    assert min(shifts) >= 1
    assert scipy.stats.kstest(np.array(shifts) / paired, "uniform").pvalue > 0.001


def test_two_predictions_are_swapped_and_a_single_one_stays(brief: Trace) -> None:
    pair = brief.with_columns(token_ids=brief.token_ids[:3], next_logit=brief.next_logit[:2])
    assert moved(pair, 0).tolist() == [1, 0]
    single = brief.with_columns(token_ids=brief.token_ids[:2], next_logit=brief.next_logit[:1])
    assert moved(single, 0).tolist() == [0]


def test_a_shift_survives_alignment_into_rows(traced: Trace) -> None:
    before, after = from_traces([traced]), from_traces([shifted(traced, 1)])
    assert np.array_equal(before.step_length, after.step_length)
    assert not np.isclose(before.next_logit, after.next_logit).any()


# Planted relations.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_planted_correlation_is_exact_to_nine_digits(traced: Trace, step: str, seed: int) -> None:
    after = planted(traced, seed, step=step)
    length = getattr(traced, step)
    length = length if length.ndim == 1 else length[-1]
    r = np.corrcoef(length[LEFT_OUT:-1], after.next_logit[LEFT_OUT:])[0, 1]
    assert PLANTED_R == -0.2
    assert r == pytest.approx(-0.2, abs=1e-9)


@pytest.mark.parametrize("step", STEPS)
def test_planting_keeps_mean_and_standard_deviation_of_the_shifted_logit(traced: Trace, step: str) -> None:
    after, before = planted(traced, 2, step=step).next_logit[LEFT_OUT:], shifted(traced, 2).next_logit[LEFT_OUT:]
    assert after.mean() == pytest.approx(before.mean(), abs=1e-9)
    assert after.std() == pytest.approx(before.std(), abs=1e-9)


def test_planting_changes_the_shifted_logit_only_a_little(traced: Trace) -> None:
    after, before = planted(traced, 2), shifted(traced, 2)
    assert np.corrcoef(after.next_logit[LEFT_OUT:], before.next_logit[LEFT_OUT:])[0, 1] > 0.9
    assert not np.allclose(after.next_logit, shifted(traced, 3).next_logit)
    assert np.array_equal(after.next_logit, planted(traced, 2).next_logit)


def test_the_relation_is_planted_in_the_rows_that_a_claim_sees(traced: Trace, brief: Trace) -> None:
    measured = from_traces([planted(traced, 5), planted(brief, 5)])
    for text in (0, 1):
        rows = measured.passage == text
        assert np.corrcoef(measured.last_step[rows], measured.next_logit[rows])[0, 1] == pytest.approx(-0.2, abs=1e-9)


def test_planting_changes_the_next_logit_only(traced: Trace) -> None:
    after, before = columns(planted(traced, 2)), columns(shifted(traced, 2))
    change = after["next_logit"] - before["next_logit"]
    assert change[0] == 0.0  # the first token has no row
    assert np.abs(change[1:]).min() > 0
    for name in before.keys() - {"next_logit"}:
        assert np.array_equal(after[name], before[name]), name


def test_the_steps_before_and_after_the_final_norm_get_different_planted_logits(traced: Trace) -> None:
    before, after = (planted(traced, 2, step=step).next_logit for step in STEPS)
    assert not np.allclose(before, after)


def test_an_existing_relation_does_not_add_to_the_planted_one(traced: Trace) -> None:
    last_step = traced.step_length[-1]
    related = traced.with_columns(next_logit=3.0 + 2.0 * np.roll(last_step, -17)[:-1] + 0.1 * traced.next_logit)
    logit = planted(related, 6).next_logit[LEFT_OUT:]
    assert np.corrcoef(last_step[LEFT_OUT:-1], logit)[0, 1] == pytest.approx(-0.2, abs=1e-9)


# How often a control may support a claim.


@pytest.mark.parametrize(
    ("supported", "runs", "is_vacuous"),
    [(2, 2, True), (3, 10, True), (4, 20, True), (1, 1, False), (2, 10, False), (3, 20, False), (0, 1, False)],
)
def test_support_is_vacuous_when_control_runs_exceed_chance(supported: int, runs: int, is_vacuous: bool) -> None:
    tally = Tally(control="untrained", runs=runs, supported=supported, values=(0.0,) * runs, seconds=0.0)
    assert tally.shows_vacuity is is_vacuous
    # Equivalently, a binomial test at a rate of 5 % rejects at the 5 % level.
    chance = scipy.stats.binom.sf(supported - 1, runs, 0.05)
    assert bool(chance < 0.05 - 1e-12) is is_vacuous


@pytest.mark.parametrize(("supported", "runs"), [(0, 10), (0, 20), (1, 10), (5, 5), (7, 20)])
def test_the_bounds_of_a_rate_are_those_of_clopper_and_pearson(supported: int, runs: int) -> None:
    tally = Tally(control="shifted", runs=runs, supported=supported, values=(), seconds=0.0)
    expected = scipy.stats.binomtest(supported, runs).proportion_ci(0.9, method="exact")
    assert tally.bounds == pytest.approx((expected.low, expected.high))


def test_a_tally_prints_its_bound_on_the_rate() -> None:
    unused = {"values": (), "seconds": 0.0}
    assert str(Tally(control="untrained", runs=10, supported=0, **unused)) == (  # type: ignore[arg-type]
        "supported in 0 of 10 untrained networks of the same shape (at most 26% of the time)"
    )
    assert str(Tally(control="shifted", runs=20, supported=0, **unused)) == (  # type: ignore[arg-type]
        "supported in 0 of 20 shifted pairings (at most 14% of the time)"
    )
    assert str(Tally(control="planted", runs=20, supported=4, **unused)) == (  # type: ignore[arg-type]
        "supported in 4 of 20 planted relations of twice the margin (at least 7% of the time)"
    )


@pytest.mark.parametrize(
    ("runs", "supported", "values"),
    [(10, 11, ()), (10, -1, ()), (0, 0, ()), (-2, 0, ()), (2, 1, (0.1, 0.2, 0.3))],
)
def test_impossible_counts_are_refused(runs: int, supported: int, values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=rf"but {supported} and {len(values)} were given"):
        Tally(control="untrained", runs=runs, supported=supported, values=values, seconds=0.0)


def test_an_unknown_control_is_refused() -> None:
    with pytest.raises(ValueError, match="'random' is not a valid Control"):
        Tally(control="random", runs=10, supported=0, values=(), seconds=0.0)


# Which perturbations are run.


@pytest.mark.parametrize(
    ("effort", "parameters", "runs"),
    [
        ("none", 10**6, {}),
        ("none", 10**9, {}),
        ("quick", 10**6, {SHIFTED: 5, PLANTED: 5, SHUFFLED: 2, UNTRAINED: 2}),
        ("quick", 10**9, {SHIFTED: 5, PLANTED: 5, SHUFFLED: 2, UNTRAINED: 2}),
        ("full", 10**6, {SHIFTED: 20, PLANTED: 20, SHUFFLED: 5, UNTRAINED: 10}),
        ("full", 50_000_000, {SHIFTED: 20, PLANTED: 20, SHUFFLED: 5, UNTRAINED: 10}),
        ("full", 50_000_001, {SHIFTED: 20, PLANTED: 20, SHUFFLED: 3, UNTRAINED: 3}),
    ],
)
def test_effort_and_model_size_decide_the_runs_of_each_control(
    effort: Effort, parameters: int, runs: dict[Control, int]
) -> None:
    expected = [Perturbation(control, seed) for control, count in runs.items() for seed in range(count)]
    assert perturbations(Control, effort, parameters) == expected


def test_forward_passes_come_last_and_untrained_weights_at_the_very_end() -> None:
    runs = perturbations([UNTRAINED, SHUFFLED, PLANTED, SHIFTED], "full", 10**6)
    passes = [run.needs_forward_pass for run in runs]
    assert passes == sorted(passes)
    assert {run.control for run in runs if run.needs_forward_pass} == {SHUFFLED, UNTRAINED}
    is_untrained = [run.control is UNTRAINED for run in runs]
    assert is_untrained == sorted(is_untrained)


def test_only_requested_controls_are_run_and_each_once() -> None:
    assert perturbations([], "full", 10**6) == []
    assert {run.control for run in perturbations([PLANTED], "quick", 10**6)} == {PLANTED}
    assert perturbations([SHUFFLED, SHUFFLED], "quick", 1) == [Perturbation(SHUFFLED, 0), Perturbation(SHUFFLED, 1)]


def test_even_a_quick_run_can_show_a_claim_to_be_vacuous() -> None:
    for control in Control:
        runs = len(perturbations([control], "quick", 10**6))
        assert Tally(control=control, runs=runs, supported=runs, values=(), seconds=0.0).shows_vacuity


def test_every_control_has_a_description_of_its_own() -> None:
    assert EFFORTS == ("none", "quick", "full")
    assert len({control.where for control in Control}) == 4
