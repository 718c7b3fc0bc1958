"""Passes of controls that helper processes run before they are needed.

Which passes the controls will take is known before the first of them is asked for, and a narrow network leaves a second core
idle, however many threads share an operation: on one core, the claims on ``mini`` spend two thirds of their time in sixty such
passes. `Prefetcher` has helpers run them in the order in which they will be asked for. This process doesn't wait for a pass that
it needs: it runs the next one that nobody has started. Every pass runs on one thread, so its result doesn't depend on who ran it.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

from pathlen._util.fingerprint import code_fingerprint
from pathlen._util.memory import available, keep_pages
from pathlen.columns.catalog import CUSTOM_COLUMNS
from pathlen.columns.table import Trace
from pathlen.passages.passage import Passage
from pathlen.runner.forward import ForwardPass, ForwardRunner
from pathlen.traces.tracer import on_threads

__all__ = ["Helper", "PlannedPass", "Prefetcher", "helpers_worth_starting", "serve"]

SELF = "runner.prefetch"  # this module, for the fingerprint of the code that both processes run
# A helper costs five seconds to import torch, and half a gigabyte with a small network.
WORTH = 8e10  # parameters times tokens that repay it: about ten seconds of a narrow network on one core
HELPER_BYTES = 1 << 30
MOST_HELPERS = 8
# How many passes beyond one per helper may run before they are needed, and the memory their columns may take meanwhile.
PASSES_AHEAD = 8
AHEAD_BYTES = 1 << 29


def helpers_worth_starting(passes: Sequence[ForwardPass], passages: Sequence[Passage]) -> int:
    """Return how many helpers these passes repay.

    There are at most as many as torch has threads, this process included, and as fit into free memory with the columns of two
    passes each, and one per `WORTH`. There are none where pytest-xdist has spread the run over processes already.
    """
    if "PYTEST_XDIST_WORKER" in os.environ or not sys.executable:
        return 0
    repaid = sum(forward_pass.work(passages) for forward_pass in passes) / WORTH
    if repaid < 1:
        return 0
    free = available()
    needed = HELPER_BYTES + 2 * max(forward_pass.size(passages) for forward_pass in passes)
    fitting = MOST_HELPERS if free is None else free / needed
    return int(min(repaid, torch.get_num_threads() - 1, fitting, MOST_HELPERS))


@dataclass(slots=True, eq=False)
class PlannedPass:
    """A pass that will be asked for.

    Attributes
    ----------
    forward_pass : ForwardPass
    is_started, is_done : bool
    traces : list of Trace or None
        The result; None if the process that started it failed.

    """

    forward_pass: ForwardPass
    is_started: bool = False
    is_done: bool = False
    traces: list[Trace] | None = None


class Prefetcher:
    """Has helper processes run passes before they are asked for, in that order.

    If a helper fails or dies, its pass is run again in this process, so a genuine error surfaces here. From when it is made
    until it is closed, this process uses the threads that its helpers leave. It closes by itself after the last pass.

    Parameters
    ----------
    runner : ForwardRunner
        Runs, on the processor, what no helper has started.
    passes : iterable of ForwardPass
        In the order in which they will be asked for. One that is never asked for is dropped when a later one is.
    helpers : int
        How many processes.

    Attributes
    ----------
    planned : list of PlannedPass
        The passes that have not been asked for yet.
    helpers : list of Helper
    is_closed : bool
    most_ahead : int
        How many of the planned passes may be started before they are asked for.

    """

    def __init__(self, runner: ForwardRunner, passes: Iterable[ForwardPass], helpers: int) -> None:
        self._runner = runner
        # A custom column is a function of the user's, which a helper may not be able to import.
        self.planned = [
            PlannedPass(forward_pass) for forward_pass in passes if not forward_pass.columns & CUSTOM_COLUMNS.keys()
        ]
        largest = max((plan.forward_pass.size(runner.passages) for plan in self.planned), default=0.0)
        self.most_ahead = helpers + max(1, int(min(PASSES_AHEAD, AHEAD_BYTES / max(1.0, largest))))
        self._changed = threading.Condition()
        self.is_closed = False
        keep_pages()
        gc.freeze()  # what was imported stays, so looking through it for cycles is a waste
        self._threads = torch.get_num_threads()
        torch.set_num_threads(max(1, self._threads - helpers))
        self.helpers: list[Helper] = []
        for _ in range(helpers):
            with suppress(OSError):  # where no process can be started, everything runs here
                self.helpers.append(Helper(runner))
        for helper in self.helpers:
            threading.Thread(target=self._keep_busy, args=(helper,), daemon=True).start()

    def traces(self, forward_pass: ForwardPass) -> Iterator[Trace]:
        """Yield the trace of each text in one pass; errors as in `ForwardRunner.traces`."""
        with self._changed:
            plan = next((plan for plan in self.planned if plan.forward_pass.covers(forward_pass)), None)
            if plan:
                del self.planned[: self.planned.index(plan)]
                self._changed.notify_all()
        traces = self._result(plan) if plan else None
        if traces is None:
            traces = self._run(forward_pass)
        with self._changed:
            is_over = not self.planned
        if is_over:
            self.close()
        return iter(traces)

    def close(self) -> None:
        """End the helpers, and take their threads back."""
        with self._changed:
            if self.is_closed:
                return
            self.is_closed = True
            self.planned.clear()
            self._changed.notify_all()
        for helper in self.helpers:
            helper.end()
        torch.set_num_threads(self._threads)

    def _result(self, plan: PlannedPass) -> list[Trace] | None:
        """Return the result of a pass and forget it; until it is done, run passes that nobody has started."""
        while True:
            with self._changed:
                if plan.is_done:
                    self.planned.remove(plan)
                    return plan.traces
                mine = plan if not plan.is_started else self._next_to_start()
                if mine is None:
                    self._changed.wait()
                    continue
                mine.is_started = True
            traces = None
            try:
                traces = self._run(mine.forward_pass)
            except Exception:
                if mine is plan:
                    raise
                # The error of another pass is raised when that one is asked for.
            finally:
                self._finish(mine, traces)

    def _run(self, forward_pass: ForwardPass) -> list[Trace]:
        with on_threads(1):
            return list(self._runner.traces(forward_pass))

    def _next_to_start(self) -> PlannedPass | None:
        """Return the first pass that nobody has started, unless too many are done and not yet asked for."""
        return next((plan for plan in self.planned[: self.most_ahead] if not plan.is_started), None)

    def _finish(self, plan: PlannedPass, traces: list[Trace] | None) -> None:
        with self._changed:
            plan.is_done, plan.traces = True, traces
            self._changed.notify_all()

    def _keep_busy(self, helper: Helper) -> None:
        """Have a helper run passes until there are no more, or it is gone."""
        while True:
            with self._changed:
                while (plan := self._next_to_start()) is None:
                    if not self.planned:
                        return
                    self._changed.wait()
                plan.is_started = True
            traces = None
            try:
                traces = helper.traces(plan.forward_pass)
            finally:
                self._finish(plan, traces)
            if helper.is_gone:
                return


class Helper:
    """A process beside this one that runs passes, one after the other.

    It is a plain interpreter rather than one of `multiprocessing`, whose children run the caller's main module again: a script
    that calls pytest without a guard would start over in each of them.

    Attributes
    ----------
    process : subprocess.Popen
    is_gone : bool
        Whether it answers no more.

    """

    def __init__(self, runner: ForwardRunner) -> None:
        self._runner = runner
        self._is_introduced = False
        self.is_gone = False
        self.process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # an error is raised again in this process, where it is shown
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        )

    def traces(self, forward_pass: ForwardPass) -> list[Trace] | None:
        """Return the trace of each text; None if there was an error, or the process is gone."""
        try:
            columns = self._answer(forward_pass)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            self.is_gone = True
            return None
        if columns is None:
            return None
        texts = zip(self._runner.passages, columns, strict=True)
        return [Trace(passage=passage.name, **text_columns) for passage, text_columns in texts]

    def _answer(self, forward_pass: ForwardPass) -> list[dict[str, Any]] | None:
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None  # noqa: S101  # a pipe was asked for
        assert answers is not None  # noqa: S101
        if not self._is_introduced:
            self._is_introduced = True
            runner = self._runner
            pickle.dump((code_fingerprint(SELF), tuple(runner.passages), runner.device, runner.dtype), requests)
        pickle.dump(forward_pass, requests)
        requests.flush()
        columns: list[dict[str, Any]] | None = pickle.load(answers)  # noqa: S301  # from our own process
        return columns

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.is_gone = True
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def serve() -> None:
    """Run the passes that standard input asks for until it ends, and write their columns to standard output.

    The first message says which code the caller runs. If this process would run another, it ends at once.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to both processes; the caller ends this one
    answers = _answers()
    torch.set_num_threads(1)
    fingerprint, passages, device, dtype = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that started this one
    if fingerprint != code_fingerprint(SELF):
        return
    runner = ForwardRunner(passages, device=device, dtype=dtype)
    keep_pages()
    gc.freeze()
    with suppress(EOFError, BrokenPipeError):
        while True:
            forward_pass: ForwardPass = pickle.load(sys.stdin.buffer)  # noqa: S301
            pickle.dump(_columns(runner, forward_pass), answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()


def _answers() -> BinaryIO:
    """Return standard output, for answers alone; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _columns(runner: ForwardRunner, forward_pass: ForwardPass) -> list[dict[str, Any]] | None:
    try:
        return [{name: getattr(trace, name) for name in trace.made} for trace in runner.traces(forward_pass)]
    except Exception:  # noqa: BLE001  # the caller runs the pass itself, and shows the error
        return None
