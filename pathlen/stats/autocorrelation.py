"""How strongly neighbouring tokens depend on each other, and variances that allow for it.

Everything here is computed from *influences*, what each token adds to the deviation of a statistic from its true value,
not from the columns themselves. Two columns may both be strongly autocorrelated while their product hardly is, and only
the dependence of the product widens an interval.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import dct

from pathlen.stats.arrays import Array
from pathlen.stats.clusters import Passages

__all__ = ["block_length", "lag_one", "long_run_variance", "pooled_lag_one"]

SHORTEST_BLOCK = 10


def long_run_variance(influences: Array, passages: Passages) -> tuple[Array, float]:
    """Return the variance of a sum of dependent values, and the degrees of freedom of that variance.

    Parameters
    ----------
    influences : ndarray, shape (..., rows)
        Values whose mean over all rows is zero.
    passages : Passages
        Texts that are independent of each other; neighbours within a text may depend on each other.

    Returns
    -------
    variance : ndarray, shape (...)
        ``sum_d n_d * mean_(1 <= j <= v_d) c_dj^2``: in each passage the average of the first ``v = 0.4 n^(2/3)`` squared
        coefficients of the orthonormal cosine transform, each an independent estimate of the spectrum at frequency
        zero. The zeroth coefficient, the mean, is left out.
    freedom : float
        ``v`` of a single passage; Satterthwaite's approximation for several. Quantiles are those of Student's t with
        these degrees of freedom.

    References
    ----------
    Lazarus, Lewis, Stock and Watson, "HAR inference: recommendations for practice", Journal of Business & Economic
    Statistics 36 (2018), 541-559.

    """
    total, spread = np.zeros(influences.shape[:-1]), 0.0
    for rows, length in zip(passages.slices, passages.lengths.tolist(), strict=True):
        terms = max(1, min(int(0.4 * length ** (2 / 3)), length - 1))
        coefficients = dct(influences[..., rows], type=2, norm="ortho", axis=-1)
        # A text of one token has no frequency: its variance is its squared value.
        total += length * np.mean(coefficients[..., min(1, length - 1) : terms + 1] ** 2, axis=-1)
        spread += length**2 / terms
    return total, passages.rows**2 / spread


def block_length(influences: Array, passages: Passages) -> int:
    """Return a suitable block length for a series: the automatic choice, but at least `SHORTEST_BLOCK`.

    The automatic choice for circular blocks is ``(2 G^2 / (4/3 g^2))^(1/3) n^(1/3)``, where ``g`` is the sum of
    autocovariances and ``G`` the same sum weighted by lag. Both use a flat-top window that ends at twice the lag beyond
    which autocorrelations are insignificant. Autocovariances are pooled over passages; ``n`` is the mean length.

    References
    ----------
    Politis and White, "Automatic block-length selection for the dependent bootstrap", Econometric Reviews 23 (2004),
    53-70; correction by Patton, Politis and White, ibid. 28 (2009), 372-375.

    """
    n = passages.rows / passages.count
    longest = min(math.ceil(math.sqrt(n)) + max(5, math.ceil(math.log10(n))), int(passages.lengths.max()) - 1)
    covariances = np.zeros(longest + 1)
    for rows in passages.slices:
        deviation = influences[rows] - influences[rows].mean()
        for lag in range(min(longest + 1, len(deviation))):
            covariances[lag] += deviation[lag:] @ deviation[: len(deviation) - lag]
    covariances /= passages.rows
    if not covariances[0] > 0:
        return SHORTEST_BLOCK
    bound = 2 * math.sqrt(math.log10(n) / n)
    significant = np.abs(covariances[1:] / covariances[0]) > bound
    run = max(5, math.ceil(math.log10(n)))
    quiet = next((lag for lag in range(longest - run + 1) if not significant[lag : lag + run].any()), None)
    last = quiet if quiet is not None else int(np.flatnonzero(significant).max(initial=-1)) + 1
    width = min(max(1, 2 * last), longest)
    lags = np.arange(1, width + 1)
    window = np.clip(2 * (1 - lags / width), 0, 1)
    g = covariances[0] + 2 * np.sum(window * covariances[1 : width + 1])
    weighted = 2 * np.sum(window * lags * covariances[1 : width + 1])
    automatic = math.ceil((2 * weighted**2 / (4 / 3 * g**2)) ** (1 / 3) * n ** (1 / 3)) if g > 0 else longest
    return max(SHORTEST_BLOCK, min(automatic, math.ceil(min(3 * math.sqrt(n), n / 3))))


def lag_one(column: ArrayLike, *, passage: ArrayLike) -> float | None:
    """Return the lag-one autocorrelation of a column within passages; None if it is constant there.

    ``sum_t d_t d_(t+1) / sum_t d_t^2`` with deviations ``d`` from each passage's mean; no product spans two passages.

    Examples
    --------
    >>> lag_one([1.0, -1.0, 1.0, -1.0], passage=[0, 0, 0, 0])
    -0.75

    """
    return pooled_lag_one(np.asarray(column, dtype=np.float64), Passages.of(passage))


def pooled_lag_one(column: Array, passages: Passages) -> float | None:
    """Return the same as `lag_one` for passages that were found before."""
    products = total = 0.0
    for rows in passages.slices:
        deviation = column[rows] - column[rows].mean()
        products += float(deviation[:-1] @ deviation[1:])
        total += float(deviation @ deviation)
    return products / total if total > 0 else None
