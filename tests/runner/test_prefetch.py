"""Helpers that run passes before they are asked for: the results are the same whichever process ran them, and if one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sample_run import SHORT_TEXTS

from pathlen.columns.catalog import ALIGNMENT, CUSTOM_COLUMNS, measures
from pathlen.columns.table import Trace
from pathlen.errors import ModelNotFound
from pathlen.models import families
from pathlen.models.families import ModelSpec
from pathlen.passages.shipped import shipped
from pathlen.runner import prefetch
from pathlen.runner.forward import ForwardPass, ForwardRunner
from pathlen.runner.prefetch import Prefetcher, helpers_worth_starting

COLUMNS = frozenset({"step_length", "next_logit", *ALIGNMENT})


@pytest.fixture
def planned(spec: ModelSpec) -> list[ForwardPass]:
    untrained = [ForwardPass(spec, seed, None, COLUMNS) for seed in range(4)]
    return [*untrained, *(ForwardPass(spec, None, seed, COLUMNS) for seed in range(4))]


@pytest.fixture
def runner() -> ForwardRunner:
    return ForwardRunner(SHORT_TEXTS, device="cpu", dtype="float32")


@pytest.fixture
def prefetcher_of() -> Iterator[Callable[..., Prefetcher]]:
    """Make prefetchers, and end their helpers whatever becomes of the test."""
    prefetchers: list[Prefetcher] = []

    def make(*arguments: Any) -> Prefetcher:
        prefetchers.append(Prefetcher(*arguments))
        return prefetchers[-1]

    yield make
    for prefetcher in prefetchers:
        prefetcher.close()


def content(traces: Iterator[Trace]) -> list[tuple[Any, ...]]:
    return [
        (trace.passage, trace.step_length.tobytes(), trace.next_logit.tobytes(), trace.token_ids.tobytes())
        for trace in traces
    ]


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this should have happened by now"
        time.sleep(0.01)


def test_a_pass_gives_the_same_to_the_last_bit_whichever_process_ran_it(
    runner: ForwardRunner,
    planned: list[ForwardPass],
    prefetcher_of: Callable[..., Prefetcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = [content(runner.traces(forward_pass)) for forward_pass in planned]
    assert len({str(traces) for traces in expected}) == len(planned)
    prefetcher = prefetcher_of(runner, planned, 1)
    plans = list(prefetcher.planned)
    wait_until(lambda: all(plan.is_done for plan in plans))  # all of them in the helper
    monkeypatch.setattr(runner, "traces", None)
    assert [content(prefetcher.traces(forward_pass)) for forward_pass in planned] == expected


def test_a_pass_that_is_needed_runs_without_waiting_for_a_helper_to_start(
    runner: ForwardRunner, planned: list[ForwardPass], prefetcher_of: Callable[..., Prefetcher]
) -> None:
    expected = [content(runner.traces(forward_pass)) for forward_pass in planned]
    prefetcher = prefetcher_of(runner, planned, 1)
    # A helper takes seconds to import torch, and may get the first pass; this process runs all others meanwhile.
    assert [content(prefetcher.traces(forward_pass)) for forward_pass in planned] == expected
    assert prefetcher.is_closed
    assert all(helper.process.poll() is not None for helper in prefetcher.helpers)


def test_columns_that_were_not_planned_are_measured_in_this_process(
    runner: ForwardRunner, planned: list[ForwardPass], prefetcher_of: Callable[..., Prefetcher]
) -> None:
    prefetcher = prefetcher_of(runner, planned, 1)
    more = replace(planned[2], columns=COLUMNS | {"entropy"})
    assert all("entropy" in trace.made for trace in prefetcher.traces(more))
    assert len(prefetcher.planned) == len(planned)  # it was none of the planned passes
    fewer = replace(planned[2], columns=frozenset({"step_length"}))
    assert all("next_logit" in trace.made for trace in prefetcher.traces(fewer))
    assert [plan.forward_pass for plan in prefetcher.planned] == planned[3:]  # and those before it are dropped


def test_a_helper_that_dies_costs_only_its_help(
    runner: ForwardRunner, planned: list[ForwardPass], prefetcher_of: Callable[..., Prefetcher]
) -> None:
    expected = [content(runner.traces(forward_pass)) for forward_pass in planned]
    prefetcher = prefetcher_of(runner, planned, 2)
    plans = list(prefetcher.planned)
    wait_until(lambda: sum(plan.is_done for plan in plans) >= 2)
    for helper in prefetcher.helpers:
        os.kill(helper.process.pid, signal.SIGKILL)
    assert [content(prefetcher.traces(forward_pass)) for forward_pass in planned] == expected


def test_a_helper_that_would_run_other_code_ends(
    runner: ForwardRunner,
    planned: list[ForwardPass],
    prefetcher_of: Callable[..., Prefetcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prefetch, "code_fingerprint", lambda *roots: "another")
    prefetcher = prefetcher_of(runner, planned, 1)
    plans = list(prefetcher.planned)
    wait_until(lambda: prefetcher.helpers[0].is_gone)
    assert not any(plan.traces for plan in plans)
    assert len(content(prefetcher.traces(planned[0]))) == len(SHORT_TEXTS)


def test_an_error_is_raised_when_its_pass_is_asked_for(
    runner: ForwardRunner,
    spec: ModelSpec,
    planned: list[ForwardPass],
    prefetcher_of: Callable[..., Prefetcher],
    tmp_path: Path,
) -> None:
    gone = replace(spec, source=str(tmp_path / "gone"))
    impossible = ForwardPass(gone, 0, None, COLUMNS)
    prefetcher = prefetcher_of(runner, [planned[0], impossible, *planned[1:]], 1)
    plans = list(prefetcher.planned)
    content(prefetcher.traces(planned[0]))
    with pytest.raises(ModelNotFound, match="gone"):
        prefetcher.traces(impossible)
    wait_until(lambda: plans[1].is_done)
    expected = content(ForwardRunner(SHORT_TEXTS, device="cpu", dtype="float32").traces(planned[1]))
    assert content(prefetcher.traces(planned[1])) == expected


def test_only_so_many_passes_run_before_they_are_asked_for(
    runner: ForwardRunner,
    spec: ModelSpec,
    prefetcher_of: Callable[..., Prefetcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prefetch, "PASSES_AHEAD", 2)
    planned = [ForwardPass(spec, seed, None, COLUMNS) for seed in range(9)]
    prefetcher = prefetcher_of(runner, planned, 1)
    plans = list(prefetcher.planned)
    wait_until(lambda: sum(plan.is_done for plan in plans) == 3)
    time.sleep(0.3)
    assert sum(plan.is_started for plan in plans) == 3
    content(prefetcher.traces(planned[0]))
    wait_until(lambda: sum(plan.is_done for plan in plans) == 4)


def test_every_pass_runs_in_this_process_where_no_helper_can_be_started(
    runner: ForwardRunner,
    planned: list[ForwardPass],
    prefetcher_of: Callable[..., Prefetcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    expected = content(runner.traces(planned[0]))
    monkeypatch.setattr(subprocess, "Popen", refuse)
    prefetcher = prefetcher_of(runner, planned, 2)
    assert prefetcher.helpers == []
    assert content(prefetcher.traces(planned[0])) == expected


def test_fewer_passes_run_ahead_if_their_columns_are_long(
    runner: ForwardRunner,
    planned: list[ForwardPass],
    prefetcher_of: Callable[..., Prefetcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prefetch, "AHEAD_BYTES", 3.5 * planned[0].size(SHORT_TEXTS))
    assert prefetcher_of(runner, planned, 1).most_ahead == 1 + 3
    monkeypatch.setattr(prefetch, "AHEAD_BYTES", 1)
    assert prefetcher_of(runner, planned, 2).most_ahead == 2 + 1


def test_a_custom_column_is_not_left_to_a_helper(
    runner: ForwardRunner,
    spec: ModelSpec,
    prefetcher_of: Callable[..., Prefetcher],
    request: pytest.FixtureRequest,
) -> None:
    request.addfinalizer(lambda: CUSTOM_COLUMNS.pop("overlap", None))

    @measures(at="step", unit="squared residual units")
    def overlap(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """The product of a token's states before and after a block."""
        return (before * after).sum(dim=-1)

    forward_pass = ForwardPass(spec, 0, None, COLUMNS | {"overlap"})
    prefetcher = prefetcher_of(runner, [forward_pass], 1)
    assert not prefetcher.planned
    assert all("overlap" in trace.made for trace in prefetcher.traces(forward_pass))


def test_threads_are_lent_to_helpers_and_taken_back(
    runner: ForwardRunner, planned: list[ForwardPass], prefetcher_of: Callable[..., Prefetcher]
) -> None:
    torch.set_num_threads(2)
    try:
        prefetcher = prefetcher_of(runner, planned, 1)
        assert torch.get_num_threads() == 1
        prefetcher.close()
        assert torch.get_num_threads() == 2
        prefetcher.close()
        assert torch.get_num_threads() == 2
        assert prefetcher.helpers[0].process.poll() is not None
    finally:
        torch.set_num_threads(1)


def test_helpers_are_started_where_passes_repay_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    texts = tuple(shipped(name) for name in ("tides", "nietzsche", "bees"))
    many = [ForwardPass(families.spec("mini", "xl"), seed, None, COLUMNS) for seed in range(200)]
    assert torch.get_num_threads() == 1
    assert helpers_worth_starting(many, texts) == 0  # there is no thread to spare
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    monkeypatch.setattr(prefetch, "available", lambda: None)
    assert helpers_worth_starting(many, texts) == 8
    assert helpers_worth_starting(many[:40], texts) in (1, 2, 3)
    assert helpers_worth_starting(many[:2], texts) == 0
    assert helpers_worth_starting([], texts) == 0
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert helpers_worth_starting(many, texts) == 2
    monkeypatch.setattr(prefetch, "available", lambda: 3 << 29)
    assert helpers_worth_starting(many, texts) == 1
    long = replace(texts[0], text=texts[0].text * 1000)  # its columns fill the free memory
    assert helpers_worth_starting(many, [long]) == 0
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert helpers_worth_starting(many, texts) == 0


def test_a_helper_ends_with_the_process_that_started_it(spec: ModelSpec, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import os, sys
from pathlen.models.checkpoint import from_name
from pathlen.passages.passage import Passage
from pathlen.runner.forward import ForwardPass, ForwardRunner
from pathlen.runner.prefetch import Prefetcher
texts = (Passage(name="tide", text="The tide comes in, and the tide goes out again.", origin="test"),)
forward_pass = ForwardPass(from_name({spec.source!r}), 0, None, frozenset({{"step_length"}}))
prefetcher = Prefetcher(ForwardRunner(texts, device="cpu", dtype="float32"), [forward_pass], 1)
print(prefetcher.helpers[0].process.pid, flush=True)
os._exit(0)  # as if killed: nothing is closed or cleaned up. And there is no guard of the main module.
"""
    )
    process = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True)
    assert not process.returncode, process.stderr
    (pid,) = map(int, process.stdout.split())
    wait_until(lambda: not _is_running(pid))


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
