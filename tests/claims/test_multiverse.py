"""Multiverses: each universe against the analysis it names, the error rate of the joint test, and the validity of a curve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from math import prod

import numpy as np
import pytest

from pathlen.claims.last_step_multiverse import LAST_STEP_AND_NEXT_TOKEN
from pathlen.claims.multiverse import EQUIVALENT, EXTENSION, SLIP, Choice, Curve, Multiverse, Option, curve
from pathlen.claims.verdict import Region, Verdict, above, below, within
from pathlen.columns.measurement import Measurement, Published
from pathlen.errors import UndefinedEstimate
from pathlen.stats import largest_difference, partial, pearson, spearman, winsorised
from pathlen.stats.clusters import Passages
from pathlen.stats.ranks import mid_ranks, pulled_in
from pathlen.stats.statistic import Smooth

DEFAULTS = {choice.name: choice.options[0].name for choice in LAST_STEP_AND_NEXT_TOKEN.choices}
NEIGHBOUR = {"state": "after it", "next token": "top logit"}
SHAPE = tuple(len(choice.options) for choice in LAST_STEP_AND_NEXT_TOKEN.choices)


def simulated(seed: int, r: float = 0.0, *, passages: int = 12, tokens: int = 120) -> Measurement:
    """Two blocks, passages of different lengths with a trend, and about ``r`` between the last step and the next logit."""
    draw = np.random.default_rng(seed)
    lengths = tokens + 7 * np.arange(passages)
    rows = int(lengths.sum())
    index = np.concatenate([np.arange(length) for length in lengths])
    logit, entropy, top = draw.normal(size=(3, rows))
    logit += 0.002 * index  # a text's logits grow along it, and so do its steps
    step = r * logit + np.sqrt(1 - r**2) * draw.normal(size=rows) + 0.002 * index
    norm = np.exp(0.2 * draw.normal(size=(3, rows)))
    after = 5 + 0.5 * step + draw.normal(size=rows)
    log_probability = -np.exp(-0.5 * logit + 0.3 * draw.normal(size=rows))
    return Measurement(
        passage=np.repeat(np.arange(passages), lengths),
        token_id=np.minimum(draw.geometric(0.05, size=rows), 60),
        token=index + 1,
        position=index + 1,
        window=np.zeros(rows, int),
        residual_norm=norm,
        step_length=np.stack([np.ones(rows), np.exp(0.3 * step + 0.3 * np.log(norm[1]))]),
        displacement=np.ones((2, rows)),
        turning_angle=np.ones((2, rows)),
        centroid_distance=np.ones((3, rows)),
        final_norm_step=after,
        head_norm=np.ones((2, 2, rows)),
        heads_norm=np.ones((2, rows)),
        entropy=2 + 0.3 * entropy - 0.2 * logit,
        top_logit=3 + top + 0.4 * logit,
        next_logit=logit,
        next_log_probability=log_probability,
        next_rank=1 - np.floor(4 * log_probability).astype(np.int64),
    )


def published(measured: Measurement) -> Published:
    return Published(
        passage=measured.passage,
        residual_norm=measured.residual_norm,
        step_length=np.stack([measured.step_length[0], measured.final_norm_step]),
        displacement=measured.displacement,
        next_logit=measured.next_logit,
    )


def universe(**options: str) -> int:
    """Return the index of the universe with these options, and the defaults for all other choices."""
    chosen = DEFAULTS | {name.replace("_", " "): option for name, option in options.items()}
    indices = [
        [option.name for option in choice.options].index(chosen.pop(choice.name))
        for choice in LAST_STEP_AND_NEXT_TOKEN.choices
    ]
    assert not chosen
    return int(np.ravel_multi_index(indices, SHAPE))


def correlations(measured: Measurement) -> np.ndarray:
    """Return the number of every universe, unrounded."""
    z = np.concatenate([statistic.values() for statistic in LAST_STEP_AND_NEXT_TOKEN.of(measured)])
    return np.asarray(np.tanh(z))


def with_published(models: Iterable[Measurement]) -> list[tuple[Measurement, Published]]:
    return [(measured, published(measured)) for measured in models]


def last_step_correlations(models: Iterable[Measurement]) -> list[Smooth]:
    """Return the claim's own statistic on every model."""
    return [pearson(measured.last_step, measured.next_logit, passage=measured.passage) for measured in models]


def curve_of(measured: Measurement, region: Region, verdict: Verdict = Verdict.SUPPORTED, seed: int = 0) -> Curve:
    return curve(LAST_STEP_AND_NEXT_TOKEN, [(measured, published(measured))], region, verdict, seed=seed)


@pytest.fixture(scope="module")
def measured() -> Measurement:
    return simulated(0, -0.5)


@pytest.fixture(scope="module")
def values(measured: Measurement) -> np.ndarray:
    return correlations(measured)


@pytest.fixture(scope="module")
def planted(measured: Measurement) -> Curve:
    return curve_of(measured, below(0.0))


# What the universes are.


def test_there_are_864_universes_72_of_them_equivalent(values: np.ndarray, planted: Curve) -> None:
    assert len(LAST_STEP_AND_NEXT_TOKEN) == prod(SHAPE) == len(values) == 864
    assert {kind: planted.kinds.count(kind) for kind in (EQUIVALENT, SLIP, EXTENSION)} == {
        EQUIVALENT: 72,
        SLIP: 72,
        EXTENSION: 720,
    }
    assert len(planted.values_of(EQUIVALENT)) == 72
    assert planted.shape == SHAPE


def test_the_default_analysis_is_the_first_universe_and_equivalent(values: np.ndarray, planted: Curve) -> None:
    assert universe() == 0
    assert planted.kinds[0] == EQUIVALENT
    assert planted.values[0] == round(float(values[0]), 4)


Columns = tuple[np.ndarray, np.ndarray]
Relation = Callable[[np.ndarray, np.ndarray, Measurement], Smooth]


def plain(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    return pearson(x, y, passage=measured.passage)


def not_detrended(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    return pearson(x, y, passage=measured.passage, trend=0)


def ranked(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    return spearman(x, y, passage=measured.passage)


def pulled(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    return winsorised(x, y, passage=measured.passage, tail=0.05)


def without_norm(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    return partial(x, y, given=[measured.residual_norm[-2]], passage=measured.passage)


def without_frequency(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    return partial(x, y, given=[measured.log_frequency], passage=measured.passage)


def ranked_without_norm(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    passages = Passages.of(measured.passage)
    x, y, norm = (passages.within(mid_ranks, column) for column in (x, y, measured.residual_norm[-2]))
    return partial(x, y, given=[norm], passage=measured.passage)


def pulled_without_frequency(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    passages = Passages.of(measured.passage)
    x, y, frequency = (passages.within(pulled_in, column) for column in (x, y, measured.log_frequency))
    return partial(x, y, given=[frequency], passage=measured.passage)


def last(measured: Measurement) -> np.ndarray:
    return np.asarray(measured.step_length[-1])


def relative(measured: Measurement) -> np.ndarray:
    return np.asarray(measured.step_length[-1] / measured.residual_norm[-2])


def through(measured: Measurement) -> np.ndarray:
    return measured.final_norm_step


def relative_through(measured: Measurement) -> np.ndarray:
    return np.asarray(measured.final_norm_step / measured.residual_norm[-2])


def logit(measured: Measurement) -> np.ndarray:
    return measured.next_logit


def reversed_rank(measured: Measurement) -> np.ndarray:
    return -1.0 * measured.next_rank


Column = Callable[[Measurement], np.ndarray]
# Options, the columns and the statistic they name, and the first token that is not left out.
DIRECT: list[tuple[dict[str, str], Column, Column, Relation, int]] = [
    ({}, last, logit, plain, 1),
    ({"correlation": "Spearman"}, last, logit, ranked, 1),
    ({"correlation": "winsorised 5 %"}, last, logit, pulled, 1),
    ({"taken_out": "nothing"}, last, logit, not_detrended, 1),
    ({"taken_out": "trend and residual norm"}, last, logit, without_norm, 1),
    ({"taken_out": "trend and token frequency"}, last, logit, without_frequency, 1),
    ({"first_tokens_left_out": "4"}, last, logit, plain, 4),
    ({"first_tokens_left_out": "8"}, last, logit, plain, 8),
    ({"state": "after it"}, through, logit, plain, 1),
    ({"step": "over the norm before it"}, relative, logit, plain, 1),
    ({"state": "after it", "step": "over the norm before it"}, relative_through, logit, plain, 1),
    ({"next_token": "log-probability"}, last, lambda measured: measured.next_log_probability, plain, 1),
    ({"next_token": "probability"}, last, lambda measured: np.exp(measured.next_log_probability), plain, 1),
    ({"next_token": "rank, reversed"}, last, reversed_rank, plain, 1),
    ({"next_token": "entropy, reversed"}, last, lambda measured: -measured.entropy, plain, 1),
    ({"next_token": "top logit"}, last, lambda measured: measured.top_logit, plain, 1),
    # Several at once, so that options are also tested in combination.
    (
        {"correlation": "Spearman", "next_token": "rank, reversed", "first_tokens_left_out": "8", "state": "after it"},
        through,
        reversed_rank,
        ranked,
        8,
    ),
    (
        {"correlation": "Spearman", "taken_out": "trend and residual norm", "first_tokens_left_out": "4"},
        last,
        logit,
        ranked_without_norm,
        4,
    ),
    (
        {"correlation": "winsorised 5 %", "taken_out": "trend and token frequency", "next_token": "top logit"},
        last,
        lambda measured: measured.top_logit,
        pulled_without_frequency,
        1,
    ),
    (
        {"correlation": "winsorised 5 %", "step": "over the norm before it", "first_tokens_left_out": "8"},
        relative,
        logit,
        pulled,
        8,
    ),
]


@pytest.mark.parametrize(
    ("options", "x", "y", "relation", "first_token"),
    DIRECT,
    ids=[", ".join(options.values()) or "the defaults" for options, *_ in DIRECT],
)
def test_a_universe_is_the_analysis_that_its_options_name(
    measured: Measurement,
    values: np.ndarray,
    options: dict[str, str],
    x: Column,
    y: Column,
    relation: Relation,
    first_token: int,
) -> None:
    selected = measured.where(measured.token >= first_token)
    expected = relation(x(selected), y(selected), selected).value
    assert values[universe(**options)] == pytest.approx(expected, abs=1e-9)


def test_these_universes_all_give_different_numbers(values: np.ndarray) -> None:
    numbers = [values[universe(**options)] for options, *_ in DIRECT]
    assert len({round(float(number), 9) for number in numbers}) == len(DIRECT)


def test_the_equivalent_universes_are_those_without_a_slip_or_an_extension(planted: Curve) -> None:
    equivalent = [
        universe(correlation=correlation, first_tokens_left_out=tokens, taken_out=taken_out, next_token=next_token)
        for correlation in ("Pearson", "Spearman", "winsorised 5 %")
        for tokens in ("1", "4", "8")
        for taken_out in ("trend along the text", "nothing")
        for next_token in ("logit", "log-probability", "probability", "rank, reversed")
    ]
    assert sorted(equivalent) == [index for index, kind in enumerate(planted.kinds) if kind == EQUIVALENT]
    assert planted.kinds[universe(state="after it")] == SLIP
    assert planted.kinds[universe(**NEIGHBOUR)] == EXTENSION
    assert planted.kinds[universe(step="over the norm before it")] == EXTENSION


@pytest.mark.parametrize("edge", [-0.5, -0.45, -0.43, -0.41, -0.39, -0.37, -0.35, -0.33, -0.3, -0.27])
def test_a_universe_is_judged_by_its_own_interval(measured: Measurement, edge: float) -> None:
    region = below(edge)
    judged = curve_of(measured, region, seed=4)
    passage, x, y = measured.passage, measured.last_step, measured.next_logit
    for options, statistic in (
        ({}, pearson(x, y, passage=passage)),
        ({"correlation": "Spearman"}, spearman(x, y, passage=passage)),
        ({"correlation": "winsorised 5 %"}, winsorised(x, y, passage=passage)),
        ({"taken_out": "nothing"}, pearson(x, y, passage=passage, trend=0)),
    ):
        estimate = statistic.estimate(seed=4, replicates=1999)
        assert judged.verdicts[universe(**options)] == region.judge(estimate.low, estimate.high).value[0]


def test_a_margin_is_judged_by_the_interval_of_90_percent() -> None:
    measured = simulated(3)
    statistic = pearson(measured.last_step, measured.next_logit, passage=measured.passage)
    edge, wider_edge = (
        max(-estimate.low, estimate.high)
        for estimate in (statistic.estimate(level=level, replicates=1999) for level in (0.90, 0.95))
    )
    assert wider_edge > 1.01 * edge
    assert curve_of(measured, within(-1.001 * edge, 1.001 * edge)).verdicts[0] == "s"
    assert curve_of(measured, within(-0.999 * edge, 0.999 * edge)).verdicts[0] == "i"


def test_a_curve_holds_the_published_number(measured: Measurement, planted: Curve) -> None:
    expected = pearson(measured.final_norm_step, measured.next_logit, passage=measured.passage, trend=0).value
    assert planted.published == round(expected, 4)


# With a planted relation, and without any.


def test_a_planted_relation_is_found_in_every_equivalent_universe(planted: Curve) -> None:
    letters = {letter for letter, kind in zip(planted.verdicts, planted.kinds, strict=True) if kind == EQUIVALENT}
    assert letters == {"s"}
    assert planted.agreeing == 1.0
    assert not planted.is_fragile
    assert planted.median == pytest.approx(float(np.median(planted.values_of(EQUIVALENT))))
    assert -0.5 < planted.median < -0.25
    assert planted.p_value == 1 / 2000


def test_the_opposite_relation_is_refuted_in_every_equivalent_universe() -> None:
    opposite = curve_of(simulated(1, 0.4), below(0.0), Verdict.REFUTED)
    assert opposite.agreeing == 1.0
    assert opposite.median > 0.15
    assert opposite.p_value == 1 / 2000


def test_without_a_relation_the_joint_p_value_is_rarely_small() -> None:
    """If uniform, three or more of ten are below 0.05 once in 87 times, and any is below 0.001 once in 100 times."""
    curves = [curve_of(simulated(seed), below(0.0), seed=seed) for seed in range(20, 30)]
    p_values = [unrelated.p_value for unrelated in curves if unrelated.p_value is not None]
    assert len(p_values) == 10
    assert sum(p_value < 0.05 for p_value in p_values) <= 2
    assert min(p_values) > 0.001
    assert 0.2 < np.median(p_values) < 0.9


def test_the_joint_p_value_is_that_of_the_median_score(measured: Measurement) -> None:
    """Computed by hand from the same resamples."""
    weak = simulated(5, -0.03)
    groups = [statistic.resampled(seed=2, replicates=1999) for statistic in LAST_STEP_AND_NEXT_TOKEN.of(weak)]
    weak_curve = curve_of(weak, below(0.0), seed=2)
    equivalent = np.array(weak_curve.kinds) == EQUIVALENT
    scores = np.concatenate([group.scores for group in groups if group.scores is not None], axis=1)[:, equivalent]
    observed = np.concatenate([group.value / group.error for group in groups])[equivalent]
    at_least = np.abs(np.median(scores, axis=1)) >= abs(np.median(observed))
    assert weak_curve.p_value == pytest.approx((at_least.sum() + 1) / 2000)
    assert at_least.any()


def test_the_same_seed_gives_the_same_curve(measured: Measurement, planted: Curve) -> None:
    assert curve_of(measured, below(0.0)) == planted
    assert curve_of(measured, below(0.0), seed=1).values == planted.values


# Two models, and several.


def test_two_models_are_contrasted_universe_by_universe(measured: Measurement, values: np.ndarray) -> None:
    models = (measured, simulated(1, 0.2))
    contrast = curve(LAST_STEP_AND_NEXT_TOKEN, with_published(models), below(0.0), Verdict.SUPPORTED, seed=0)
    expected = np.arctanh(values) - np.arctanh(correlations(models[1]))
    assert contrast.values == pytest.approx(expected, abs=0.5e-4 + 1e-9)
    first, second = last_step_correlations(models)
    assert contrast.values[0] == round(first.minus(second).value, 4)
    originals = [pearson(model.final_norm_step, model.next_logit, passage=model.passage, trend=0) for model in models]
    assert contrast.published == round(originals[0].minus(originals[1]).value, 4)
    assert contrast.agreeing == 1.0
    assert contrast.p_value == 1 / 2000


def test_a_contrast_is_judged_by_its_paired_interval(measured: Measurement) -> None:
    models = (measured, simulated(1, -0.25))
    first, second = last_step_correlations(models)
    estimate = first.minus(second).estimate(replicates=1999)
    columns = with_published(models)
    for edge, letter in ((estimate.low - 0.01, "r"), (estimate.value, "i"), (estimate.high + 0.01, "s")):
        assert curve(LAST_STEP_AND_NEXT_TOKEN, columns, below(edge), Verdict.SUPPORTED, seed=0).verdicts[0] == letter


def test_of_several_models_the_largest_difference_is_taken(measured: Measurement) -> None:
    models = [measured, simulated(1, 0.5), simulated(2)]
    largest = curve(LAST_STEP_AND_NEXT_TOKEN, with_published(models), above(0.1), Verdict.SUPPORTED, seed=0)
    scores = [np.arctanh(correlations(model)) for model in models]
    expected = np.max([np.abs(first - second) for first, second in combinations(scores, 2)], axis=0)
    assert largest.values == pytest.approx(expected, abs=0.5e-4 + 1e-9)
    assert largest.values[0] == round(largest_difference(last_step_correlations(models)).value, 4)
    assert largest.agreeing == 1.0
    assert largest.p_value == 1 / 2000


def test_the_interval_of_a_largest_difference_is_close_to_that_of_the_statistic(measured: Measurement) -> None:
    models = [measured, simulated(1, -0.1), simulated(2)]
    columns = with_published(models)
    estimate = largest_difference(last_step_correlations(models)).estimate()
    slack = 0.1 * (estimate.high - estimate.low)
    for edge, letter in ((estimate.low - slack, "s"), (estimate.value, "i"), (estimate.high + slack, "r")):
        assert curve(LAST_STEP_AND_NEXT_TOKEN, columns, above(edge), Verdict.SUPPORTED, seed=0).verdicts[0] == letter


def test_models_that_do_not_differ_are_not_found_to_differ() -> None:
    columns = with_published(simulated(seed, -0.2) for seed in (30, 31, 32))
    largest = curve(LAST_STEP_AND_NEXT_TOKEN, columns, above(0.0), Verdict.INCONCLUSIVE, seed=0)
    assert largest.agreeing > 0.8
    assert largest.p_value is not None
    assert largest.p_value > 0.01


# Too little data.


def test_fewer_than_five_passages_give_a_curve_without_a_joint_p_value() -> None:
    few = simulated(6, -0.5, passages=3, tokens=200)
    of_one_model = curve_of(few, below(0.0))
    assert of_one_model.p_value is None
    estimate = pearson(few.last_step, few.next_logit, passage=few.passage).estimate()
    assert estimate.unit == "texts"
    assert of_one_model.values[0] == round(estimate.value, 4)
    assert of_one_model.verdicts[0] == below(0.0).judge(estimate.low, estimate.high).value[0]
    columns = with_published((few, simulated(7, passages=3, tokens=200)))
    contrast = curve(LAST_STEP_AND_NEXT_TOKEN, columns, below(0.0), Verdict.SUPPORTED, seed=0)
    assert contrast.p_value is None


def test_several_models_of_few_passages_share_their_blocks() -> None:
    models = [simulated(seed, passages=3, tokens=200) for seed in range(3)]
    largest = curve(LAST_STEP_AND_NEXT_TOKEN, with_published(models), above(0.1), Verdict.SUPPORTED, seed=0)
    assert largest.values[0] == round(largest_difference(last_step_correlations(models)).value, 4)
    assert largest.p_value is not None


def test_a_universe_without_a_number_is_an_error(measured: Measurement) -> None:
    with pytest.raises(UndefinedEstimate, match="constant|nothing but a trend"):
        correlations(measured.with_columns(entropy=np.ones_like(measured.entropy)))


def test_a_constant_covariate_cannot_be_taken_out(measured: Measurement) -> None:
    with pytest.raises(UndefinedEstimate, match="is nothing but a trend within every passage"):
        correlations(measured.with_columns(token_id=np.zeros_like(measured.token_id)))


def test_columns_are_not_changed(measured: Measurement) -> None:
    correlations(measured)  # computes the derived columns
    before = {name: getattr(measured, name).copy() for name in measured.made}
    correlations(measured)
    assert all(np.array_equal(getattr(measured, name), column) for name, column in before.items())


# Curves.

CHOICES = (
    Choice("correlation", (Option("Pearson"), Option("Spearman"))),
    Choice("state", (Option("before"), Option("after", SLIP), Option("relative", EXTENSION))),
)


def small_curve(**changes: object) -> Curve:
    defaults: dict[str, object] = {
        "choices": CHOICES,
        "values": (0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
        "verdicts": "srisri",
        "verdict": "supported",
        "published": 0.2,
        "p_value": 0.01,
    }
    return Curve(**(defaults | changes))  # type: ignore[arg-type]


def test_a_small_curve_by_hand() -> None:
    small = small_curve()
    assert small.kinds == [EQUIVALENT, SLIP, EXTENSION] * 2
    assert (small.values_of(EQUIVALENT), small.values_of(SLIP), small.values_of(EXTENSION)) == (
        [0.1, 0.5],
        [0.2, 0.7],
        [0.3, 0.9],
    )
    assert small.median == pytest.approx(0.3)
    assert small.agreeing == 1.0
    # Pearson to Spearman: 0.4, 0.5 and 0.6; the state: 0.2 and 0.4.
    assert [name for name, _ in small.moves] == ["correlation", "state"]
    assert [span for _, span in small.moves] == pytest.approx([0.5, 0.3])


def test_a_multiverse_counts_its_universes() -> None:
    multiverse = Multiverse(
        name="simulated",
        choices=CHOICES,
        of=LAST_STEP_AND_NEXT_TOKEN.of,
        original=LAST_STEP_AND_NEXT_TOKEN.original,
    )
    assert len(multiverse) == 6


@pytest.mark.parametrize(
    ("letters", "verdict", "agreeing", "is_fragile"),
    [
        ("sssss", "supported", 1.0, False),
        ("ssssr", "supported", 0.8, False),
        ("sssrr", "supported", 0.6, True),
        ("siiii", "supported", 0.2, True),
        ("rrrrs", "refuted", 0.8, False),
        ("rrsss", "refuted", 0.4, True),
        ("sssss", "refuted", 0.0, True),
        ("issss", "inconclusive", 0.2, False),
    ],
)
def test_a_decided_verdict_is_fragile_if_fewer_than_four_in_five_agree(
    letters: str, verdict: str, agreeing: float, is_fragile: bool
) -> None:
    """A slip and an extension disagree and don't count."""
    options = (*(Option(str(number)) for number in range(5)), Option("slip", SLIP), Option("extension", EXTENSION))
    choices = (Choice("only choice", options),)
    judged = small_curve(choices=choices, values=(0.0,) * 7, verdicts=letters + "rr", verdict=verdict)
    assert judged.agreeing == pytest.approx(agreeing)
    assert judged.is_fragile is is_fragile


@pytest.mark.parametrize(
    "changes",
    [
        {"values": (0.1,) * 5},
        {"values": (0.1,) * 7},
        {"values": ()},
        {"verdicts": "srisr"},
        {"verdicts": "srisrii"},
        {"verdicts": "srisrx"},
        {"verdicts": "SRISRI"},
        {"verdicts": ""},
        {"choices": CHOICES[:1]},
    ],
)
def test_a_curve_of_wrong_length_or_letters_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\d universes need as many values and verdicts \(s, r or i\), but \d and '"):
        small_curve(**changes)


@pytest.mark.parametrize("verdict", ["certain", "vacuous", "not tested", "error"])
def test_the_verdict_of_a_curve_has_to_come_from_an_interval(verdict: str) -> None:
    with pytest.raises(ValueError, match=verdict):
        small_curve(verdict=verdict)
