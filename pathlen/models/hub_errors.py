"""What ``huggingface_hub`` raises, turned into this package's errors, with what the reader can do about it.

Every message is one line that names the repository, the address and the remedy.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pathlen.errors import DownloadFailed, ModelNotFound, PathlenError
from pathlen.models.checkpoint import suggestion

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

__all__ = ["translated", "without_warnings"]


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence the client's warnings about tries that fail, since the final error says the same.

    They are shown if ``HF_HUB_VERBOSITY`` or ``HF_DEBUG`` is set.
    """
    log = logging.getLogger("huggingface_hub")
    level = log.level
    if not {"HF_HUB_VERBOSITY", "HF_DEBUG"} & set(os.environ):
        log.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        log.setLevel(level)


@contextmanager
def translated(doing: str, repository: str, revision: str, endpoint: str) -> Iterator[None]:
    """Turn whatever a call of the client raises into this package's errors; only such a call belongs inside.

    Parameters
    ----------
    doing : str
        What the call is for, to start a sentence with: ``"downloading config.json of gpt2"``.
    repository, revision, endpoint : str
        What is asked for, and at which address.

    """
    try:
        yield
    except Exception as error:  # the types that a transport raises differ between versions of the client
        raise _translation(error, doing, repository, revision, endpoint) from error


def _translation(error: Exception, doing: str, repository: str, revision: str, endpoint: str) -> PathlenError:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if isinstance(error, HFValidationError):
        return ModelNotFound(
            f"a repository must be written owner/repository, but {repository!r} was given{suggestion(repository)}"
        )
    # The client reports that it could not ask as "not in the cache", with the reason as the cause of that error.
    cause: BaseException = error
    while not isinstance(cause, (HfHubHTTPError, OfflineModeIsEnabled)) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, OfflineModeIsEnabled):
        return DownloadFailed(f"{doing} is not possible while HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")
    if isinstance(cause, HfHubHTTPError):
        return _translation_of_answer(cause, doing, repository, revision, endpoint)
    return DownloadFailed(
        f"{doing} from {endpoint} failed: {type(cause).__name__}: {' '.join(str(cause).split())}; "
        "without a connection, a checkpoint on this machine is taken with --model DIR"
    )


def _translation_of_answer(
    answer: HfHubHTTPError, doing: str, repository: str, revision: str, endpoint: str
) -> PathlenError:
    """Return the error for an HTTP answer that refuses the request."""
    from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

    status = answer.response.status_code
    if isinstance(answer, RevisionNotFoundError):
        return ModelNotFound(f"{repository} has no revision {revision!r} on {endpoint} ({status})")
    if isinstance(answer, GatedRepoError) or status == 403:
        return ModelNotFound(
            f"{repository} is not open to everybody ({status}): ask for access on {endpoint}/{repository}, "
            "then set HF_TOKEN to a token of yours"
        )
    if status in (401, 404):
        return ModelNotFound(
            f"{endpoint} shows no {repository} ({status}): check the name{suggestion(repository)}; if it is private, "
            "set HF_TOKEN to a token that may read it; if HF_TOKEN is set, it may be wrong or out of date"
        )
    if status == 429:
        wait = answer.response.headers.get("Retry-After")
        return DownloadFailed(
            f"{doing} from {endpoint} failed: too many requests (429); try again "
            f"{f'in {wait} s' if wait else 'later'}, or set HF_TOKEN, which allows more"
        )
    return DownloadFailed(f"{doing} from {endpoint} failed: the server answers {status}; try again later")
