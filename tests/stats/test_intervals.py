"""The distribution that intervals and p-values are read from, and what intervals must not depend on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from pathlen.claims.verdict import Verdict, above, below, within
from pathlen.errors import UndefinedEstimate
from pathlen.stats import cliffs_delta, every, mean, partial, pearson, ratio, share, spearman
from pathlen.stats.autocorrelation import block_length, long_run_variance
from pathlen.stats.calibration.simulation import Cell, simulated
from pathlen.stats.clusters import Passages
from pathlen.stats.estimate import PROBABILITIES
from pathlen.stats.inference import Pivot, Studentised
from pathlen.stats.permutation import circularly_shifted
from pathlen.stats.resampling import counts

DRAW = np.random.default_rng(11)
PASSAGE = np.repeat(np.arange(9), 40)
X, Z = DRAW.normal(size=(2, 360))
Y = 0.3 * X + Z
ONE_TEXT = np.zeros(340, int)


def ar(serial: float, seed: int, rows: int = 340) -> np.ndarray:
    cell = Cell(statistic="pearson", kind=f"ar {serial}" if serial else "independent", passages=1, rho=0.0)
    columns, _ = simulated(cell, seed, rows)
    return columns


# Resamples.


@pytest.mark.parametrize(("units", "width"), [(5, 1), (14, 900), (340, 9), (70_000, 1)])
def test_every_resample_draws_as_many_units_as_there_are(units: int, width: int) -> None:
    chunks = list(counts(units, 200, 3, width))
    table = np.concatenate(chunks)
    assert table.shape == (200, units)
    assert (table.sum(axis=1) == units).all()
    assert table.mean() == 1.0
    assert table.var() == pytest.approx(1 - 1 / units, rel=0.2)


def test_counts_do_not_depend_on_how_they_are_chunked() -> None:
    narrow, wide = (np.concatenate(list(counts(14, 500, 3, width))) for width in (1, 10_000))
    assert (narrow == wide).all()


def test_an_interval_is_the_bootstrap_t_by_hand_averaged_with_students() -> None:
    """Each resample's rows are put together, and the statistic is computed from them anew."""
    statistic = ratio(np.exp(X), np.exp(Y), passage=PASSAGE)
    value, scores = float(statistic.function(statistic.moments.sum(axis=-1))), []
    for drawn in np.concatenate(list(counts(9, 199, 5))).astype(int):
        rows = np.concatenate([np.flatnonzero(PASSAGE == number) for number in np.repeat(np.arange(9), drawn)])
        label = np.repeat(np.arange(9), 40)
        again = ratio(np.exp(X)[rows], np.exp(Y)[rows], passage=label)
        estimate = again.estimate(replicates=199)
        scores.append((np.log(estimate.value) - value) / estimate.standard_error)
    probabilities = np.arange(1, 200) / 200
    pivot = (np.sort(scores) + scipy.stats.t.ppf(probabilities, 8)) / 2
    error = statistic.estimate().standard_error
    ends = np.exp(value - error * np.interp([0.975, 0.025], probabilities, pivot))
    interval = statistic.estimate(seed=5, replicates=199)
    assert (interval.low, interval.high) == pytest.approx(tuple(ends), rel=1e-9)


def test_percentiles_of_resampled_tokens_are_scipys() -> None:
    """To the error of 9,999 resamples each: quantiles at 2.5 % stray by some 0.003 at this width."""

    def r(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        correlation: np.ndarray = scipy.stats.pearsonr(x, y, axis=axis).statistic
        return correlation

    theirs = scipy.stats.bootstrap(
        (X, Y), r, paired=True, vectorized=True, batch=500, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    values = pearson(X, Y, passage=np.zeros(360, int), trend=0).replicates(by="tokens", seed=2)
    assert np.quantile(values, [0.025, 0.975]) == pytest.approx([theirs.low, theirs.high], abs=0.01)


def test_replicates_have_the_spread_of_the_standard_error() -> None:
    for statistic in (pearson(X, Y, passage=PASSAGE), spearman(X, Y, passage=PASSAGE)):
        spread = np.arctanh(statistic.replicates()).std()
        assert spread == pytest.approx(statistic.estimate().standard_error * np.sqrt(8 / 9), rel=0.15)
    assert pearson(X, Y, passage=np.zeros(360, int)).replicates(count=199).shape == (199,)
    assert pearson(np.stack([X, Z]), Y, passage=PASSAGE).replicates(count=199).shape == (199, 2)


def test_numbers_side_by_side_are_those_one_by_one() -> None:
    together = pearson(np.stack([X, Y**2, Z]), Y, passage=PASSAGE).estimates(seed=4)
    alone = [pearson(column, Y, passage=PASSAGE).estimate(seed=4) for column in (X, Y**2, Z)]
    for estimate, expected in zip(together, alone, strict=True):
        assert estimate.quantiles == pytest.approx(expected.quantiles)
        assert estimate.intervals[0].low == pytest.approx(expected.low)
    with pytest.raises(ValueError, match=r"a claim is about one number, but .* has 3 side by side"):
        pearson(np.stack([X, Y**2, Z]), Y, passage=PASSAGE).estimate()


def test_the_same_seed_gives_the_same_bytes_on_one_thread_and_on_two() -> None:
    program = (
        "import numpy as np; from pathlen.stats import pearson;"
        "x, y = np.random.default_rng(0).normal(size=(2, 4000)); p = np.repeat(np.arange(40), 100);"
        "print(repr(pearson(x, y, passage=p).estimate()))"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert said[0] == said[1]


# Invariance.


@settings(max_examples=25, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(0, 50))
def test_correlations_do_not_change_when_a_column_is_shifted_or_scaled(shift: float, scale: float, seed: int) -> None:
    for correlation in (pearson, spearman):
        plain = correlation(X, Y, passage=PASSAGE).estimate(seed=seed, replicates=199)
        moved = correlation(shift + scale * X, Y, passage=PASSAGE).estimate(seed=seed, replicates=199)
        assert (moved.low, moved.value, moved.high) == pytest.approx((plain.low, plain.value, plain.high), abs=1e-6)
        assert -1 <= plain.low <= plain.value <= plain.high <= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_the_sign_of_a_column_is_the_sign_of_the_interval(seed: int) -> None:
    plain = pearson(X, Y, passage=PASSAGE).estimate(seed=seed, replicates=199)
    turned = pearson(-X, Y, passage=PASSAGE).estimate(seed=seed, replicates=199)
    assert (turned.low, turned.high) == pytest.approx((-plain.high, -plain.low))


def test_rank_correlation_does_not_change_under_monotone_maps() -> None:
    plain, bent = (spearman(column, Y, passage=PASSAGE).estimate() for column in (X, np.exp(3 * X)))
    assert bent == plain


def test_the_order_of_passages_changes_nothing_but_which_resamples_are_drawn() -> None:
    order = np.concatenate([np.flatnonzero(PASSAGE == number) for number in (4, 0, 8, 2, 1, 7, 3, 6, 5)])
    plain, other = (
        pearson(x, y, passage=p).estimate() for x, y, p in ((X, Y, PASSAGE), (X[order], Y[order], PASSAGE[order]))
    )
    assert other.value == pytest.approx(plain.value)
    assert other.standard_error == pytest.approx(plain.standard_error)
    assert other.low == pytest.approx(plain.low, abs=0.01)


def test_the_order_of_tokens_inside_whole_passages_matters_only_by_the_trend() -> None:
    inside = np.concatenate([DRAW.permutation(np.flatnonzero(PASSAGE == number)) for number in range(9)])
    without, shuffled = (
        pearson(x, y, passage=PASSAGE, trend=0).estimate() for x, y in ((X, Y), (X[inside], Y[inside]))
    )
    assert (shuffled.low, shuffled.high) == pytest.approx((without.low, without.high))
    assert shuffled.autocorrelation != without.autocorrelation


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_levels_nest_and_hold_the_value(seed: int, level: float) -> None:
    for passage in (PASSAGE, np.zeros(360, int)):
        estimate = pearson(X, Y, passage=passage).estimate(seed=seed, replicates=999, level=level)
        ends = sorted(estimate.intervals, key=lambda interval: interval.level)
        assert {0.90, 0.95, level} == {interval.level for interval in ends}
        for narrow, wide in pairwise(ends):
            assert wide.low < narrow.low < estimate.value < narrow.high < wide.high


# P-values.


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.3, 0.5))
def test_support_means_a_p_value_below_five_per_cent(seed: int, edge: float) -> None:
    for passage in (PASSAGE, np.zeros(360, int)):
        sampling = pearson(X, Y, passage=passage).sampling(seed=seed)
        for region in (below(edge), above(edge), within(edge, edge + 0.25)):
            interval = sampling.interval(region.level)
            supported = region.judge(interval.low, interval.high) is Verdict.SUPPORTED
            p = sampling.p_value(region.low, region.high)
            assert p is not None
            assert supported == (p < 0.05) or p == pytest.approx(0.05, abs=1e-9)


def test_p_values_are_never_zero_and_a_census_has_none() -> None:
    assert pearson(X, X + 0.01 * Z, passage=PASSAGE).sampling().p_value(0, np.inf) == pytest.approx(2e-4)
    assert every(X < 99).sampling().p_value(0.5, np.inf) is None
    bound = share(X < 99, passage=PASSAGE).sampling().p_value(0.5, np.inf)
    assert bound == pytest.approx(2 * 0.5**18, rel=0.01, abs=1e-6)
    assert share(X < 99, passage=PASSAGE).sampling().p_value(-np.inf, 0.5) == 1.0


def test_a_value_beyond_the_scale_can_not_be_true() -> None:
    sampling = pearson(X, Y, passage=PASSAGE).sampling()
    assert sampling.p_value(-2.0, np.inf) == 0.0
    assert sampling.p_value(-np.inf, -1.0) == 1.0
    for region in ((2.0, np.inf), (-np.inf, -1.5), (-2.0, -1.5)):
        assert sampling.p_value(*region) == pytest.approx(1.0, abs=1e-3)
    assert ratio(np.exp(X), np.exp(Y), passage=PASSAGE).sampling().p_value(-np.inf, -0.5) == 1.0


def test_p_values_of_a_single_text_are_students() -> None:
    estimate = mean(X, passage=np.zeros(360)).estimate()
    score = estimate.value / estimate.standard_error
    expected = 2 * scipy.stats.t.sf(abs(score), estimate.freedom)
    edges = (0.0, np.inf) if score > 0 else (-np.inf, 0.0)
    assert mean(X, passage=np.zeros(360)).sampling().p_value(*edges) == pytest.approx(expected)


def test_quantiles_are_where_intervals_of_their_level_end() -> None:
    sampling = pearson(X, Y, passage=PASSAGE).sampling()
    estimate = sampling.estimate()
    ends = sampling.interval(0.95)
    assert estimate.quantiles[PROBABILITIES.index(0.025)] == pytest.approx(ends.low)
    assert estimate.quantiles[PROBABILITIES.index(0.975)] == pytest.approx(ends.high)


def test_resamples_on_one_side_give_no_interval() -> None:
    pivot = Pivot.blended(np.linspace(5.0, 9.0, 999), 4.0)
    assert pivot.quantile(0.025) > 0
    sampling = pearson(X, Y, passage=PASSAGE).sampling()
    assert isinstance(sampling, Studentised)
    broken = replace(sampling, pivot=pivot)
    with pytest.raises(UndefinedEstimate, match="resamples lie on one side"):
        broken.interval(0.95)


# One text.


def test_the_long_run_variance_of_white_noise_and_of_ar_is_what_theory_says() -> None:
    for serial, expected in ((0.0, 1.0), (0.3, 1.3 / 0.7), (0.6, 1.6 / 0.4)):
        columns = np.stack([ar(serial, seed)[0] for seed in range(400)])
        variance, freedom = long_run_variance(columns, Passages.of(ONE_TEXT))
        assert np.mean(variance) / 340 == pytest.approx(expected, rel=0.1)
        assert freedom == pytest.approx(19)


def test_the_error_of_a_single_text_agrees_with_statsmodels_hac_where_tokens_depend() -> None:
    ratios = []
    for seed in range(40):
        x, y, _ = ar(0.6, seed, 2000)
        x, y = (column - column.mean() for column in (x, y))
        x, y = x / x.std(), y / y.std()
        ours = pearson(x, y, passage=np.zeros(2000, int), trend=0).estimate().standard_error
        hac = sm.OLS(y, x).fit(cov_type="HAC", cov_kwds={"maxlags": 30}).bse[0]
        ratios.append(ours / hac)
    assert np.median(ratios) == pytest.approx(1.0, abs=0.08)


def test_influences_of_ranks_and_pairs_are_the_effect_of_one_more_token() -> None:
    """A token is drawn once more; the statistic changes by its influence, up to order 1/n^2."""
    x, y = X[:200], Y[:200]
    passage = np.zeros(200, int)
    rank = spearman(x, y, passage=passage, trend=0)
    groups = {"top": y > 0.5, "bottom": y < -0.5}
    dominance = cliffs_delta(x, **groups, passage=passage)
    for statistic, again in (
        (rank, lambda rows: scipy.stats.spearmanr(x[rows], y[rows]).statistic),
        (dominance, lambda rows: _delta(x[rows], groups["top"][rows], groups["bottom"][rows])),
    ):
        base = np.arctanh(again(np.arange(200)))
        moved = np.array([np.arctanh(again(np.append(np.arange(200), token))) - base for token in range(200)])
        influences = statistic.influences()
        assert abs(influences.sum()) < 1e-9
        assert np.corrcoef(moved, influences)[0, 1] > 0.999
        assert np.polyfit(influences, moved, 1)[0] == pytest.approx(1, abs=0.03)


def _delta(values: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> float:
    signs = np.sign(values[top][:, None] - values[bottom][None, :])
    return float(signs.mean())


@pytest.mark.parametrize("trend", [0, 1])
def test_ranks_are_taken_anew_in_every_resample(trend: int) -> None:
    """With ties and without, against ranking the drawn rows from scratch."""
    x, y = np.round(X[:120], 1), Y[:120]
    statistic = spearman(x, y, passage=np.zeros(120, int), trend=trend)
    assert statistic.reranked is not None
    for weights in np.concatenate(list(counts(120, 5, 1))):
        rows = np.repeat(np.arange(120), weights.astype(int))
        ranks = [scipy.stats.rankdata(column[rows]) for column in (x, y)]
        design = np.vander(rows, trend + 1)
        residuals = [rank - design @ np.linalg.lstsq(design, rank, rcond=None)[0] for rank in ranks]
        expected = np.corrcoef(*residuals)[0, 1]
        assert np.tanh(statistic.reranked(weights[None])[0, 0]) == pytest.approx(expected, abs=1e-9)


def test_blocks_are_as_long_as_influences_depend_on_each_other() -> None:
    passages = Passages.of(np.zeros(3400, int))
    lengths = [
        np.median([block_length(ar(serial, seed, 3400)[0], passages) for seed in range(20)])
        for serial in (0.0, 0.3, 0.6)
    ]
    assert lengths[0] == 10
    assert lengths[0] <= lengths[1] < lengths[2]
    x, y, _ = ar(0.6, 1, 3400)
    # Both columns are strongly autocorrelated; their product, which is what matters, is less so.
    assert pearson(x, y, passage=passages.starts.repeat(3400)).estimate(by="blocks").units > 3400 / lengths[2]


def test_a_text_drawn_often_counts_as_often_as_its_tokens() -> None:
    """Ranks are over the tokens that were drawn; else a passage drawn m times would count for its cube."""
    x, y = X[:80], np.concatenate([X[:40] + 0.3 * Z[:40], Z[40:80]])
    statistic = spearman(x, y, passage=np.repeat([0, 1], 40), trend=0)
    assert statistic.reranked is not None
    weights = np.concatenate([np.full(40, 2.0), np.tile([0.0, 1.0], 20)])
    rows = np.repeat(np.arange(80), weights.astype(int))
    again = spearman(x[rows], y[rows], passage=np.repeat([0, 1], [80, 20]), trend=0)
    expected = again.function(again.moments.sum(axis=-1))
    assert statistic.reranked(weights[None])[0, 0] == pytest.approx(float(expected))
    none_of_one = np.concatenate([np.ones(40), np.zeros(40)])
    alone = spearman(x[:40], y[:40], passage=np.zeros(40, int), trend=0)
    assert statistic.reranked(none_of_one[None])[0, 0] == pytest.approx(
        float(alone.function(alone.moments.sum(axis=-1)))
    )


def test_standard_errors_and_effective_n_of_ranks_are_like_those_of_values() -> None:
    slope = np.linspace(-0.8, 0.9, 9)[PASSAGE]
    y = slope * X + np.sqrt(1 - slope**2) * Z
    rank, value = (statistic(X, y, passage=PASSAGE).estimate() for statistic in (spearman, pearson))
    assert rank.standard_error == pytest.approx(value.standard_error, rel=0.15)
    assert rank.effective_n == pytest.approx(value.effective_n, rel=0.5)


def test_singular_resamples_are_left_out_without_an_error() -> None:
    assert spearman(X, Y, passage=PASSAGE).estimate(by="blocks").low < 0.4
    only_once = np.where(PASSAGE == 0, Z, 0.0)
    with pytest.raises(UndefinedEstimate, match="resamples are degenerate"):
        partial(X, Y, given=[only_once], passage=PASSAGE).estimate()


def test_one_short_passage_changes_neither_block_length_nor_series() -> None:
    long = np.concatenate([lfilter([1.0], [1.0, -0.8], ar(0.6, seed, 500)[0]) for seed in range(4)])
    passage = np.repeat(np.arange(4), 500)
    alone = block_length(long - long.mean(), Passages.of(passage))
    values = np.append(long, [0.1, -0.1])
    assert block_length(values - values.mean(), Passages.of(np.append(passage, [4, 4]))) == pytest.approx(alone, abs=3)
    assert alone > 14
    one_token = mean(np.append(X[:200], 0.3), passage=np.append(np.zeros(200), 1)).estimate()
    assert one_token.standard_error == pytest.approx(
        mean(X[:200], passage=np.zeros(200)).estimate().standard_error, rel=0.05
    )


def test_a_level_beyond_the_replicates_is_refused() -> None:
    with pytest.raises(ValueError, match=r"level 0\.9999 needs more than the 999 replicates"):
        mean(X, passage=PASSAGE).estimate(level=0.9999, replicates=999)


@pytest.mark.parametrize(
    ("arguments", "message"), [({"seed": -1}, "seed must be"), ({"replicates": 1000.5}, "replicates")]
)
def test_seed_and_replicates_are_checked(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mean(X, passage=PASSAGE).estimate(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("trend", [-1, 4, 1.0])
def test_a_trend_is_a_small_whole_number(trend: int) -> None:
    for function in (pearson, circularly_shifted):
        with pytest.raises(ValueError, match="trend must be a degree from 0 to 3"):
            function(X, Y, passage=PASSAGE, trend=trend)


@pytest.mark.parametrize(("serial", "passages"), [(0.6, 1), (0.3, 3)])
def test_intervals_of_few_texts_cover(serial: float, passages: int) -> None:
    """600 runs; a true coverage of 95 % falls below 92.5 % or above 97.5 % about once in 150 times."""
    hits = 0
    cell = Cell(statistic="pearson", kind=f"ar {serial}", passages=passages, rho=-0.3)
    for seed in range(600):
        (x, y, _), passage = simulated(cell, seed)
        estimate = pearson(x, y, passage=passage).estimate()
        hits += estimate.low < -0.3 < estimate.high
    assert 0.925 <= hits / 600 <= 0.975


def test_dependent_tokens_have_a_smaller_effective_n() -> None:
    x, y, _ = np.concatenate([ar(0.6, seed, 2000) for seed in range(3)], axis=1)
    estimate = pearson(x, y, passage=np.zeros(6000, int)).estimate()
    assert estimate.effective_n == pytest.approx(6000 * 0.64 / 1.36, rel=0.3)
    assert estimate.autocorrelation == pytest.approx(0.36, abs=0.06)
    naive = pearson(x, y, passage=np.zeros(6000, int)).estimate(by="tokens")
    assert naive.standard_error < 0.8 * estimate.standard_error
    assert naive.effective_n == pytest.approx(6000, rel=0.01)
