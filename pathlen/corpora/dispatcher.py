"""Dispatcher out shards to whatever measures them, and copes with workers that die.

Executors differ in what becomes of shards that were with a worker when it died. A pool of processes breaks as a whole: what was
out is then measured one shard at a time, in a new pool, so that a text that kills its worker is found. Dask gives up on all that
was with workers that died too often, whoever killed them; what it gives up on is handed out once more when nothing else is out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlen.corpora.worker import Failed, Job, Made

__all__ = ["Dispatcher", "Factory", "measured_here"]

ATTEMPTS = 2  # for a shard that is the only one in the hands of a worker when that dies
SHARDS_AHEAD = 32  # shards handed out to an executor that doesn't say how many workers it has

Factory = Callable[[], Executor]


class Dispatcher:
    """Dispatcher out shards to an executor, a bounded number at a time, and takes them back in the order in which they are done."""

    def __init__(self, executor: Executor | Factory | None, ahead: int | None) -> None:
        self._make = executor if executor is not None and not isinstance(executor, Executor) else None
        self._executor = executor if isinstance(executor, Executor) else None
        self._ahead = ahead
        self._most = 1
        self._out: dict[Future[Made | Failed], Job] = {}
        self._lost: list[Job] = []

    def __enter__(self) -> Self:
        if self._make:
            self._executor = self._make()
        workers = getattr(self._executor, "_max_workers", None)
        self._most = self._ahead or (2 * workers if isinstance(workers, int) else SHARDS_AHEAD)
        return self

    def __exit__(self, *raised: object) -> None:
        for future in self._out:
            future.cancel()
        if self._make and self._executor:
            self._executor.shutdown(wait=True, cancel_futures=True)
        if "pathlen.corpora.worker" in sys.modules:
            from pathlen.corpora.worker import forget

            forget()

    def give(self, job: Job) -> Iterator[tuple[Job, Made | Failed]]:
        """Hand out a shard, and yield what is done; where too many are out, wait for one."""
        if self._executor is None:
            yield job, measured_here(job)
            return
        try:
            self._out[self._submitted(job)] = job
        except BrokenExecutor:
            yield from self._after_a_break([job])
        yield from self._done(is_waiting=False)
        while len(self._out) >= self._most:
            yield from self._done(is_waiting=True)
        if len(self._lost) >= self._most:  # their texts must not pile up
            yield from self.rest()

    def rest(self) -> Iterator[tuple[Job, Made | Failed]]:
        """Yield all that is still out, when it is done; what an executor lost is given to it once more, alone."""
        while self._out:
            yield from self._done(is_waiting=True)
        while self._lost:
            job = self._lost.pop(0)
            yield job, self._alone(job)

    def _submitted(self, job: Job) -> Future[Made | Failed]:
        from pathlen.corpora.worker import measured

        assert self._executor is not None  # noqa: S101  # or it would be measured here
        return self._executor.submit(measured, job)

    def _done(self, *, is_waiting: bool) -> Iterator[tuple[Job, Made | Failed]]:
        done, _ = wait(self._out, timeout=None if is_waiting else 0, return_when=FIRST_COMPLETED)
        broken = []
        for future in done:
            job = self._out.pop(future)
            if _is_broken(future):
                broken.append(job)
            elif future.cancelled() or future.exception():
                # Dask gives up on all that was with workers that died, whoever it was that killed them.
                self._lost.append(job)
            else:
                yield job, future.result()
        if broken:
            yield from self._after_a_break(broken)

    def _after_a_break(self, jobs: list[Job]) -> Iterator[tuple[Job, Made | Failed]]:
        """Measure what was out when a worker died one shard at a time, so that one that kills its worker is found."""
        wait(self._out)  # a pool breaks as a whole
        while self._out:
            future, job = self._out.popitem()
            if _is_broken(future):
                jobs.append(job)
            else:
                yield job, _answer(future)
        self._renew()
        for job in jobs:
            yield job, self._alone(job)

    def _alone(self, job: Job) -> Made | Failed:
        from pathlen.corpora.worker import Failed

        for attempt in range(1, ATTEMPTS + 1):
            if self._executor is None:
                return measured_here(job)
            try:
                return _answer(self._submitted(replace(job, attempt=attempt)))
            except BrokenExecutor:
                self._renew()
        return Failed(text="", reason=f"its worker died {ATTEMPTS} times while it measured nothing else")

    def _renew(self) -> None:
        """Make a new pool in the place of a broken one; where nobody said how, this process goes on by itself."""
        if self._executor and self._make:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._make() if self._make else None


def measured_here(job: Job) -> Made | Failed:
    """Measure a shard in this process."""
    from pathlen.corpora.worker import measured

    return measured(job)


def _is_broken(future: Future[Made | Failed]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _answer(future: Future[Made | Failed]) -> Made | Failed:
    """Return what a worker said, or what became of it; `BrokenExecutor` if its pool broke."""
    from pathlen.corpora.worker import Failed

    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:  # noqa: BLE001  # as Dask's of a worker that died too often
        return Failed(text="", reason=f"{type(error).__name__}: {error}")
