"""The cost of measuring: ``pytest tests/benchmarks -s`` prints ratios; no test fails for being slow.

Contenders first have to give the same numbers, then take turns in one process on one thread. A ratio is one of medians.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pathlen import SIZES
from pathlen.models.families import spec
from pathlen.models.loading import load
from pathlen.passages.shipped import shipped
from pathlen.records.files import read
from pathlen.traces.reference import loop_steps, original, relative_error
from pathlen.traces.tracer import trace

ROUNDS = 7
PROJECT = Path(__file__).parents[2]


def medians(*contenders: Callable[[], object]) -> list[float]:
    seconds: list[list[float]] = [[] for _ in contenders]
    for contender in contenders:
        contender()
    for turn in range(ROUNDS):
        for offset in range(len(contenders)):
            index = (offset + turn) % len(contenders)
            start = time.perf_counter()
            contenders[index]()
            seconds[index].append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


@pytest.mark.parametrize("size", SIZES)
def test_the_measurement_of_a_passage_against_the_published_loop(size: str) -> None:
    torch.set_num_threads(1)
    model, passage = load(spec("mini", size)), shipped("nietzsche")
    measured = trace(model, passage)
    assert relative_error(measured, loop_steps(model, measured)).max() < 1e-5
    ids = torch.tensor(model.token_ids(passage.text))[None]

    def bare() -> None:
        with torch.inference_mode():
            model.network(ids)

    ours, loop, forward = medians(lambda: trace(model, passage), lambda: original(model, passage), bare)
    print(
        f"\nmini {size}, {ids.shape[1]} tokens: ours {1000 * ours:.0f} ms, {loop / ours:.1f} times faster than the loop,"
        f" {ours / forward:.2f} of a bare forward pass"
    )


def test_the_cost_of_a_whole_run_on_mini(tmp_path: Path) -> None:
    """Run on one thread, then on torch's default number with controls in helper processes, then again from the cache."""
    command = [sys.executable, "-m", "pytest", "claims/", "--family", "mini", "-q", "--fail-on", "error"]

    def run(name: str, cache: str, **variables: str) -> tuple[float, list[tuple[str, ...]]]:
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        environment |= {"PATHLEN_CACHE": str(tmp_path / cache), **variables}
        start = time.perf_counter()
        process = subprocess.run(
            [*command, "--report", str(tmp_path / name)],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        assert process.returncode == 0, process.stdout
        return seconds, [
            (finding.claim, finding.size, finding.verdict, *(finding.estimate.digits if finding.estimate else ()))
            for finding in read(tmp_path / name / "mini.json").findings
        ]

    one_thread, expected = run("one thread", "first cache", OMP_NUM_THREADS="1")
    all_threads, findings = run("all threads", "second cache")
    from_cache, cached_findings = run("from cache", "second cache")
    assert findings == cached_findings == expected
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"\npytest claims/ on mini: {one_thread:.0f} s on one thread, {all_threads:.0f} s on {torch.get_num_threads()}, {from_cache:.1f} s "
        f"again from the cache, and at most {peak:,.0f} MiB in one process"
    )
