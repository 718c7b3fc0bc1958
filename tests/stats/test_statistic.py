"""Values against independent software, intervals by their coverage, and every refusal."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from pathlen.claims.power import detectable
from pathlen.claims.verdict import Region
from pathlen.errors import UndefinedEstimate
from pathlen.stats import (
    Estimate,
    Interval,
    Statistic,
    cliffs_delta,
    estimator,
    every,
    head_cancellation,
    largest,
    log_slope,
    mean,
    partial,
    pearson,
    pooled_pearson,
    ratio,
    share,
    slope,
    spearman,
    variation,
    winsorised,
)
from pathlen.stats.autocorrelation import lag_one
from pathlen.stats.clusters import Passages, blocks_of
from pathlen.stats.exact import exact_bounds
from pathlen.stats.power import smallest_effect, smallest_margin, tokens_for_effect, tokens_for_margin, tokens_to_decide
from pathlen.stats.products import all_pairs
from pathlen.stats.resampling import studentised_from_influences, studentised_from_products
from pathlen.stats.statistic import Smooth
from pathlen.stats.transforms import SCALES

DRAW = np.random.default_rng(7)
PASSAGE = np.repeat(np.arange(12), 50)
X = DRAW.normal(size=600) + DRAW.normal(size=12)[PASSAGE]
Y = X * 0.4 + DRAW.normal(size=600) + DRAW.normal(size=12)[PASSAGE]


def centred(column: np.ndarray) -> np.ndarray:
    means = np.array([column[PASSAGE == number].mean() for number in range(12)])
    deviations: np.ndarray = column - means[PASSAGE]
    return deviations


# Values.


def test_pearson_within_passages_is_scipys_on_centred_columns() -> None:
    expected = scipy.stats.pearsonr(centred(X), centred(Y)).statistic
    assert pearson(X, Y, passage=PASSAGE, trend=0).estimate().value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("trend", [1, 2, 3])
def test_a_trend_is_taken_out_of_each_passage_as_by_least_squares(trend: int) -> None:
    residuals = np.empty((2, 600))
    for column, residual in zip((X, Y), residuals, strict=True):
        for number in range(12):
            rows = PASSAGE == number
            residual[rows] = column[rows] - np.polyval(np.polyfit(np.arange(50), column[rows], trend), np.arange(50))
    expected = scipy.stats.pearsonr(*residuals).statistic
    assert pearson(X, Y, passage=PASSAGE, trend=trend).estimate().value == pytest.approx(expected, abs=1e-9)


def test_two_columns_that_drift_alike_are_related_only_if_the_trend_is_left_in() -> None:
    drift = np.tile(np.linspace(0, 5, 50), 12)
    x, y = DRAW.normal(size=(2, 600)) + drift
    assert pearson(x, y, passage=PASSAGE, trend=0).estimate().low > 0.4
    estimate = pearson(x, y, passage=PASSAGE).estimate()
    assert estimate.low < 0 < estimate.high
    for robust in (spearman, winsorised):
        assert abs(robust(x, y, passage=PASSAGE).estimate().value) < 0.15


def test_all_pairs_are_the_correlations_of_every_two_and_resample_alike() -> None:
    passages = Passages.of(PASSAGE)
    x, y = (passages.detrended(np.stack(columns), 0) for columns in ([X, X**2, X**3], [X + Y, Y**2]))
    pairs = all_pairs(x, y, passages=passages)
    expected = pearson(np.repeat(x, 2, axis=0), np.tile(y, (3, 1)), passage=PASSAGE, trend=0)
    np.testing.assert_allclose(pairs.values(), expected.values(), rtol=1e-10)
    resampled, expected_resampled = (statistic.resampled(seed=3) for statistic in (pairs, expected))
    np.testing.assert_allclose(resampled.error, expected_resampled.error, rtol=1e-8)
    assert resampled.scores is not None
    assert expected_resampled.scores is not None
    np.testing.assert_allclose(resampled.scores, expected_resampled.scores, rtol=1e-6)
    with pytest.raises(UndefinedEstimate, match="constant within every passage"):
        all_pairs(np.ones((1, 600)), y, passages=passages)


def test_pearson_of_one_passage_is_scipys() -> None:
    estimate = pearson(X, Y, passage=np.zeros(600, int), trend=0).estimate()
    assert estimate.value == pytest.approx(scipy.stats.pearsonr(X, Y).statistic, abs=1e-12)
    assert (estimate.unit, estimate.units, estimate.replicates) == ("texts", 1, 0)
    assert str(estimate).endswith("(600 tokens in 1 text)")


def test_spearman_of_one_passage_is_scipys() -> None:
    value = spearman(X, Y, passage=np.zeros(600, int), trend=0).estimate().value
    assert value == pytest.approx(scipy.stats.spearmanr(X, Y).statistic, abs=1e-12)


def test_a_difference_between_passages_is_no_relation_between_tokens() -> None:
    shift = 10.0 * PASSAGE
    plain, shifted = (pearson(X + move, Y + move, passage=PASSAGE).estimate().value for move in (0.0, shift))
    assert shifted == pytest.approx(plain, abs=1e-9)


def test_ratio_and_share_by_hand() -> None:
    assert ratio(np.exp(X), np.exp(Y), passage=PASSAGE).estimate().value == pytest.approx(
        np.exp(X).sum() / np.exp(Y).sum()
    )
    assert share(np.stack([X > 0, Y > 0]), passage=PASSAGE).estimate().value == pytest.approx(
        ((X > 0).mean() + (Y > 0).mean()) / 2
    )


def test_log_slope_is_numpys_fit() -> None:
    columns = np.exp(0.05 * np.arange(9))[:, None] * np.exp(0.1 * DRAW.normal(size=(9, 600)))
    expected = np.polyfit(np.arange(9), np.log(columns.mean(axis=1)), 1)[0]
    assert log_slope(columns, passage=PASSAGE).estimate().value == pytest.approx(expected, abs=1e-12)


def test_lag_one_is_statsmodels_for_one_passage() -> None:
    expected = sm.tsa.acf(X, nlags=1)[1]
    assert lag_one(X, passage=np.zeros(600)) == pytest.approx(expected)
    assert lag_one(np.ones(5), passage=np.zeros(5)) is None


def test_pooled_pearson_is_scipys_and_sees_differences_between_passages() -> None:
    pooled = pooled_pearson(X, Y, passage=PASSAGE).estimate()
    assert pooled.value == pytest.approx(scipy.stats.pearsonr(X, Y).statistic, abs=1e-12)
    assert pooled.unit == "passages"
    moved = pooled_pearson(X + 10.0 * PASSAGE, Y + 10.0 * PASSAGE, passage=PASSAGE).estimate().value
    assert moved > 0.95 > pooled.value


def test_winsorised_is_scipys_where_quantiles_fall_on_values() -> None:
    passage = np.zeros(201, int)
    x, y = X[:201], Y[:201]
    expected = [scipy.stats.mstats.winsorize(column, limits=(0.05, 0.05)).data for column in (x, y)]
    value = winsorised(x, y, passage=passage, trend=0).estimate().value
    assert value == pytest.approx(np.corrcoef(*expected)[0, 1], abs=1e-12)
    assert winsorised(x, y, passage=passage, tail=0.0, trend=0).estimate().value == pytest.approx(
        np.corrcoef(x, y)[0, 1], abs=1e-12
    )


def test_one_wild_token_moves_winsorised_and_spearman_little() -> None:
    wild = X.copy()
    wild[7], plain = 1e4, pearson(X, Y, passage=PASSAGE).estimate().value
    assert abs(pearson(wild, Y, passage=PASSAGE).estimate().value) < 0.5 * plain
    for robust in (winsorised, spearman):
        before, after = (robust(column, Y, passage=PASSAGE).estimate().value for column in (X, wild))
        assert after == pytest.approx(before, abs=0.02)


def test_partial_is_the_correlation_of_statsmodels_residuals() -> None:
    given = [X + Y + DRAW.normal(size=600), DRAW.normal(size=600) ** 2]
    design = np.stack([centred(column) for column in given], axis=1)
    residuals = [sm.OLS(centred(column), design).fit().resid for column in (X, Y)]
    value = partial(X, Y, given=given, passage=PASSAGE, trend=0).estimate().value
    assert value == pytest.approx(np.corrcoef(*residuals)[0, 1], abs=1e-12)


def test_a_relation_due_to_a_third_column_vanishes_once_it_is_given() -> None:
    cause = DRAW.normal(size=600)
    x, y = cause + 0.5 * DRAW.normal(size=600), cause + 0.5 * DRAW.normal(size=600)
    assert pearson(x, y, passage=PASSAGE).estimate().low > 0.6
    estimate = partial(x, y, given=[cause], passage=PASSAGE).estimate()
    assert estimate.low < 0 < estimate.high


def test_heads_of_random_directions_neither_offset_nor_reinforce_each_other() -> None:
    vectors = DRAW.normal(size=(8, 600, 400))
    norms, together = np.linalg.norm(vectors, axis=-1), np.linalg.norm(vectors.sum(axis=0), axis=-1)
    assert head_cancellation(together, norms, passage=PASSAGE).estimate().value == pytest.approx(1, abs=0.01)
    offset = np.linalg.norm((vectors - 0.5 * vectors.mean(axis=0)).sum(axis=0), axis=-1)
    assert head_cancellation(offset, norms, passage=PASSAGE).estimate().high < 0.6
    with pytest.raises(ValueError, match="two heads or more"):
        head_cancellation(together, norms[:1], passage=PASSAGE)


def test_heads_of_several_blocks_are_taken_together() -> None:
    vectors = DRAW.normal(size=(3, 4, 600, 8)) * np.array([1.0, 5.0, 0.2])[:, None, None, None]
    vectors[1] -= 0.7 * vectors[1].mean(axis=0)  # one block's heads offset each other
    norms, together = np.linalg.norm(vectors, axis=-1), np.linalg.norm(vectors.sum(axis=1), axis=-1)
    unrelated = np.array(
        [[np.sqrt(sum(norms[b, h, row] ** 2 for h in range(4))) for row in range(600)] for b in range(3)]
    )
    statistic = head_cancellation(together, norms, passage=PASSAGE)
    assert statistic.value == pytest.approx(together.sum() / unrelated.sum())
    assert statistic.estimate().value == pytest.approx(statistic.value)
    assert statistic.tokens == 600
    alone = [head_cancellation(together[b], norms[b], passage=PASSAGE).value for b in range(3)]
    assert min(alone) < statistic.value < max(alone)
    single_block = head_cancellation(together[1:2], norms[1:2], passage=PASSAGE).estimate()
    assert single_block == head_cancellation(together[1], norms[1], passage=PASSAGE).estimate()


@pytest.mark.parametrize(
    ("together", "heads", "message"),
    [
        ((600,), (1, 600), r"with two heads or more, but has \(1, 600\)"),
        ((3, 600), (3, 1, 600), r"with two heads or more, but has \(3, 1, 600\)"),
        ((600,), (600,), r"head_norms must have shape \(heads, rows\) or \(blocks, heads, rows\)"),
        ((600,), (2, 3, 4, 600), r"but has \(2, 3, 4, 600\)"),
        ((600,), (3, 4, 600), r"norm_of_sum must have shape \(3, 600\) like head_norms, but has \(600,\)"),
        ((3, 600), (4, 600), r"norm_of_sum must have shape \(600,\) like head_norms, but has \(3, 600\)"),
        ((4, 600), (3, 4, 600), r"must have shape \(3, 600\) like head_norms, but has \(4, 600\)"),
    ],
)
def test_heads_and_their_sum_need_matching_shapes(
    together: tuple[int, ...], heads: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        head_cancellation(np.ones(together), np.ones(heads), passage=PASSAGE)


def test_variation_is_scipys() -> None:
    values = np.exp(0.3 * X)
    estimate = variation(values, passage=PASSAGE).estimate()
    assert estimate.value == pytest.approx(scipy.stats.variation(values), abs=1e-12)
    assert variation(1e6 * values, passage=PASSAGE).estimate().low == pytest.approx(estimate.low)
    with pytest.raises(UndefinedEstimate, match="needs positive values, but the least is -"):
        variation(X, passage=PASSAGE)


def test_mean_by_hand() -> None:
    assert mean(X, passage=PASSAGE).estimate().value == pytest.approx(X.mean())


def test_cliffs_delta_is_scipys_mann_whitney_of_one_passage_and_weighs_passages_by_pairs() -> None:
    top, bottom = Y > 0.5, Y < -0.5
    pairs = won = 0.0
    for number in range(12):
        rows = PASSAGE == number
        a, b = np.round(X[rows & top], 1), np.round(X[rows & bottom], 1)  # rounding makes ties
        u = scipy.stats.mannwhitneyu(a, b).statistic if len(a) and len(b) else 0.0
        won += 2 * u - len(a) * len(b)
        pairs += len(a) * len(b)
    estimate = cliffs_delta(np.round(X, 1), top=top, bottom=bottom, passage=PASSAGE).estimate()
    assert estimate.value == pytest.approx(won / pairs, abs=1e-12)


# Standard errors and intervals.


def contrast() -> Smooth:
    return pearson(X, Y, passage=PASSAGE).minus(pearson(X, centred(Y) ** 3, passage=PASSAGE))


def smooth(statistic: Statistic) -> Smooth:
    assert isinstance(statistic, Smooth)
    return statistic


STATISTICS = {
    "pearson": pearson(X, Y, passage=PASSAGE),
    "spearman": spearman(X, Y, passage=PASSAGE),
    "winsorised": winsorised(X, Y, passage=PASSAGE),
    "pooled": pooled_pearson(X, Y, passage=PASSAGE),
    "partial": partial(X, Y, given=[np.sin(X), np.cos(Y)], passage=PASSAGE),
    "mean": mean(X + 3, passage=PASSAGE),
    "cliffs_delta": cliffs_delta(X, top=Y > 1, bottom=Y < -1, passage=PASSAGE),
    "ratio": ratio(np.exp(X), np.exp(Y), passage=PASSAGE),
    "share": smooth(share(X > 0, passage=PASSAGE)),
    "log_slope": log_slope(np.exp(np.stack([X, Y, X + Y])), passage=PASSAGE),
    "variation": variation(np.exp(X), passage=PASSAGE),
    "contrast": contrast(),
    "slope": slope(Y, X, passage=PASSAGE),
    "estimator": smooth(estimator(lambda x, xx: xx - x**2)(X, X**2, passage=PASSAGE)),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_a_gradient_is_the_slope_of_its_function(name: str) -> None:
    statistic = STATISTICS[name]
    total = statistic.moments.sum(axis=-1)
    for moment in range(len(total)):
        step = np.zeros_like(total)
        step[moment] = 1e-6 * np.abs(total).max()
        slope = (statistic.function(total + step) - statistic.function(total - step)) / (2 * step[moment])
        assert statistic.gradient(total)[moment] == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_value_is_the_estimates_and_lies_between_its_ends(name: str) -> None:
    statistic = STATISTICS[name]
    assert statistic.value == statistic.estimate(replicates=199).value
    low, high = statistic.ends
    assert low < statistic.value < high


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("pearson", (-1.0, 1.0)),
        ("cliffs_delta", (-1.0, 1.0)),
        ("ratio", (0.0, np.inf)),
        ("variation", (0.0, np.inf)),
        ("share", (0.0, 1.0)),
        ("mean", (-np.inf, np.inf)),
        ("contrast", (-np.inf, np.inf)),
    ],
)
def test_ends_are_the_smallest_and_the_largest_possible_value(name: str, ends: tuple[float, float]) -> None:
    assert STATISTICS[name].ends == ends


def test_a_value_needs_a_single_finite_number() -> None:
    several = pearson(np.stack([X, Y, X - Y]), Y + X**2, passage=PASSAGE)
    with pytest.raises(ValueError, match="Pearson r .* has 3 numbers side by side, so none is its value"):
        several.value  # noqa: B018
    with pytest.raises(UndefinedEstimate, match="as for a perfect relation"):
        pearson(X, X, passage=PASSAGE).value  # noqa: B018


def test_a_value_needs_no_units_to_resample() -> None:
    few = pearson(X[:20], Y[:20], passage=PASSAGE[:20], trend=0)
    assert few.value == pytest.approx(scipy.stats.pearsonr(X[:20], Y[:20]).statistic)
    with pytest.raises(UndefinedEstimate, match="at least 5 passages or 100 tokens"):
        few.estimate()


@pytest.mark.parametrize("name", STATISTICS)
def test_scores_are_the_same_from_products_and_from_influences(name: str) -> None:
    statistic = STATISTICS[name]
    sums, value = statistic.sums(statistic.passages), statistic.values()
    sums = np.repeat(sums, 5, axis=-1)  # 60 units
    from_products, from_influences = (
        scores_by(sums, statistic.function, statistic.gradient, value, replicates=999, seed=1)
        for scores_by in (studentised_from_products, studentised_from_influences)
    )
    np.testing.assert_allclose(from_influences, from_products, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", STATISTICS)
def test_influences_sum_to_zero(name: str) -> None:
    influences = STATISTICS[name].influences()
    assert abs(influences.sum()) < 1e-12 * np.abs(influences).sum() + 1e-15


@pytest.mark.parametrize("name", STATISTICS)
def test_the_standard_error_is_close_to_the_jackknife_over_units(name: str) -> None:
    statistic = STATISTICS[name]
    sums = statistic.passages.sums(statistic.moments)
    total, units = sums.sum(axis=-1), sums.shape[-1]
    without = np.array([statistic.function(total - unit) for unit in sums.T])
    jackknife = np.sqrt((units - 1) / units * np.sum((without - without.mean()) ** 2))
    assert statistic.estimate().standard_error == pytest.approx(jackknife, rel=0.15)


def test_the_standard_error_of_a_slope_is_statsmodels_cluster_robust_one() -> None:
    """The sandwich of Fisher's z at r near 0 is that of the regression slope of standardised columns."""
    x, y = centred(X), centred(DRAW.normal(size=600))
    x, y = x / x.std(), y / y.std()
    # use_correction=False: statsmodels' small-sample factor also counts parameters, ours only units.
    fit = sm.OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": PASSAGE, "use_correction": False})
    ours = pearson(x, y, passage=PASSAGE, trend=0).estimate()
    assert ours.standard_error == pytest.approx(float(fit.bse[0]) * np.sqrt(12 / 11), rel=0.02)


def test_the_same_seed_gives_the_same_interval_and_another_nearly() -> None:
    statistic = STATISTICS["pearson"]
    first, same, other = (statistic.estimate(seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first != other
    assert first.low == pytest.approx(other.low, abs=0.02)


def test_a_higher_level_gives_a_wider_interval() -> None:
    narrow, wide = (STATISTICS["pearson"].estimate(level=level) for level in (0.90, 0.95))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_global_random_state_is_left_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    STATISTICS["pearson"].estimate()
    assert str(np.random.get_state(legacy=False)) == str(before)  # noqa: NPY002


def simulated(seed: int, passages: int, rho: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AR(1) columns of 0.3 inside passages that differ in level, correlated ``rho`` within."""
    draw = np.random.default_rng(seed)
    tokens = 120
    noise = draw.normal(size=(2, passages, tokens))
    noise[1] = rho * noise[0] + np.sqrt(1 - rho**2) * noise[1]
    series = np.empty_like(noise)
    series[..., 0] = noise[..., 0]
    for t in range(1, tokens):
        series[..., t] = 0.3 * series[..., t - 1] + np.sqrt(1 - 0.09) * noise[..., t]
    series += 0.5 * draw.normal(size=(2, passages, 1))
    return series[0].ravel(), series[1].ravel(), np.repeat(np.arange(passages), tokens)


@pytest.mark.parametrize(("passages", "rho"), [(8, 0.0), (14, -0.3)])
def test_95_percent_intervals_over_passages_cover(passages: int, rho: float) -> None:
    """600 runs; a true coverage of 95 % falls below 92.5 % or above 97.5 % about once in 150 times."""
    hits = 0
    for seed in range(600):
        x, y, passage = simulated(seed, passages, rho)
        estimate = pearson(x, y, passage=passage).estimate(seed=seed, replicates=999)
        hits += estimate.low < rho < estimate.high
    assert 0.925 <= hits / 600 <= 0.975


def test_resampling_tokens_instead_would_undercover() -> None:
    """The check above can fail: passages that differ in their *relation* make tokens the wrong unit."""
    draw = np.random.default_rng(0)
    hits = {"tokens": 0, "passages": 0}
    passage = np.repeat(np.arange(14), 120)
    for seed in range(200):
        slope = 0.3 * draw.normal(size=14)[passage]
        x = draw.normal(size=passage.size)
        y = slope * x + draw.normal(size=passage.size)
        estimate = pearson(x, y, passage=passage).estimate(seed=seed, replicates=399)
        hits["passages"] += estimate.low < 0 < estimate.high
        fisher = scipy.stats.pearsonr(x, y).confidence_interval()
        hits["tokens"] += fisher.low < 0 < fisher.high
    assert hits["tokens"] < 0.75 * 200
    assert hits["passages"] > 0.88 * 200


def test_a_contrast_of_a_statistic_with_itself_does_not_vary() -> None:
    statistic = STATISTICS["pearson"]
    with pytest.raises(UndefinedEstimate, match="does not vary between 12 passages"):
        statistic.minus(statistic).estimate()


def test_a_paired_contrast_is_narrower_than_independent_ones() -> None:
    near = X + 0.1 * DRAW.normal(size=600)
    first, second = pearson(X, Y, passage=PASSAGE), pearson(near, Y, passage=PASSAGE)
    paired = first.minus(second).estimate().standard_error
    independent = np.hypot(first.estimate().standard_error, second.estimate().standard_error)
    assert paired < 0.5 * independent


# Units.


def test_a_passage_is_cut_into_blocks_that_differ_by_one_token() -> None:
    passages = Passages.of(np.repeat([0, 1, 2], [215, 59, 7]))
    lengths = blocks_of(passages, 20).lengths
    assert sorted(lengths[:10]) == [21] * 5 + [22] * 5
    assert sorted(lengths[10:]) == [7, 29, 30]


def test_too_little_of_anything_is_refused() -> None:
    few = np.repeat([0, 1], [50, 49])
    with pytest.raises(UndefinedEstimate, match="at least 5 passages or 100 tokens, but 2 passages with 99 tokens"):
        mean(X[:99], passage=few).estimate()
    with pytest.raises(UndefinedEstimate, match="resampling passages needs at least 5, but 2"):
        mean(X[:99], passage=few).estimate(by="passages")
    with pytest.raises(UndefinedEstimate, match="at least 10 units, but there are 9 blocks of 10 tokens"):
        mean(X[:99], passage=few).estimate(by="blocks")


def test_rows_of_a_passage_must_be_contiguous() -> None:
    with pytest.raises(ValueError, match="must stand together, but 2 passages change 99 times"):
        Passages.of(np.tile([0, 1], 50))


def test_only_known_units_are_resampled_and_they_are_named() -> None:
    with pytest.raises(ValueError, match="by must be 'passages', 'blocks' or 'tokens', but 'words'"):
        STATISTICS["pearson"].estimate(by="words")  # type: ignore[arg-type]
    assert STATISTICS["pearson"].estimate(by="tokens").unit == "tokens, taken as independent"
    with pytest.raises(
        UndefinedEstimate, match="about pairs of tokens, so only whole passages can be resampled, not tokens"
    ):
        STATISTICS["cliffs_delta"].estimate(by="tokens")


# Refusals.


def test_a_constant_column_has_no_correlation() -> None:
    with pytest.raises(UndefinedEstimate, match="column y is nothing but a trend within every passage"):
        pearson(X, PASSAGE + np.tile(np.arange(50.0), 12), passage=PASSAGE)
    with pytest.raises(UndefinedEstimate, match="column y is constant within every passage"):
        pearson(X, PASSAGE.astype(float), passage=PASSAGE, trend=0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    broken = X.copy()
    broken[5] = value
    with pytest.raises(UndefinedEstimate, match="x holds 1 values that are not finite"):
        pearson(broken, Y, passage=PASSAGE)


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"y must have one value per row of passage \(600,\), but its shape is \(599,\)"
    ):
        pearson(X, Y[1:], passage=PASSAGE)


def test_ties_everywhere_and_sums_of_zero_have_no_estimate() -> None:
    with pytest.raises(UndefinedEstimate, match="column y is nothing but a trend"):
        spearman(X, np.ones(600), passage=PASSAGE)
    with pytest.raises(UndefinedEstimate, match="ratio of means has no interval .* a sum of zero"):
        ratio(np.exp(X), np.zeros(600), passage=PASSAGE).estimate()
    with pytest.raises(UndefinedEstimate, match="resamples are degenerate"):
        ratio(np.exp(X), np.where(PASSAGE == 0, np.exp(Y), 0.0), passage=PASSAGE).estimate()


def test_a_ratio_of_negative_values_is_refused() -> None:
    with pytest.raises(UndefinedEstimate, match="without negative values"):
        ratio(X, np.exp(Y), passage=PASSAGE)


def test_a_slope_needs_positive_values_and_two_blocks() -> None:
    with pytest.raises(UndefinedEstimate, match="positive finite values in every block"):
        log_slope(np.stack([X, Y]), passage=PASSAGE)
    with pytest.raises(ValueError, match="two blocks or more"):
        log_slope(np.exp(X)[None], passage=PASSAGE)


def test_the_given_columns_are_neither_collinear_nor_none() -> None:
    with pytest.raises(UndefinedEstimate, match="given 2 columns is undefined: the given columns are collinear"):
        partial(X, Y, given=[X**2, 3 * X**2], passage=PASSAGE)
    with pytest.raises(ValueError, match="without any, use pearson"):
        partial(X, Y, given=[], passage=PASSAGE)


def test_a_tail_is_less_than_half() -> None:
    with pytest.raises(ValueError, match="tail must lie from 0 to below 0.5, but 0.5"):
        winsorised(X, Y, passage=PASSAGE, tail=0.5)


def test_a_constant_column_has_no_pooled_correlation() -> None:
    with pytest.raises(UndefinedEstimate, match="pooled Pearson r is undefined: column x is constant"):
        pooled_pearson(np.ones(600), Y, passage=PASSAGE)


def test_groups_are_masks_that_do_not_overlap_in_enough_passages() -> None:
    with pytest.raises(TypeError, match="top must be an array of bool, but its type is int64"):
        cliffs_delta(X, top=PASSAGE, bottom=Y < 0, passage=PASSAGE)
    with pytest.raises(ValueError, match="no token may be in both groups, but 600 are"):
        cliffs_delta(X, top=Y < 99, bottom=Y < 99, passage=PASSAGE)
    with pytest.raises(UndefinedEstimate, match="no passage has tokens of both groups"):
        cliffs_delta(X, top=PASSAGE < 6, bottom=PASSAGE >= 6, passage=PASSAGE)


def test_a_share_of_numbers_is_refused() -> None:
    with pytest.raises(TypeError, match="is_true must be an array of bool, but its type is float64"):
        share(X, passage=PASSAGE)
    with pytest.raises(TypeError, match="is_true must be an array of bool"):
        every(X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 0.0}, "level must lie strictly between 0 and 1, but 0.0"),
        ({"level": 95}, "level must lie strictly between 0 and 1, but 95"),
        ({"replicates": 10}, "replicates must be at least 199, but 10"),
    ],
)
def test_an_estimate_checks_its_arguments_first(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STATISTICS["pearson"].estimate(**arguments)  # type: ignore[arg-type]


def test_a_contrast_needs_one_scale_and_the_same_units() -> None:
    with pytest.raises(ValueError, match="a contrast needs one scale, but 'fisher z' and 'log'"):
        STATISTICS["pearson"].minus(STATISTICS["ratio"])
    early, late = PASSAGE < 6, PASSAGE >= 6
    with pytest.raises(ValueError, match="300 tokens in 6 passages and 300 in 6 with other bounds or labels"):
        pearson(X[early], Y[early], passage=PASSAGE[early]).minus(pearson(X[late], Y[late], passage=PASSAGE[late]))
    with pytest.raises(ValueError, match="600 tokens in 12 passages and 600 in 1 with"):
        STATISTICS["pearson"].minus(pearson(X, Y, passage=np.zeros(600, int)))
    with pytest.raises(TypeError, match="two resampled statistics"):
        every(X > -99).minus(STATISTICS["pearson"])


def test_an_estimate_is_finite_and_lies_inside_its_interval() -> None:
    good = STATISTICS["pearson"].estimate()
    with pytest.raises(UndefinedEstimate, match="lies outside its interval"):
        replace(good, value=2.0)
    with pytest.raises(UndefinedEstimate, match="needs finite numbers"):
        replace(good, intervals=(Interval(0.95, -1.0, np.inf),))
    with pytest.raises(UndefinedEstimate, match="does not hold"):
        replace(good, intervals=(Interval(0.95, good.low, good.high), Interval(0.90, good.low - 0.1, good.high)))
    with pytest.raises(UndefinedEstimate, match="needs an interval"):
        replace(good, intervals=())


# A census and an exact bound.


def test_a_census_has_no_width() -> None:
    assert every(X < 99).estimate() == every(X < 99).estimate(seed=5, level=0.5)
    estimate = largest(np.abs(np.stack([X, Y]))).estimate()
    assert (estimate.low, estimate.high, estimate.unit) == (estimate.value, estimate.value, "census")
    assert estimate.value == max(np.abs(X).max(), np.abs(Y).max())


def test_a_census_and_a_bound_have_values_and_ends() -> None:
    assert (every(X > 0).value, every(X > 0).ends) == ((X > 0).mean(), (0.0, 1.0))
    assert (largest(X).value, largest(X).ends) == (X.max(), (-np.inf, np.inf))
    rare = share(np.arange(600) != 7, passage=PASSAGE)
    assert not isinstance(rare, Smooth)
    assert rare.value == pytest.approx(599 / 600)
    assert rare.ends == (0.0, 1.0)


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.5, 0.999))
def test_exact_bounds_are_scipys(trials: int, successes: int, level: float) -> None:
    successes = min(successes, trials)
    expected = scipy.stats.binomtest(successes, trials).proportion_ci(level, method="exact")
    assert exact_bounds(successes, trials, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_exact_bounds_of_half_a_success_lie_between_those_of_integers() -> None:
    lows = [exact_bounds(successes, 10)[0] for successes in (7.0, 7.5, 8.0)]
    assert lows == sorted(lows)
    assert len(set(lows)) == 3


def test_a_share_without_exception_has_the_exact_bound_of_clopper_and_pearson() -> None:
    estimate = share(X < 99, passage=PASSAGE).estimate()
    assert estimate.units == 24
    expected = scipy.stats.binomtest(24, 24).proportion_ci(0.95, method="exact")
    assert estimate.low == pytest.approx(expected.low)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    none = share(X > 99, passage=PASSAGE).estimate()
    assert none.low == 0.0
    assert none.high == pytest.approx(1 - expected.low)


@pytest.mark.parametrize("exceptions", [1, 2, 4])
def test_a_share_with_few_exceptions_has_a_bound_too(exceptions: int) -> None:
    is_true = np.ones(600, bool)
    is_true[[7, 130, 333, 480][:exceptions]] = False
    estimate = share(is_true, passage=PASSAGE).estimate()
    expected = scipy.stats.binomtest(24 - exceptions, 24).proportion_ci(0.95, method="exact")
    assert estimate.value == pytest.approx(1 - exceptions / 600)
    assert estimate.low == pytest.approx(expected.low)
    assert estimate.high == 1.0
    mirrored = share(~is_true, passage=PASSAGE).estimate()
    assert mirrored.low == 0.0
    assert mirrored.high == pytest.approx(1 - estimate.low)


def test_exceptions_that_come_in_clusters_count_for_fewer_trials() -> None:
    estimate = share(PASSAGE >= 1, passage=PASSAGE).estimate()
    expected = scipy.stats.binomtest(11, 12).proportion_ci(0.95, method="exact")
    assert "design effect of 2 " in estimate.method  # both blocks of one passage
    assert estimate.low == pytest.approx(expected.low)
    apart = share(np.arange(600) % 600 != 7, passage=PASSAGE).estimate()
    assert "design effect of 1 " in apart.method
    assert "can only be guessed" in apart.caution


def test_the_bound_holds_where_whole_passages_are_exceptions() -> None:
    """12 passages, each all exceptions with probability 1/4; over 400 sets, false support exceeds 4 % by luck once in 40 times."""
    passage, wrong = np.repeat(np.arange(12), 60), 0
    for seed in range(400):
        is_exception = np.random.default_rng(seed).uniform(size=12) < 0.25
        if 0 < is_exception.sum() < 12:
            wrong += share(~is_exception[passage], passage=passage).estimate(replicates=199).low > 0.75
    assert wrong / 400 < 0.04


def test_a_bound_never_passes_the_value_where_blocks_differ_in_length() -> None:
    is_true = np.append(np.ones(200, bool), np.zeros(39, bool))
    estimate = share(is_true, passage=np.append(np.arange(200), [200] * 39)).estimate()
    assert estimate.low <= estimate.value


def test_a_share_with_exceptions_in_most_passages_is_resampled() -> None:
    assert share(X > -1.5, passage=PASSAGE).estimate().unit == "passages"


def test_a_perfect_relation_has_no_interval_and_is_not_called_constant() -> None:
    with pytest.raises(UndefinedEstimate, match="has no interval .* as for a perfect relation"):
        pearson(X, X, passage=PASSAGE).estimate()


def test_a_tiny_column_is_no_constant_one() -> None:
    small, large = (mean(scale * (X + 3), passage=PASSAGE).estimate() for scale in (1e-14, 1.0))
    assert small.low == pytest.approx(1e-14 * large.low)
    assert float(small.digits[0]) == pytest.approx(small.value, rel=0.01)


# Power.


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_leads_there_and_back(scale: str) -> None:
    assert SCALES[scale].back(SCALES[scale].there(0.3)) == pytest.approx(0.3)


def test_the_tokens_that_decide_give_the_promised_power() -> None:
    """At the promised size, the normal approximation of the power is 80 %, up to the t quantiles used."""
    estimate = STATISTICS["pearson"].estimate()
    needed = tokens_to_decide(estimate, 0.0)
    assert needed is not None
    error = estimate.standard_error * np.sqrt(estimate.n / needed)
    power = scipy.stats.norm.cdf(np.arctanh(estimate.value) / error - scipy.stats.norm.ppf(0.975))
    assert 0.79 < power < 0.9


def test_tokens_to_plan_for_are_those_of_fisher_z() -> None:
    """854 and 783 tokens: the textbook's numbers for a margin of 0.1 and a correlation of 0.1 at 80 % power."""
    assert (tokens_for_margin(0.1), tokens_for_effect(0.1)) == (854, 783)
    assert tokens_for_effect(0.3, inflation=2.0) == pytest.approx(2 * tokens_for_effect(0.3), abs=4)
    with pytest.raises(ValueError, match="margin must lie between 1e-6 and 1 in size, but 0"):
        tokens_for_margin(0.0)
    with pytest.raises(ValueError, match="inflation must be positive and finite, but -1"):
        tokens_for_effect(0.1, inflation=-1.0)


def test_the_smallest_margin_is_shown_with_80_percent_power() -> None:
    estimate = STATISTICS["pearson"].estimate()
    margin, error = smallest_margin(estimate), estimate.standard_error
    assert margin is not None
    critical = scipy.stats.t.ppf(0.95, estimate.freedom)
    shown = 2 * scipy.stats.t.cdf((margin - critical * error) / error, estimate.freedom) - 1
    assert shown == pytest.approx(0.8)


@pytest.mark.parametrize(("edge", "end"), [(-np.inf, 0.3), (0.3, np.inf), (-np.inf, -0.5), (0.0, np.inf)])
def test_the_detectable_number_is_told_from_its_edge_with_80_percent_power(edge: float, end: float) -> None:
    estimate, region = STATISTICS["pearson"].estimate(), Region(edge, end)
    said = re.fullmatch(r"find an r of (-?0\.\d+) or (more|less) four times in five", detectable(estimate, region))
    assert said is not None
    number, more_or_less = said.groups()
    assert more_or_less == ("less" if np.isinf(edge) else "more")
    distance = abs(np.arctanh(float(number)) - np.arctanh(end if np.isinf(edge) else edge)) / estimate.standard_error
    critical = scipy.stats.t.ppf(0.975, estimate.freedom)
    assert scipy.stats.t.cdf(distance - critical, estimate.freedom) == pytest.approx(0.8, abs=0.01)


def test_the_bounds_that_can_be_shown_lie_around_the_middle_of_the_margin() -> None:
    estimate = mean(X + 90, passage=PASSAGE).estimate()
    said = re.fullmatch(
        r"show a value between (\S+) and (\S+) at best, four times in five", detectable(estimate, Region(75.0, 105.0))
    )
    assert said is not None
    least, most = map(float, said.groups())
    assert least + most == pytest.approx(180, abs=0.1)
    assert (most - least) / 2 == pytest.approx(smallest_margin(estimate), abs=0.1)  # ends to three digits
    # A share can't exceed 1, so a margin up to there is a direction.
    often = share(X < np.quantile(X, 0.9), passage=PASSAGE).estimate()
    assert detectable(often, Region(0.5, 1.0)) == detectable(often, Region(0.5, np.inf))
    assert detectable(often, Region(0.5, 1.0)).endswith("or more four times in five")
    assert detectable(often, Region(-1.0, 2.0)) == ""
    assert detectable(every(X < 99).estimate(), Region(0.5, 2.0)) == ""


@given(st.integers(0, 400), st.floats(-0.3, 0.3))
def test_deciding_takes_more_tokens_than_did_not_decide(seed: int, edge: float) -> None:
    x, y, passage = simulated(seed, 5, 0.1)
    estimate = pearson(x, y, passage=passage).estimate(seed=seed, replicates=199)
    if estimate.low <= edge <= estimate.high and (needed := tokens_to_decide(estimate, edge)) is not None:
        assert needed > estimate.n


def test_a_share_without_exception_says_how_many_tokens_its_bound_needs() -> None:
    estimate = share(X < 99, passage=PASSAGE).estimate()
    needed = tokens_to_decide(estimate, 0.95)
    assert needed is not None
    blocks = needed / 25  # 600 rows in 24 blocks
    assert 0.025 ** (1 / (blocks - 1)) < 0.95 < 0.025 ** (1 / (blocks + 1))


def test_a_census_and_a_value_on_the_edge_have_no_power() -> None:
    assert smallest_effect(every(X < 99).estimate()) is None
    assert tokens_to_decide(every(X < 99).estimate(), 0.5) is None
    estimate = STATISTICS["pearson"].estimate()
    assert tokens_to_decide(estimate, np.inf) is None
    assert (
        tokens_to_decide(
            replace(STATISTICS["contrast"].estimate(), value=0.1, intervals=(Interval(0.95, 0.0, 0.2),)), 0.1
        )
        is None
    )


@given(st.floats(-0.999, 0.999), st.floats(1e-5, 0.5))
def test_digits_never_show_minus_zero_and_keep_the_order(value: float, half: float) -> None:
    estimate = Estimate(
        statistic="r",
        value=value,
        intervals=(Interval(0.95, value - half, value + half),),
        n=9,
        units=9,
        unit="u",
        method="m",
    )
    shown = estimate.digits
    assert "-0" not in {text.rstrip("0").rstrip(".") for text in shown}
    assert all(
        float(text) != 0 for text, end in zip(shown[1:], (estimate.low, estimate.high), strict=True) if abs(end) > 1e-6
    )
    low, high = float(shown[1]), float(shown[2])
    assert low <= float(shown[0]) <= high
    assert float(shown[0]) == pytest.approx(value, abs=half / 10 + 1e-6)
