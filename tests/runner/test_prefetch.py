"""ForwardRunner that processes run ahead of their being asked for: the same numbers, whoever ran them and whatever becomes of him."""

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

import numpy as np
import pytest
import torch

from pathlen.claims.controls import PLANTED, SHUFFLED, UNTRAINED, Perturbation
from pathlen.columns.catalog import ALIGNMENT, CATALOG, CUSTOM_COLUMNS, measures
from pathlen.columns.table import Trace
from pathlen.errors import ModelNotFound
from pathlen.models.checkpoint import from_directory
from pathlen.models.families import ModelSpec, spec
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import shipped
from pathlen.runner import prefetch
from pathlen.runner.forward import ForwardPass, ForwardRunner
from pathlen.runner.prefetch import Prefetcher, helpers_worth_starting
from pathlen.runner.provider import ColumnProvider

TEXTS = tuple(
    Passage(name=name, text=shipped(name).text[:300], origin="test") for name in ("tides", "nietzsche", "bees")
)
COLUMNS = frozenset({"step_length", "next_logit", *ALIGNMENT})


@pytest.fixture
def tiny(new_checkpoint: Callable[..., Path]) -> ModelSpec:
    return from_directory(new_checkpoint())


@pytest.fixture
def asked(tiny: ModelSpec) -> list[ForwardPass]:
    untrained = [ForwardPass(tiny, seed, None, COLUMNS) for seed in range(4)]
    return [*untrained, *(ForwardPass(tiny, None, seed, COLUMNS) for seed in range(4))]


@pytest.fixture
def here() -> ForwardRunner:
    return ForwardRunner(TEXTS, device="cpu", dtype="float32")


@pytest.fixture
def ahead() -> Iterator[Callable[..., Prefetcher]]:
    """Make one, and end its processes in any case."""
    made: list[Prefetcher] = []

    def make(*arguments: Any) -> Prefetcher:
        made.append(Prefetcher(*arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


def numbers(traces: Iterator[Trace]) -> list[tuple[Any, ...]]:
    return [
        (one.passage, one.step_length.tobytes(), one.next_logit.tobytes(), one.token_ids.tobytes()) for one in traces
    ]


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this should have happened by now"
        time.sleep(0.01)


def test_a_pass_gives_the_same_to_the_last_bit_whoever_ran_it(
    here: ForwardRunner, asked: list[ForwardPass], ahead: Callable[..., Prefetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [numbers(here.traces(one)) for one in asked]
    assert len({str(one) for one in expected}) == len(asked)
    made = ahead(here, asked, 1)
    slots = list(made.planned)
    until(lambda: all(slot.is_done for slot in slots))  # all of them in the other process
    monkeypatch.setattr(here, "traces", None)
    assert [numbers(made.traces(one)) for one in asked] == expected


def test_who_needs_a_pass_runs_it_and_does_not_wait_for_a_process_to_begin(
    here: ForwardRunner, asked: list[ForwardPass], ahead: Callable[..., Prefetcher]
) -> None:
    expected = [numbers(here.traces(one)) for one in asked]
    made = ahead(here, asked, 1)
    # A process takes seconds to import torch, and may have the first of them; all others are run here meanwhile.
    assert [numbers(made.traces(one)) for one in asked] == expected
    assert made.is_closed
    assert all(helper.process.poll() is not None for helper in made.helpers)


def test_columns_that_nobody_foresaw_are_measured_here(
    here: ForwardRunner, asked: list[ForwardPass], ahead: Callable[..., Prefetcher]
) -> None:
    made = ahead(here, asked, 1)
    more = replace(asked[2], columns=COLUMNS | {"entropy"})
    assert all("entropy" in one.made for one in made.traces(more))
    assert len(made.planned) == len(asked)  # none of those that were foreseen
    fewer = replace(asked[2], columns=frozenset({"step_length"}))
    assert all("next_logit" in one.made for one in made.traces(fewer))
    assert [slot.forward_pass for slot in made.planned] == asked[3:]  # and those before it are given up


def test_a_process_that_dies_costs_nothing_but_its_help(
    here: ForwardRunner, asked: list[ForwardPass], ahead: Callable[..., Prefetcher]
) -> None:
    expected = [numbers(here.traces(one)) for one in asked]
    made = ahead(here, asked, 2)
    slots = list(made.planned)
    until(lambda: sum(slot.is_done for slot in slots) >= 2)
    for helper in made.helpers:
        os.kill(helper.process.pid, signal.SIGKILL)
    assert [numbers(made.traces(one)) for one in asked] == expected


def test_a_process_of_another_version_is_of_no_help(
    here: ForwardRunner, asked: list[ForwardPass], ahead: Callable[..., Prefetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "code_fingerprint", lambda *roots: "another")
    made = ahead(here, asked, 1)
    slots = list(made.planned)
    until(lambda: made.helpers[0].is_gone)
    assert not any(slot.traces for slot in slots)
    assert len(numbers(made.traces(asked[0]))) == len(TEXTS)


def test_an_error_is_raised_where_the_pass_is_asked_for(
    here: ForwardRunner, tiny: ModelSpec, asked: list[ForwardPass], ahead: Callable[..., Prefetcher], tmp_path: Path
) -> None:
    gone = replace(tiny, source=str(tmp_path / "gone"))
    wrong = ForwardPass(gone, 0, None, COLUMNS)
    made = ahead(here, [asked[0], wrong, *asked[1:]], 1)
    slots = list(made.planned)
    numbers(made.traces(asked[0]))
    with pytest.raises(ModelNotFound, match="gone"):
        made.traces(wrong)
    until(lambda: slots[1].is_done)
    expected = numbers(ForwardRunner(TEXTS, device="cpu", dtype="float32").traces(asked[1]))
    assert numbers(made.traces(asked[1])) == expected


def test_what_waits_to_be_asked_for_is_bounded(
    here: ForwardRunner, tiny: ModelSpec, ahead: Callable[..., Prefetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "PASSES_AHEAD", 2)
    asked = [ForwardPass(tiny, seed, None, COLUMNS) for seed in range(9)]
    made = ahead(here, asked, 1)
    slots = list(made.planned)
    until(lambda: sum(slot.is_done for slot in slots) == 3)
    time.sleep(0.3)
    assert sum(slot.is_begun for slot in slots) == 3
    numbers(made.traces(asked[0]))
    until(lambda: sum(slot.is_done for slot in slots) == 4)


def test_where_no_process_can_be_started_all_is_run_here(
    here: ForwardRunner, asked: list[ForwardPass], ahead: Callable[..., Prefetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    expected = numbers(here.traces(asked[0]))
    monkeypatch.setattr(subprocess, "Popen", refuse)
    made = ahead(here, asked, 2)
    assert numbers(made.traces(asked[0])) == expected


def test_columns_of_long_texts_do_not_pile_up(
    here: ForwardRunner, asked: list[ForwardPass], ahead: Callable[..., Prefetcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "AHEAD_BYTES", 3.5 * asked[0].size(TEXTS))
    assert ahead(here, asked, 1).most_ahead == 1 + 3
    monkeypatch.setattr(prefetch, "AHEAD_BYTES", 1)
    assert ahead(here, asked, 2).most_ahead == 2 + 1


def test_a_column_of_ones_own_is_not_left_to_another_process(
    here: ForwardRunner, tiny: ModelSpec, ahead: Callable[..., Prefetcher], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: CUSTOM_COLUMNS.pop("overlap", None))

    @measures(at="step", unit="squared residual units")
    def overlap(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """The product of a token's states before and after a block."""
        return (before * after).sum(dim=-1)

    one = ForwardPass(tiny, 0, None, COLUMNS | {"overlap"})
    made = ahead(here, [one], 1)
    assert not made.planned
    assert all("overlap" in trace.made for trace in made.traces(one))


def test_threads_are_shared_while_processes_help_and_given_back(
    here: ForwardRunner, asked: list[ForwardPass], ahead: Callable[..., Prefetcher]
) -> None:
    torch.set_num_threads(2)
    try:
        made = ahead(here, asked, 1)
        assert torch.get_num_threads() == 1
        made.close()
        assert torch.get_num_threads() == 2
        made.close()
        assert torch.get_num_threads() == 2
        assert made.helpers[0].process.poll() is not None
    finally:
        torch.set_num_threads(1)


def test_processes_are_started_where_they_are_repaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    texts = tuple(shipped(name) for name in ("tides", "nietzsche", "bees"))
    many = [ForwardPass(spec("mini", "xl"), seed, None, COLUMNS) for seed in range(200)]
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
    long = replace(texts[0], text=texts[0].text * 1000)  # columns as large as the memory that is free
    assert helpers_worth_starting(many, [long]) == 0
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert helpers_worth_starting(many, texts) == 0


def test_a_workbench_has_those_passes_run_ahead_that_are_worth_it(
    tiny: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    perturbations = [Perturbation(UNTRAINED, 0), Perturbation(PLANTED, 0), Perturbation(SHUFFLED, 3)]
    large = spec("gpt2", "large")
    assert large.is_large
    seen: list[list[ForwardPass]] = []

    def counted(asked: list[ForwardPass], _: object) -> int:
        seen.append(asked)
        return 1

    monkeypatch.setattr("pathlen.runner.provider.helpers_worth_starting", counted)
    bench, plain = (ColumnProvider(TEXTS) for _ in range(2))
    bench.prefetch_controls((one, world, ["step_length"]) for one in (large, tiny) for world in perturbations)
    assert seen == [
        [ForwardPass(tiny, 0, None, COLUMNS - {"next_logit"}), ForwardPass(tiny, None, 3, COLUMNS - {"next_logit"})]
    ]
    assert bench._ahead is not None
    for world in (perturbations[0], perturbations[2]):
        one, other = (made.control(tiny, world, ["step_length"]).measured.step_length for made in (bench, plain))
        assert np.array_equal(one, other)
    assert bench._ahead._is_closed
    bench.close()
    again = bench.control(tiny, perturbations[0], ["step_length"]).measured.step_length
    assert np.array_equal(again, plain.control(tiny, perturbations[0], ["step_length"]).measured.step_length)


def test_a_gpu_is_not_shared_out(tiny: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathlen.runner.provider.helpers_worth_starting", lambda *_: 1)
    bench = ColumnProvider(TEXTS, device="cuda")
    bench.prefetch_controls([(tiny, Perturbation(UNTRAINED, 0), list(CATALOG))])
    assert bench._ahead is None


def test_a_large_network_is_gone_before_the_next_is_loaded(tiny: ModelSpec, tmp_path: Path) -> None:
    """In a process of its own: it is the first load that leaves something behind which holds the network."""
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import gc, weakref
from pathlen.models.checkpoint import from_name
from pathlen.models import families
from pathlen.models.loading import load
from pathlen.runner import forward
gc.disable()
families.LARGE_NETWORK = 0
held = []
def loader(spec, **options):
    assert all(one() is None for one in held), "two at once"
    model = load(spec, **options)
    held.append(weakref.ref(model.network))
    return model
here = forward.ForwardRunner((), device="cpu", dtype="float32", loader=loader)
for seed in (None, 0, None, 1):
    here.model(from_name({tiny.source!r}), seed)
print(len(held))
"""
    )
    done = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    assert done.stdout.split() == ["4"]


def test_a_process_ends_with_the_one_that_started_it(tiny: ModelSpec, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import os, sys
from pathlen.models.checkpoint import from_name
from pathlen.passages.passage import Passage
from pathlen.runner.forward import ForwardPass, ForwardRunner
from pathlen.runner.prefetch import Prefetcher
texts = (Passage(name="one", text="The tide comes in, and the tide goes out again.", origin="test"),)
one = ForwardPass(from_name({tiny.source!r}), 0, None, frozenset({{"step_length"}}))
made = Prefetcher(ForwardRunner(texts, device="cpu", dtype="float32"), [one], 1)
print(made.helpers[0].process.pid, flush=True)
os._exit(0)  # no close, no clean-up: as if killed; and no guard of its main module
"""
    )
    done = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    (pid,) = map(int, done.stdout.split())
    until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
