"""Weights from the Hugging Face Hub: what a download would take, and the download.

Everything goes through ``huggingface_hub`` into its cache, where `pathlen.models.checkpoint.find` and every other library look.
``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT`` and ``HF_TOKEN`` mean here what they mean there. What that
library leaves to its callers is done here:

- Only the files are taken that `pathlen.models.loading.load` reads, and never a pickle.
- A branch is resolved to a commit once; all files are of that commit.
- Whether there is space on the disk is asked before the first byte, and not when the last does not fit.
- Every file is compared with the digest that the Hub lists for it, those that were here already included. The library itself
  compares sizes only.
- ``config.json`` comes last and the weights just before it: a checkpoint is not found before all of it is here and checked.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pathlen._util.files import write_text
from pathlen.errors import DownloadFailed, ModelMismatch, ModelNotFound, PathlenError
from pathlen.models.checkpoint import TOKENIZERS, WEIGHTS, suggestion
from pathlen.models.families import FAMILIES, ModelSpec, spec

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

__all__ = ["File", "Plan", "describe", "fetch", "named", "plan", "require_space"]

CONFIG = "config.json"
WHOLE, INDEX = WEIGHTS
SMALL_FILES = {"tokenizer_config.json"}.union(*TOKENIZERS)
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Weights that other libraries write; all but the last two are pickles, and no kind is read here.
OTHER_WEIGHTS = {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack"}
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that a model needs.

    Attributes
    ----------
    name : str
    size : int
        In bytes.
    here : bool
        Whether a file of this name and size is in the cache.
    sha256 : str
        What the Hub lists for a large file; empty for one that it keeps in git, and where it was not asked.
    blob : str
        git's own digest, for a file that the Hub keeps there.

    """

    name: str
    size: int
    here: bool
    sha256: str = ""
    blob: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a download would take.

    Attributes
    ----------
    repository : str
        On the Hub.
    commit : str
        The one that all files are of.
    branch : str
        The branch or tag that was asked for and that the commit is now; empty if a commit was asked for.
    files : tuple of File
        In the order in which they are fetched.
    cache : Path
        The cache of ``huggingface_hub``.
    endpoint : str
        The address of the Hub.
    unasked : str
        Why the Hub was not asked, for a model that is here anyway; empty if it was.

    """

    repository: str
    commit: str
    branch: str
    files: tuple[File, ...]
    cache: Path
    endpoint: str
    unasked: str = ""

    @property
    def folder(self) -> Path:
        """Where the files come to lie."""
        return _folder(self.cache, self.repository, self.commit)

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def missing(self) -> int:
        """Bytes of the files that are not here."""
        return sum(file.size for file in self.files if not file.here)


def named(name: str, family: str = "gpt2") -> ModelSpec | str:
    """Return what a name on a command line stands for: a size of a family, or a repository.

    Parameters
    ----------
    name : str
        One of `pathlen.SIZES`, or ``owner/repository`` with or without ``@revision``.
    family : str
        Whose sizes are meant.

    Raises
    ------
    ModelNotFound
        If it is neither; the message lists the sizes.

    """
    if "/" in name:
        return name
    try:
        return spec(family, name)
    except ValueError as error:
        raise ModelNotFound(
            f"{error}; a repository of the Hub is written owner/repository{suggestion(name)}"
        ) from error


def plan(wanted: ModelSpec | str, *, endpoint: str | None = None, cache: Path | None = None) -> Plan:
    """Return what a download would take, and transfer nothing but the Hub's list of files.

    Parameters
    ----------
    wanted : ModelSpec or str
        A model of the table, or ``owner/repository``, with ``@revision`` behind it for a branch, a tag or a commit. A
        repository of the table without a revision has the table's.
    endpoint : str, optional
        The address of the Hub; ``HF_ENDPOINT`` otherwise.
    cache : Path, optional
        The cache to look into; that of ``huggingface_hub`` otherwise.

    Raises
    ------
    ModelNotFound
        If there is no such repository, revision or checkpoint, or this user may not read it.
    ModelMismatch
        If the weights exist as pickles only.
    DownloadFailed
        If the Hub can't be asked and the model is not here. If it is here, that is all that has to be known.

    """
    from huggingface_hub import HfApi, constants

    repository, revision = _pinned(wanted)
    home = Path(cache or constants.HF_HUB_CACHE)
    address = (endpoint or constants.ENDPOINT).rstrip("/")
    try:
        with _translated(f"asking about {repository}", repository, revision, address):
            info = HfApi(endpoint=address).model_info(
                repository, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
    except DownloadFailed as error:
        return _unasked(repository, revision, home, address, error)
    if not info.sha:
        raise DownloadFailed(f"{address} does not say at which commit {repository} is, so nothing can be pinned to it")
    listed = {one.rfilename: one for one in info.siblings or ()}
    files = [_sized(listed[name], repository) for name in _needed(listed, repository)]
    here = repository
    for candidate in _names(repository):
        folder = _folder(home, candidate, info.sha)
        if all(_has(folder, one) for one in files):
            here = candidate
            break
    folder = _folder(home, here, info.sha)
    return Plan(
        repository=here,
        commit=info.sha,
        branch="" if COMMIT.fullmatch(revision) else revision,
        files=tuple(
            File(name=one.name, size=one.size, here=_has(folder, one), sha256=one.sha256, blob=one.blob)
            for one in files
        ),
        cache=home,
        endpoint=address,
    )


def describe(plans: Sequence[Plan]) -> list[str]:
    """Return what downloads would take, line by line, for a reader."""
    lines = []
    for one in plans:
        branch = f" ({one.branch} now)" if one.branch else ""
        lines.append(f"{one.repository} at {one.commit}{branch}")
        lines += [
            f"  {file.size / MB:12,.3f} MB  {file.name}{'  here already' if file.here else ''}" for file in one.files
        ]
        lines.append(f"  in {one.folder}")
        if one.unasked:
            lines.append(f"  as it is on this machine: {one.unasked}")
    if plans:
        total, missing = sum(one.total for one in plans), sum(one.missing for one in plans)
        free = _free(plans[0].cache)
        lines.append(
            f"{missing / MB:,.3f} MB to download of {total / MB:,.3f} MB; "
            f"{free / MB:,.3f} MB are free in {plans[0].cache}"
        )
    return lines


def require_space(plans: Iterable[Plan]) -> None:
    """Raise `DownloadFailed` if what is missing does not fit on the disk of the cache.

    Examples
    --------
    >>> require_space([])

    """
    needed: dict[Path, int] = {}
    for one in plans:
        needed[one.cache] = needed.get(one.cache, 0) + one.missing
    for cache, missing in needed.items():
        free = _free(cache)
        if missing > free:
            raise DownloadFailed(
                f"the download needs {missing / MB:,.3f} MB, but {free / MB:,.3f} MB are free in {cache}; "
                "make room, or name another folder in HF_HUB_CACHE"
            )


def fetch(
    wanted: ModelSpec | str | Plan,
    *,
    endpoint: str | None = None,
    cache: Path | None = None,
    progress: bool = True,
) -> Path:
    """Download what is missing of a model, check all of it, and return the folder that holds it.

    A broken connection is taken up again where it broke, a few times; a file that is here whole is not transferred again. A
    file whose content is not what the Hub lists is fetched once more, and then deleted.

    Parameters
    ----------
    wanted : ModelSpec, str or Plan
        As in `plan`, or what that returned.
    endpoint, cache
        As in `plan`; a plan has its own.
    progress : bool
        Whether the library shows its bars, where there is a terminal.

    Raises
    ------
    ModelNotFound, ModelMismatch
        As in `plan`; and if an index names weights that the repository does not have.
    DownloadFailed
        If there is no space, the connection is lost, the Hub has a fault, or what arrives is not what it lists.

    """
    found = wanted if isinstance(wanted, Plan) else plan(wanted, endpoint=endpoint, cache=cache)
    if found.unasked:
        return found.folder
    require_space([found])
    with _bars(progress), _one_error():
        for file in found.files:
            _get(file, found)
            if file.name == INDEX:
                _require_shards(found)
    if found.branch:
        # Where the cache says which commit a branch was at; whoever asks for the branch without a network looks there.
        note = _home(found.cache, found.repository) / "refs" / found.branch
        if not note.is_file() or note.read_text("utf-8") != found.commit:
            write_text(note, found.commit)
    return found.folder


# What is asked for.


def _pinned(wanted: ModelSpec | str) -> tuple[str, str]:
    """Return a repository and a revision of it."""
    if isinstance(wanted, ModelSpec):
        if not wanted.revision:
            raise ModelNotFound(
                f"{wanted.title} lies in {wanted.source!r} and not on the Hub: there is nothing to fetch"
            )
        return wanted.source, wanted.revision
    repository, _, revision = wanted.partition("@")
    table = {one.source: one.revision for sizes in FAMILIES.values() for one in sizes.values()}
    return repository, revision or table.get(repository) or "main"


def _needed(listed: Iterable[str], repository: str) -> list[str]:
    """Return the files a model is loaded from, those that make it visible last."""
    names = sorted(name for name in listed if "/" not in name)
    if WHOLE in names:
        weights = [WHOLE]
    elif INDEX in names:
        weights = [*filter(SHARD.fullmatch, names), INDEX]
    else:
        others = [name for name in names if Path(name).suffix in OTHER_WEIGHTS]
        if others:
            raise ModelMismatch(
                f"the weights of {repository} must be safetensors, but it holds only {', '.join(others)}: "
                "a pickle runs code when it is opened, so none is ever fetched"
            )
        raise ModelNotFound(f"{repository} has no {WHOLE}, nor {INDEX}, so there is nothing to fetch")
    if CONFIG not in names:
        raise ModelNotFound(f"a checkpoint needs a {CONFIG}, but {repository} has none")
    if not _tokenizer(names):
        needed = ", nor ".join(" with ".join(group) for group in TOKENIZERS)
        raise ModelNotFound(f"{repository} has no {needed}")
    return [*(name for name in names if name in SMALL_FILES), *weights, CONFIG]


def _tokenizer(names: Iterable[str]) -> bool:
    return any(set(group) <= set(names) for group in TOKENIZERS)


def _sized(one: RepoSibling, repository: str) -> File:
    if one.size is None or not (one.lfs or one.blob_id):
        raise DownloadFailed(
            f"the Hub must list the size and the digest of {one.rfilename} of {repository}, but does not, "
            "so what arrives could not be checked"
        )
    return File(
        name=one.rfilename,
        size=one.size,
        here=False,
        sha256=one.lfs.sha256 if one.lfs else "",
        blob=one.blob_id or "",
    )


# What is here.


def _names(repository: str) -> tuple[str, ...]:
    """Return a repository's names: the Hub knows it with and without its owner, its cache keeps them apart."""
    return repository, repository.split("/")[-1]


def _home(cache: Path, repository: str) -> Path:
    return cache / f"models--{repository.replace('/', '--')}"


def _folder(cache: Path, repository: str, commit: str) -> Path:
    return _home(cache, repository) / "snapshots" / commit


def _has(folder: Path, file: File) -> bool:
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.size


def _unasked(repository: str, revision: str, cache: Path, address: str, error: DownloadFailed) -> Plan:
    """Return the plan of a model that is here anyway; raise the error if it is not."""
    commit, branch = revision, ""
    if not COMMIT.fullmatch(revision):
        # Under the short name a branch could be another owner's; a commit can't.
        note = _home(cache, repository) / "refs" / revision
        commit, branch = note.read_text("utf-8").strip() if note.is_file() else "", revision
    for name in _names(repository) if commit else ():
        folder = _folder(cache, name, commit)
        files = tuple(File(name=one, size=(folder / one).stat().st_size, here=True) for one in _whole(folder))
        if files:
            return Plan(
                repository=name,
                commit=commit,
                branch=branch,
                files=files,
                cache=cache,
                endpoint=address,
                unasked=str(error),
            )
    raise error


def _whole(folder: Path) -> list[str]:
    """Return the files of a checkpoint that lacks nothing; an empty list if it does."""
    here = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    try:
        needed = _needed(here, folder.name)
        shards = _shards(folder) if INDEX in needed else set()
    except PathlenError:
        return []
    return needed if shards <= set(here) else []


def _shards(folder: Path) -> set[str]:
    path = folder / INDEX
    try:
        return set(json.loads(path.read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelMismatch(f"{path} is not an index of weights: {type(error).__name__}: {error}") from error


def _free(cache: Path) -> int:
    there = next(folder for folder in (cache.absolute(), *cache.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


# The download of one file.


def _get(file: File, found: Plan) -> None:
    from huggingface_hub import hf_hub_download

    path = found.folder / file.name
    wrong = ""
    for again in (False, True):
        if not path.is_file():
            with _translated(
                f"downloading {file.name} of {found.repository}", found.repository, found.commit, found.endpoint
            ):
                # By force the second time: a damaged file may have come out of a store that caches share.
                hf_hub_download(
                    found.repository,
                    file.name,
                    revision=found.commit,
                    cache_dir=found.cache,
                    endpoint=found.endpoint,
                    force_download=again,
                )
        wrong = _wrong(path, file)
        if not wrong:
            return
        _forget(path)
    raise DownloadFailed(f"{file.name} of {found.repository} {wrong}; it was fetched again, and then deleted")


def _wrong(path: Path, file: File) -> str:
    """Return in what a file differs from what the Hub lists; an empty string if it does not."""
    size = path.stat().st_size
    if size != file.size:
        return f"must have {file.size:,} bytes, but {size:,} arrived"
    kind, expected = ("SHA-256", file.sha256) if file.sha256 else ("git blob", file.blob)
    # git's digest is no choice of ours; a file that matters is large, and has the other.
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: digest).hexdigest()
    return "" if found == expected else f"must have the {kind} digest {expected}, but what arrived has {found}"


def _forget(path: Path) -> None:
    """Delete a file of the cache, and what it points to."""
    if path.is_symlink():
        (path.parent / path.readlink()).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _require_shards(found: Plan) -> None:
    try:
        missing = sorted(_shards(found.folder) - {file.name for file in found.files})
        if missing:
            raise ModelMismatch(f"{INDEX} of {found.repository} names {', '.join(missing)}, which is not there")
    except ModelMismatch:
        _forget(found.folder / INDEX)
        raise


@contextmanager
def _bars(shown: bool) -> Iterator[None]:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if shown or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


# What went wrong.


@contextmanager
def _one_error() -> Iterator[None]:
    """Keep the library from telling of every try what the error at the end tells; ``HF_HUB_VERBOSITY`` has it tell."""
    log = logging.getLogger("huggingface_hub")
    before = log.level
    if not {"HF_HUB_VERBOSITY", "HF_DEBUG"} & set(os.environ):
        log.setLevel(max(before, logging.ERROR))
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def _translated(doing: str, repository: str, revision: str, endpoint: str) -> Iterator[None]:
    """Turn what the library raises into this package's errors; nothing but a call of it belongs inside."""
    try:
        yield
    except Exception as error:  # what a transport raises differs between the versions of the library
        raise _reason(error, doing, repository, revision, endpoint) from error


def _reason(error: Exception, doing: str, repository: str, revision: str, endpoint: str) -> PathlenError:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    # "Not in the cache" is how the library says that it could not ask; why stands behind it.
    cause: BaseException = error
    while not isinstance(cause, (HfHubHTTPError, OfflineModeIsEnabled)) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(error, HFValidationError):
        return ModelNotFound(
            f"a repository must be written owner/repository, but {repository!r} was given{suggestion(repository)}"
        )
    if isinstance(cause, OfflineModeIsEnabled):
        return DownloadFailed(f"{doing} is not possible while HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")
    if not isinstance(cause, HfHubHTTPError):
        return DownloadFailed(
            f"{doing} from {endpoint} failed: {type(cause).__name__}: {_line(cause)}; "
            "without a connection, a checkpoint on this machine is taken with --model DIR"
        )
    status = cause.response.status_code
    if isinstance(cause, RevisionNotFoundError):
        return ModelNotFound(f"{repository} has no revision {revision!r} on {endpoint} ({status})")
    if isinstance(cause, GatedRepoError) or status == 403:
        return ModelNotFound(
            f"{repository} is not open to everybody ({status}): ask for access on {endpoint}/{repository}, "
            "then set HF_TOKEN to a token of yours"
        )
    if status in (401, 404):
        return ModelNotFound(
            f"{endpoint} shows no {repository} ({status}): check the name{suggestion(repository)}; if it is private, set HF_TOKEN to a token that "
            "may read it; if HF_TOKEN is set, it may be wrong or out of date"
        )
    if status == 429:
        wait = cause.response.headers.get("Retry-After")
        return DownloadFailed(
            f"{doing} from {endpoint} failed: too many requests (429); try again "
            f"{f'in {wait} s' if wait else 'later'}, or set HF_TOKEN, which allows more"
        )
    return DownloadFailed(f"{doing} from {endpoint} failed: the server answers {status}; try again later")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
