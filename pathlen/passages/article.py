"""References to Wikipedia articles: how a text on the command line names an article and one of its revisions.

::

    wikipedia:Friedrich_Nietzsche@1234567890
    wikipedia:de:Friedrich_Nietzsche@1234567890

- The language is a lower-case code, English by default. Titles start with a capital, so ``wikipedia:de:Kant`` and
  ``wikipedia:De:Kant`` differ: the second is an English title that contains a colon.
- The title may contain spaces or underscores and any letters, and may be copied from an address (``Caf%C3%A9``). What
  follows the last ``@`` is the revision, so a title may contain an ``@`` if a revision follows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from pathlen.errors import InvalidText

__all__ = ["PREFIX", "Reference", "parsed", "underscored"]

PREFIX = "wikipedia:"
LANGUAGE = re.compile(r"(?:[a-z]{2,3}(?:-[a-z]+)*|simple)(?=:)")
NOT_IN_A_TITLE = re.compile(r"[#<>\[\]{}|\x00-\x1f\x7f\ufffd\ud800-\udfff]")
LONGEST_TITLE = 255  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An article at a revision. None stands for the current revision, which can't be measured.

    Its text is the reference that `parsed` reads.
    """

    language: str
    title: str
    revision: int | None

    def __str__(self) -> str:
        language = "" if self.language == "en" else f"{self.language}:"
        pinned = "" if self.revision is None else f"@{self.revision}"
        return f"{PREFIX}{language}{underscored(self.title)}{pinned}"


def parsed(text: str) -> Reference:
    """Return the article and the revision that a reference names.

    Raises
    ------
    InvalidText
        If it is not a reference; a missing revision is not refused here.

    Examples
    --------
    >>> parsed("wikipedia:de:Kant@12")
    Reference(language='de', title='Kant', revision=12)

    """
    rest = text.removeprefix(PREFIX)
    prefix = LANGUAGE.match(rest)
    language = prefix.group() if prefix else "en"
    title, at, pinned = rest.removeprefix(f"{language}:" if prefix else "").rpartition("@")
    if not at:
        title, pinned = pinned, ""
    title = " ".join(unquote(title).replace("_", " ").split())
    forbidden = NOT_IN_A_TITLE.search(title)
    if not title or title.startswith(":") or forbidden or len(title.encode("utf-8")) > LONGEST_TITLE:
        raise InvalidText(
            "a text from Wikipedia must name an article, as wikipedia:Friedrich_Nietzsche@1234567890 does, but in "
            f"{text!r} the title is {title!r}{f', and holds {forbidden.group()!r}' if forbidden else ''}"
        )
    if at and not re.fullmatch("[1-9][0-9]{0,17}", pinned):
        raise InvalidText(
            f"the revision after the last @ must be a whole number above 0, but {pinned!r} was given in {text!r}"
        )
    return Reference(language=language, title=title, revision=int(pinned) if at else None)


def underscored(title: str) -> str:
    """Return a title as it is written in addresses: with underscores for spaces."""
    return title.replace(" ", "_")
