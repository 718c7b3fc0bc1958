"""What measures one shard, wherever it runs: in the caller, in a process of a pool, or on another machine.

A job says which model, which texts and which columns, and the answer is the shard's content with its digest, or why there is
none. Whoever gets a job loads the model itself, once in a process, after finding that its files, this package and what it
computes with are those of the caller: shards of two versions must not stand beside each other under one name.

One process measures one shard at a time, on as many threads as the job says, for the last digits of a sum depend on them.
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

__all__ = ["Failed", "Job", "Made", "forget", "measured"]

SHIPPED = "shipped with pathlen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One shard to be measured.

    Attributes
    ----------
    number : int
        Its place in the corpus, from 0.
    key : str
    spec : ModelSpec
    recipe : Recipe
    device : str
        With its number, where it has one; the recipe knows its kind only.
    threads : int
    own : tuple of CustomColumn
        Columns of one's own among those that are wanted; a worker may not know them.
    passages : tuple of Passage
    attempt : int
        How often it was handed out before. Dask knows a task by what it is given, and answers one that failed with what it
        answered before.

    """

    number: int
    key: str
    spec: ModelSpec
    recipe: Recipe
    device: str
    threads: int
    own: tuple[CustomColumn, ...]
    passages: tuple[Passage, ...]
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A shard that was measured: the content of its file, and its digest before it travelled."""

    content: bytes
    sha256: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why there is no shard.

    Attributes
    ----------
    text : str
        The text that can't be measured; empty if it is none of them alone.
    reason : str
        The kind of the error and its words.
    is_the_worker : bool
        Whether the worker can't measure any text, so that there is no sense in asking on.

    """

    text: str
    reason: str
    is_the_worker: bool = False


_ONE_AT_A_TIME = threading.Lock()  # hooks are put on the one network of a process
_held: dict[tuple[object, ...], Tracer] = {}


def measured(job: Job) -> Made | Failed:
    """Measure one shard; an answer in any case but for an interruption."""
    _end_with_the_caller()
    with _ONE_AT_A_TIME, on_threads(job.threads):
        CUSTOM_COLUMNS.update({one.column.name: one for one in job.own})
        try:
            tracer = _tracer(job)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller is told
            return Failed(text="", reason=f"{_who()}: {_said(error)}", is_the_worker=True)
        try:
            traces = list(tracer.traces(job.passages, columns=job.recipe.columns))
        except ModelMismatch as error:  # a model that can't be captured can't be on any text
            return Failed(text="", reason=_said(error), is_the_worker=True)
        except Exception as error:  # noqa: BLE001  # a column of one's own may raise anything
            return _blamed(tracer, job, error)
        content = packed(job.passages, traces)
        return Made(content=content, sha256=sha256(content), tokens=sum(len(one.token_ids) for one in traces))


def forget() -> None:
    """Let go of the model that this process holds."""
    with _ONE_AT_A_TIME:
        _held.clear()


def _tracer(job: Job) -> Tracer:
    """Return the tracer of a job's model, after finding that it is the caller's."""
    recipe = job.recipe
    # What ships with the package lies where this worker's package does.
    spec = spec_of(job.spec.family, job.spec.size) if job.spec.origin == SHIPPED else job.spec
    files = recipe.weights_sha256, recipe.tokenizer_sha256, recipe.config_sha256
    name = spec, job.device, recipe.dtype, recipe.fast, *files, recipe.engine
    if name not in _held:
        _refuse_another_version(spec, recipe)
        _held.clear()  # before another is loaded
        keep_pages()
        _held[name] = Tracer(load(spec, device=job.device, dtype=recipe.dtype), fast=recipe.fast)
    return _held[name]


def _refuse_another_version(spec: ModelSpec, recipe: Recipe) -> None:
    own = identify(spec)
    for what in ("weights", "tokenizer", "config"):
        found, expected = getattr(own, f"{what}_sha256"), getattr(recipe, f"{what}_sha256")
        if found != expected:
            raise ModelMismatch(
                f"the {what} of {spec.title} must be the caller's, {expected[:12]}, but here they are {found[:12]}"
            )
    if not computes_alike(recipe.engine):
        raise ModelMismatch("pathlen and what it computes with must be the caller's versions, but here are others")


def _blamed(tracer: Tracer, job: Job, error: Exception) -> Failed:
    """Return which text can't be measured, found by measuring each one alone."""
    for passage in job.passages:
        try:
            tracer.trace(passage, columns=job.recipe.columns)
        except Exception as its_own:  # noqa: BLE001
            return Failed(text=passage.name, reason=_said(its_own))
    return Failed(text="", reason=f"{_said(error)} (each of its texts alone can be measured)")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _who() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


@cache
def _end_with_the_caller() -> None:
    """See to it that a process of a pool ends when the one that made it is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
