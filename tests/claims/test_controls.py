"""Negative controls: predictions are moved and nothing else, relations planted to the digit, and when support is damned."""

from __future__ import annotations

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
OF_THE_NEXT = ("next_logit", "next_log_probability", "next_rank")
OF_EVERY = ("entropy", "top_logit")
STEPS = ("step_length", "final_norm_step")


@pytest.fixture(scope="module")
def tracer(tiny: LoadedModel) -> Tracer:
    return Tracer(tiny)


@pytest.fixture(scope="module")
def traced(tracer: Tracer, long: Passage) -> Trace:
    """A text of several windows, so that those are kept as well."""
    return tracer.trace(long)


@pytest.fixture(scope="module")
def brief(tracer: Tracer, short: Passage) -> Trace:
    return tracer.trace(short)


def columns(trace: Trace) -> dict[str, np.ndarray]:
    return {name: getattr(trace, name) for name in CATALOG}


def shift_of(before: np.ndarray, after: np.ndarray) -> int:
    """By how much a column whose values all differ was rolled."""
    assert len(np.unique(before)) == len(before)
    move = int(np.flatnonzero(after == before[0])[0])
    assert np.array_equal(np.roll(before, move), after)
    return move


# Shifted predictions.


@pytest.mark.parametrize("made", [shifted, planted])
def test_a_control_leaves_its_trace_alone(traced: Trace, made: object) -> None:
    before = {name: column.copy() for name, column in columns(traced).items()}
    made(traced, 3)  # type: ignore[operator]
    assert all(np.array_equal(before[name], column) for name, column in columns(traced).items())


def test_lengths_stay_where_they_are_bit_for_bit(traced: Trace) -> None:
    before, after = columns(traced), columns(shifted(traced, 3))
    lengths = before.keys() - {*OF_THE_NEXT, *OF_EVERY}
    assert {"step_length", "residual_norm", "head_norm", "final_norm_step", "token_ids", "window"} <= lengths
    for name in lengths:
        assert before[name].dtype == after[name].dtype
        assert before[name].tobytes() == after[name].tobytes(), name


@pytest.mark.parametrize("seed", SEEDS)
def test_all_predictions_move_together_and_never_stay(brief: Trace, seed: int) -> None:
    after = shifted(brief, seed)
    move = shift_of(brief.next_logit, after.next_logit)
    assert 0 < move < len(brief.next_logit)
    for name in OF_THE_NEXT:
        assert np.array_equal(getattr(after, name), np.roll(getattr(brief, name), move)), name
    for name in OF_EVERY:
        assert np.array_equal(getattr(after, name)[:-1], np.roll(getattr(brief, name)[:-1], move)), name


def test_no_prediction_is_lost_and_a_probability_keeps_its_logit(traced: Trace) -> None:
    after = shifted(traced, 0)
    pairs = [set(zip(one.next_logit, one.next_log_probability, one.next_rank, strict=True)) for one in (traced, after)]
    assert pairs[0] == pairs[1]


def test_the_last_token_keeps_its_own_entropy_and_top_logit(traced: Trace) -> None:
    for seed in SEEDS:
        after = shifted(traced, seed)
        assert after.entropy[-1] == traced.entropy[-1]
        assert after.top_logit[-1] == traced.top_logit[-1]


def test_a_seed_gives_its_shift_again_and_others_give_others(traced: Trace) -> None:
    assert np.array_equal(shifted(traced, 4).next_logit, shifted(traced, 4).next_logit)
    moves = {moved(traced, seed)[0] for seed in range(20)}
    assert len(moves) > 15  # 20 draws out of several hundred


def test_a_shift_belongs_to_the_tokens_so_that_every_size_moves_alike(traced: Trace) -> None:
    other = traced.with_columns(step_length=traced.step_length * 2, next_logit=-traced.next_logit)
    for seed in SEEDS:
        assert np.array_equal(moved(traced, seed), moved(other, seed))


def test_texts_of_one_run_move_by_different_amounts(tracer: Tracer, long: Passage) -> None:
    words = long.text.split()
    texts = [" ".join(words[place : place + 120]) for place in range(0, 60, 10)]
    traces = [tracer.trace(Passage(name="part", text=text, origin="test")) for text in texts]
    shares = {round(moved(one, 0)[0] / len(one.next_logit), 6) for one in traces}
    assert len(shares) == len(texts)


def test_shifts_are_spread_over_the_whole_text(brief: Trace) -> None:
    """Uniform from 1 to n - 1; a Kolmogorov-Smirnov test falls below 0.001 once in 1,000 times, and these seeds are fixed."""
    paired = len(brief.next_logit)
    moves = [(-int(moved(brief, seed)[0])) % paired for seed in range(400)]
    assert min(moves) >= 1
    assert scipy.stats.kstest(np.array(moves) / paired, "uniform").pvalue > 0.001


def test_two_predictions_change_places_and_one_has_nowhere_to_go(brief: Trace) -> None:
    two = brief.with_columns(token_ids=brief.token_ids[:3], next_logit=brief.next_logit[:2])
    assert moved(two, 0).tolist() == [1, 0]
    one = brief.with_columns(token_ids=brief.token_ids[:2], next_logit=brief.next_logit[:1])
    assert moved(one, 0).tolist() == [0]


def test_a_shift_survives_the_way_to_aligned_rows(traced: Trace) -> None:
    real, control = from_traces([traced]), from_traces([shifted(traced, 1)])
    assert np.array_equal(real.step_length, control.step_length)
    assert not np.isclose(real.next_logit, control.next_logit).any()


# Planted relations.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_planted_relation_is_minus_a_fifth_to_nine_digits(traced: Trace, step: str, seed: int) -> None:
    made = planted(traced, seed, step=step)
    length = getattr(traced, step)
    length = length if length.ndim == 1 else length[-1]
    r = np.corrcoef(length[LEFT_OUT:-1], made.next_logit[LEFT_OUT:])[0, 1]
    assert PLANTED_R == -0.2
    assert r == pytest.approx(-0.2, abs=1e-9)


@pytest.mark.parametrize("step", STEPS)
def test_a_planted_relation_keeps_mean_and_spread_of_the_shifted_logit(traced: Trace, step: str) -> None:
    made, base = planted(traced, 2, step=step).next_logit[LEFT_OUT:], shifted(traced, 2).next_logit[LEFT_OUT:]
    assert made.mean() == pytest.approx(base.mean(), abs=1e-9)
    assert made.std() == pytest.approx(base.std(), abs=1e-9)


def test_a_plant_grows_on_a_shift_and_changes_it_little(traced: Trace) -> None:
    made, base = planted(traced, 2), shifted(traced, 2)
    assert np.corrcoef(made.next_logit[LEFT_OUT:], base.next_logit[LEFT_OUT:])[0, 1] > 0.9
    assert not np.allclose(made.next_logit, shifted(traced, 3).next_logit)
    assert np.array_equal(made.next_logit, planted(traced, 2).next_logit)


def test_the_planted_rows_are_those_that_a_claim_sees(traced: Trace, brief: Trace) -> None:
    measured = from_traces([planted(traced, 5), planted(brief, 5)])
    for text in (0, 1):
        rows = measured.passage == text
        assert np.corrcoef(measured.last_step[rows], measured.next_logit[rows])[0, 1] == pytest.approx(-0.2, abs=1e-9)


def test_a_plant_moves_the_logit_and_nothing_else(traced: Trace) -> None:
    made, base = columns(planted(traced, 2)), columns(shifted(traced, 2))
    change = made["next_logit"] - base["next_logit"]
    assert change[0] == 0.0  # the first token has no row
    assert np.abs(change[1:]).min() > 0
    for name in base.keys() - {"next_logit"}:
        assert np.array_equal(made[name], base[name]), name


def test_the_step_before_the_norm_and_the_one_after_it_get_plants_of_their_own(traced: Trace) -> None:
    before, after = (planted(traced, 2, step=step).next_logit for step in STEPS)
    assert not np.allclose(before, after)


def test_a_relation_that_was_there_does_not_add_to_the_planted_one(traced: Trace) -> None:
    """Whatever the logit follows, and however the shift leaves it, the plant comes out alike."""
    last = traced.step_length[-1]
    follows = traced.with_columns(next_logit=3.0 + 2.0 * np.roll(last, -17)[:-1] + 0.1 * traced.next_logit)
    made = planted(follows, 6).next_logit[LEFT_OUT:]
    assert np.corrcoef(last[LEFT_OUT:-1], made)[0, 1] == pytest.approx(-0.2, abs=1e-9)


# How often a control may support a claim.


@pytest.mark.parametrize(
    ("supported", "runs", "damning"),
    [(2, 2, True), (3, 10, True), (4, 20, True), (1, 1, False), (2, 10, False), (3, 20, False), (0, 1, False)],
)
def test_support_is_damned_from_where_chance_would_not_bring_it(supported: int, runs: int, damning: bool) -> None:
    tally = Tally(control="untrained", runs=runs, supported=supported, values=(0.0,) * runs, seconds=0.0)
    assert tally.shows_vacuity is damning
    # The same by counting: at one run in twenty, so many or more come up at most once in twenty times.
    chance = scipy.stats.binom.sf(supported - 1, runs, 0.05)
    assert bool(chance < 0.05 - 1e-12) is damning


@pytest.mark.parametrize(("supported", "runs"), [(0, 10), (0, 20), (1, 10), (5, 5), (7, 20)])
def test_the_bounds_of_a_rate_are_clopper_and_pearsons(supported: int, runs: int) -> None:
    tally = Tally(control="shifted", runs=runs, supported=supported, values=(), seconds=0.0)
    expected = scipy.stats.binomtest(supported, runs).proportion_ci(0.9, method="exact")
    assert tally.bounds == pytest.approx((expected.low, expected.high))


def test_a_tally_says_how_far_its_control_reaches() -> None:
    of = {"values": (), "seconds": 0.0}
    assert str(Tally(control="untrained", runs=10, supported=0, **of)) == (  # type: ignore[arg-type]
        "supported in 0 of 10 untrained networks of the same shape (at most 26% of the time)"
    )
    assert str(Tally(control="shifted", runs=20, supported=0, **of)) == (  # type: ignore[arg-type]
        "supported in 0 of 20 shifted pairings (at most 14% of the time)"
    )
    assert str(Tally(control="planted", runs=20, supported=4, **of)) == (  # type: ignore[arg-type]
        "supported in 4 of 20 planted relations of twice the margin (at least 7% of the time)"
    )


@pytest.mark.parametrize(
    ("runs", "supported", "values"),
    [(10, 11, ()), (10, -1, ()), (0, 0, ()), (-2, 0, ()), (2, 1, (0.1, 0.2, 0.3))],
)
def test_counts_that_can_not_be_are_refused(runs: int, supported: int, values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=rf"but {supported} and {len(values)} were given"):
        Tally(control="untrained", runs=runs, supported=supported, values=values, seconds=0.0)


def test_a_control_that_is_none_is_refused() -> None:
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
def test_effort_and_size_say_how_often_each_control_is_run(
    effort: Effort, parameters: int, runs: dict[Control, int]
) -> None:
    found = perturbations(Control, effort, parameters)
    assert found == [Perturbation(control, seed) for control, times in runs.items() for seed in range(times)]


def test_worlds_that_need_a_forward_pass_come_last_and_other_weights_at_the_very_end() -> None:
    found = perturbations([UNTRAINED, SHUFFLED, PLANTED, SHIFTED], "full", 10**6)
    passes = [world.needs_forward_pass for world in found]
    assert passes == sorted(passes)
    assert {world.control for world in found if world.needs_forward_pass} == {SHUFFLED, UNTRAINED}
    own = [world.control is not UNTRAINED for world in found]
    assert own == sorted(own, reverse=True)


def test_only_controls_that_were_asked_for_are_run_each_once() -> None:
    assert perturbations([], "full", 10**6) == []
    assert {world.control for world in perturbations([PLANTED], "quick", 10**6)} == {PLANTED}
    assert perturbations([SHUFFLED, SHUFFLED], "quick", 1) == [Perturbation(SHUFFLED, 0), Perturbation(SHUFFLED, 1)]


def test_even_a_quick_run_can_damn_a_claim() -> None:
    for control in Control:
        runs = len(perturbations([control], "quick", 10**6))
        assert Tally(control=control, runs=runs, supported=runs, values=(), seconds=0.0).shows_vacuity


def test_every_control_is_named_in_words() -> None:
    assert EFFORTS == ("none", "quick", "full")
    assert len({control.where for control in Control}) == 4
