"""ForwardRunner of a run's texts through a network: one network at a time here, those of controls in processes beside this one, too.

Which passes the controls will take is known before the first of them is asked for, and a narrow network leaves a second core
idle, however many threads share an operation between them: on one core, the claims on ``mini`` spend two thirds of their time
in sixty such passes. So `Prefetcher` has other processes run them in the order in which they will be asked for. This process doesn't
wait for one that it needs: it runs the next that nobody has begun. A pass is run on one thread wherever that is, so that what it
gives doesn't depend on who ran it.
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

__all__ = ["Prefetcher", "helpers_worth_starting", "serve"]

# What a process beside this one costs: five seconds to import torch, and half a gigabyte with a small network.
WORTH = 8e10  # parameters times tokens, about ten seconds of a narrow network's on one core
HELPER_BYTES = 1 << 30
MOST_HELPERS = 8
# ForwardRunner run before they are needed, beyond one for each process; their columns wait in memory, these bytes of them at most.
PASSES_AHEAD = 8
AHEAD_BYTES = 1 << 29


def helpers_worth_starting(asked: Sequence[ForwardPass], passages: Sequence[Passage]) -> int:
    """Return how many processes beside this one will be repaid by the passes they take over; none on a single thread.

    As many as torch was given threads, this process counted, and as fit the free memory with the columns of two passes each,
    but one for each `WORTH` at most. None where pytest-xdist has spread the run over processes already.
    """
    if "PYTEST_XDIST_WORKER" in os.environ or not sys.executable:
        return 0
    repaid = sum(one.work(passages) for one in asked) / WORTH
    if repaid < 1:
        return 0
    free = available()
    each = HELPER_BYTES + 2 * max(one.size(passages) for one in asked)
    room = MOST_HELPERS if free is None else free / each
    return int(min(repaid, torch.get_num_threads() - 1, room, MOST_HELPERS))


@dataclass(slots=True, eq=False)
class _Slot:
    """A pass that will be asked for."""

    asked: ForwardPass
    is_begun: bool = False
    is_done: bool = False
    found: list[Trace] | None = None  # None, where whoever began it came to nothing


class Prefetcher:
    """Has passes run by processes beside this one before they are asked for, in that order.

    What goes wrong in a process, its death included, only leaves its pass to be run here, where the error is raised if it is
    met again. From its making until it is closed, and it closes when the last pass was asked for, this process uses the threads
    that its helpers leave.

    Parameters
    ----------
    here : ForwardRunner
        Runs what no process has begun; on the processor.
    asked : iterable of ForwardPass
        In the order in which they will be asked for. One that is never asked for is dropped when a later one is.
    helpers : int
        How many processes.

    """

    def __init__(self, here: ForwardRunner, asked: Iterable[ForwardPass], helpers: int) -> None:
        self._here = here
        # A column of one's own is a function of one's own, which another process may not be able to import.
        self._slots = [_Slot(one) for one in asked if not one.columns & CUSTOM_COLUMNS.keys()]
        largest = max((slot.asked.size(here.passages) for slot in self._slots), default=0.0)
        self._most = helpers + max(1, int(min(PASSES_AHEAD, AHEAD_BYTES / max(1.0, largest))))
        self._changed = threading.Condition()
        self._is_closed = False
        keep_pages()
        gc.freeze()  # what was imported stays, and need not be looked through for cycles
        self._threads = torch.get_num_threads()
        torch.set_num_threads(max(1, self._threads - helpers))
        self._helpers: list[_Helper] = []
        for _ in range(helpers):
            with suppress(OSError):  # where no process can be started, all is run here
                self._helpers.append(_Helper(here))
        for helper in self._helpers:
            threading.Thread(target=self._keep_busy, args=(helper,), daemon=True).start()

    def traces(self, one: ForwardPass) -> Iterator[Trace]:
        """Yield the trace of each text in one pass; errors as in `ForwardRunner.traces`."""
        with self._changed:
            slot = next((slot for slot in self._slots if slot.asked.covers(one)), None)
            if slot:
                del self._slots[: self._slots.index(slot)]
                self._changed.notify_all()
        found = self._found(slot) if slot else None
        if found is None:
            found = self._run_here(one)
        with self._changed:
            is_over = not self._slots
        if is_over:
            self.close()
        return iter(found)

    def close(self) -> None:
        """End the processes, and take their threads back."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._slots.clear()
            self._changed.notify_all()
        for helper in self._helpers:
            helper.end()
        torch.set_num_threads(self._threads)

    def _found(self, slot: _Slot) -> list[Trace] | None:
        """Return what a pass gave, whoever ran it, and take it out; what others wait for is run while it is not done."""
        while True:
            with self._changed:
                if slot.is_done:
                    self._slots.remove(slot)
                    return slot.found
                mine = slot if not slot.is_begun else self._waiting()
                if mine is None:
                    self._changed.wait()
                    continue
                mine.is_begun = True
            found = None
            try:
                found = self._run_here(mine.asked)
            except Exception:
                if mine is slot:
                    raise
                # Another's error is met again when that one is asked for.
            finally:
                self._put(mine, found)

    def _run_here(self, one: ForwardPass) -> list[Trace]:
        with on_threads(1):
            return list(self._here.traces(one))

    def _waiting(self) -> _Slot | None:
        """Return the first pass that nobody has begun, unless too many are done and not yet asked for."""
        return next((slot for slot in self._slots[: self._most] if not slot.is_begun), None)

    def _put(self, slot: _Slot, found: list[Trace] | None) -> None:
        with self._changed:
            slot.is_done, slot.found = True, found
            self._changed.notify_all()

    def _keep_busy(self, helper: _Helper) -> None:
        """Have a process run passes until there are no more, or it is gone."""
        while True:
            with self._changed:
                while (slot := self._waiting()) is None:
                    if not self._slots:
                        return
                    self._changed.wait()
                slot.is_begun = True
            found = None
            try:
                found = helper.traces(slot.asked)
            finally:
                self._put(slot, found)
            if helper.is_gone:
                return


# The other process.
class _Helper:
    """A process beside this one that runs passes, one after the other.

    It is a plain interpreter rather than one of `multiprocessing`, whose children run the caller's main module again: a script
    that calls pytest without a guard would start over in each of them.
    """

    def __init__(self, here: ForwardRunner) -> None:
        self._here = here
        self._was_greeted = False
        self.is_gone = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from pathlen.runner.forward import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # an error is met again here, where it is shown
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        )

    def traces(self, one: ForwardPass) -> list[Trace] | None:
        """Return the trace of each text; None if there was an error, or the process is gone."""
        try:
            columns = self._answer(one)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            self.is_gone = True
            return None
        if columns is None:
            return None
        return [Trace(passage=text.name, **own) for text, own in zip(self._here.passages, columns, strict=True)]

    def _answer(self, one: ForwardPass) -> list[dict[str, Any]] | None:
        asks, answers = self._process.stdin, self._process.stdout
        assert asks is not None  # noqa: S101  # it was asked for, as were the answers
        assert answers is not None  # noqa: S101
        if not self._was_greeted:
            self._was_greeted = True
            pickle.dump(
                (code_fingerprint("runner.prefetch"), tuple(self._here.passages), self._here.device, self._here.dtype),
                asks,
            )
        pickle.dump(one, asks)
        asks.flush()
        columns: list[dict[str, Any]] | None = pickle.load(answers)  # noqa: S301  # from our own process
        return columns

    def end(self) -> None:
        """End the process, whatever it is at."""
        self.is_gone = True
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def serve() -> None:
    """Run the passes that standard input asks for, until it ends, and write what they give to standard output.

    The first thing that comes is what this process must be: of the caller's engine. It ends at once if it isn't.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's goes to all; the caller ends this process
    answers = _own_output()
    torch.set_num_threads(1)
    expected, passages, device, dtype = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that started this one
    if expected != code_fingerprint("runner.prefetch"):
        return
    here = ForwardRunner(passages, device=device, dtype=dtype)
    keep_pages()
    gc.freeze()
    with suppress(EOFError, BrokenPipeError):
        while True:
            one: ForwardPass = pickle.load(sys.stdin.buffer)  # noqa: S301
            pickle.dump(_columns(here, one), answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()


def _own_output() -> BinaryIO:
    """Return standard output for answers alone; what anything else prints goes where errors go."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _columns(here: ForwardRunner, one: ForwardPass) -> list[dict[str, Any]] | None:
    try:
        return [{name: getattr(trace, name) for name in trace.made} for trace in here.traces(one)]
    except Exception:  # noqa: BLE001  # the caller runs the pass itself, and shows the error
        return None
