"""Corpora on disk: what was measured of any number of texts, read back column by column.

A corpus is a folder of shards and a manifest that names them in order; `pathlen.corpora.measure.measure_corpus` makes it. A column is
joined over all shards when it is first asked for, cut to the tokens that have a row as in `pathlen.columns.measurement`, into a file
without a name that is mapped into memory: the system takes its pages back when it needs them, and the file goes with the
process. So every estimator takes a corpus as it takes a measurement in memory.
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
    "write_manifest",
]

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One shard in a manifest: its place from 0, its key, its content's digest and size, and what it holds."""

    number: int
    key: str
    sha256: str
    bytes: int
    texts: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A text that has too few tokens to be measured."""

    name: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A shard that could not be measured.

    Attributes
    ----------
    number : int
        Its place, from 0.
    first, last : str
        Names of its first and last text.
    text : str
        The one that can't be measured; empty if it is none of them alone.
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
    """What a corpus's folder holds.

    Attributes
    ----------
    recipe : Recipe
        What all shards have in common.
    shards : tuple of Entry
        In order.
    failures : tuple of Failure
        Shards that could not be measured.
    left_out : tuple of LeftOut
        Texts that were left out because they are too short, as was asked for.
    is_complete : bool
        Whether the texts came to their end and every shard is there.
    threads : int
        On how many each shard was measured, in the last run.
    environment : dict
        Versions of Python, the platform and packages, in the last run.

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
    """Return the manifest of a folder, None where there is none.

    Raises
    ------
    InvalidCorpus
        If it can't be read, or another version of this package wrote it.

    """
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidCorpus(f"manifest {str(path)!r} can't be read: {error.strerror}") from error
    try:
        found = msgspec.json.decode(raw, type=_Header).schema_version
        if found != SCHEMA_VERSION:
            raise InvalidCorpus(f"schema_version must be {SCHEMA_VERSION}, but {path} has {found}")
        return msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidCorpus(f"{path} is no manifest of a corpus: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest to its folder, completely or not at all."""
    write_bytes(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def open_corpus(folder: Path | str, *, partial: bool = False) -> Corpus:
    """Return the corpus that a folder holds; no model is needed.

    Parameters
    ----------
    folder : Path or str
        As `measure_corpus` made it.
    partial : bool
        Whether to take a corpus whose measurement was interrupted or of which some shards failed: the shards that are there.

    Raises
    ------
    InvalidCorpus
        If there is none, it is not complete, or a shard's file is missing or has another size. Whether a shard's content is
        whole is found out when its first column is read.

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
    for one in manifest.shards:
        path = folder / file_name(one.key, one.sha256)
        if not path.is_file() or path.stat().st_size != one.bytes:
            Shard(path).proven()
    return Corpus(folder, manifest)


class Corpus:
    """What was measured of many texts, in a folder; from `open_corpus` or `pathlen.corpora.measure.measure_corpus`.

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
        self._shards = [Shard(folder / file_name(one.key, one.sha256)) for one in manifest.shards]

    def __len__(self) -> int:
        """Return the number of texts."""
        return sum(one.texts for one in self.manifest.shards)

    @property
    def tokens(self) -> int:
        """How many tokens the texts have together."""
        return sum(one.tokens for one in self.manifest.shards)

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
        """Return how many texts are word for word the same as an earlier one.

        A copy is no second observation: it narrows intervals that resample whole texts. A digest of each text is kept while
        they are counted.
        """
        return len(self) - len({one.sha256 for one in self.texts()})

    def traces(self) -> Iterator[Trace]:
        """Yield the trace of each text, in order, one shard in memory at a time; errors as in `measured`."""
        for shard in self._shards:
            columns = _Columns(shard)
            lengths = shard.lengths()
            starts = np.cumsum(lengths) - lengths
            for place, passage in enumerate(shard.passages()):
                yield Trace(passage=passage.name, make=partial(columns.of_text, place, starts[place], lengths[place]))

    @cached_property
    def measured(self) -> Measurement:
        """The aligned columns of all texts, joined when they are first asked for and mapped into memory, read only.

        Raises
        ------
        UnmeasuredColumn
            If a column is asked for that was not measured.
        InvalidCorpus
            If a shard is damaged, or a column of one's own was measured with another function of that name.

        """
        return Measurement(self._joined, passage=np.repeat(np.arange(len(self)), self._lengths - LEFT_OUT - 1))

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.concatenate([one.lengths() for one in self._shards])

    def _joined(self, name: str) -> NDArray[Any]:
        if name == "token":
            return np.concatenate([np.arange(LEFT_OUT, length - 1) for length in self._lengths])
        name = "token_ids" if name == "token_id" else name
        self._refuse_another_function(name)
        rows = int(np.sum(self._lengths - LEFT_OUT - 1))
        with _unnamed(self.folder) as file:
            begin, shape, dtype = 0, (rows,), np.dtype(float)
            for shard in self._shards:
                column, lengths = shard.column(name), shard.lengths()
                if begin == 0:
                    shape, dtype = (*column.shape[:-1], rows), column.dtype
                    _reserve(file.fileno(), prod(shape) * dtype.itemsize, f"column {name!r}")
                part = column[..., _rows(lengths, column.shape[-1])]
                for place, line in enumerate(part.reshape(-1, part.shape[-1])):
                    file.seek((place * rows + begin) * dtype.itemsize)
                    file.write(np.ascontiguousarray(line).data)
                begin += part.shape[-1]
            file.flush()
            return np.memmap(file, dtype=dtype, mode="r", shape=shape).view(np.ndarray)

    def _refuse_another_function(self, name: str) -> None:
        own = self.manifest.recipe.own.get(name)
        if own is not None and not is_unchanged(own, CUSTOM_COLUMNS[name].function):
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


class _Columns:
    """The columns of one shard, read once while its texts are looked at."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._read: dict[str, NDArray[Any]] = {}

    def of_text(self, place: int, start: int, length: int, name: str) -> NDArray[Any]:
        if name not in self._read:
            self._read[name] = self._shard.column(name)
        column = self._read[name]
        if column.shape[-1] == int(np.sum(self._shard.lengths())):
            return column[..., start : start + length]
        # What belongs to the next token has one entry less for each text.
        return column[..., start - place : start - place + length - 1]


def _rows(lengths: NDArray[np.int64], entries: int) -> NDArray[np.bool_]:
    """Return which entries of a shard's column have a row: not a text's first tokens, nor its last, which has no next."""
    has_next_only = entries != int(np.sum(lengths))
    sizes = lengths - has_next_only
    ends = np.cumsum(sizes)
    keep = np.ones(entries, dtype=bool)
    for place in range(LEFT_OUT):
        keep[ends - sizes + place] = False
    if not has_next_only:
        keep[ends - 1] = False
    return keep


def _unnamed(folder: Path) -> Any:
    """Return a file that no name leads to, beside the shards, or where temporary files go if nothing can be written there."""
    with suppress(OSError):
        return tempfile.TemporaryFile(dir=folder)
    return tempfile.TemporaryFile()


def _reserve(handle: int, size: int, what: str) -> None:
    """Take the room for a file at once: one that is mapped and turns out too large for the disk would end the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, size)
        else:
            os.truncate(handle, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # file systems that can't reserve
            raise OSError(
                error.errno, f"{what} needs {size / 1e6:,.1f} MB of disk while it is used: {error.strerror}"
            ) from error
        os.truncate(handle, size)
