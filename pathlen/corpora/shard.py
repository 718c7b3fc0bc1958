"""A shard: some texts of a corpus with the columns that were measured of them, as one file that proves what it is.

A shard's *key* is a digest of everything its numbers depend on: the model's files, the texts, the columns, the type, the kind of
device, and the source of what measures. Its file is named by the key and by a digest of its own content, so that whoever
knows what is to be measured finds what is there already, and sees whether it is whole. Files are safetensors: no code runs when
one is opened, and one column is read without the others.

Columns are stored as they were traced, text after text along the last axis; what a row is, is decided where they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pathlen._util.digests import digest, digest_of_file
from pathlen._util.fingerprint import NUMERICS, code_fingerprint, is_unchanged, versions
from pathlen.columns.catalog import CUSTOM_COLUMNS
from pathlen.columns.table import Trace, unmeasured
from pathlen.errors import InvalidCorpus
from pathlen.passages.passage import Passage

__all__ = ["SHARDING", "Recipe", "Shard", "computes_alike", "continued", "file_name", "key_of", "packed", "sha256"]

SHARDING = ("corpora.worker",)  # the module whose code, with all that it imports, decides what a shard holds
EARLIER = "earlier_sources.txt"
PASSAGES, TOKENS = "passages.json", "passages.tokens"  # no column can have a dot in its name
LETTERS = 32  # of each digest in a file's name: 128 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What all shards of a corpus have in common.

    Attributes
    ----------
    family, size, title, source, revision : str
        The model, as in `pathlen.models.families.ModelSpec`.
    context : int
        The longest run of tokens it reads; longer texts are read in windows.
    weights_sha256, tokenizer_sha256, config_sha256 : str
        Digests of its files.
    columns : tuple of str
        What is measured, sorted.
    own : dict
        Of columns of one's own among them: the digest of the source that declares each.
    dtype, device : str
        The type and the kind of device it runs in and on.
    fast : bool
        Whether rounding may differ from what the model computes for each text alone; see `pathlen.traces.tracer.Tracer`.
    shard_tokens : int
        A shard is closed as soon as it has so many.
    engine : str
        Digest of the source of what measures, and of the versions of what computes.

    """

    family: str
    size: str
    title: str
    source: str
    revision: str
    context: int
    weights_sha256: str
    tokenizer_sha256: str
    config_sha256: str
    columns: tuple[str, ...]
    own: dict[str, str]
    dtype: str
    device: str
    fast: bool
    shard_tokens: int
    engine: str


def key_of(recipe: Recipe, passages: Sequence[Passage]) -> str:
    """Return the digest of all that a shard of these texts depends on."""
    model = (recipe.weights_sha256, recipe.tokenizer_sha256, recipe.config_sha256)
    how = (recipe.columns, sorted(recipe.own.items()), recipe.dtype, recipe.device, recipe.fast, recipe.engine)
    return digest(json.dumps([model, how, [asdict(one) for one in passages]]))


def computes_alike(fingerprint: str) -> bool:
    """Whether shards that were measured by code of this fingerprint hold what this code would measure."""
    return fingerprint in (code_fingerprint(*SHARDING), _fingerprint_before_folders())


@cache
def _fingerprint_before_folders() -> str:
    """Return what version 0.1.0 recorded before its modules were moved into folders, with the packages that are here.

    It was taken from the files' text: `EARLIER` has a digest of each, in order. They compute what numerics version 1 does.
    """
    sources = Path(__file__).with_name(EARLIER).read_text("utf-8").split() if NUMERICS == 1 else []
    return digest(*sources, *versions())


def continued(recipe: Recipe, earlier: Recipe) -> Recipe:
    """Return a recipe under the fingerprints that an earlier run recorded, wherever they stand for the same computation."""
    own = {
        name: earlier.own[name]
        if is_unchanged(earlier.own.get(name, ""), CUSTOM_COLUMNS[name].function)
        else fingerprint
        for name, fingerprint in recipe.own.items()
    }
    return replace(recipe, engine=earlier.engine if computes_alike(earlier.engine) else recipe.engine, own=own)


def packed(passages: Sequence[Passage], traces: Sequence[Trace]) -> bytes:
    """Return the content of a shard's file: the texts, and their traces joined along the last axis."""
    from safetensors.numpy import save

    texts = json.dumps([asdict(one) for one in passages], ensure_ascii=False).encode("utf-8")
    arrays: dict[str, NDArray[Any]] = {
        PASSAGES: np.frombuffer(texts, dtype=np.uint8),
        TOKENS: np.array([len(one.token_ids) for one in traces]),
    }
    for name in traces[0].made:
        parts = [getattr(one, name) for one in traces]
        arrays[name] = np.ascontiguousarray(np.concatenate(parts, axis=-1))
    return save(arrays)


def file_name(key: str, sha256: str) -> str:
    """Return where a shard lies below its corpus's folder."""
    return f"shards/{key[:2]}/{key[:LETTERS]}-{sha256[:LETTERS]}.safetensors"


class Shard:
    """A shard's file; a column is read when it is asked for, after the whole file was found to be what its name says.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    path : Path

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sha256 = ""

    def proven(self) -> str:
        """Return the digest of the file's content, after finding that it is the one in its name.

        Raises
        ------
        InvalidCorpus
            If it isn't, or there is no file.

        """
        if not self._sha256:
            with suppress(OSError):
                found = digest_of_file(self.path)
                self._sha256 = found if found[:LETTERS] == self.path.stem.partition("-")[2] else ""
        if not self._sha256:
            raise InvalidCorpus(
                f"shard {self.path} is damaged or gone; measure the same texts into the same folder again, which makes this "
                "one anew and keeps the others"
            )
        return self._sha256

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of all its texts, ``(..., tokens)`` or, for what belongs to the next token, ``(..., tokens - texts)``.

        Raises
        ------
        InvalidCorpus
            If the file is damaged or gone.
        UnmeasuredColumn
            If the column was not measured.

        """
        from safetensors import safe_open

        self.proven()
        with safe_open(self.path, framework="np") as tensors:
            there = tensors.keys()
            if name not in there:
                raise unmeasured(name, (one for one in there if "." not in one))
            found: NDArray[Any] = tensors.get_tensor(name)
            return found

    def passages(self) -> Iterator[Passage]:
        """Yield its texts, in order; errors as in `column`."""
        for one in json.loads(self.column(PASSAGES).tobytes()):
            yield Passage(**one)

    def lengths(self) -> NDArray[np.int64]:
        """Return how many tokens each text has; errors as in `column`."""
        return self.column(TOKENS)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()
