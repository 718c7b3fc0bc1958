"""What a download from the Hub would take: which files, how large, at which commit, and which of them the cache has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pathlen.errors import DownloadFailed, ModelNotFound
from pathlen.models.families import FAMILIES, ModelSpec
from pathlen.models.hub_errors import translated
from pathlen.models.hub_files import (
    File,
    complete_files,
    free_space,
    needed_files,
    noted_commit,
    repository_names,
    snapshot_folder,
)

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

__all__ = ["Plan", "describe", "plan", "require_space"]

COMMIT = re.compile(r"[0-9a-f]{40}")
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a download would take.

    Attributes
    ----------
    repository : str
        On the Hub.
    commit : str
        The commit of all files.
    branch : str
        The branch or tag that was asked for, and that is at this commit now; empty if a commit was asked for.
    files : tuple of File
        In the order in which they are downloaded.
    cache : Path
        The cache of ``huggingface_hub``.
    endpoint : str
        The address of the Hub.
    fallback_reason : str
        Why the Hub could not be asked, where the cache has the complete model anyway; empty if the Hub was asked.

    """

    repository: str
    commit: str
    branch: str
    files: tuple[File, ...]
    cache: Path
    endpoint: str
    fallback_reason: str = ""

    @property
    def folder(self) -> Path:
        """Where the files are, or will be."""
        return snapshot_folder(self.cache, self.repository, self.commit)

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def missing(self) -> int:
        """Bytes of the files that the cache does not have."""
        return sum(file.size for file in self.files if not file.here)


def plan(wanted: ModelSpec | str, *, endpoint: str | None = None, cache: Path | None = None) -> Plan:
    """Return what a download would take. Only the Hub's list of files is transferred.

    Parameters
    ----------
    wanted : ModelSpec or str
        A model of the table, or ``owner/repository``, optionally followed by ``@revision``: a branch, a tag or a
        commit. A repository of the table that is named without a revision has the table's.
    endpoint : str, optional
        The address of the Hub; by default ``HF_ENDPOINT``.
    cache : Path, optional
        The cache to look into; by default that of ``huggingface_hub``.

    Raises
    ------
    ModelNotFound
        If there is no such repository, revision or checkpoint, or this user may not read it.
    ModelMismatch
        If the weights exist as pickles only.
    DownloadFailed
        If the Hub can't be asked and the cache does not have the model.

    """
    from huggingface_hub import HfApi, constants

    repository, revision = _pinned(wanted)
    root = Path(cache or constants.HF_HUB_CACHE)
    address = (endpoint or constants.ENDPOINT).rstrip("/")
    try:
        with translated(f"asking about {repository}", repository, revision, address):
            listing = HfApi(endpoint=address).model_info(
                repository, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
    except DownloadFailed as error:
        return _plan_from_cache(repository, revision, root, address, error)
    return _plan_from_listing(listing, repository, revision, root, address)


def _pinned(wanted: ModelSpec | str) -> tuple[str, str]:
    """Return a repository and the revision of it that is wanted."""
    if isinstance(wanted, ModelSpec):
        if not wanted.revision:
            raise ModelNotFound(
                f"{wanted.title} lies in {wanted.source!r} and not on the Hub: there is nothing to fetch"
            )
        return wanted.source, wanted.revision
    repository, _, revision = wanted.partition("@")
    table = {spec.source: spec.revision for sizes in FAMILIES.values() for spec in sizes.values()}
    return repository, revision or table.get(repository) or "main"


def _plan_from_listing(listing: ModelInfo, repository: str, revision: str, cache: Path, address: str) -> Plan:
    """Return the plan for the files that the Hub lists."""
    if not listing.sha:
        raise DownloadFailed(f"{address} does not say at which commit {repository} is, so nothing can be pinned to it")
    listed = {sibling.rfilename: sibling for sibling in listing.siblings or ()}
    files = [_file_of(listed[name], repository) for name in needed_files(listed, repository)]
    for name in repository_names(repository):
        folder = snapshot_folder(cache, name, listing.sha)
        if all(file.is_in(folder) for file in files):
            break
    else:
        name, folder = repository, snapshot_folder(cache, repository, listing.sha)
    return Plan(
        repository=name,
        commit=listing.sha,
        branch="" if COMMIT.fullmatch(revision) else revision,
        files=tuple(replace(file, here=file.is_in(folder)) for file in files),
        cache=cache,
        endpoint=address,
    )


def _file_of(sibling: RepoSibling, repository: str) -> File:
    if sibling.size is None or not (sibling.lfs or sibling.blob_id):
        raise DownloadFailed(
            f"the Hub must list the size and the digest of {sibling.rfilename} of {repository}, but does not, "
            "so what arrives could not be checked"
        )
    return File(
        name=sibling.rfilename,
        size=sibling.size,
        here=False,
        sha256=sibling.lfs.sha256 if sibling.lfs else "",
        blob=sibling.blob_id or "",
    )


def _plan_from_cache(repository: str, revision: str, cache: Path, address: str, error: DownloadFailed) -> Plan:
    """Return the plan for a model that the cache has in full, or raise the error of asking the Hub."""
    commit, branch = revision, ""
    if not COMMIT.fullmatch(revision):
        # Only under the full name: a short name's branch could be another owner's, but a commit identifies its content.
        commit, branch = noted_commit(cache, repository, revision), revision
    for name in repository_names(repository) if commit else ():
        folder = snapshot_folder(cache, name, commit)
        files = tuple(
            File(name=complete, size=(folder / complete).stat().st_size, here=True)
            for complete in complete_files(folder)
        )
        if files:
            return Plan(
                repository=name,
                commit=commit,
                branch=branch,
                files=files,
                cache=cache,
                endpoint=address,
                fallback_reason=str(error),
            )
    raise error


def describe(plans: Sequence[Plan]) -> list[str]:
    """Return what downloads would take, as lines for a reader."""
    lines = []
    for planned in plans:
        branch = f" ({planned.branch} now)" if planned.branch else ""
        lines.append(f"{planned.repository} at {planned.commit}{branch}")
        lines += [
            f"  {file.size / MB:12,.3f} MB  {file.name}{'  here already' if file.here else ''}"
            for file in planned.files
        ]
        lines.append(f"  in {planned.folder}")
        if planned.fallback_reason:
            lines.append(f"  as it is on this machine: {planned.fallback_reason}")
    if plans:
        total, missing = sum(planned.total for planned in plans), sum(planned.missing for planned in plans)
        free = free_space(plans[0].cache)
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
    for planned in plans:
        needed[planned.cache] = needed.get(planned.cache, 0) + planned.missing
    for cache, missing in needed.items():
        free = free_space(cache)
        if missing > free:
            raise DownloadFailed(
                f"the download needs {missing / MB:,.3f} MB, but {free / MB:,.3f} MB are free in {cache}; "
                "make room, or name another folder in HF_HUB_CACHE"
            )
