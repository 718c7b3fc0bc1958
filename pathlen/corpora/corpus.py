"""Corpora on disk: the measured columns of any number of texts, read back one column at a time.

A corpus is a folder of shards and a manifest that lists them in order; `pathlen.corpora.measure.measure_corpus` makes it. On
first use, a column is joined over all shards and cut to the tokens that have a row, as in `pathlen.columns.measurement`. The
result is an unnamed file that is mapped into memory: the system can evict its pages, and the file disappears with the
process. Estimators therefore take a corpus just like a measurement in memory.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pathlen._util.files import write_bytes
from pathlen._util.fingerprint import is_unchanged
from pathlen.columns.catalog import CUSTOM_COLUMNS
from pathlen.columns.measurement import LEFT_OUT, Measurement
from pathlen.columns.table import Trace
from pathlen.corpora.shard import Recipe, Shard, file_name
from pathlen.errors import InvalidCorpus
from pathlen.passages.passage import Passage

__all__ = [
    "MANIFEST",
    "Corpus",
    "Entry",
    "Failure",
    "LeftOut",
    "Manifest",
    "open_corpus",
    "read_manifest",
    "row_mask",
    "write_manifest",
]

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A shard in a manifest: its number from 0, its key, the digest and size of its file, and how much it holds."""

    number: int
    key: str
    sha256: str
    bytes: int
    texts: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A text with too few tokens to be measured."""

    name: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A shard that could not be measured.

    Attributes
    ----------
    number : int
        From 0.
    first, last : str
        Names of its first and last text.
    text : str
        The text that can't be measured; empty if each of them can be measured alone, or none was found.
    reason : str

    """

    number: int
    first: str
    last: str
    text: str
    reason: str

    def __str__(self) -> str:
        which = f"text {self.text!r}" if self.text else f"texts {self.first!r} to {self.last!r}"
        return f"shard {self.number}, {which}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of a corpus's folder.

    Attributes
    ----------
    recipe : Recipe
        What all shards have in common.
    shards : tuple of Entry
        In order.
    failures : tuple of Failure
        Shards that could not be measured.
    left_out : tuple of LeftOut
        Texts that were too short, and were left out on request.
    is_complete : bool
        Whether all texts were read and every shard was measured.
    threads : int
        The number of threads that each shard was measured on in the last run.
    environment : dict
        Versions of Python, the platform and packages in the last run.

    """

    schema_version: int = SCHEMA_VERSION
    recipe: Recipe
    shards: tuple[Entry, ...]
    failures: tuple[Failure, ...]
    left_out: tuple[LeftOut, ...]
    is_complete: bool
    threads: int
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Header:
    schema_version: int


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, or None if it has none.

    Raises
    ------
    InvalidCorpus
        If it can't be read, or has another schema version.

    """
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidCorpus(f"manifest {str(path)!r} can't be read: {error.strerror}") from error
    try:
        schema_version = msgspec.json.decode(raw, type=_Header).schema_version
        if schema_version != SCHEMA_VERSION:
            raise InvalidCorpus(f"schema_version must be {SCHEMA_VERSION}, but {path} has {schema_version}")
        return msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidCorpus(f"{path} is no manifest of a corpus: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest to its folder, atomically."""
    write_bytes(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def open_corpus(folder: Path | str, *, partial: bool = False) -> Corpus:
    """Open the corpus in a folder; needs no model.

    Parameters
    ----------
    folder : Path or str
        Where `measure_corpus` wrote it.
    partial : bool
        Whether to accept a corpus whose measurement was interrupted, or some of whose shards failed, with the shards it has.

    Raises
    ------
    InvalidCorpus
        If there is none, it is incomplete, or a shard's file is missing or has another size. The digest of a shard's content
        is only checked when its first column is read.

    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise InvalidCorpus(f"{str(folder)!r} holds no corpus: it has no {MANIFEST}")
    if not (manifest.is_complete or partial):
        failed = f", {len(manifest.failures)} failed" if manifest.failures else ""
        raise InvalidCorpus(
            f"the corpus in {str(folder)!r} is not complete ({len(manifest.shards)} shards are there{failed}): measure the "
            "same texts into the same folder again, which goes on from there, or take what is there with partial=True"
        )
    if not manifest.shards:
        raise InvalidCorpus(f"the corpus in {str(folder)!r} has no shard yet")
    for entry in manifest.shards:
        path = folder / file_name(entry.key, entry.sha256)
        if not path.is_file() or path.stat().st_size != entry.bytes:
            Shard(path).proven()
    return Corpus(folder, manifest)


class Corpus:
    """The measured columns of many texts, in a folder; from `open_corpus` or `pathlen.corpora.measure.measure_corpus`.

    Parameters
    ----------
    folder : Path
    manifest : Manifest

    Attributes
    ----------
    folder : Path
    manifest : Manifest

    Examples
    --------
    ::

        corpus = open_corpus("out")
        measured = corpus.measured
        pearson(measured.last_step, measured.next_logit, passage=measured.passage).estimates()

    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._shards = [Shard(folder / file_name(entry.key, entry.sha256)) for entry in manifest.shards]

    def __len__(self) -> int:
        """Return the number of texts."""
        return sum(entry.texts for entry in self.manifest.shards)

    @property
    def tokens(self) -> int:
        """The number of tokens in all texts."""
        return sum(entry.tokens for entry in self.manifest.shards)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that were measured."""
        return self.manifest.recipe.columns

    def texts(self) -> Iterator[Passage]:
        """Yield the texts, in order, one shard at a time.

        Raises
        ------
        InvalidCorpus
            If a shard is damaged.

        """
        for shard in self._shards:
            yield from shard.passages()

    def copies(self) -> int:
        """Return how many texts are identical to an earlier one.

        A copy is not a further observation, yet it narrows intervals that resample whole texts. Counting holds one digest per
        text in memory.
        """
        return len(self) - len({passage.sha256 for passage in self.texts()})

    def traces(self) -> Iterator[Trace]:
        """Yield the trace of each text, in order, with one shard in memory at a time; errors as in `measured`."""
        for shard in self._shards:
            columns = _ShardColumns(shard)
            lengths = shard.lengths()
            starts = np.cumsum(lengths) - lengths
            for number, passage in enumerate(shard.passages()):
                yield Trace(
                    passage=passage.name, make=partial(columns.of_text, number, starts[number], lengths[number])
                )

    @cached_property
    def measured(self) -> Measurement:
        """The aligned columns of all texts, each joined on first use and mapped into memory, read only.

        Raises
        ------
        UnmeasuredColumn
            If a column was not measured.
        InvalidCorpus
            If a shard is damaged, or a custom column was measured with a different function of that name.

        """
        return Measurement(self._joined, passage=np.repeat(np.arange(len(self)), self._lengths - LEFT_OUT - 1))

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.concatenate([shard.lengths() for shard in self._shards])

    def _joined(self, name: str) -> NDArray[Any]:
        if name == "token":
            return np.concatenate([np.arange(LEFT_OUT, length - 1) for length in self._lengths])
        name = "token_ids" if name == "token_id" else name
        self._refuse_changed_function(name)
        rows = int(np.sum(self._lengths - LEFT_OUT - 1))
        with _unnamed_file(self.folder) as file:
            begin, shape, dtype = 0, (rows,), np.dtype(float)
            for shard in self._shards:
                column, lengths = shard.column(name), shard.lengths()
                if begin == 0:
                    shape, dtype = (*column.shape[:-1], rows), column.dtype
                    _reserve(file.fileno(), prod(shape) * dtype.itemsize, f"column {name!r}")
                part = column[..., row_mask(lengths, column.shape[-1])]
                for series, numbers in enumerate(part.reshape(-1, part.shape[-1])):  # such as one per block
                    file.seek((series * rows + begin) * dtype.itemsize)
                    file.write(np.ascontiguousarray(numbers).data)
                begin += part.shape[-1]
            file.flush()
            return np.memmap(file, dtype=dtype, mode="r", shape=shape).view(np.ndarray)

    def _refuse_changed_function(self, name: str) -> None:
        recorded = self.manifest.recipe.own.get(name)
        if recorded is not None and not is_unchanged(recorded, CUSTOM_COLUMNS[name].function):
            raise InvalidCorpus(
                f"column {name!r} of {str(self.folder)!r} was measured with another function of that name"
            )

    def __repr__(self) -> str:
        recipe, state = self.manifest.recipe, "" if self.manifest.is_complete else ", not complete"
        shards = len(self._shards)
        return (
            f"Corpus({str(self.folder)!r}, {recipe.title}, {len(self):,} texts, {self.tokens:,} tokens in {shards:,} "
            f"shard{'s' * (shards != 1)}, columns {', '.join(recipe.columns)}{state})"
        )


class _ShardColumns:
    """The columns of one shard, each read once for all of its texts."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._columns: dict[str, NDArray[Any]] = {}

    def of_text(self, number: int, start: int, length: int, name: str) -> NDArray[Any]:
        """Return a column of one text, given its number in the shard, its first token in the shard, and its tokens."""
        if name not in self._columns:
            self._columns[name] = self._shard.column(name)
        column = self._columns[name]
        if column.shape[-1] == int(np.sum(self._shard.lengths())):
            return column[..., start : start + length]
        # Columns about the next token have one entry fewer per text.
        return column[..., start - number : start - number + length - 1]


def row_mask(lengths: NDArray[np.int64], entries: int) -> NDArray[np.bool_]:
    """Return which entries of a shard's column have a row: all but each text's first tokens, and its last, which has no next.

    Parameters
    ----------
    lengths : array of int, shape ``(texts,)``
        Tokens of each text.
    entries : int
        Of the column along its last axis: all tokens or, for what belongs to the next token, one fewer per text.

    """
    has_next_only = entries != int(np.sum(lengths))
    sizes = lengths - has_next_only
    ends = np.cumsum(sizes)
    mask = np.ones(entries, dtype=bool)
    for position in range(LEFT_OUT):
        mask[ends - sizes + position] = False
    if not has_next_only:
        mask[ends - 1] = False
    return mask


def _unnamed_file(folder: Path) -> Any:
    """Return an unnamed temporary file beside the shards, or in the system's temporary folder if this one is read-only."""
    with suppress(OSError):
        return tempfile.TemporaryFile(dir=folder)
    return tempfile.TemporaryFile()


def _reserve(handle: int, size: int, what: str) -> None:
    """Allocate a file's disk space up front: running out of space in a mapped file would kill the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, size)
        else:
            os.truncate(handle, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # the file system can't preallocate
            raise OSError(
                error.errno, f"{what} needs {size / 1e6:,.1f} MB of disk while it is used: {error.strerror}"
            ) from error
        os.truncate(handle, size)
