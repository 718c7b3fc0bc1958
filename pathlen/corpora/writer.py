"""What one run has found, measured and written of a corpus: its folder, shard by shard, and its manifest.

A shard's file is written completely or not at all, and named by what it holds, so the manifest can always be made again: it is
written now and then, and at the end.
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
    from pathlen.corpora.worker import Failed, Job, Made

__all__ = ["CorpusWriter", "Progress"]

SAVED = 10.0  # seconds between two manifests


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


class CorpusWriter:
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
        self.threads = threads
        self._left_out = left_out
        self._tell = progress or (lambda state: None)
        before = read_manifest(folder)
        self.recipe = recipe if before is None else continued(recipe, before.recipe)
        self._before = before and _measured_alike(before, self.recipe, folder)
        self._earlier = {one.number: one for one in self._before.shards} if self._before else {}
        self._entries: dict[int, Entry] = {}
        self._failures: list[Failure] = []
        self._count = 0  # shards that the texts were cut into up to now
        self._saved = self._start = time.monotonic()
        self._progress = Progress()
        for part in folder.glob("shards/*/.*.safetensors.*"):  # of a run that was killed while it wrote
            part.unlink()

    def take(self, answers: Iterable[tuple[Job, Made | Failed]]) -> None:
        """Write what was measured, and note what could not be; `CorpusFailed` where there is no sense in going on."""
        from pathlen.corpora.worker import Made

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


def _measured_alike(manifest: Manifest, recipe: Recipe, folder: Path) -> Manifest:
    """Return the manifest of an earlier run, after finding that it measured the same model in the same way."""
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
