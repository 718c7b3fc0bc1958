"""A shard: some texts of a corpus with their measured columns, in one file that can be verified.

A shard's *key* is a digest of everything its numbers depend on: the model's files, the texts, the columns, the type, the kind of
device, and the code that measures. Its file is named by the key and by a digest of its content. So a run that knows what it
has to measure finds the shards that exist, and sees whether they are damaged. Files are safetensors: opening one runs no code,
and a column is read without the others.

Columns are stored as they were traced, text after text along the last axis. Which entries have a row is decided on reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
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

SHARDING = ("corpora.worker",)  # the module whose code, with its imports, determines the content of a shard
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
        The most tokens it reads at once; longer texts are read in windows.
    weights_sha256, tokenizer_sha256, config_sha256 : str
        Digests of its files.
    columns : tuple of str
        Names, sorted.
    own : dict
        The custom columns among them, each with a fingerprint of the source that declares it.
    dtype, device : str
        The network's type, and its kind of device without a number.
    fast : bool
        Whether rounding may differ from what the model computes for each text alone; see `pathlen.traces.tracer.Tracer`.
    shard_tokens : int
        A shard is closed as soon as it has this many tokens.
    engine : str
        Fingerprint of the code that measures and of the versions of the packages it computes with.

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
    """Return the digest of everything that a shard of these texts depends on."""
    model = (recipe.weights_sha256, recipe.tokenizer_sha256, recipe.config_sha256)
    options = (recipe.columns, sorted(recipe.own.items()), recipe.dtype, recipe.device, recipe.fast, recipe.engine)
    return digest(json.dumps([model, options, [asdict(passage) for passage in passages]]))


def computes_alike(fingerprint: str) -> bool:
    """Whether code with this fingerprint computes the same numbers as the code and packages installed here."""
    return fingerprint in (code_fingerprint(*SHARDING), _fingerprint_before_folders())


def _fingerprint_before_folders() -> str:
    """Return the fingerprint that version 0.1.0 recorded before its modules moved into folders, with the packages installed here.

    It was a digest of the files' text; `EARLIER` lists a digest of each file, in order. Their numerics are version 1.
    """
    sources = Path(__file__).with_name(EARLIER).read_text("utf-8").split() if NUMERICS == 1 else []
    return digest(*sources, *versions())


def continued(recipe: Recipe, earlier: Recipe) -> Recipe:
    """Return a recipe with an earlier run's fingerprints wherever these stand for the same computation.

    Keys of shards then stay the same, so nothing is measured again.
    """
    custom_fingerprints = {
        name: earlier.own[name]
        if is_unchanged(earlier.own.get(name, ""), CUSTOM_COLUMNS[name].function)
        else fingerprint
        for name, fingerprint in recipe.own.items()
    }
    engine = earlier.engine if computes_alike(earlier.engine) else recipe.engine
    return replace(recipe, engine=engine, own=custom_fingerprints)


def packed(passages: Sequence[Passage], traces: Sequence[Trace]) -> bytes:
    """Return the content of a shard's file: the texts, and their traces joined along the last axis."""
    from safetensors.numpy import save

    texts = json.dumps([asdict(passage) for passage in passages], ensure_ascii=False).encode("utf-8")
    arrays: dict[str, NDArray[Any]] = {
        PASSAGES: np.frombuffer(texts, dtype=np.uint8),
        TOKENS: np.array([len(trace.token_ids) for trace in traces]),
    }
    for name in traces[0].made:
        parts = [getattr(trace, name) for trace in traces]
        arrays[name] = np.ascontiguousarray(np.concatenate(parts, axis=-1))
    return save(arrays)


def file_name(key: str, sha256: str) -> str:
    """Return the path of a shard's file, relative to its corpus's folder."""
    return f"shards/{key[:2]}/{key[:LETTERS]}-{sha256[:LETTERS]}.safetensors"


class Shard:
    """A shard's file; columns are read on request, after the file was checked once against the digest in its name.

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
        """Return the digest of the file's content, after comparing it with the one in its name.

        Raises
        ------
        InvalidCorpus
            If they differ, or there is no file.

        """
        if not self._sha256:
            with suppress(OSError):
                content_sha256 = digest_of_file(self.path)
                is_intact = content_sha256[:LETTERS] == self.path.stem.partition("-")[2]
                self._sha256 = content_sha256 if is_intact else ""
        if not self._sha256:
            raise InvalidCorpus(
                f"shard {self.path} is damaged or gone; measure the same texts into the same folder again, which makes this "
                "one anew and keeps the others"
            )
        return self._sha256

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of all its texts, ``(..., tokens)`` or, if it is about the next token, ``(..., tokens - texts)``.

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
            stored = tensors.keys()
            if name not in stored:
                raise unmeasured(name, (stored_name for stored_name in stored if "." not in stored_name))
            column: NDArray[Any] = tensors.get_tensor(name)
            return column

    def passages(self) -> Iterator[Passage]:
        """Yield its texts, in order; errors as in `column`."""
        for fields in json.loads(self.column(PASSAGES).tobytes()):
            yield Passage(**fields)

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens in each text, ``(texts,)``; errors as in `column`."""
        return self.column(TOKENS)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()
