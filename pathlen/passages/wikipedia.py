"""The lead section of a Wikipedia article at one revision, as plain text.

The document that this project checks was measured on such a lead. `pathlen.passages.article` says how one is named. A
reference without a revision is refused: an article changes, and what was measured on it could not be measured again.

Wikipedia renders the lead, so templates are filled in; `pathlen.passages.html` makes text of it. A revision pins what
its authors wrote but not the templates it uses, so every record contains the text's digest. What was received is kept
in the cache folder: a second run needs no network and reads the same. ``PATHLEN_WIKIPEDIA`` names another address of
the API, in which ``{language}`` stands for the language.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import time
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeGuard
from urllib.parse import urlencode, urlsplit

from pathlen._util.cache import Cache, folder
from pathlen._util.digests import digest
from pathlen.errors import InvalidText
from pathlen.passages.article import Reference, parsed, underscored
from pathlen.passages.html import plain
from pathlen.passages.passage import Passage

__all__ = ["lead"]

WIKI = "https://{language}.wikipedia.org/w/"
LICENCE = "CC BY-SA 4.0"

TIMEOUT = 20.0  # seconds without a byte
TRIES = 3
LONGEST_WAIT = 60.0  # seconds; if the server asks for a longer wait, we give up
MAX_LAG = 5  # seconds of replication lag above which the API asks a polite client to come back later
BUSY = ("maxlag", "ratelimited")  # error codes in answers whose status is 200

WHY = {
    "nosuchrevid": "there is no such revision, or its page was deleted",
    "missingtitle": "there is no such page",
    "missingcontent-revid": "the text of this revision is missing, or hidden from the public",
    "permissiondenied": "the text of this revision is hidden from the public",
}


def lead(text: str, *, sleep: Callable[[float], None] = time.sleep, timeout: float = TIMEOUT) -> Passage:
    """Return the lead section that a reference names, from the cache or from Wikipedia.

    Parameters
    ----------
    text : str
        For example ``"wikipedia:Friedrich_Nietzsche@1234567890"``.
    sleep : callable
        Called with the seconds to wait between tries.
    timeout : float
        Seconds without a byte after which a try fails.

    Raises
    ------
    InvalidText
        If it is not a reference, has no revision, can't be read, or the revision is not one of the article; if the lead
        has no paragraph.

    """
    reference = parsed(text)
    wiki = _Wiki(reference.language, sleep=sleep, timeout=timeout)
    if reference.revision is None:
        raise InvalidText(
            "a text from Wikipedia must be pinned to a revision, because an article changes and what was measured on "
            f"it could not be measured again, but {text!r} names none; {_advice_on_pinning(reference, wiki)}"
        )
    cache, key = Cache(folder()), digest("wikipedia", 1, wiki.api, _normalized(reference.title), reference.revision)
    content = cache.get(key)
    title, html = json.loads(content) if content else wiki.rendered(reference.title, reference.revision)
    paragraphs = plain(html, f"revision {reference.revision} of {title!r}")
    if not content:
        cache.put(key, json.dumps([title, html]))
    address = urlencode({"title": underscored(title), "oldid": reference.revision})
    return Passage(
        name=_slug(title) or f"wikipedia-{reference.revision}",
        text=paragraphs,
        origin=f"{WIKI.format(language=reference.language)}index.php?{address}{wiki.source_note}",
        licence=LICENCE,
        attribution=f"Wikipedia contributors, “{title}”, revision {reference.revision}",
    )


def _advice_on_pinning(reference: Reference, wiki: _Wiki) -> str:
    try:
        page = wiki.page(reference.title, tries=1)
    except InvalidText:
        page = {}
    number, title = page.get("lastrevid"), page.get("title")
    if page.get("missing") or page.get("invalid"):
        return f"and {wiki.host} has no such article"
    if isinstance(number, int) and isinstance(title, str):
        return f"at present it is {Reference(language=reference.language, title=title, revision=number)}"
    return (
        "the number stands after oldid= in the address of the article’s permanent link "
        f"({wiki.host} can't be asked now)"
    )


def _normalized(title: str) -> str:
    """Return a title as wikis write it: with single spaces, and a capital first letter."""
    title = unicodedata.normalize("NFC", " ".join(title.replace("_", " ").split()))
    return title[:1].upper() + title[1:]


def _slug(title: str) -> str:
    """Return the words of a title, letters and digits of any script, joined by hyphens."""
    characters = (
        character if character.isalnum() or unicodedata.category(character)[0] == "M" else " "
        for character in title.lower()
    )
    return "-".join("".join(characters).split())[:60].rstrip("-")


# The API of a wiki.


class _Retry(Exception):
    """A try failed in a way that may pass; `wait` is how many seconds the server asks to wait, if it says."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _Wiki:
    """The API of one wiki."""

    def __init__(self, language: str, *, sleep: Callable[[float], None], timeout: float) -> None:
        address = os.environ.get("PATHLEN_WIKIPEDIA", "")
        self.api = (address or f"{WIKI}api.php").replace("{language}", language)
        try:
            parts = urlsplit(self.api)
            self.host = parts.netloc.rpartition("@")[2]
        except ValueError:
            self.host = ""
        # urllib would open files, too.
        if not self.host or parts.scheme not in ("http", "https"):
            raise InvalidText(f"PATHLEN_WIKIPEDIA must be an address that starts with http, but {address!r} was given")
        self.source_note = f" (read from {self.host})" if address else ""
        self._sleep = sleep
        self._timeout = timeout

    def rendered(self, title: str, revision: int) -> tuple[str, str]:
        """Return the current title of a revision's page, and the HTML of its lead section."""
        what = f"revision {revision} of {title!r}"
        answer = self._ask(what, action="parse", oldid=revision, section=0, prop="text|revid").get("parse")
        page = answer if isinstance(answer, dict) else {}
        page_title, html, number = page.get("title"), page.get("text"), page.get("pageid")
        if not (_is_valid_text(page_title) and _is_valid_text(html) and isinstance(number, int)) or (
            page.get("revid") != revision
        ):
            raise InvalidText(f"{what} can't be read from {self.host}: the answer is not whole")
        # Under another title it may be the same article: it may have moved since, or the title may redirect to it.
        if _normalized(page_title) != _normalized(title) and self.page(title).get("pageid") != number:
            raise InvalidText(f"revision {revision} must be one of {title!r}, but it is one of {page_title!r}")
        return page_title, html

    def page(self, title: str, tries: int = TRIES) -> dict[str, Any]:
        """Return what the wiki knows about an article, after following redirects."""
        what = f"the article {title!r}"
        answer = self._ask(what, tries, action="query", titles=title, redirects=1, prop="info").get("query")
        pages = answer.get("pages") if isinstance(answer, dict) else None
        if not isinstance(pages, list) or len(pages) != 1 or not isinstance(pages[0], dict):
            raise InvalidText(f"{what} can't be read from {self.host}: the answer is not whole")
        return pages[0]

    def _ask(self, what: str, tries: int = TRIES, **parameters: object) -> dict[str, Any]:
        """Return the API's answer; `InvalidText` if there is none after some tries, or the API reports an error."""
        common = {"format": "json", "formatversion": 2, "maxlag": MAX_LAG}
        request = urllib.request.Request(  # noqa: S310  # `__init__` allows http and https only
            f"{self.api}?{urlencode(parameters | common)}", headers={"User-Agent": _user_agent()}
        )
        try:
            answer = self._answer(request, tries)
        except ValueError as error:
            raise InvalidText(f"{what} can't be read from {self.host}: {error}") from error
        problem = answer.get("error")
        if isinstance(problem, dict):
            code, info = str(problem.get("code")), str(problem.get("info"))
            raise InvalidText(f"{what} can't be read from {self.host}: {WHY.get(code, code)} ({info})")
        return answer

    def _answer(self, request: urllib.request.Request, tries: int) -> dict[str, Any]:
        """Return the answer to a request, repeating it while that may help; ValueError if there is none."""
        number = 0
        while True:
            number += 1
            try:
                return self._answer_once(request)
            except _Retry as error:
                wait = 2.0 ** (number - 1) if error.wait is None else error.wait
                if number == tries or wait > LONGEST_WAIT:
                    later = f", and asks to wait {wait:,.0f} seconds" if wait > LONGEST_WAIT else ""
                    times = "once" if number == 1 else f"{number} times"
                    raise ValueError(f"{error} (asked {times}){later}") from error
                self._sleep(wait)

    def _answer_once(self, request: urllib.request.Request) -> dict[str, Any]:
        """Return the answer of one try; `_Retry` if another may succeed, ValueError if not."""
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:  # noqa: S310
                raw, headers = response.read(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                reason = f"it answers {error.code} {error.reason}"
                if error.code == 429 or error.code >= 500:
                    raise _Retry(reason, _seconds(error.headers.get("Retry-After"))) from error
                raise ValueError(reason) from error
        except (OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            raise _Retry(f"no connection ({cause or type(cause).__name__})") from error
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ValueError("the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise ValueError("the answer is not a JSON object")  # noqa: TRY004  # no argument has the wrong type
        problem = answer.get("error")
        if isinstance(problem, dict) and problem.get("code") in BUSY:
            raise _Retry(f"it is busy ({problem.get('info')})", _seconds(headers.get("Retry-After")))
        return answer


def _is_valid_text(field: object) -> TypeGuard[str]:
    """Whether a field of an answer is text that can be encoded; JSON can contain lone surrogates."""
    return isinstance(field, str) and not re.search("[\ud800-\udfff]", field)


def _user_agent() -> str:
    """Return how we introduce ourselves; Wikimedia refuses clients that don't."""
    try:
        release = version("pathlen")
    except PackageNotFoundError:
        release = "unknown"
    purpose = "checks claims about language models; reads one pinned lead section"
    return f"pathlen/{release} ({purpose}) Python/{platform.python_version()}"


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds to wait by a Retry-After header; None if it is absent, or neither a number nor a date."""
    if retry_after is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", retry_after):
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
