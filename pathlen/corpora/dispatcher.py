"""Hands out shards to an executor, and recovers from workers that die.

Executors differ in what happens to the shards of a worker that dies. A pool of processes breaks as a whole: all shards in flight
are then measured one at a time in a new pool, which isolates the text that kills its worker. Dask gives up on every task whose
workers died too often, whichever task was at fault; those shards are submitted again, alone, once nothing else is in flight.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlen.corpora.worker import Answer, Job

__all__ = ["Dispatcher", "Factory", "measure_in_process"]

ATTEMPTS = 2  # at a shard that is measured alone, if its worker dies
SHARDS_AHEAD = 32  # shards in flight on an executor that doesn't tell its number of workers

Factory = Callable[[], Executor]


class Dispatcher:
    """Hands out shards to an executor, a bounded number at a time, and returns answers in the order they arrive.

    Parameters
    ----------
    executor : Executor, function that makes one, or None
        None measures in this process.
    ahead : int or None
        The most shards in flight; None for twice the executor's workers, or `SHARDS_AHEAD` if it doesn't tell.

    """

    def __init__(self, executor: Executor | Factory | None, ahead: int | None) -> None:
        self._make_executor = executor if executor is not None and not isinstance(executor, Executor) else None
        self._executor = executor if isinstance(executor, Executor) else None
        self._ahead = ahead
        self._most_in_flight = 1
        self._in_flight: dict[Future[Answer], Job] = {}
        self._lost: list[Job] = []

    def __enter__(self) -> Self:
        if self._make_executor:
            self._executor = self._make_executor()
        workers = getattr(self._executor, "_max_workers", None)
        self._most_in_flight = self._ahead or (2 * workers if isinstance(workers, int) else SHARDS_AHEAD)
        return self

    def __exit__(self, *raised: object) -> None:
        for future in self._in_flight:
            future.cancel()
        if self._make_executor and self._executor:
            self._executor.shutdown(wait=True, cancel_futures=True)
        if "pathlen.corpora.worker" in sys.modules:
            from pathlen.corpora.worker import release_model

            release_model()

    def submit(self, job: Job) -> Iterator[tuple[Job, Answer]]:
        """Hand out a shard, and yield the answers that have arrived; wait for one while too many shards are in flight."""
        if self._executor is None:
            yield job, measure_in_process(job)
            return
        try:
            self._in_flight[self._submit(job)] = job
        except BrokenExecutor:
            yield from self._recovered([job])
        yield from self._completed(is_waiting=False)
        while len(self._in_flight) >= self._most_in_flight:
            yield from self._completed(is_waiting=True)
        if len(self._lost) >= self._most_in_flight:  # their texts must not pile up in memory
            yield from self.drain()

    def drain(self) -> Iterator[tuple[Job, Answer]]:
        """Yield the answers of all shards in flight; then shards that the executor lost are submitted again, one by one."""
        while self._in_flight:
            yield from self._completed(is_waiting=True)
        while self._lost:
            job = self._lost.pop(0)
            yield job, self._measured_alone(job)

    def _submit(self, job: Job) -> Future[Answer]:
        from pathlen.corpora.worker import measure_shard

        assert self._executor is not None  # noqa: S101  # without one, the shard is measured in this process
        return self._executor.submit(measure_shard, job)

    def _completed(self, *, is_waiting: bool) -> Iterator[tuple[Job, Answer]]:
        completed, _ = wait(self._in_flight, timeout=None if is_waiting else 0, return_when=FIRST_COMPLETED)
        broken = []
        for future in completed:
            job = self._in_flight.pop(future)
            if _is_broken(future):
                broken.append(job)
            elif future.cancelled() or future.exception():
                # Dask gives up on every task of a worker that died, whichever task killed it.
                self._lost.append(job)
            else:
                yield job, future.result()
        if broken:
            yield from self._recovered(broken)

    def _recovered(self, jobs: list[Job]) -> Iterator[tuple[Job, Answer]]:
        """Measure the shards of a broken pool one at a time, which isolates one that kills its worker."""
        wait(self._in_flight)  # a pool breaks as a whole
        while self._in_flight:
            future, job = self._in_flight.popitem()
            if _is_broken(future):
                jobs.append(job)
            else:
                yield job, _answer(future)
        self._replace_executor()
        for job in jobs:
            yield job, self._measured_alone(job)

    def _measured_alone(self, job: Job) -> Answer:
        from pathlen.corpora.worker import FailedShard

        for attempt in range(1, ATTEMPTS + 1):
            if self._executor is None:
                return measure_in_process(job)
            try:
                return _answer(self._submit(replace(job, attempt=attempt)))
            except BrokenExecutor:
                self._replace_executor()
        return FailedShard(text="", reason=f"its worker died {ATTEMPTS} times while it measured nothing else")

    def _replace_executor(self) -> None:
        """Replace a broken pool with a new one; without a function that makes one, this process takes over."""
        if self._executor and self._make_executor:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._make_executor() if self._make_executor else None


def measure_in_process(job: Job) -> Answer:
    """Measure a shard in this process."""
    from pathlen.corpora.worker import measure_shard

    return measure_shard(job)


def _is_broken(future: Future[Answer]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _answer(future: Future[Answer]) -> Answer:
    """Return a worker's answer, or what its executor raised as a failed shard; `BrokenExecutor` if its pool broke."""
    from pathlen.corpora.worker import FailedShard

    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:  # noqa: BLE001  # such as Dask's `KilledWorker`
        return FailedShard(text="", reason=f"{type(error).__name__}: {error}")
