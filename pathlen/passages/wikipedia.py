"""The lead section of a Wikipedia article at one revision, as plain text.

The document that this project checks was measured on such a lead. A reference names the article and the revision::

    wikipedia:Friedrich_Nietzsche@1234567890
    wikipedia:de:Friedrich_Nietzsche@1234567890

- The language is a code in small letters, English unless given. A title opens with its capital, so that
  ``wikipedia:de:Kant`` and ``wikipedia:De:Kant`` differ: the second is an English title with a colon in it.
- The title may hold spaces or underscores, any letters, and be copied from an address (``Caf%C3%A9``). What follows the
  last ``@`` is the revision, so a title with an ``@`` in it is well as long as a revision stands behind it.
- Without a revision a reference is refused: an article changes, and what was measured on it could not be measured again.

Wikipedia renders the lead, so templates are filled in. What becomes text is decided here, not by one of its services for
extracts, whose rules change without notice:

- Paragraphs only (``<p>``). Lists, headings and captions are no running text; tables, infoboxes, hatnotes, banners and
  navigation are about the article or beside it.
- Without footnote markers and the notes themselves, edit links, coordinates, hidden spans, styles, scripts, media, and
  what Wikipedia marks as no part of an extract (``noexcerpt``, ``noprint``). Pronunciations in phonetic script (``IPA``)
  are read aloud by a reader and stay, though some wikis mark them so, too; the loudspeaker beside them goes.
- A formula becomes its alternative text, which is its TeX: there is no other plain text of it.
- Where something was left out, brackets that held nothing else and the space before a comma go with it.
- White space becomes single spaces, and a paragraph one line. Marks that only steer layout (soft hyphens, zero-width
  spaces, marks of direction) go; joiners, which belong to the spelling, stay.

HTML is read as a browser reads it where tags are missing; one that ends inside of something that is left out has lost
text, and is refused.

A revision pins what its authors wrote, but not the templates it uses, so the text's digest stands in every record. What
was received is kept in the cache folder: a second run needs no network and reads the same. ``PATHLEN_WIKIPEDIA`` names
another address of the API, in which ``{language}`` stands for the language.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeGuard
from urllib.parse import unquote, urlencode, urlsplit

from pathlen._util.cache import Cache, folder
from pathlen._util.digests import digest
from pathlen.errors import InvalidText

__all__ = ["PREFIX", "Lead", "Reference", "lead", "parsed", "plain"]

PREFIX = "wikipedia:"
WIKI = "https://{language}.wikipedia.org/w/"
LICENCE = "CC BY-SA 4.0"

TIMEOUT = 20.0  # seconds without a byte
TRIES = 3
LONGEST_WAIT = 60.0  # seconds; whoever asks for more is not waited for
MAX_LAG = 5  # seconds that copies of the database may lag behind before a polite client comes back later
BUSY = ("maxlag", "ratelimited")  # said in an answer whose status is 200

LANGUAGE = re.compile(r"(?:[a-z]{2,3}(?:-[a-z]+)*|simple)(?=:)")
NOT_IN_A_TITLE = re.compile(r"[#<>\[\]{}|\x00-\x1f\x7f\ufffd\ud800-\udfff]")
LONGEST_TITLE = 255  # bytes
WHY = {
    "nosuchrevid": "there is no such revision, or its page was deleted",
    "missingtitle": "there is no such page",
    "missingcontent-revid": "the text of this revision is missing, or hidden from the public",
    "permissiondenied": "the text of this revision is hidden from the public",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An article at a revision; None stands for the present one, which can't be measured."""

    language: str
    title: str
    revision: int | None

    def __str__(self) -> str:
        language = "" if self.language == "en" else f"{self.language}:"
        pinned = "" if self.revision is None else f"@{self.revision}"
        return f"{PREFIX}{language}{_underscored(self.title)}{pinned}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A lead section; its fields are those of `pathlen.passages.passage.Passage`."""

    name: str
    text: str
    origin: str
    licence: str
    attribution: str


def parsed(text: str) -> Reference:
    """Return the article and the revision that a reference names.

    Raises
    ------
    InvalidText
        If it is no reference; a missing revision is not refused here.

    """
    rest = text.removeprefix(PREFIX)
    found = LANGUAGE.match(rest)
    language = found.group() if found else "en"
    title, at, pinned = rest.removeprefix(f"{language}:" if found else "").rpartition("@")
    if not at:
        title, pinned = pinned, ""
    title = " ".join(unquote(title).replace("_", " ").split())
    bad = NOT_IN_A_TITLE.search(title)
    if not title or title.startswith(":") or bad or len(title.encode("utf-8")) > LONGEST_TITLE:
        raise InvalidText(
            "a text from Wikipedia must name an article, as wikipedia:Friedrich_Nietzsche@1234567890 does, but in "
            f"{text!r} the title is {title!r}{f', and holds {bad.group()!r}' if bad else ''}"
        )
    if at and not re.fullmatch("[1-9][0-9]{0,17}", pinned):
        raise InvalidText(
            f"the revision after the last @ must be a whole number above 0, but {pinned!r} was given in {text!r}"
        )
    return Reference(language=language, title=title, revision=int(pinned) if at else None)


def lead(text: str, *, sleep: Callable[[float], None] = time.sleep, timeout: float = TIMEOUT) -> Lead:
    """Return the lead section that a reference names, from the cache or from Wikipedia.

    Parameters
    ----------
    text : str
        For example ``"wikipedia:Friedrich_Nietzsche@1234567890"``.
    sleep : callable
        Waits as many seconds as it is given, between tries.
    timeout : float
        Seconds without a byte after which a try is over.

    Raises
    ------
    InvalidText
        If it is no reference, names no revision, can't be read, or is not what it names; if the lead has no paragraph.

    """
    reference = parsed(text)
    wiki = _Wiki(reference.language, sleep=sleep, timeout=timeout)
    if reference.revision is None:
        raise InvalidText(
            f"a text from Wikipedia must be pinned to a revision, because an article changes and what was measured on it "
            f"could not be measured again, but {text!r} names none; {_how_to_pin(reference, wiki)}"
        )
    kept, name = Cache(folder()), digest("wikipedia", 1, wiki.api, _normal(reference.title), reference.revision)
    content = kept.get(name)
    title, html = json.loads(content) if content else wiki.rendered(reference.title, reference.revision)
    paragraphs = plain(html, f"revision {reference.revision} of {title!r}")
    if not content:
        kept.put(name, json.dumps([title, html]))
    address = urlencode({"title": _underscored(title), "oldid": reference.revision})
    return Lead(
        name=_slug(title) or f"wikipedia-{reference.revision}",
        text=paragraphs,
        origin=f"{WIKI.format(language=reference.language)}index.php?{address}{wiki.instead}",
        licence=LICENCE,
        attribution=f"Wikipedia contributors, “{title}”, revision {reference.revision}",
    )


def _how_to_pin(reference: Reference, wiki: _Wiki) -> str:
    try:
        page = wiki.page(reference.title, tries=1)
    except InvalidText:
        page = {}
    number, title = page.get("lastrevid"), page.get("title")
    if page.get("missing") or page.get("invalid"):
        return f"and {wiki.host} has no such article"
    if isinstance(number, int) and isinstance(title, str):
        return f"at present it is {Reference(language=reference.language, title=title, revision=number)}"
    return f"the number stands after oldid= in the address of the article’s permanent link ({wiki.host} can't be asked now)"


def _normal(title: str) -> str:
    """Return a title as wikis do: the first letter is always a capital."""
    title = unicodedata.normalize("NFC", " ".join(title.replace("_", " ").split()))
    return title[:1].upper() + title[1:]


def _underscored(title: str) -> str:
    return title.replace(" ", "_")


def _slug(title: str) -> str:
    """Return a title's letters and digits, whatever the script, in words joined by hyphens."""
    parts = (one if one.isalnum() or unicodedata.category(one)[0] == "M" else " " for one in title.lower())
    return "-".join("".join(parts).split())[:60].rstrip("-")


# Asking.


class _Again(Exception):
    """A try that failed in a way that may pass; says how long the other side asks to be left alone."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _Wiki:
    """The API of one wiki."""

    def __init__(self, language: str, *, sleep: Callable[[float], None], timeout: float) -> None:
        named = os.environ.get("PATHLEN_WIKIPEDIA", "")
        self.api = (named or f"{WIKI}api.php").replace("{language}", language)
        try:
            parts = urlsplit(self.api)
            self.host = parts.netloc.rpartition("@")[2]
        except ValueError:
            self.host = ""
        # urllib would open files, too.
        if not self.host or parts.scheme not in ("http", "https"):
            raise InvalidText(f"PATHLEN_WIKIPEDIA must be an address that starts with http, but {named!r} was given")
        self.instead = f" (read from {self.host})" if named else ""
        self._sleep = sleep
        self._timeout = timeout

    def rendered(self, title: str, revision: int) -> tuple[str, str]:
        """Return the title that a revision's page has now, and the HTML of its lead section."""
        what = f"revision {revision} of {title!r}"
        answer = self._ask(what, action="parse", oldid=revision, section=0, prop="text|revid").get("parse")
        page = answer if isinstance(answer, dict) else {}
        own, html, number = page.get("title"), page.get("text"), page.get("pageid")
        if not (_is_text(own) and _is_text(html) and isinstance(number, int)) or page.get("revid") != revision:
            raise InvalidText(f"{what} can't be read from {self.host}: the answer is not whole")
        if _normal(own) != _normal(title):
            # The article may have moved since, or the title may be one that leads to it.
            asked = self.page(title)
            if asked.get("pageid") != number:
                raise InvalidText(f"revision {revision} must be one of {title!r}, but it is one of {own!r}")
        return own, html

    def page(self, title: str, tries: int = TRIES) -> dict[str, Any]:
        """Return what is known of the article that a title leads to."""
        what = f"the article {title!r}"
        answer = self._ask(what, tries, action="query", titles=title, redirects=1, prop="info").get("query")
        pages = answer.get("pages") if isinstance(answer, dict) else None
        if not isinstance(pages, list) or len(pages) != 1 or not isinstance(pages[0], dict):
            raise InvalidText(f"{what} can't be read from {self.host}: the answer is not whole")
        return pages[0]

    def _ask(self, what: str, tries: int = TRIES, **parameters: object) -> dict[str, Any]:
        """Return the API's answer, asking again if that may help."""
        more = {"format": "json", "formatversion": 2, "maxlag": MAX_LAG}
        request = urllib.request.Request(  # noqa: S310  # http or https, see above
            f"{self.api}?{urlencode(parameters | more)}", headers={"User-Agent": _user_agent()}
        )
        for left in reversed(range(tries)):
            try:
                answer = self._once(request)
                break
            except _Again as error:
                wait = 2.0 ** (tries - left - 1) if error.wait is None else error.wait
                if not left or wait > LONGEST_WAIT:
                    later = f", and asks to wait {wait:,.0f} seconds" if wait > LONGEST_WAIT else ""
                    times = "once" if tries - left == 1 else f"{tries - left} times"
                    raise InvalidText(
                        f"{what} can't be read from {self.host}: {error} (asked {times}){later}"
                    ) from error
                self._sleep(wait)
            except ValueError as error:
                raise InvalidText(f"{what} can't be read from {self.host}: {error}") from error
        refused = answer.get("error")
        if isinstance(refused, dict):
            code, info = str(refused.get("code")), str(refused.get("info"))
            raise InvalidText(f"{what} can't be read from {self.host}: {WHY.get(code, code)} ({info})")
        return answer

    def _once(self, request: urllib.request.Request) -> dict[str, Any]:
        """Return the answer of one try; ValueError if it is none, and trying again won't help."""
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:  # noqa: S310
                raw, headers = response.read(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                said = f"it answers {error.code} {error.reason}"
                if error.code == 429 or error.code >= 500:
                    raise _Again(said, _seconds(error.headers.get("Retry-After"))) from error
                raise ValueError(said) from error
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise _Again(f"no connection ({reason or type(reason).__name__})") from error
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ValueError("the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise ValueError("the answer is not a JSON object")  # noqa: TRY004  # what was sent is wrong, not an argument
        refused = answer.get("error")
        if isinstance(refused, dict) and refused.get("code") in BUSY:
            raise _Again(f"it is busy ({refused.get('info')})", _seconds(headers.get("Retry-After")))
        return answer


def _is_text(value: object) -> TypeGuard[str]:
    """Whether an answer's value is a text that can be written down; JSON can hold halves of characters."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _user_agent() -> str:
    """Return who asks; Wikimedia refuses clients that don't say."""
    try:
        own = version("pathlen")
    except PackageNotFoundError:
        own = "unknown"
    return f"pathlen/{own} (checks claims about language models; reads one pinned lead section) Python/{platform.python_version()}"


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for; None if it is absent, or no number and no date."""
    if retry_after is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", retry_after):
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


# Reading.


def _set(*words: str) -> frozenset[str]:
    return frozenset(" ".join(words).split())


VOID = _set("area base br col embed hr img input link meta param source track wbr")
BLOCKS = _set(
    "address article aside blockquote center details dialog dd dir div dl dt fieldset figcaption figure footer form",
    "h1 h2 h3 h4 h5 h6 header hgroup hr li main menu nav ol p pre search section summary table ul",
)
TABLE = _set("caption colgroup table tbody td tfoot th thead tr")
CELLS = _set("caption table td th")

LEFT_OUT_TAGS = _set(
    "aside audio button figure iframe math nav noscript object rp rt script select style svg table template textarea",
    "title video",
)
LEFT_OUT = _set(
    "reference mw-ref references mw-references-wrap reflist mw-ext-cite-error",  # footnotes
    "mw-editsection noexcerpt noprint Inline-Template",
    "infobox sidebar navbox vertical-navbox metadata ambox hatnote dablink thumb gallery shortdescription toc catlinks",
    "coordinates geo geo-inline geo-default geo-nondefault geo-multi-punct",
    "haudio ext-phonos mw-tmh-player",  # pronunciations to listen to
    "mwe-math-element",  # becomes its alternative text
)
KEPT_CLASS = "IPA"
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
GAP = "\0"  # where something was left out; no text holds it
STEERING = "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"


def plain(html: str, what: str) -> str:
    """Return the paragraphs of a lead section, one a line, by the rules at the top of this module.

    Raises
    ------
    InvalidText
        If there is none, or the HTML ends inside of something that is left out; the message names ``what`` it is.

    """
    reader = _Reader()
    try:
        reader.feed(html)
        reader.close()
    except (AssertionError, ValueError) as error:  # what html.parser raises differs between versions of Python
        raise InvalidText(f"the HTML of {what} can't be read: {error}") from error
    if reader.unfinished:
        raise InvalidText(f"the HTML of {what} must be whole, but it ends inside <{reader.unfinished}>")
    paragraphs = [one for one in map(_tidy, reader.paragraphs) if one]
    if not paragraphs:
        raise InvalidText(f"a text needs at least one word, but the lead section of {what} has no paragraph")
    return "\n".join(paragraphs)


def _tidy(text: str) -> str:
    def gap(run: re.Match[str]) -> str:
        """One gap for many in a row, with the spaces beside them."""
        found = run.group()
        if GAP not in found:
            return " "
        return " " * found.startswith(" ") + GAP + " " * (" " in found[1:])

    text = re.sub(f"[ {GAP}]+", gap, " ".join(text.split()))
    text = re.sub(f"\\( ?{GAP} ?\\)|\\[ ?{GAP} ?\\]|（ ?{GAP} ?）", GAP, text)
    text = re.sub(f" {GAP} ?(?=[,.;)\\]])", "", text)
    return " ".join(text.replace(GAP, "").split())


class _Reader(HTMLParser):
    """Collects the text of paragraphs; keeps the stack of open elements, which html.parser does not."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[str] = []
        self.unfinished = ""
        self._open: list[tuple[str, bool]] = []  # tag, and whether it is left out
        self._hidden = 0  # how many open elements are
        self._words: list[str] | None = None  # of the open paragraph
        self._formula: str | None = None  # the text of the open formula, once known

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        names = {given.get("id", ""), *given.get("class", "").split()}
        if tag in BLOCKS:
            self._close("p")
        if tag == "br":
            self._add(" ")
        alt = given.get("alttext", "") if tag == "math" else ""
        if tag == "img" and any(name.startswith("mwe-math-fallback") for name in names):
            alt = given.get("alt", "")
            if not self._hidden:
                self._add(alt)
        self._formula = self._formula or alt if self._formula is not None else None
        if tag in VOID:
            return
        left_out = (
            tag in LEFT_OUT_TAGS
            or "hidden" in given
            or bool(HIDDEN.search(given.get("style", "")))
            or (bool(names & LEFT_OUT) and KEPT_CLASS not in names)
        )
        if left_out and not self._hidden and (tag == "math" or "mwe-math-element" in names):
            self._formula = alt
        self._open.append((tag, left_out))
        self._hidden += left_out
        if tag == "p" and not self._hidden:
            self._words = []

    def handle_endtag(self, tag: str) -> None:
        self._close(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._add(data)

    def close(self) -> None:
        """End all that is open."""
        super().close()
        self.unfinished = next((tag for tag, left_out in self._open if left_out), "")
        while self._open:
            self._pop()

    def _close(self, tag: str) -> None:
        """End the innermost open element of this name and what is open in it, as far as it may be ended from here."""
        ends = {"table"} if tag in TABLE else CELLS if tag in BLOCKS else BLOCKS | TABLE
        for place in reversed(range(len(self._open))):
            if self._open[place][0] == tag:
                while len(self._open) > place:
                    self._pop()
                return
            if self._open[place][0] in ends:
                return

    def _pop(self) -> None:
        tag, left_out = self._open.pop()
        if left_out:
            self._hidden -= 1
            if not self._hidden:
                self._add(GAP if self._formula is None else self._formula, is_gap=self._formula is None)
                self._formula = None
        if tag == "p" and self._words is not None and not self._hidden:
            self.paragraphs.append("".join(self._words))
            self._words = None

    def _add(self, text: str, *, is_gap: bool = False) -> None:
        if self._words is not None:
            self._words.append(text if is_gap else "".join(one for one in text if not _is_no_text(one)))


def _is_no_text(character: str) -> bool:
    return character in STEERING or (unicodedata.category(character) == "Cc" and not character.isspace())
