"""Universes: each against the analysis it stands for, the joint test by its rates, and what a curve may hold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import prod

import numpy as np
import pytest

from pathlen.claims.multiverse import (
    EQUIVALENT,
    EXTENSION,
    LAST_STEP_AND_NEXT_TOKEN,
    SLIP,
    Choice,
    Curve,
    Multiverse,
    Option,
    curve,
)
from pathlen.claims.verdict import Region, Verdict, above, below, within
from pathlen.columns.measurement import Measurement, Published
from pathlen.errors import UndefinedEstimate
from pathlen.stats import largest_difference, partial, pearson, spearman, winsorised
from pathlen.stats.clusters import Passages
from pathlen.stats.correlation import mid_ranks, pulled_in
from pathlen.stats.statistic import Smooth

BASE = {choice.name: choice.options[0].name for choice in LAST_STEP_AND_NEXT_TOKEN.choices}
NEIGHBOUR = {"state": "after it", "next token": "top logit"}
SHAPE = tuple(len(choice.options) for choice in LAST_STEP_AND_NEXT_TOKEN.choices)


def made_up(seed: int, r: float = 0.0, *, passages: int = 12, tokens: int = 120) -> Measurement:
    """Two blocks, passages of different lengths that drift, and about ``r`` between the last step and the next logit."""
    draw = np.random.default_rng(seed)
    lengths = tokens + 7 * np.arange(passages)
    rows = int(lengths.sum())
    place = np.concatenate([np.arange(one) for one in lengths])
    logit, entropy, top = draw.normal(size=(3, rows))
    logit += 0.002 * place  # a text's logits grow along it, and so do its steps
    step = r * logit + np.sqrt(1 - r**2) * draw.normal(size=rows) + 0.002 * place
    norm = np.exp(0.2 * draw.normal(size=(3, rows)))
    after = 5 + 0.5 * step + draw.normal(size=rows)
    log_probability = -np.exp(-0.5 * logit + 0.3 * draw.normal(size=rows))
    return Measurement(
        passage=np.repeat(np.arange(passages), lengths),
        token_id=np.minimum(draw.geometric(0.05, size=rows), 60),
        token=place + 1,
        position=place + 1,
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


def place_of(**options: str) -> int:
    """The number of the universe with these options, the claim's own where nothing is said."""
    chosen = BASE | {name.replace("_", " "): option for name, option in options.items()}
    at = [
        [option.name for option in choice.options].index(chosen.pop(choice.name))
        for choice in LAST_STEP_AND_NEXT_TOKEN.choices
    ]
    assert not chosen
    return int(np.ravel_multi_index(at, SHAPE))


def every(measured: Measurement) -> np.ndarray:
    """The number of every universe, unrounded."""
    found: np.ndarray = np.tanh(np.concatenate([one.values() for one in LAST_STEP_AND_NEXT_TOKEN.of(measured)]))
    return found


def of_one(measured: Measurement, region: Region, verdict: Verdict = Verdict.SUPPORTED, seed: int = 0) -> Curve:
    return curve(LAST_STEP_AND_NEXT_TOKEN, [(measured, published(measured))], region, verdict, seed=seed)


@pytest.fixture(scope="module")
def measured() -> Measurement:
    return made_up(0, -0.5)


@pytest.fixture(scope="module")
def values(measured: Measurement) -> np.ndarray:
    return every(measured)


@pytest.fixture(scope="module")
def planted(measured: Measurement) -> Curve:
    return of_one(measured, below(0.0))


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


def test_the_claims_own_analysis_is_the_first_universe_and_equivalent(values: np.ndarray, planted: Curve) -> None:
    assert place_of() == 0
    assert planted.kinds[0] == EQUIVALENT
    assert planted.values[0] == round(float(values[0]), 4)


Columns = tuple[np.ndarray, np.ndarray]
Relation = Callable[[np.ndarray, np.ndarray, Measurement], Smooth]


def plain(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    return pearson(x, y, passage=measured.passage)


def level(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
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
    x, y, norm = (passages.within(mid_ranks, one) for one in (x, y, measured.residual_norm[-2]))
    return partial(x, y, given=[norm], passage=measured.passage)


def pulled_without_frequency(x: np.ndarray, y: np.ndarray, measured: Measurement) -> Smooth:
    passages = Passages.of(measured.passage)
    x, y, often = (passages.within(pulled_in, one) for one in (x, y, measured.log_frequency))
    return partial(x, y, given=[often], passage=measured.passage)


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
# Options, the columns they stand for, the statistic, and the first token that is kept.
DIRECT: list[tuple[dict[str, str], Column, Column, Relation, int]] = [
    ({}, last, logit, plain, 1),
    ({"correlation": "Spearman"}, last, logit, ranked, 1),
    ({"correlation": "winsorised 5 %"}, last, logit, pulled, 1),
    ({"taken_out": "nothing"}, last, logit, level, 1),
    ({"taken_out": "trend and residual norm"}, last, logit, without_norm, 1),
    ({"taken_out": "trend and token frequency"}, last, logit, without_frequency, 1),
    ({"first_tokens_left_out": "4"}, last, logit, plain, 4),
    ({"first_tokens_left_out": "8"}, last, logit, plain, 8),
    ({"state": "after it"}, through, logit, plain, 1),
    ({"step": "over the norm before it"}, relative, logit, plain, 1),
    ({"state": "after it", "step": "over the norm before it"}, relative_through, logit, plain, 1),
    ({"next_token": "log-probability"}, last, lambda one: one.next_log_probability, plain, 1),
    ({"next_token": "probability"}, last, lambda one: np.exp(one.next_log_probability), plain, 1),
    ({"next_token": "rank, reversed"}, last, reversed_rank, plain, 1),
    ({"next_token": "entropy, reversed"}, last, lambda one: -one.entropy, plain, 1),
    ({"next_token": "top logit"}, last, lambda one: one.top_logit, plain, 1),
    # Several at once, so that no option only works where the others are the claim's own.
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
        lambda one: one.top_logit,
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
    ("options", "x", "y", "relation", "least"),
    DIRECT,
    ids=[", ".join(options.values()) or "the claim's own" for options, *_ in DIRECT],
)
def test_a_universe_is_the_analysis_that_its_options_name(
    measured: Measurement,
    values: np.ndarray,
    options: dict[str, str],
    x: Column,
    y: Column,
    relation: Relation,
    least: int,
) -> None:
    kept = measured.where(measured.token >= least)
    expected = relation(x(kept), y(kept), kept).value
    assert values[place_of(**options)] == pytest.approx(expected, abs=1e-9)


def test_no_two_of_these_universes_are_one(values: np.ndarray) -> None:
    found = [values[place_of(**options)] for options, *_ in DIRECT]
    assert len({round(float(one), 9) for one in found}) == len(DIRECT)


def test_the_equivalent_universes_are_those_without_a_slip_or_an_extension(planted: Curve) -> None:
    where = [
        place_of(correlation=one, first_tokens_left_out=two, taken_out=three, next_token=four)
        for one in ("Pearson", "Spearman", "winsorised 5 %")
        for two in ("1", "4", "8")
        for three in ("trend along the text", "nothing")
        for four in ("logit", "log-probability", "probability", "rank, reversed")
    ]
    assert sorted(where) == [place for place, kind in enumerate(planted.kinds) if kind == EQUIVALENT]
    assert planted.kinds[place_of(state="after it")] == SLIP
    assert planted.kinds[place_of(**NEIGHBOUR)] == EXTENSION
    assert planted.kinds[place_of(step="over the norm before it")] == EXTENSION


@pytest.mark.parametrize("edge", [-0.5, -0.45, -0.43, -0.41, -0.39, -0.37, -0.35, -0.33, -0.3, -0.27])
def test_a_universe_is_judged_by_its_own_interval(measured: Measurement, edge: float) -> None:
    region = below(edge)
    found = of_one(measured, region, seed=4)
    passage, x, y = measured.passage, measured.last_step, measured.next_logit
    for options, statistic in (
        ({}, pearson(x, y, passage=passage)),
        ({"correlation": "Spearman"}, spearman(x, y, passage=passage)),
        ({"correlation": "winsorised 5 %"}, winsorised(x, y, passage=passage)),
        ({"taken_out": "nothing"}, pearson(x, y, passage=passage, trend=0)),
    ):
        own = statistic.estimate(seed=4, replicates=1999)
        assert found.verdicts[place_of(**options)] == region.judge(own.low, own.high).value[0]


def test_a_margin_is_judged_by_the_interval_of_90_percent() -> None:
    measured = made_up(3)
    statistic = pearson(measured.last_step, measured.next_logit, passage=measured.passage)
    own, wide = (statistic.estimate(level=level, replicates=1999) for level in (0.90, 0.95))
    edge, beyond = (max(-one.low, one.high) for one in (own, wide))
    assert beyond > 1.01 * edge
    assert of_one(measured, within(-1.001 * edge, 1.001 * edge)).verdicts[0] == "s"
    assert of_one(measured, within(-0.999 * edge, 0.999 * edge)).verdicts[0] == "i"


def test_the_published_number_stands_beside_them(measured: Measurement, planted: Curve) -> None:
    expected = pearson(measured.final_norm_step, measured.next_logit, passage=measured.passage, trend=0).value
    assert planted.published == round(expected, 4)


# What a planted relation, and none, come to.


def test_a_planted_relation_is_found_in_every_equivalent_universe(planted: Curve) -> None:
    assert {one for one, kind in zip(planted.verdicts, planted.kinds, strict=True) if kind == EQUIVALENT} == {"s"}
    assert planted.agreeing == 1.0
    assert not planted.is_fragile
    assert planted.median == pytest.approx(float(np.median(planted.values_of(EQUIVALENT))))
    assert -0.5 < planted.median < -0.25
    assert planted.p_value == 1 / 2000


def test_the_opposite_relation_is_refuted_in_every_equivalent_universe() -> None:
    found = of_one(made_up(1, 0.4), below(0.0), Verdict.REFUTED)
    assert found.agreeing == 1.0
    assert found.median > 0.15
    assert found.p_value == 1 / 2000


def test_where_there_is_no_relation_the_joint_p_value_is_seldom_small() -> None:
    """If uniform, three of ten below 0.05 come once in 87 times, and one below 0.001 once in 100."""
    found = [of_one(made_up(seed), below(0.0), seed=seed).p_value for seed in range(20, 30)]
    p_values = [one for one in found if one is not None]
    assert len(p_values) == 10
    assert sum(one < 0.05 for one in p_values) <= 2
    assert min(p_values) > 0.001
    assert 0.2 < np.median(p_values) < 0.9


def test_the_joint_p_value_is_that_of_the_median_score(measured: Measurement) -> None:
    """By hand from the same resamples."""
    weak = made_up(5, -0.03)
    parts = [one.resampled(seed=2, replicates=1999) for one in LAST_STEP_AND_NEXT_TOKEN.of(weak)]
    found = of_one(weak, below(0.0), seed=2)
    same = np.array(found.kinds) == EQUIVALENT
    scores = np.concatenate([one.scores for one in parts if one.scores is not None], axis=1)[:, same]
    observed = np.concatenate([one.value / one.error for one in parts])[same]
    at_least = np.abs(np.median(scores, axis=1)) >= abs(np.median(observed))
    assert found.p_value == pytest.approx((at_least.sum() + 1) / 2000)
    assert at_least.any()


def test_the_same_seed_gives_the_same_curve(measured: Measurement, planted: Curve) -> None:
    assert of_one(measured, below(0.0)) == planted
    assert of_one(measured, below(0.0), seed=1).values == planted.values


# Two models, and several.


def test_two_models_are_contrasted_universe_by_universe(measured: Measurement, values: np.ndarray) -> None:
    other = made_up(1, 0.2)
    columns = [(one, published(one)) for one in (measured, other)]
    found = curve(LAST_STEP_AND_NEXT_TOKEN, columns, below(0.0), Verdict.SUPPORTED, seed=0)
    expected = np.arctanh(values) - np.arctanh(every(other))
    assert found.values == pytest.approx(expected, abs=0.5e-4 + 1e-9)
    mine, theirs = (pearson(one.last_step, one.next_logit, passage=one.passage) for one in (measured, other))
    assert found.values[0] == round(mine.minus(theirs).value, 4)
    originals = [
        pearson(one.final_norm_step, one.next_logit, passage=one.passage, trend=0) for one in (measured, other)
    ]
    assert found.published == round(originals[0].minus(originals[1]).value, 4)
    assert found.agreeing == 1.0
    assert found.p_value == 1 / 2000


def test_a_contrast_is_judged_by_its_paired_interval(measured: Measurement) -> None:
    other = made_up(1, -0.25)
    columns = [(one, published(one)) for one in (measured, other)]
    mine, theirs = (pearson(one.last_step, one.next_logit, passage=one.passage) for one in (measured, other))
    own = mine.minus(theirs).estimate(replicates=1999)
    for edge, letter in ((own.low - 0.01, "r"), (own.value, "i"), (own.high + 0.01, "s")):
        assert curve(LAST_STEP_AND_NEXT_TOKEN, columns, below(edge), Verdict.SUPPORTED, seed=0).verdicts[0] == letter


def test_of_several_models_the_largest_difference_is_taken(measured: Measurement) -> None:
    models = [measured, made_up(1, 0.5), made_up(2)]
    columns = [(one, published(one)) for one in models]
    found = curve(LAST_STEP_AND_NEXT_TOKEN, columns, above(0.1), Verdict.SUPPORTED, seed=0)
    each = [np.arctanh(every(one)) for one in models]
    expected = np.max([np.abs(one - other) for one, other in combinations(each, 2)], axis=0)
    assert found.values == pytest.approx(expected, abs=0.5e-4 + 1e-9)
    parts = [pearson(one.last_step, one.next_logit, passage=one.passage) for one in models]
    assert found.values[0] == round(largest_difference(parts).value, 4)
    assert found.agreeing == 1.0
    assert found.p_value == 1 / 2000


def test_the_interval_of_a_largest_difference_is_nearly_the_claims_own(measured: Measurement) -> None:
    models = [measured, made_up(1, -0.1), made_up(2)]
    columns = [(one, published(one)) for one in models]
    own = largest_difference([pearson(one.last_step, one.next_logit, passage=one.passage) for one in models]).estimate()
    slack = 0.1 * (own.high - own.low)
    for edge, letter in ((own.low - slack, "s"), (own.value, "i"), (own.high + slack, "r")):
        assert curve(LAST_STEP_AND_NEXT_TOKEN, columns, above(edge), Verdict.SUPPORTED, seed=0).verdicts[0] == letter


def test_models_that_do_not_differ_are_not_said_to() -> None:
    models = [made_up(seed, -0.2) for seed in (30, 31, 32)]
    columns = [(one, published(one)) for one in models]
    found = curve(LAST_STEP_AND_NEXT_TOKEN, columns, above(0.0), Verdict.INCONCLUSIVE, seed=0)
    assert found.agreeing > 0.8
    assert found.p_value is not None
    assert found.p_value > 0.01


# Too little.


def test_fewer_than_five_passages_give_a_curve_and_no_joint_p_value() -> None:
    few = made_up(6, -0.5, passages=3, tokens=200)
    found = of_one(few, below(0.0))
    assert found.p_value is None
    own = pearson(few.last_step, few.next_logit, passage=few.passage).estimate()
    assert own.unit == "texts"
    assert found.values[0] == round(own.value, 4)
    assert found.verdicts[0] == below(0.0).judge(own.low, own.high).value[0]
    other = made_up(7, passages=3, tokens=200)
    contrast = curve(
        LAST_STEP_AND_NEXT_TOKEN,
        [(one, published(one)) for one in (few, other)],
        below(0.0),
        Verdict.SUPPORTED,
        seed=0,
    )
    assert contrast.p_value is None


def test_several_models_of_few_passages_share_their_blocks() -> None:
    columns = [(one, published(one)) for one in (made_up(seed, passages=3, tokens=200) for seed in range(3))]
    found = curve(LAST_STEP_AND_NEXT_TOKEN, columns, above(0.1), Verdict.SUPPORTED, seed=0)
    z = [pearson(one.last_step, one.next_logit, passage=one.passage) for one, _ in columns]
    assert found.values[0] == round(largest_difference(z).value, 4)
    assert found.p_value is not None


def test_a_universe_without_a_number_is_an_error(measured: Measurement) -> None:
    with pytest.raises(UndefinedEstimate, match="constant|nothing but a trend"):
        every(measured.with_columns(entropy=np.ones_like(measured.entropy)))


def test_what_does_not_vary_can_not_be_taken_out(measured: Measurement) -> None:
    with pytest.raises(UndefinedEstimate, match="is nothing but a trend within every passage"):
        every(measured.with_columns(token_id=np.zeros_like(measured.token_id)))


def test_columns_are_left_as_they_were(measured: Measurement) -> None:
    every(measured)  # makes the columns
    before = {name: getattr(measured, name).copy() for name in measured.made}
    every(measured)
    assert all(np.array_equal(getattr(measured, name), column) for name, column in before.items())


# Curves.

CHOICES = (
    Choice("correlation", (Option("Pearson"), Option("Spearman"))),
    Choice("state", (Option("before"), Option("after", SLIP), Option("relative", EXTENSION))),
)


def small(**changes: object) -> Curve:
    given: dict[str, object] = {
        "choices": CHOICES,
        "values": (0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
        "verdicts": "srisri",
        "verdict": "supported",
        "published": 0.2,
        "p_value": 0.01,
    }
    return Curve(**(given | changes))  # type: ignore[arg-type]


def test_a_small_curve_by_hand() -> None:
    found = small()
    assert found.kinds == [EQUIVALENT, SLIP, EXTENSION] * 2
    assert (found.values_of(EQUIVALENT), found.values_of(SLIP), found.values_of(EXTENSION)) == (
        [0.1, 0.5],
        [0.2, 0.7],
        [0.3, 0.9],
    )
    assert found.median == pytest.approx(0.3)
    assert found.agreeing == 1.0
    # Pearson to Spearman: 0.4, 0.5 and 0.6; the state: 0.2 and 0.4.
    assert [name for name, _ in found.moves] == ["correlation", "state"]
    assert [size for _, size in found.moves] == pytest.approx([0.5, 0.3])


def test_a_multiverse_counts_its_universes() -> None:
    made = Multiverse(
        name="made up",
        choices=CHOICES,
        of=LAST_STEP_AND_NEXT_TOKEN.of,
        original=LAST_STEP_AND_NEXT_TOKEN.original,
    )
    assert len(made) == 6


@pytest.mark.parametrize(
    ("letters", "verdict", "agreeing", "fragile"),
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
def test_a_decided_verdict_is_fragile_where_fewer_than_four_in_five_agree(
    letters: str, verdict: str, agreeing: float, fragile: bool
) -> None:
    """One slip and one extension stand beside them, and have no say."""
    options = (*(Option(str(one)) for one in range(5)), Option("slip", SLIP), Option("extension", EXTENSION))
    found = small(choices=(Choice("one", options),), values=(0.0,) * 7, verdicts=letters + "rr", verdict=verdict)
    assert found.agreeing == pytest.approx(agreeing)
    assert found.is_fragile is fragile


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
def test_a_curve_of_other_lengths_or_letters_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\d universes need as many values and verdicts \(s, r or i\), but \d and '"):
        small(**changes)


@pytest.mark.parametrize("verdict", ["certain", "vacuous", "not tested", "error"])
def test_a_curve_belongs_to_a_verdict_that_an_interval_can_come_to(verdict: str) -> None:
    with pytest.raises(ValueError, match=verdict):
        small(verdict=verdict)
