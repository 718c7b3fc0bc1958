"""Measures corpora: millions of texts, in constant memory, on one core or on many machines.

Texts are read from an iterator and cut into shards. Shards are measured by the given executor: in this process, in a pool of
processes, or by Dask on a cluster. The results are identical to the last bit on the same kind of processor. Only the caller
writes, and it writes each shard's file atomically. So a run that was stopped for any reason can be resumed, and damaged shards
are measured again.

A fault of one shard doesn't affect the others. A text that can't be measured is reported at the end, after all others are
done. A worker that dies is replaced and its shard is tried again. A worker that can't measure anything, such as one without
weights, ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pathlen._util.cache import SIGNATURE
from pathlen._util.files import write_text
from pathlen._util.fingerprint import code_fingerprint, source_fingerprint
from pathlen.columns.catalog import CATALOG, CUSTOM_COLUMNS, columns_named
from pathlen.corpora.corpus import Corpus, LeftOut
from pathlen.corpora.dispatcher import Dispatcher, Factory
from pathlen.corpora.shard import SHARDING, Recipe, key_of
from pathlen.corpora.writer import CorpusWriter, Progress
from pathlen.errors import InvalidCorpus, InvalidText
from pathlen.models.checkpoint import identify
from pathlen.models.families import ModelSpec
from pathlen.models.loading import refuse_device, tokenizing
from pathlen.passages.passage import Passage, at_least_one

if TYPE_CHECKING:
    from pathlen.corpora.worker import Job

__all__ = ["FREE", "SHARD_TOKENS", "Progress", "measure_corpus", "processes"]

FREE = tuple(sorted(name for name, column in CATALOG.items() if column.part in ("path", "next")))  # of almost no cost
SHARD_TOKENS = 16_384
PRELOADED = ("pathlen.corpora.worker", "transformers.modeling_utils", "transformers.models.gpt2.modeling_gpt2")
TAG = f"{SIGNATURE}\n# Made by pathlen; can be measured again from its texts.\n"


def measure_corpus(
    model: ModelSpec,
    passages: Iterable[Passage],
    folder: Path | str,
    *,
    columns: Iterable[str] = FREE,
    device: str = "cpu",
    dtype: str = "float32",
    fast: bool = False,
    executor: Executor | Factory | None = None,
    threads: int = 1,
    ahead: int | None = None,
    shard_tokens: int = SHARD_TOKENS,
    leave_out_short: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Corpus:
    """Measure any number of texts into a folder, and return the resulting corpus.

    Parameters
    ----------
    model : ModelSpec
        From `pathlen.models.families.spec` or `from_name`; every worker loads the model itself.
    passages : iterable of Passage
        At least one. They are read one by one; only those of the shards in flight are in memory.
    folder : Path or str
        A new one, an empty one, or one with a corpus measured in the same way. In the latter case, existing texts are not
        measured again, and new ones at the end are added.
    columns : iterable of str
        As in `pathlen.traces.tracer.trace`. By default those of almost no cost: lengths along the path and the next token's
        logit.
    device, dtype : str
        As in `pathlen.models.loading.load`.
    fast : bool
        Whether short texts are read together, so that rounding may differ from what the model computes for each text alone;
        see `pathlen.traces.tracer`.
    executor : Executor, or a function that makes one, optional
        Measures the shards; this process by default. A function's pool is replaced if one of its workers is killed, and
        is shut down at the end. If a given executor breaks, this process measures what it left undone. `processes` makes
        such functions; for Dask, pass ``client.get_executor()``.
    threads : int
        For each worker, this process included. The last digits depend on it.
    ahead : int, optional
        The most shards in flight; by default twice the executor's number of workers, or 32 if it doesn't tell.
    shard_tokens : int
        A shard is closed as soon as it has this many tokens; texts are never cut. A run that is killed loses the shards in
        flight.
    leave_out_short : bool
        Whether texts of fewer than four tokens are left out and listed in the manifest, instead of being an error.
    progress : callable, optional
        Called with the `Progress` after each shard.

    Returns
    -------
    Corpus
        The same as `pathlen.corpora.corpus.open_corpus` returns later.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type.
    InvalidText
        If there is no text, or one has too few tokens; raised before its shard is measured, and earlier shards are kept.
    InvalidColumn
        If a column does not exist.
    ModelNotFound, ModelMismatch
        As in `pathlen.models.loading.load`.
    InvalidCorpus
        If the folder holds something else, or a corpus of other texts or measured otherwise.
    CorpusFailed
        If some shards could not be measured or written; all others are kept.

    Notes
    -----
    Memory does not grow with the number of texts, except for about 200 bytes per shard. It does grow with the longest text,
    since all of its columns are held at once.

    """
    spec, column_names = _checked(model, columns, device, dtype, executor, threads, ahead, shard_tokens)
    recipe = _recipe(spec, column_names, device, dtype, shard_tokens, fast=fast)
    passages = at_least_one(passages)
    folder = Path(folder)
    _refuse_foreign(folder)
    shards = _Sharding(passages, tokenizing(spec), shard_tokens, leave_out_short=leave_out_short)
    with _alone_in(folder, progress), Dispatcher(executor, ahead) as dispatcher:
        writer = CorpusWriter(folder, recipe, threads, shards.left_out, progress)
        try:
            _measure(_jobs(writer, shards, spec, device), dispatcher, writer)
            return Corpus(folder, writer.finish())
        except BaseException:
            writer.save()
            raise


def processes(workers: int) -> Factory:
    """Return a function that makes a pool of processes, for `measure_corpus`; each process loads the model once.

    Processes import the script that starts them, so call `measure_corpus` under ``if __name__ == "__main__":`` there.

    Raises
    ------
    ValueError
        If ``workers`` is less than 1.

    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, but {workers} was given")

    def make() -> Executor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # A worker forked from a process in which torch has run could wait forever for threads that were not copied. A fork
        # server that has only imported torch is safe, and torch is read from disk once.
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(list(PRELOADED))
        return ProcessPoolExecutor(workers, mp_context=context)

    return make


def _checked(
    model: ModelSpec,
    columns: Iterable[str],
    device: str,
    dtype: str,
    executor: Executor | Factory | None,
    threads: int,
    ahead: int | None,
    shard_tokens: int,
) -> tuple[ModelSpec, tuple[str, ...]]:
    """Return the model with an absolute path, and the sorted names of the columns, after checking all arguments."""
    if not isinstance(model, ModelSpec):
        raise TypeError(
            f"model must be a ModelSpec, from pathlen.spec or LoadedModel.spec, but a {type(model).__name__} was given: every "
            "worker loads the model itself"
        )
    for name, count in (("threads", threads), ("shard_tokens", shard_tokens), ("ahead", 1 if ahead is None else ahead)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, but {count} was given")
    if not (executor is None or isinstance(executor, Executor) or callable(executor)):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor or a function that makes one, but a {type(executor).__name__} "
            "was given; of a Dask client, give client.get_executor()"
        )
    column_names = columns_named(columns)
    if not column_names:
        raise ValueError("columns must name at least one column, but none was given")
    # Workers on other machines may have a device that this process lacks.
    refuse_device("cpu" if executor is not None and device.partition(":")[0] in ("cuda", "mps") else device, dtype)
    if not model.revision:
        model = replace(model, source=str(Path(model.source).absolute()))  # workers may have another working directory
    return model, tuple(sorted(column_names))


def _recipe(
    spec: ModelSpec, columns: tuple[str, ...], device: str, dtype: str, shard_tokens: int, *, fast: bool
) -> Recipe:
    identity = identify(spec)
    return Recipe(
        family=spec.family,
        size=spec.size,
        title=spec.title,
        source=spec.origin,
        revision=spec.revision,
        context=identity.context,
        weights_sha256=identity.weights_sha256,
        tokenizer_sha256=identity.tokenizer_sha256,
        config_sha256=identity.config_sha256,
        columns=columns,
        own={name: source_fingerprint(CUSTOM_COLUMNS[name].function) for name in columns if name in CUSTOM_COLUMNS},
        dtype=dtype,
        device=device.partition(":")[0],
        fast=fast,
        shard_tokens=shard_tokens,
        engine=code_fingerprint(*SHARDING),
    )


def _refuse_foreign(folder: Path) -> None:
    """Raise `InvalidCorpus` unless a folder is new, empty, or a corpus."""
    if folder.exists() and not folder.is_dir():
        raise InvalidCorpus(f"folder must be a folder, but {str(folder)!r} is a file")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise InvalidCorpus(f"folder must be empty or hold a corpus, but {str(folder)!r} holds something else")


def _is_ours(folder: Path) -> bool:
    tag = folder / "CACHEDIR.TAG"
    return tag.is_file() and tag.read_bytes() == TAG.encode()


@contextmanager
def _alone_in(folder: Path, progress: Callable[[Progress], None] | None) -> Iterator[None]:
    """Let one process at a time measure into a folder; a second one waits, and then finds the first one's shards."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    if not _is_ours(folder):
        write_text(folder / "CACHEDIR.TAG", TAG)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            progress(Progress(is_waiting=True))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Sharding:
    """Cuts texts into shards, and collects those that are too short; iterated over once."""

    def __init__(
        self,
        passages: Iterator[Passage],
        token_ids: Callable[[str], list[int]],
        shard_tokens: int,
        *,
        leave_out_short: bool,
    ) -> None:
        self._passages = passages
        self._token_ids = token_ids
        self._shard_tokens = shard_tokens
        self._leave_out_short = leave_out_short
        self.left_out: list[LeftOut] = []

    def __iter__(self) -> Iterator[tuple[Passage, ...]]:
        from pathlen.traces.tracer import FEWEST_TOKENS

        texts: list[Passage] = []
        tokens = shard_count = 0
        for passage in self._passages:
            count = len(self._token_ids(passage.text))
            if count < FEWEST_TOKENS:
                if not self._leave_out_short:
                    raise InvalidText(
                        f"a text needs at least {FEWEST_TOKENS} tokens, but {passage.name!r} has {count}; "
                        "leave_out_short=True (--leave-out-short) leaves such texts out and lists them"
                    )
                self.left_out.append(LeftOut(name=passage.name, tokens=count))
                continue
            texts.append(passage)
            tokens += count
            if tokens >= self._shard_tokens:
                yield tuple(texts)
                texts, tokens, shard_count = [], 0, shard_count + 1
        if texts:
            yield tuple(texts)
        elif not shard_count:
            raise InvalidText(
                f"a text needs at least {FEWEST_TOKENS} tokens, but each of the {len(self.left_out):,} that were given has fewer"
            )


def _measure(jobs: Iterator[Job], dispatcher: Dispatcher, writer: CorpusWriter) -> None:
    """Have all jobs measured and written; if reading texts or writing fails, shards in flight are still written first."""
    try:
        for job in jobs:
            writer.write(dispatcher.submit(job))
    except Exception:
        writer.write(dispatcher.drain())
        raise
    writer.write(dispatcher.drain())


def _jobs(writer: CorpusWriter, shards: Iterable[tuple[Passage, ...]], spec: ModelSpec, device: str) -> Iterator[Job]:
    """Yield the shards that the folder doesn't have yet."""
    from pathlen.corpora.worker import Job

    custom_columns = tuple(CUSTOM_COLUMNS[name] for name in writer.recipe.own)
    for number, passages in enumerate(shards):
        key = key_of(writer.recipe, passages)
        if not writer.has(number, key, passages):
            yield Job(
                number=number,
                key=key,
                spec=spec,
                is_shipped=spec.is_shipped,
                recipe=writer.recipe,
                device=device,
                threads=writer.threads,
                custom_columns=custom_columns,
                passages=passages,
            )
