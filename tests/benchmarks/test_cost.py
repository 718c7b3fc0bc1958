"""What measuring costs: ``pytest tests/benchmarks -s`` prints ratios; nothing here fails because it was slow.

Contenders first have to give the same numbers, then run in turns in one process on one thread; a ratio is one of
medians.
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
        for place in range(len(contenders)):
            which = (place + turn) % len(contenders)
            start = time.perf_counter()
            contenders[which]()
            seconds[which].append(time.perf_counter() - start)
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
    """On one thread, on as many as torch takes, where processes beside the run take over controls, and once more from the cache."""
    command = [sys.executable, "-m", "pytest", "claims/", "--family", "mini", "-q", "--fail-on", "error"]

    def run(name: str, folder: str, **more: str) -> tuple[float, list[tuple[str, ...]]]:
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        environment |= {"PATHLEN_CACHE": str(tmp_path / folder), **more}
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--report", str(tmp_path / name)],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        assert done.returncode == 0, done.stdout
        found = read(tmp_path / name / "mini.json").findings
        numbers = [one.estimate.digits if one.estimate else () for one in found]
        return seconds, [(one.claim, one.size, one.verdict, *own) for one, own in zip(found, numbers, strict=True)]

    alone, expected = run("alone", "one", OMP_NUM_THREADS="1")
    together, found = run("together", "other")
    again, kept = run("again", "other")
    assert found == kept == expected
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"\npytest claims/ on mini: {alone:.0f} s on one thread, {together:.0f} s on {torch.get_num_threads()}, {again:.1f} s "
        f"again from the cache, and at most {peak:,.0f} MiB in one process"
    )
