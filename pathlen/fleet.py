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

import errno
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pathlen.cache import engine
from pathlen.columns import CATALOG, OWN, columns_named
from pathlen.corpora import Corpus, Entry, Failure, LeftOut, Manifest, read_manifest, write_manifest
from pathlen.errors import CorpusFailed, InvalidCorpus, InvalidText
from pathlen.files import write_bytes, write_text
from pathlen.models import ModelSpec, identify, refuse_device, tokenizing
from pathlen.passages import Passage
from pathlen.records import environment
from pathlen.shards import LETTERS, SHARDING, Recipe, Shard, file_name, key_of, sha256, source_of

if TYPE_CHECKING:
    from pathlen.workers import Failed, Job, Made

__all__ = ["FREE", "SHARD_TOKENS", "Progress", "measure_corpus", "processes"]

FREE = tuple(sorted(name for name, one in CATALOG.items() if one.part in ("path", "next")))
SHARD_TOKENS = 16_384
ATTEMPTS = 2  # for a shard that is the only one in the hands of a worker when that dies
AHEAD = 32  # shards handed out to an executor that doesn't say how many workers it has
PRELOADED = ("pathlen.workers", "transformers.modeling_utils", "transformers.models.gpt2.modeling_gpt2")
SAVED = 10.0  # seconds between two manifests
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by pathlen; can be measured again from its texts.\n"

Factory = Callable[[], Executor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is, told after each shard.

    Attributes
    ----------
    shards, texts, tokens, bytes : int
        What is done, bytes of text in UTF-8, what earlier runs had done included.
    earlier_tokens, earlier_bytes : int
        How much of it earlier runs had done.
    seconds : float
        Since this run began to measure.
    is_waiting : bool
        Whether another process measures into the folder, and this one waits for it.

    """

    shards: int = 0
    texts: int = 0
    tokens: int = 0
    bytes: int = 0
    earlier_tokens: int = 0
    earlier_bytes: int = 0
    seconds: float = 0.0
    is_waiting: bool = False

    @property
    def tokens_per_second(self) -> float:
        """What this run measured itself, over its time; 0 as long as that is nothing."""
        return (self.tokens - self.earlier_tokens) / self.seconds if self.seconds else 0.0


def measure_corpus(
    model: ModelSpec,
    passages: Iterable[Passage],
    folder: Path | str,
    *,
    columns: Iterable[str] = FREE,
    device: str = "cpu",
    dtype: str = "float32",
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
        From `pathlen.models.spec` or `from_name`; every worker loads the model itself.
    passages : iterable of Passage
        At least one. They are taken one by one, and no more are in memory than the shards in work hold.
    folder : Path or str
        A new one, an empty one, or one that holds a corpus measured in the same way; then texts that are there already are
        not measured again, and new ones at the end are added.
    columns : iterable of str
        As in `pathlen.traces.trace`; unless said, those that cost nearly nothing: lengths along the path and the next token's
        logit.
    device, dtype : str
        As in `pathlen.models.load`.
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

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    InvalidText
        If there is no text, or one has too few tokens; before its shard is measured, and shards before it are kept.
    InvalidColumn
        If there is no such column.
    ModelNotFound, ModelMismatch
        As in `pathlen.models.load`.
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
    recipe = _recipe(spec, wanted, device, dtype, shard_tokens)
    passages = _one_or_more(passages)
    folder = Path(folder)
    _refuse_foreign(folder)
    cut = _Cut(passages, tokenizing(spec), shard_tokens, leave_out_short=leave_out_short)
    with _alone_in(folder, progress), _Hands(executor, ahead) as hands:
        run = _Run(folder, recipe, threads, cut.left_out, progress)
        try:
            run.go(_jobs(run, cut, spec, device), hands)
            return Corpus(folder, run.finished())
        except BaseException:
            run.save()
            raise


def processes(workers: int) -> Factory:
    """Return a function that makes a pool of processes, for `measure_corpus`; each loads the model once.

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
        model = replace(model, source=str(Path(model.source).resolve()))  # workers may run in another folder
    return model, tuple(sorted(wanted))


def _recipe(spec: ModelSpec, columns: tuple[str, ...], device: str, dtype: str, shard_tokens: int) -> Recipe:
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
        own={name: source_of(name) for name in columns if name in OWN},
        dtype=dtype,
        device=device.partition(":")[0],
        shard_tokens=shard_tokens,
        engine=engine(SHARDING),
    )


def _one_or_more(passages: Iterable[Passage]) -> Iterator[Passage]:
    taken = iter(passages)
    first = next(taken, None)
    if first is None:
        raise InvalidText("passages must hold at least one text, but none was given")
    return chain([first], taken)


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
        from pathlen.traces import FEWEST_TOKENS

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


def _jobs(run: _Run, cut: Iterable[tuple[Passage, ...]], spec: ModelSpec, device: str) -> Iterator[Job]:
    """Yield what is still to be measured."""
    from pathlen.workers import Job

    own = tuple(OWN[name] for name in run.recipe.own)
    for number, passages in enumerate(cut):
        key = key_of(run.recipe, passages)
        if not run.has(number, key, passages):
            yield Job(
                number=number,
                key=key,
                spec=spec,
                recipe=run.recipe,
                device=device,
                threads=run.threads,
                own=own,
                passages=passages,
            )


class _Run:
    """What one call has found, measured and written so far."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        threads: int,
        left_out: list[LeftOut],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.threads = threads
        self._left_out = left_out
        self._tell = progress or (lambda state: None)
        self._before = _earlier(folder, recipe)
        self._earlier = {one.number: one for one in self._before.shards} if self._before else {}
        self._entries: dict[int, Entry] = {}
        self._failures: list[Failure] = []
        self._count = 0  # shards that the texts were cut into up to now
        self._saved = self._start = time.monotonic()
        self._progress = Progress()
        for part in folder.glob("shards/*/.*.safetensors.*"):  # of a run that was killed while it wrote
            part.unlink()

    def go(self, jobs: Iterator[Job], hands: _Hands) -> None:
        """Have all jobs done; an error that ends the run comes after what is in work was written."""
        try:
            for job in jobs:
                self._take(hands.give(job))
        except Exception:
            self._take(hands.rest())
            raise
        self._take(hands.rest())

    def _take(self, answers: Iterable[tuple[Job, Made | Failed]]) -> None:
        from pathlen.workers import Made

        for job, answer in answers:
            if isinstance(answer, Made):
                self._write(job, answer)
            elif answer.is_the_worker:
                raise CorpusFailed(f"a worker can't measure {self.recipe.title}, {answer.reason}; {self._kept()}")
            else:
                self._fail(job, answer.text, answer.reason)

    def _fail(self, job: Job, text: str, reason: str) -> None:
        first, last = job.passages[0].name, job.passages[-1].name
        self._failures.append(Failure(number=job.number, first=first, last=last, text=text, reason=reason))

    def has(self, number: int, key: str, passages: tuple[Passage, ...]) -> bool:
        """Return whether a shard is there, whole; a damaged one is deleted."""
        self._refuse_other_texts(number, key, passages)
        self._count = number + 1
        for path in (self.folder / "shards" / key[:2]).glob(f"{key[:LETTERS]}-*.safetensors"):
            shard = Shard(path)
            try:
                found = shard.proven()
            except InvalidCorpus:
                path.unlink()
                continue
            tokens = int(shard.lengths().sum())
            self._enter(number, key, found, path.stat().st_size, passages, tokens, is_earlier=True)
            return True
        return False

    def _refuse_other_texts(self, number: int, key: str, passages: tuple[Passage, ...]) -> None:
        earlier = self._earlier.get(number)
        if earlier is None or earlier.key == key:
            return
        if number == max(self._earlier):  # the last one grows where texts are added at the end
            with suppress(InvalidCorpus):
                texts = list(Shard(self.folder / file_name(earlier.key, earlier.sha256)).passages())
                if texts == list(passages[: len(texts)]):
                    return
        raise InvalidCorpus(
            f"{str(self.folder)!r} holds a corpus of other texts: they differ between {passages[0].name!r} and "
            f"{passages[-1].name!r}; give another folder, or delete this one"
        )

    def _write(self, job: Job, made: Made) -> None:
        if sha256(made.content) != made.sha256:
            self._fail(job, "", "it was changed on the way from its worker")
            return
        try:
            write_bytes(self.folder / file_name(job.key, made.sha256), made.content)
        except OSError as error:
            free = shutil.disk_usage(self.folder).free
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise CorpusFailed(
                f"shard {job.number} can't be written to {str(self.folder)!r}: "
                f"{'no space is left' if is_full else error.strerror} ({len(made.content) / 1e6:,.1f} MB are needed, "
                f"{free / 1e6:,.1f} MB are free); {self._kept()}"
            ) from error
        self._enter(job.number, job.key, made.sha256, len(made.content), job.passages, made.tokens, is_earlier=False)

    def _kept(self) -> str:
        count, tokens = len(self._entries), sum(one.tokens for one in self._entries.values())
        return (
            f"{count:,} whole shard{'s' * (count != 1)} ({tokens:,} tokens) {'are' if count != 1 else 'is'} kept, and the "
            "same call goes on from there"
        )

    def _enter(
        self,
        number: int,
        key: str,
        digest: str,
        size: int,
        passages: tuple[Passage, ...],
        tokens: int,
        *,
        is_earlier: bool,
    ) -> None:
        self._entries[number] = Entry(
            number=number, key=key, sha256=digest, bytes=size, texts=len(passages), tokens=tokens
        )
        now, before = time.monotonic(), self._progress
        if before.tokens == before.earlier_tokens and is_earlier:
            self._start = now  # nothing was measured yet
        size_of_texts = sum(len(one.text.encode("utf-8")) for one in passages)
        self._progress = Progress(
            shards=before.shards + 1,
            texts=before.texts + len(passages),
            tokens=before.tokens + tokens,
            bytes=before.bytes + size_of_texts,
            earlier_tokens=before.earlier_tokens + tokens * is_earlier,
            earlier_bytes=before.earlier_bytes + size_of_texts * is_earlier,
            seconds=now - self._start,
        )
        self._tell(self._progress)
        if now - self._saved > SAVED:
            self.save()

    def _manifest(self, *, is_complete: bool) -> Manifest:
        entries = self._entries
        if not is_complete:
            # What this run did not come to is there all the same.
            entries = {number: one for number, one in self._earlier.items() if number >= self._count} | entries
            was_complete = self._before is not None and self._before.is_complete
            is_complete = was_complete and entries == self._earlier
        return Manifest(
            recipe=self.recipe,
            shards=tuple(entries[number] for number in sorted(entries)),
            failures=tuple(sorted(self._failures, key=lambda one: one.number)),
            left_out=tuple(self._left_out),
            is_complete=is_complete,
            threads=self.threads,
            environment=environment(),
        )

    def save(self) -> None:
        """Write what is there up to now; where there is no room for the manifest, shards are found without."""
        self._saved = time.monotonic()
        manifest = self._manifest(is_complete=False)
        if not manifest.is_complete:  # else nothing came to what was there before
            with suppress(OSError):
                write_manifest(self.folder, manifest)

    def finished(self) -> Manifest:
        """Write and return the manifest of a whole corpus; `CorpusFailed` where it isn't one."""
        if self._earlier and max(self._earlier) >= self._count:
            raise InvalidCorpus(
                f"{str(self.folder)!r} holds a corpus of more texts than the {self._progress.texts:,} that were given; "
                "give another folder, or delete this one"
            )
        if self._failures:
            listed = "\n  ".join(str(one) for one in sorted(self._failures, key=lambda one: one.number))
            raise CorpusFailed(
                f"{len(self._failures):,} of {self._count:,} shards of {self.recipe.title} could not be measured; "
                f"{self._kept()}:\n  {listed}"
            )
        manifest = self._manifest(is_complete=True)
        write_manifest(self.folder, manifest)
        named = {self.folder / file_name(one.key, one.sha256) for one in manifest.shards}
        for path in self.folder.glob("shards/*/*.safetensors"):
            if path not in named:  # the last shard of a corpus that has grown since
                path.unlink()
        return manifest


def _earlier(folder: Path, recipe: Recipe) -> Manifest | None:
    """Return the manifest of an earlier run, after finding that it measured the same model in the same way."""
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    for field in fields(Recipe):
        before, now = getattr(manifest.recipe, field.name), getattr(recipe, field.name)
        if before != now and field.name not in ("family", "size", "title", "source", "revision"):
            raise InvalidCorpus(
                f"{str(folder)!r} holds a corpus that was measured otherwise: {field.name} was {_short(before)}, and is "
                f"{_short(now)} now; give another folder, or delete this one"
            )
    return manifest


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return value[:12] if isinstance(value, str) else repr(value)


class _Hands:
    """Hands out shards to an executor, a bounded number at a time, and takes them back in the order in which they are done."""

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
        self._most = self._ahead or (2 * workers if isinstance(workers, int) else AHEAD)
        return self

    def __exit__(self, *raised: object) -> None:
        for future in self._out:
            future.cancel()
        if self._make and self._executor:
            self._executor.shutdown(wait=True, cancel_futures=True)
        if "pathlen.workers" in sys.modules:
            from pathlen.workers import forget

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

    def rest(self) -> Iterator[tuple[Job, Made | Failed]]:
        """Yield all that is still out, when it is done; what an executor lost is given to it once more, alone."""
        while self._out:
            yield from self._done(is_waiting=True)
        while self._lost:
            job = self._lost.pop(0)
            yield job, self._alone(job)

    def _submitted(self, job: Job) -> Future[Made | Failed]:
        from pathlen.workers import measured

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
        from pathlen.workers import Failed

        for _ in range(ATTEMPTS):
            if self._executor is None:
                return measured_here(job)
            try:
                return _answer(self._submitted(job))
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
    from pathlen.workers import measured

    return measured(job)


def _is_broken(future: Future[Made | Failed]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _answer(future: Future[Made | Failed]) -> Made | Failed:
    """Return what a worker said, or what became of it; `BrokenExecutor` if its pool broke."""
    from pathlen.workers import Failed

    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:  # noqa: BLE001  # as Dask's of a worker that died too often
        return Failed(text="", reason=f"{type(error).__name__}: {error}")
