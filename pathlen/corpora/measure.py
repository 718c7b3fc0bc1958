"""Measuring corpora: texts by the million, in constant memory, on one core or on many machines.

Texts are taken from an iterator, cut into shards, and each shard is measured by whatever executor is given: in this process, in
a pool of processes, or by Dask on a cluster. What comes back is the same to the last bit, on the same kind of processor. Only the
caller writes: each shard's file is there completely or not at all, so that a run that was stopped, by whatever, goes on where
it was, and what is damaged is made again.

What goes wrong with one shard stays with it. A text that can't be measured is named at the end, when all the others are done; a
worker that dies is replaced and what it was at is tried again. A worker that can't measure anything, as one that has no weights,
ends the run.
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

FREE = tuple(sorted(name for name, one in CATALOG.items() if one.part in ("path", "next")))
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
    """Measure any number of texts into a folder, and return the corpus it holds then.

    Parameters
    ----------
    model : ModelSpec
        From `pathlen.models.families.spec` or `from_name`; every worker loads the model itself.
    passages : iterable of Passage
        At least one. They are taken one by one, and no more are in memory than the shards in work hold.
    folder : Path or str
        A new one, an empty one, or one that holds a corpus measured in the same way; then texts that are there already are
        not measured again, and new ones at the end are added.
    columns : iterable of str
        As in `pathlen.traces.tracer.trace`; unless named, those that cost nearly nothing: lengths along the path and the next token's
        logit.
    device, dtype : str
        As in `pathlen.models.loading.load`.
    fast : bool
        Whether short texts are read together, and rounding may differ from what the model computes for each text alone;
        `pathlen.traces.tracer` says how.
    executor : Executor, or a function that makes one, optional
        What measures shards; this process unless said. Given a function, a pool one of whose workers was killed is replaced by
        a new one, and it is shut down at the end; given an executor, what a broken one leaves undone is measured by this process.
        `processes` makes such functions; for Dask, ``client.get_executor()``.
    threads : int
        On how many each worker measures, this process included. The last digits depend on it.
    ahead : int, optional
        How many shards are handed out at once: twice as many as an executor has workers, or 32 if it doesn't say.
    shard_tokens : int
        A shard is closed as soon as it has so many tokens; texts are never cut. What is lost when a run is killed are the
        shards in work.
    leave_out_short : bool
        Whether texts of fewer than four tokens are left out and listed in the manifest, instead of being an error.
    progress : callable, optional
        Told of each shard.

    Returns
    -------
    Corpus
        As `pathlen.corpora.corpus.open_corpus` gives it later.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    InvalidText
        If there is no text, or one has too few tokens; before its shard is measured, and shards before it are kept.
    InvalidColumn
        If there is no such column.
    ModelNotFound, ModelMismatch
        As in `pathlen.models.loading.load`.
    InvalidCorpus
        If the folder holds something else, or a corpus of other texts or measured otherwise.
    CorpusFailed
        If some shards could not be measured or written; all others are kept.

    Notes
    -----
    Memory does not grow with the number of texts, but for their shards' names, some 200 bytes each; it does with the longest
    text, all of whose columns are held at once.

    """
    spec, wanted = _checked(model, columns, device, dtype, executor, threads, ahead, shard_tokens)
    recipe = _recipe(spec, wanted, device, dtype, shard_tokens, fast=fast)
    passages = at_least_one(passages)
    folder = Path(folder)
    _refuse_foreign(folder)
    cut = _Cut(passages, tokenizing(spec), shard_tokens, leave_out_short=leave_out_short)
    with _alone_in(folder, progress), Dispatcher(executor, ahead) as hands:
        ledger = CorpusWriter(folder, recipe, threads, cut.left_out, progress)
        try:
            _measure(_jobs(ledger, cut, spec, device), hands, ledger)
            return Corpus(folder, ledger.finished())
        except BaseException:
            ledger.save()
            raise


def processes(workers: int) -> Factory:
    """Return a function that makes a pool of processes, for `measure_corpus`; each loads the model once.

    A process reads the script that made it: call what measures under ``if __name__ == "__main__":`` there.

    Raises
    ------
    ValueError
        If there is less than one worker.

    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, but {workers} was given")

    def make() -> Executor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # Forked from a process in which torch has run, a worker could wait for threads that were not copied; a server that
        # has only imported it is safe to fork, and torch is read from disk once.
        kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(kind)
        if kind == "forkserver":
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
    if not isinstance(model, ModelSpec):
        raise TypeError(
            f"model must be a ModelSpec, from pathlen.spec or LoadedModel.spec, but a {type(model).__name__} was given: every "
            "worker loads the model itself"
        )
    for name, value in (("threads", threads), ("shard_tokens", shard_tokens), ("ahead", 1 if ahead is None else ahead)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, but {value} was given")
    if not (executor is None or isinstance(executor, Executor) or callable(executor)):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor or a function that makes one, but a {type(executor).__name__} "
            "was given; of a Dask client, give client.get_executor()"
        )
    wanted = columns_named(columns)
    if not wanted:
        raise ValueError("columns must name at least one column, but none was given")
    # Workers elsewhere may have a device that this process lacks.
    refuse_device("cpu" if executor is not None and device.partition(":")[0] in ("cuda", "mps") else device, dtype)
    if not model.revision:
        model = replace(model, source=str(Path(model.source).absolute()))  # workers may run in another folder
    return model, tuple(sorted(wanted))


def _recipe(
    spec: ModelSpec, columns: tuple[str, ...], device: str, dtype: str, shard_tokens: int, *, fast: bool
) -> Recipe:
    own = identify(spec)
    return Recipe(
        family=spec.family,
        size=spec.size,
        title=spec.title,
        source=spec.origin,
        revision=spec.revision,
        context=own.context,
        weights_sha256=own.weights_sha256,
        tokenizer_sha256=own.tokenizer_sha256,
        config_sha256=own.config_sha256,
        columns=columns,
        own={name: source_fingerprint(CUSTOM_COLUMNS[name].function) for name in columns if name in CUSTOM_COLUMNS},
        dtype=dtype,
        device=device.partition(":")[0],
        fast=fast,
        shard_tokens=shard_tokens,
        engine=code_fingerprint(*SHARDING),
    )


def _refuse_foreign(folder: Path) -> None:
    """Raise `InvalidCorpus` unless a folder is new, empty, or was made here."""
    if folder.exists() and not folder.is_dir():
        raise InvalidCorpus(f"folder must be a folder, but {str(folder)!r} is a file")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise InvalidCorpus(f"folder must be empty or hold a corpus, but {str(folder)!r} holds something else")


def _is_ours(folder: Path) -> bool:
    tag = folder / "CACHEDIR.TAG"
    return tag.is_file() and tag.read_bytes() == TAG.encode()


@contextmanager
def _alone_in(folder: Path, progress: Callable[[Progress], None] | None) -> Iterator[None]:
    """Let one process at a time measure into a folder; another waits, and finds what the first one made."""
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


class _Cut:
    """Cuts texts into shards; iterated over once."""

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
        tokens = shards = 0
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
                texts, tokens, shards = [], 0, shards + 1
        if texts:
            yield tuple(texts)
        elif not shards:
            raise InvalidText(
                f"a text needs at least {FEWEST_TOKENS} tokens, but each of the {len(self.left_out):,} that were given has fewer"
            )


def _measure(jobs: Iterator[Job], hands: Dispatcher, ledger: CorpusWriter) -> None:
    """Have all jobs done; an error that ends the run comes after what is in work was written."""
    try:
        for job in jobs:
            ledger.take(hands.give(job))
    except Exception:
        ledger.take(hands.rest())
        raise
    ledger.take(hands.rest())


def _jobs(ledger: CorpusWriter, cut: Iterable[tuple[Passage, ...]], spec: ModelSpec, device: str) -> Iterator[Job]:
    """Yield what is still to be measured."""
    from pathlen.corpora.worker import Job

    own = tuple(CUSTOM_COLUMNS[name] for name in ledger.recipe.own)
    for number, passages in enumerate(cut):
        key = key_of(ledger.recipe, passages)
        if not ledger.has(number, key, passages):
            yield Job(
                number=number,
                key=key,
                spec=spec,
                recipe=ledger.recipe,
                device=device,
                threads=ledger.threads,
                own=own,
                passages=passages,
            )
