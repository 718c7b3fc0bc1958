"""Which files of a repository a model needs, and where the cache of ``huggingface_hub`` keeps them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathlen._util.files import write_text
from pathlen.errors import ModelMismatch, ModelNotFound, PathlenError
from pathlen.models.checkpoint import TOKENIZERS, WEIGHTS

__all__ = [
    "INDEX",
    "File",
    "complete_files",
    "free_space",
    "needed_files",
    "note_commit",
    "noted_commit",
    "repository_names",
    "shards_in_index",
    "snapshot_folder",
]

CONFIG = "config.json"
SINGLE_FILE, INDEX = WEIGHTS
SMALL_FILES = {"tokenizer_config.json"}.union(*TOKENIZERS)
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
# Weights that other libraries write; all but the last two are pickles, and this package reads none of them.
OTHER_WEIGHTS = {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack"}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that a model needs.

    Attributes
    ----------
    name : str
    size : int
        In bytes.
    here : bool
        Whether the cache has a file of this name and size.
    sha256 : str
        The digest that the Hub lists for a large file; empty for a file that it keeps in git, and if the Hub was not
        asked.
    blob : str
        The git blob digest of a file that the Hub keeps in git.

    """

    name: str
    size: int
    here: bool
    sha256: str = ""
    blob: str = ""

    def is_in(self, folder: Path) -> bool:
        """Whether a folder has a file of this name and size."""
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.size

    def mismatch(self, path: Path) -> str:
        """Return in words how a file on this machine differs from what the Hub lists; empty if it does not."""
        size = path.stat().st_size
        if size != self.size:
            return f"must have {self.size:,} bytes, but {size:,} arrived"
        kind, expected = ("SHA-256", self.sha256) if self.sha256 else ("git blob", self.blob)
        # SHA-1 is git's choice; only small files are checked with it, weights have a SHA-256.
        hasher = hashlib.sha256() if self.sha256 else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
        with path.open("rb") as stream:
            actual = hashlib.file_digest(stream, lambda: hasher).hexdigest()
        return "" if actual == expected else f"must have the {kind} digest {expected}, but what arrived has {actual}"


def needed_files(listed: Iterable[str], repository: str) -> list[str]:
    """Return the names of the files that a model is loaded from, in the order in which to download them.

    ``config.json`` is last and the weights just before it: a checkpoint is not found before its configuration is there.

    Raises
    ------
    ModelNotFound
        If the files are no complete checkpoint.
    ModelMismatch
        If the weights exist as pickles only.

    """
    names = sorted(name for name in listed if "/" not in name)
    if SINGLE_FILE in names:
        weights = [SINGLE_FILE]
    elif INDEX in names:
        weights = [*filter(SHARD.fullmatch, names), INDEX]
    else:
        others = [name for name in names if Path(name).suffix in OTHER_WEIGHTS]
        if others:
            raise ModelMismatch(
                f"the weights of {repository} must be safetensors, but it holds only {', '.join(others)}: "
                "a pickle runs code when it is opened, so none is ever fetched"
            )
        raise ModelNotFound(f"{repository} has no {SINGLE_FILE}, nor {INDEX}, so there is nothing to fetch")
    if CONFIG not in names:
        raise ModelNotFound(f"a checkpoint needs a {CONFIG}, but {repository} has none")
    if not any(set(group) <= set(names) for group in TOKENIZERS):
        tokenizers = ", nor ".join(" with ".join(group) for group in TOKENIZERS)
        raise ModelNotFound(f"{repository} has no {tokenizers}")
    return [*(name for name in names if name in SMALL_FILES), *weights, CONFIG]


def complete_files(folder: Path) -> list[str]:
    """Return the files of a checkpoint in a folder; an empty list if any is missing."""
    names = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    try:
        needed = needed_files(names, folder.name)
        shards = shards_in_index(folder) if INDEX in needed else set()
    except PathlenError:
        return []
    return needed if shards <= set(names) else []


def shards_in_index(folder: Path) -> set[str]:
    """Return the files of weights that the index in a folder names; `ModelMismatch` if it is not an index."""
    path = folder / INDEX
    try:
        return set(json.loads(path.read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelMismatch(f"{path} is not an index of weights: {type(error).__name__}: {error}") from error


# The layout of the cache.


def repository_names(repository: str) -> tuple[str, ...]:
    """Return a repository's names with and without its owner: the same to the Hub, two folders to its cache."""
    return repository, repository.split("/")[-1]


def snapshot_folder(cache: Path, repository: str, commit: str) -> Path:
    """Return where the cache has the files of a repository at a commit."""
    return _repository_folder(cache, repository) / "snapshots" / commit


def noted_commit(cache: Path, repository: str, branch: str) -> str:
    """Return the commit that the cache has noted for a branch or tag; an empty string if none."""
    note = _note(cache, repository, branch)
    return note.read_text("utf-8").strip() if note.is_file() else ""


def note_commit(cache: Path, repository: str, branch: str, commit: str) -> None:
    """Note in the cache which commit a branch or tag was at: the client looks there when it has no network."""
    note = _note(cache, repository, branch)
    if not note.is_file() or note.read_text("utf-8") != commit:
        write_text(note, commit)


def _note(cache: Path, repository: str, branch: str) -> Path:
    return _repository_folder(cache, repository) / "refs" / branch


def _repository_folder(cache: Path, repository: str) -> Path:
    return cache / f"models--{repository.replace('/', '--')}"


def free_space(cache: Path) -> int:
    """Return the free bytes on the disk of a cache, whose folder need not exist yet."""
    existing = next(folder for folder in (cache.absolute(), *cache.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free
