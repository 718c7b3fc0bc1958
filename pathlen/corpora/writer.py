"""Writes a corpus's folder: shards one by one, and the manifest that lists them.

A shard's file is written atomically and named by its content, so the manifest can always be rebuilt: it is written every few
seconds, and at the end.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from pathlen._util.files import write_bytes
from pathlen._util.provenance import environment
from pathlen.corpora.corpus import Entry, Failure, LeftOut, Manifest, read_manifest, write_manifest
from pathlen.corpora.shard import LETTERS, Recipe, Shard, continued, file_name, sha256
from pathlen.errors import CorpusFailed, InvalidCorpus
from pathlen.passages.passage import Passage

if TYPE_CHECKING:
    from pathlen.corpora.worker import Answer, Job, MeasuredShard

__all__ = ["CorpusWriter", "Progress"]

NAMES_OF_MODEL = ("family", "size", "title", "source", "revision")  # fields of a recipe that no number depends on
SAVE_INTERVAL = 10.0  # seconds between two manifests


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a run, reported after each shard.

    Attributes
    ----------
    shards, texts, tokens, bytes : int
        What is done, including what earlier runs did; ``bytes`` of text in UTF-8.
    earlier_tokens, earlier_bytes : int
        The part of it that earlier runs did.
    seconds : float
        Since this run began to measure.
    is_waiting : bool
        Whether this process waits for another one that measures into the folder.

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
        """The tokens that this run measured itself per second; 0 before the first."""
        return (self.tokens - self.earlier_tokens) / self.seconds if self.seconds else 0.0


class CorpusWriter:
    """Writes measured shards to a folder, and keeps account of those that exist, are new, or failed.

    Parameters
    ----------
    folder : Path
    recipe : Recipe
    threads : int
        For the manifest.
    left_out : list of LeftOut
        Texts that are too short; it may still grow.
    progress : callable or None
        Called after each shard.

    Raises
    ------
    InvalidCorpus
        If the folder holds a corpus that was measured otherwise.

    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        threads: int,
        left_out: list[LeftOut],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.folder = folder
        self.threads = threads
        self._left_out = left_out
        self._report_progress = progress or (lambda state: None)
        earlier_manifest = read_manifest(folder)
        self.recipe = recipe if earlier_manifest is None else continued(recipe, earlier_manifest.recipe)
        if earlier_manifest is not None:
            _refuse_other_recipe(earlier_manifest.recipe, self.recipe, folder)
        self._was_complete = earlier_manifest is not None and earlier_manifest.is_complete
        self._earlier = {entry.number: entry for entry in earlier_manifest.shards} if earlier_manifest else {}
        self._entries: dict[int, Entry] = {}
        self._failures: list[Failure] = []
        self._count = 0  # shards that the texts were cut into so far
        self._last_save = self._start = time.monotonic()
        self._progress = Progress()
        for partial_file in folder.glob("shards/*/.*.safetensors.*"):  # of a run that was killed while writing
            partial_file.unlink()

    def write(self, answers: Iterable[tuple[Job, Answer]]) -> None:
        """Write measured shards and note failed ones; `CorpusFailed` if a worker can't measure anything or a write fails."""
        from pathlen.corpora.worker import MeasuredShard

        for job, answer in answers:
            if isinstance(answer, MeasuredShard):
                self._write(job, answer)
            elif answer.is_worker_fault:
                raise CorpusFailed(
                    f"a worker can't measure {self.recipe.title}, {answer.reason}; {self._what_is_kept()}"
                )
            else:
                self._fail(job, answer.text, answer.reason)

    def _fail(self, job: Job, text: str, reason: str) -> None:
        first, last = job.passages[0].name, job.passages[-1].name
        self._failures.append(Failure(number=job.number, first=first, last=last, text=text, reason=reason))

    def has(self, number: int, key: str, passages: tuple[Passage, ...]) -> bool:
        """Return whether an undamaged shard exists, and enter it in the manifest; a damaged one is deleted.

        Raises
        ------
        InvalidCorpus
            If the folder holds a corpus of other texts.

        """
        self._refuse_other_texts(number, key, passages)
        self._count = number + 1
        for path in (self.folder / "shards" / key[:2]).glob(f"{key[:LETTERS]}-*.safetensors"):
            shard = Shard(path)
            try:
                content_sha256 = shard.proven()
            except InvalidCorpus:
                path.unlink()
                continue
            tokens = int(shard.lengths().sum())
            self._enter(number, key, content_sha256, path.stat().st_size, passages, tokens, is_earlier=True)
            return True
        return False

    def _refuse_other_texts(self, number: int, key: str, passages: tuple[Passage, ...]) -> None:
        earlier = self._earlier.get(number)
        if earlier is None or earlier.key == key:
            return
        if number == max(self._earlier):  # the last shard grows when texts are added at the end
            with suppress(InvalidCorpus):
                texts = list(Shard(self.folder / file_name(earlier.key, earlier.sha256)).passages())
                if texts == list(passages[: len(texts)]):
                    return
        raise InvalidCorpus(
            f"{str(self.folder)!r} holds a corpus of other texts: they differ between {passages[0].name!r} and "
            f"{passages[-1].name!r}; give another folder, or delete this one"
        )

    def _write(self, job: Job, shard: MeasuredShard) -> None:
        if sha256(shard.content) != shard.sha256:
            self._fail(job, "", "it was changed on the way from its worker")
            return
        try:
            write_bytes(self.folder / file_name(job.key, shard.sha256), shard.content)
        except OSError as error:
            free = shutil.disk_usage(self.folder).free
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise CorpusFailed(
                f"shard {job.number} can't be written to {str(self.folder)!r}: "
                f"{'no space is left' if is_full else error.strerror} ({len(shard.content) / 1e6:,.1f} MB are needed, "
                f"{free / 1e6:,.1f} MB are free); {self._what_is_kept()}"
            ) from error
        self._enter(job.number, job.key, shard.sha256, len(shard.content), job.passages, shard.tokens, is_earlier=False)

    def _what_is_kept(self) -> str:
        count, tokens = len(self._entries), sum(entry.tokens for entry in self._entries.values())
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
            self._start = now  # nothing was measured so far
        size_of_texts = sum(len(passage.text.encode("utf-8")) for passage in passages)
        self._progress = Progress(
            shards=before.shards + 1,
            texts=before.texts + len(passages),
            tokens=before.tokens + tokens,
            bytes=before.bytes + size_of_texts,
            earlier_tokens=before.earlier_tokens + tokens * is_earlier,
            earlier_bytes=before.earlier_bytes + size_of_texts * is_earlier,
            seconds=now - self._start,
        )
        self._report_progress(self._progress)
        if now - self._last_save > SAVE_INTERVAL:
            self.save()

    def _manifest(self, *, is_complete: bool) -> Manifest:
        entries = self._entries
        if not is_complete:
            # Earlier shards that this run has not reached yet still exist.
            entries = {number: entry for number, entry in self._earlier.items() if number >= self._count} | entries
            is_complete = self._was_complete and entries == self._earlier
        return Manifest(
            recipe=self.recipe,
            shards=tuple(entries[number] for number in sorted(entries)),
            failures=self._sorted_failures(),
            left_out=tuple(self._left_out),
            is_complete=is_complete,
            threads=self.threads,
            environment=environment(),
        )

    def _sorted_failures(self) -> tuple[Failure, ...]:
        return tuple(sorted(self._failures, key=lambda failure: failure.number))

    def save(self) -> None:
        """Write the manifest of what exists so far; on a full disk it is skipped, since shards are found without it."""
        self._last_save = time.monotonic()
        manifest = self._manifest(is_complete=False)
        if not manifest.is_complete:  # otherwise nothing was added to the complete corpus
            with suppress(OSError):
                write_manifest(self.folder, manifest)

    def finish(self) -> Manifest:
        """Write and return the manifest of the complete corpus.

        Raises
        ------
        InvalidCorpus
            If the folder holds a corpus of more texts.
        CorpusFailed
            If shards could not be measured.

        """
        if self._earlier and max(self._earlier) >= self._count:
            raise InvalidCorpus(
                f"{str(self.folder)!r} holds a corpus of more texts than the {self._progress.texts:,} that were given; "
                "give another folder, or delete this one"
            )
        if self._failures:
            listed = "\n  ".join(map(str, self._sorted_failures()))
            raise CorpusFailed(
                f"{len(self._failures):,} of {self._count:,} shards of {self.recipe.title} could not be measured; "
                f"{self._what_is_kept()}:\n  {listed}"
            )
        manifest = self._manifest(is_complete=True)
        write_manifest(self.folder, manifest)
        listed_paths = {self.folder / file_name(entry.key, entry.sha256) for entry in manifest.shards}
        for path in self.folder.glob("shards/*/*.safetensors"):
            if path not in listed_paths:  # the former last shard of a corpus that has grown since
                path.unlink()
        return manifest


def _refuse_other_recipe(earlier: Recipe, recipe: Recipe, folder: Path) -> None:
    """Raise `InvalidCorpus` unless an earlier run measured the same model in the same way."""
    for field in fields(Recipe):
        before, now = getattr(earlier, field.name), getattr(recipe, field.name)
        if before != now and field.name not in NAMES_OF_MODEL:
            raise InvalidCorpus(
                f"{str(folder)!r} holds a corpus that was measured otherwise: {field.name} was {_short(before)}, and is "
                f"{_short(now)} now; give another folder, or delete this one"
            )


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return value[:12] if isinstance(value, str) else repr(value)
