"""The cost of intervals: ``pytest tests/benchmarks/test_interval_cost.py -s`` prints ratios to SciPy, arch and resample.

Contenders first have to give the same percentile interval, up to Monte-Carlo error, then take turns in one process on one
thread. A ratio is one of medians over at least three turns. Our resampling counts are drawn anew in every turn unless a
line says "kept". No test fails for being slow: the bars are printed beside the ratios. With
``PATHLEN_BENCHMARK_TABLE=FILE`` the lines are also written as a Markdown table.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from pathlen.stats import pearson, spearman
from pathlen.stats.resampling import forget
from pathlen.stats.statistic import Smooth

arch = pytest.importorskip("arch.bootstrap", reason="pip install -e '.[benchmark]'")
resample = pytest.importorskip("resample.bootstrap", reason="pip install -e '.[benchmark]'")

N, REPLICATES, STEPS = 340, 10_000, 48
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(STEPS, N))
Y = 0.3 * X[0] + GENERATOR.normal(size=N)
TEXT = np.zeros(N, int)
TAILS = (0.025, 0.975)


ROWS: list[tuple[str, str, str, str]] = []


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    """Write the measured rows to a file if ``PATHLEN_BENCHMARK_TABLE`` names one."""
    yield
    if target := os.environ.get("PATHLEN_BENCHMARK_TABLE"):
        head = [
            f"# What intervals cost: {platform.machine()}, one thread, NumPy {np.__version__}, SciPy {scipy.__version__}",
            "",
            "Made by `OMP_NUM_THREADS=1 PATHLEN_BENCHMARK_TABLE=FILE pytest tests/benchmarks/test_interval_cost.py`, which says what",
            "is compared. A ratio is how many times faster ours is than the best of the others, in one run; milliseconds are",
            "of this machine on that day.",
            "",
            "| | ratio or figure | bar | milliseconds |",
            "|---|---|---|---|",
        ]
        Path(target).write_text("\n".join([*head, *(f"| {' | '.join(row)} |" for row in ROWS)]) + "\n", "utf-8")


def medians(contenders: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(turns):
        for offset in range(len(names)):
            name = names[(offset + turn) % len(names)]
            start = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def r(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    x, y = x - x.mean(axis, keepdims=True), y - y.mean(axis, keepdims=True)
    correlation: np.ndarray = (x * y).sum(axis) / np.sqrt((x * x).sum(axis) * (y * y).sum(axis))
    return correlation


def all_r(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the correlations of columns ``(rows, steps)`` with a column ``(rows,)``."""
    return r(x.T, y)


def ours(statistic: Smooth, by: str, *, keeps_counts: bool = False) -> Callable[[], np.ndarray]:
    def percentiles() -> np.ndarray:
        if not keeps_counts:
            forget()
        values = statistic.replicates(by=by, seed=1, count=REPLICATES)  # type: ignore[arg-type]
        interval: np.ndarray = np.quantile(values, TAILS, axis=0)
        return interval

    return percentiles


def scipys(statistic: Callable[..., object], batch: int, rows: int = 1) -> Callable[[], np.ndarray]:
    def percentiles() -> np.ndarray:
        samples = (X[:rows] if rows > 1 else X[0], np.broadcast_to(Y, X[:rows].shape) if rows > 1 else Y)
        interval = scipy.stats.bootstrap(
            samples,
            statistic,
            paired=True,
            vectorized=True,
            axis=-1,
            n_resamples=REPLICATES,
            batch=batch,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        return np.array([interval.low, interval.high])

    return percentiles


def archs(bootstrap: object, statistic: Callable[..., object]) -> Callable[[], np.ndarray]:
    def percentiles() -> np.ndarray:
        interval: np.ndarray = bootstrap.conf_int(statistic, REPLICATES, method="percentile")  # type: ignore[attr-defined]
        return interval

    return percentiles


def compare(
    name: str, bar: float, turns: int, contenders: dict[str, Callable[[], np.ndarray]], tolerance: float
) -> None:
    """Check that every contender gives our interval, then time them and report the ratio of the fastest other to ours."""
    intervals = {who: np.asarray(contender()).reshape(2, -1) for who, contender in contenders.items()}
    for who, interval in intervals.items():
        assert np.abs(interval - intervals["ours"]).max() < tolerance, (name, who, interval, intervals["ours"])
    seconds = medians(contenders, turns)
    mine = seconds.pop("ours")
    listed = ", ".join(f"{who} {1e3 * median:,.1f}" for who, median in seconds.items())
    report(name, f"{min(seconds.values()) / mine:.1f}", f"{bar:g}", f"ours {1e3 * mine:,.1f}, {listed}")


def report(*row: str) -> None:
    ROWS.append(row)  # type: ignore[arg-type]
    print("\n" + " | ".join(row))


def test_one_correlation() -> None:
    statistic = pearson(X[0], Y, passage=TEXT, trend=0)
    others = {
        "scipy": scipys(r, 500),
        "arch": archs(arch.IIDBootstrap(X[0], Y, seed=1), r),
        "resample": lambda: np.array(
            resample.confidence_interval(
                r, X[0], Y, cl=0.95, ci_method="percentile", size=REPLICATES, method="ordinary"
            )
        ),
    }
    compare("one r", 1.8, 5, {"ours": ours(statistic, "tokens"), **others}, 0.012)
    compare(
        "one r, counts kept",
        1.8,
        5,
        {"ours": ours(statistic, "tokens", keeps_counts=True), "scipy": others["scipy"]},
        0.012,
    )


def test_48_steps_at_once() -> None:
    statistic = pearson(X, Y, passage=TEXT, trend=0)
    bootstrap = arch.IIDBootstrap(X.T, Y, seed=1)
    others = {"arch": archs(bootstrap, all_r), "scipy": scipys(r, 200, STEPS)}
    compare("48 steps", 15, 3, {"ours": ours(statistic, "tokens"), **others}, 0.02)
    compare("48 steps, counts kept", 15, 3, {"ours": ours(statistic, "tokens", keeps_counts=True), **others}, 0.02)


def test_ranks_within_each_resample() -> None:
    def rho(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return r(scipy.stats.rankdata(x, axis=axis), scipy.stats.rankdata(y, axis=axis), axis)

    statistic = spearman(X[0], Y, passage=TEXT, trend=0)
    theirs = scipys(rho, 500)
    compare("Spearman", 10, 3, {"ours": ours(statistic, "tokens"), "scipy": theirs}, 0.012)
    compare(
        "Spearman, counts kept", 10, 3, {"ours": ours(statistic, "tokens", keeps_counts=True), "scipy": theirs}, 0.012
    )


def test_blocks() -> None:
    for name, bar, turns, columns, statistic in (
        ("blocks of 10, one r", 60, 5, X[0], r),
        ("blocks of 10, 48 steps", 25, 3, X, all_r),
    ):
        mine = pearson(columns, Y, passage=TEXT, trend=0)
        # The comparison with blocks of 10 is fair: the automatic length is 10 or 11 for these independent tokens.
        assert mine.estimates(by="blocks", replicates=199)[0].unit in ("blocks of 10 tokens", "blocks of 11 tokens")
        theirs = archs(arch.CircularBlockBootstrap(10, columns.T, Y, seed=1), statistic)
        compare(name, bar, turns, {"ours": ours(mine, "blocks"), "arch": theirs}, 0.04)


def test_blocks_agree_with_the_stationary_bootstrap_too() -> None:
    theirs = archs(arch.StationaryBootstrap(10, X[0], Y, seed=1), r)
    interval = ours(pearson(X[0], Y, passage=TEXT, trend=0), "blocks")()
    assert np.abs(theirs().ravel() - interval).max() < 0.04


def test_the_default_interval_against_a_plain_one() -> None:
    """Studentised intervals of 34 groups of ten tokens against percentiles of blocks of ten: two different methods."""
    groups = np.repeat(np.arange(N // 10), 10)
    for name, bar, turns, columns, statistic in (
        ("studentised groups, one r", 20, 5, X[0], r),
        ("studentised groups, 48 steps", 6, 3, X, all_r),
    ):
        mine = pearson(columns, Y, passage=groups, trend=0)

        def estimate(mine: Smooth = mine) -> np.ndarray:
            forget()
            estimates = mine.estimates(replicates=REPLICATES - 1, seed=1)
            return np.array([[estimate.low for estimate in estimates], [estimate.high for estimate in estimates]])

        theirs = archs(arch.CircularBlockBootstrap(10, columns.T, Y, seed=1), statistic)
        compare(name, bar, turns, {"ours": estimate, "arch": theirs}, 0.12)


def test_200_choices_of_analysis_in_four_sizes() -> None:
    passage = np.repeat(np.arange(14), N)
    x, y = GENERATOR.normal(size=(4, 200, passage.size)), GENERATOR.normal(size=passage.size)
    start = time.perf_counter()
    for size in x:
        pearson(size, y, passage=passage).estimates()
    seconds = time.perf_counter() - start
    report("200 universes x 4 sizes x 9,999 resamples", f"{seconds:.1f} s", "5 s", f"{1e3 * seconds:,.0f}")


LARGE = """
import time
from pathlib import Path
import numpy as np
from pathlen.stats import pearson
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
generator = np.random.default_rng(0)
x = np.stack([generator.normal(size=100_000).astype(np.float32) for _ in range(48)])
y = generator.normal(size=100_000) + 0.2 * x[0]
before = peak()
start = time.perf_counter()
first = pearson(x, y, passage=np.zeros(100_000, int)).estimates(by="blocks", replicates=2000)[0]
seconds = time.perf_counter() - start
print(seconds, peak() - before, first.low, first.high)
"""


def test_100_000_tokens() -> None:
    output = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True).stdout
    seconds, memory, low, high = map(float, output.split())
    generator = np.random.default_rng(0)
    x = np.stack([generator.normal(size=100_000).astype(np.float32) for _ in range(48)])
    y = generator.normal(size=100_000) + 0.2 * x[0]
    bootstrap = arch.IIDBootstrap(np.ascontiguousarray(x.T), y, seed=1)
    start = time.perf_counter()
    theirs = bootstrap.conf_int(all_r, 100, method="percentile")
    scaled = 20 * (time.perf_counter() - start)
    assert np.abs(theirs[:, 0] - (low, high)).max() < 0.005
    listed = f"ours {1e3 * seconds:,.0f}, arch {1e3 * scaled:,.0f} (20 times 100 resamples)"
    report("100,000 tokens, 48 steps, 2,000 resamples", f"{scaled / seconds:.1f}", "4", listed)
    report("the same, memory above the data", f"{memory:,.0f} MiB", "500 MB", "")
