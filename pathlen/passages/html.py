"""Plain text from the HTML of an article's lead section, as Wikipedia renders it.

What becomes text is decided here rather than by one of Wikipedia's services for extracts, whose rules change without
notice:

- Only paragraphs (``<p>``). Lists, headings and captions are not running text; tables, infoboxes, hatnotes, banners and
  navigation are about the article or beside it.
- Left out are footnote markers and the notes themselves, edit links, coordinates, hidden spans, styles, scripts, media,
  and what Wikipedia marks as not part of an extract (``noexcerpt``, ``noprint``). Pronunciations in phonetic script
  (``IPA``) stay, because readers read them, even on wikis that mark them as left out; the loudspeaker icon beside them
  goes.
- A formula becomes its alternative text, which is TeX: it has no other plain text.
- Where something was left out, brackets that held nothing else and the space before a punctuation mark go with it.
- White space becomes single spaces, and each paragraph one line. Characters that only control layout (soft hyphens,
  zero-width spaces, directional marks) go; joiners, which belong to the spelling, stay.

Missing tags are handled as a browser handles them. HTML that ends inside an element that is left out has lost text, and
is refused.
"""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

from pathlen.errors import InvalidText

__all__ = ["plain"]


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


VOID = _words("area base br col embed hr img input link meta param source track wbr")
BLOCKS = _words(
    "address article aside blockquote center details dialog dd dir div dl dt fieldset figcaption figure footer form",
    "h1 h2 h3 h4 h5 h6 header hgroup hr li main menu nav ol p pre search section summary table ul",
)
TABLE = _words("caption colgroup table tbody td tfoot th thead tr")
CELLS = _words("caption table td th")

LEFT_OUT_TAGS = _words(
    "aside audio button figure iframe math nav noscript object rp rt script select style svg table template textarea",
    "title video",
)
LEFT_OUT_CLASSES = _words(
    "reference mw-ref references mw-references-wrap reflist mw-ext-cite-error",  # footnotes
    "mw-editsection noexcerpt noprint Inline-Template",
    "infobox sidebar navbox vertical-navbox metadata ambox hatnote dablink thumb gallery shortdescription toc catlinks",
    "coordinates geo geo-inline geo-default geo-nondefault geo-multi-punct",
    "haudio ext-phonos mw-tmh-player",  # pronunciations to listen to
    "mwe-math-element",  # becomes its alternative text
)
KEPT_CLASS = "IPA"
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
GAP = "\0"  # stands where something was left out; no text contains it
LAYOUT = "\u00ad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"


def plain(html: str, what: str) -> str:
    """Return the paragraphs of a lead section, one per line, by the rules at the top of this module.

    Parameters
    ----------
    html : str
        The HTML of the section.
    what : str
        What it is, for error messages: ``"revision 12 of 'Clock'"``.

    Raises
    ------
    InvalidText
        If it has no paragraph with text, or ends inside an element that is left out.

    Examples
    --------
    >>> plain("<p>A <b>clock</b><sup class='reference'>[1]</sup> tells the time.</p>", "the lead")
    'A clock tells the time.'

    """
    reader = _Reader()
    try:
        reader.feed(html)
        reader.close()
    except (AssertionError, ValueError) as error:  # the errors of html.parser differ between versions of Python
        raise InvalidText(f"the HTML of {what} can't be read: {error}") from error
    if reader.unfinished:
        raise InvalidText(f"the HTML of {what} must be whole, but it ends inside <{reader.unfinished}>")
    paragraphs = [paragraph for paragraph in map(_tidy, reader.paragraphs) if paragraph]
    if not paragraphs:
        raise InvalidText(f"a text needs at least one word, but the lead section of {what} has no paragraph")
    return "\n".join(paragraphs)


def _tidy(text: str) -> str:
    """Return a paragraph with single spaces, and without gaps and what is left around them."""

    def merged(match: re.Match[str]) -> str:
        """Replace a run of gaps and spaces by a single gap, with a space on each side where the run has one."""
        run = match.group()
        if GAP not in run:
            return " "
        return " " * run.startswith(" ") + GAP + " " * (" " in run[1:])

    text = re.sub(f"[ {GAP}]+", merged, " ".join(text.split()))
    text = re.sub(f"\\( ?{GAP} ?\\)|\\[ ?{GAP} ?\\]|（ ?{GAP} ?）", GAP, text)
    text = re.sub(f" {GAP} ?(?=[,.;)\\]])", "", text)
    return " ".join(text.replace(GAP, "").split())


class _Reader(HTMLParser):
    """Collects the text of paragraphs, and keeps the stack of open elements, which `HTMLParser` does not."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[str] = []
        self.unfinished = ""  # the outermost tag that is left out and was never closed
        self._open: list[tuple[str, bool]] = []  # tag, and whether it is left out
        self._hidden = 0  # number of open elements that are left out
        self._words: list[str] | None = None  # of the open paragraph
        self._formula: str | None = None  # the open formula's alternative text; empty until it is known

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        names = {attributes.get("id", ""), *attributes.get("class", "").split()}
        if tag in BLOCKS:
            self._close("p")
        if tag == "br":
            self._add(" ")
        alternative = self._alternative_text(tag, names, attributes)
        if self._formula is not None:
            self._formula = self._formula or alternative
        if tag in VOID:
            return
        is_left_out = _is_left_out(tag, names, attributes)
        if is_left_out and not self._hidden and (tag == "math" or "mwe-math-element" in names):
            self._formula = alternative
        self._open.append((tag, is_left_out))
        self._hidden += is_left_out
        if tag == "p" and not self._hidden:
            self._words = []

    def _alternative_text(self, tag: str, names: set[str], attributes: dict[str, str]) -> str:
        """Return the TeX of a formula's tag, empty for other tags; the TeX of a visible image is added to the text."""
        if tag == "math":
            return attributes.get("alttext", "")
        if tag != "img" or not any(name.startswith("mwe-math-fallback") for name in names):
            return ""
        alternative = attributes.get("alt", "")
        if not self._hidden:
            self._add(alternative)
        return alternative

    def handle_endtag(self, tag: str) -> None:
        self._close(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._add(data)

    def close(self) -> None:
        """Close all open elements."""
        super().close()
        self.unfinished = next((tag for tag, is_left_out in self._open if is_left_out), "")
        while self._open:
            self._pop()

    def _close(self, tag: str) -> None:
        """Close the innermost open element with this tag and all in it, unless a nearer one limits its scope."""
        limits = {"table"} if tag in TABLE else CELLS if tag in BLOCKS else BLOCKS | TABLE
        for depth in reversed(range(len(self._open))):
            if self._open[depth][0] == tag:
                while len(self._open) > depth:
                    self._pop()
                return
            if self._open[depth][0] in limits:
                return

    def _pop(self) -> None:
        tag, is_left_out = self._open.pop()
        if is_left_out:
            self._hidden -= 1
            if not self._hidden:
                self._add(GAP if self._formula is None else self._formula, is_gap=self._formula is None)
                self._formula = None
        if tag == "p" and self._words is not None and not self._hidden:
            self.paragraphs.append("".join(self._words))
            self._words = None

    def _add(self, text: str, *, is_gap: bool = False) -> None:
        if self._words is not None:
            self._words.append(text if is_gap else "".join(character for character in text if _is_text(character)))


def _is_left_out(tag: str, names: set[str], attributes: dict[str, str]) -> bool:
    """Whether an element with this tag, these classes and this id is no running text."""
    return (
        tag in LEFT_OUT_TAGS
        or "hidden" in attributes
        or bool(HIDDEN.search(attributes.get("style", "")))
        or (bool(names & LEFT_OUT_CLASSES) and KEPT_CLASS not in names)
    )


def _is_text(character: str) -> bool:
    """Whether a character is neither a layout mark nor a control character other than white space."""
    return character not in LAYOUT and (unicodedata.category(character) != "Cc" or character.isspace())
