"""Measures a shard: in the caller's process, in a process of a pool, or on another machine.

A job names the model, the texts and the columns; the answer is the shard's content with its digest, or why it failed. A worker
loads the model itself, once per process, after checking that the model's files, this package and the packages it computes with
are the caller's: shards from two versions must never end up under one name.

A process measures one shard at a time, with the number of threads in the job, since the last digits of a sum depend on it.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from dataclasses import dataclass
from functools import cache

from pathlen._util.memory import keep_pages
from pathlen.columns.catalog import CUSTOM_COLUMNS, CustomColumn
from pathlen.corpora.shard import Recipe, computes_alike, packed, sha256
from pathlen.errors import ModelMismatch
from pathlen.models.checkpoint import identify
from pathlen.models.families import ModelSpec
from pathlen.models.families import spec as spec_of
from pathlen.models.loading import load
from pathlen.passages.passage import Passage
from pathlen.traces.tracer import Tracer, on_threads

__all__ = ["Answer", "FailedShard", "Job", "MeasuredShard", "held_tracers", "measure_shard", "release_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A shard to be measured.

    Attributes
    ----------
    number : int
        The shard's number in the corpus, from 0.
    key : str
    spec : ModelSpec
    is_shipped : bool
        Whether the model ships with the package. A worker elsewhere finds it in its own installation.
    recipe : Recipe
    device : str
        With its number, if it has one; the recipe only has its kind.
    threads : int
    custom_columns : tuple of CustomColumn
        Those among the columns to measure; a worker may not have them registered.
    passages : tuple of Passage
    attempt : int
        How often it was submitted before. Dask identifies a task by its arguments, and would answer an equal one with the
        earlier failure.

    """

    number: int
    key: str
    spec: ModelSpec
    is_shipped: bool
    recipe: Recipe
    device: str
    threads: int
    custom_columns: tuple[CustomColumn, ...]
    passages: tuple[Passage, ...]
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredShard:
    """A shard that was measured: the content of its file, and the content's digest before transfer."""

    content: bytes
    sha256: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedShard:
    """A shard that could not be measured, and why.

    Attributes
    ----------
    text : str
        The text that can't be measured; empty if each can be measured alone, or none was tried.
    reason : str
        The error's type and message.
    is_worker_fault : bool
        Whether the worker can't measure any text, so further jobs are pointless.

    """

    text: str
    reason: str
    is_worker_fault: bool = False


Answer = MeasuredShard | FailedShard

_ONE_AT_A_TIME = threading.Lock()  # hooks are attached to the process's only network
_tracers: dict[tuple[object, ...], Tracer] = {}  # one at most


def measure_shard(job: Job) -> Answer:
    """Measure a shard; every error but an interruption is returned as a `FailedShard`."""
    _exit_with_the_caller()
    with _ONE_AT_A_TIME, on_threads(job.threads):
        CUSTOM_COLUMNS.update({custom.column.name: custom for custom in job.custom_columns})
        try:
            tracer = _tracer_of(job)
        except Exception as error:  # noqa: BLE001  # the caller decides what any error means
            return FailedShard(text="", reason=f"{_process_name()}: {_described(error)}", is_worker_fault=True)
        try:
            traces = list(tracer.traces(job.passages, columns=job.recipe.columns))
        except ModelMismatch as error:  # a model that can't be traced can't be traced on any text
            return FailedShard(text="", reason=_described(error), is_worker_fault=True)
        except Exception as error:  # noqa: BLE001  # a custom column may raise anything
            return _failure_of_one_text(tracer, job, error)
        content = packed(job.passages, traces)
        tokens = sum(len(trace.token_ids) for trace in traces)
        return MeasuredShard(content=content, sha256=sha256(content), tokens=tokens)


def held_tracers() -> tuple[Tracer, ...]:
    """Return the tracers that this process holds: that of the last job's model, or none."""
    return tuple(_tracers.values())


def release_model() -> None:
    """Drop the model that this process holds."""
    with _ONE_AT_A_TIME:
        _tracers.clear()


def _tracer_of(job: Job) -> Tracer:
    """Return the tracer of a job's model, after checking that the model is the caller's."""
    recipe = job.recipe
    # A model that ships with the package is loaded from this worker's own installation.
    spec = spec_of(job.spec.family, job.spec.size) if job.is_shipped else job.spec
    files = recipe.weights_sha256, recipe.tokenizer_sha256, recipe.config_sha256
    key = spec, job.device, recipe.dtype, recipe.fast, *files, recipe.engine
    if key not in _tracers:
        _refuse_other_versions(spec, recipe)
        _tracers.clear()  # before another model is loaded
        keep_pages()
        _tracers[key] = Tracer(load(spec, device=job.device, dtype=recipe.dtype), fast=recipe.fast)
    return _tracers[key]


def _refuse_other_versions(spec: ModelSpec, recipe: Recipe) -> None:
    identity = identify(spec)
    for file, actual, expected in (
        ("weights", identity.weights_sha256, recipe.weights_sha256),
        ("tokenizer", identity.tokenizer_sha256, recipe.tokenizer_sha256),
        ("config", identity.config_sha256, recipe.config_sha256),
    ):
        if actual != expected:
            raise ModelMismatch(
                f"the {file} of {spec.title} must be the caller's, {expected[:12]}, but here they are {actual[:12]}"
            )
    if not computes_alike(recipe.engine):
        raise ModelMismatch("pathlen and what it computes with must be the caller's versions, but here are others")


def _failure_of_one_text(tracer: Tracer, job: Job, error: Exception) -> FailedShard:
    """Return which text can't be measured, found by measuring each one alone."""
    for passage in job.passages:
        try:
            tracer.trace(passage, columns=job.recipe.columns)
        except Exception as text_error:  # noqa: BLE001
            return FailedShard(text=passage.name, reason=_described(text_error))
    return FailedShard(text="", reason=f"{_described(error)} (each of its texts alone can be measured)")


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _process_name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


@cache
def _exit_with_the_caller() -> None:
    """Make a pool's process exit when the process that started it is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
