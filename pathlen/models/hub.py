"""Weights from the Hugging Face Hub: download a model's files and check them.

Everything goes through ``huggingface_hub`` into its cache, where `pathlen.models.checkpoint.find` and every other
library look. ``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT`` and ``HF_TOKEN`` have the same meaning
as for that library. Five things it leaves to its callers are done here and in the modules ``hub_plan``, ``hub_files``
and ``hub_errors``:

- Only the files that `pathlen.models.loading.load` reads are downloaded, and never a pickle.
- A branch is resolved to a commit once, and all files are of that commit.
- Disk space is checked before the first byte arrives, not when the last does not fit.
- Every file is compared with the digest that the Hub lists for it, including those that were in the cache. The library
  compares sizes only.
- ``config.json`` comes last and the weights just before it, so a checkpoint is not found before it is complete and
  checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pathlen.errors import DownloadFailed, ModelMismatch, ModelNotFound
from pathlen.models.checkpoint import suggestion
from pathlen.models.families import ModelSpec, spec
from pathlen.models.hub_errors import translated, without_warnings
from pathlen.models.hub_files import INDEX, File, note_commit, shards_in_index
from pathlen.models.hub_plan import Plan, describe, plan, require_space

__all__ = ["File", "Plan", "describe", "fetch", "named", "plan", "require_space"]


def named(name: str, family: str = "gpt2") -> ModelSpec | str:
    """Return the model that a name on the command line stands for: a size of a family, or a repository.

    Parameters
    ----------
    name : str
        One of `pathlen.SIZES`, or ``owner/repository`` with or without ``@revision``.
    family : str
        The family whose sizes are meant.

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


def fetch(
    wanted: ModelSpec | str | Plan,
    *,
    endpoint: str | None = None,
    cache: Path | None = None,
    progress: bool = True,
) -> Path:
    """Download the missing files of a model, check all of its files, and return the folder that holds them.

    An interrupted download is resumed where it stopped, a few times. A file that is complete is not transferred again.
    A file whose content differs from what the Hub lists is downloaded once more, and deleted if it still differs.

    Parameters
    ----------
    wanted : ModelSpec, str or Plan
        As in `plan`, or what `plan` returned.
    endpoint, cache
        As in `plan`; ignored for a plan, which has its own.
    progress : bool
        Whether to show the library's progress bars, where there is a terminal.

    Raises
    ------
    ModelNotFound, ModelMismatch
        As in `plan`; and if an index names weights that the repository does not have.
    DownloadFailed
        If there is no space, the connection is lost, the server fails, or the content is not what the Hub lists.

    """
    planned = wanted if isinstance(wanted, Plan) else plan(wanted, endpoint=endpoint, cache=cache)
    if planned.fallback_reason:
        return planned.folder
    require_space([planned])
    with _progress_bars(progress), without_warnings():
        for file in planned.files:
            _download(file, planned)
            if file.name == INDEX:
                _require_shards(planned)
    if planned.branch:
        note_commit(planned.cache, planned.repository, planned.branch, planned.commit)
    return planned.folder


def _download(file: File, planned: Plan) -> None:
    """Download a file unless the cache has it, and check it; try once more if its content is wrong."""
    from huggingface_hub import hf_hub_download

    path = planned.folder / file.name
    doing = f"downloading {file.name} of {planned.repository}"
    mismatch = ""
    for is_retry in (False, True):
        if not path.is_file():
            with translated(doing, planned.repository, planned.commit, planned.endpoint):
                # Forced on a retry: the damaged file may have come from a store that several caches share.
                hf_hub_download(
                    planned.repository,
                    file.name,
                    revision=planned.commit,
                    cache_dir=planned.cache,
                    endpoint=planned.endpoint,
                    force_download=is_retry,
                )
        mismatch = file.mismatch(path)
        if not mismatch:
            return
        _delete(path)
    raise DownloadFailed(f"{file.name} of {planned.repository} {mismatch}; it was fetched again, and then deleted")


def _require_shards(planned: Plan) -> None:
    """Raise `ModelMismatch` if the index names a file that is not in the repository; a wrong index is deleted."""
    try:
        missing = sorted(shards_in_index(planned.folder) - {file.name for file in planned.files})
        if missing:
            raise ModelMismatch(f"{INDEX} of {planned.repository} names {', '.join(missing)}, which is not there")
    except ModelMismatch:
        _delete(planned.folder / INDEX)
        raise


def _delete(path: Path) -> None:
    """Delete a file of the cache, and the blob that it links to."""
    if path.is_symlink():
        (path.parent / path.readlink()).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


@contextmanager
def _progress_bars(shown: bool) -> Iterator[None]:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if shown or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
