"""A text that is measured, with its origin and licence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pathlen.errors import InvalidText

__all__ = ["Passage", "at_least_one", "from_file", "read_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text and its origin.

    Attributes
    ----------
    name : str
        Short and unique within a run.
    text : str
        Without white space at its ends; lines end in a line feed.
    origin : str
        Where it comes from.
    licence : str
        The licence it is used under; empty if unknown, as for a user's file.
    attribution : str
        Its authors, as the licence requires them to be named; empty if unknown.

    Raises
    ------
    InvalidText
        If the text is empty.

    """

    name: str
    text: str
    origin: str
    licence: str = ""
    attribution: str = ""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InvalidText(f"a text needs at least one word, but {self.name!r} ({self.origin}) is empty")

    @property
    def sha256(self) -> str:
        """SHA-256 of the text's UTF-8 bytes."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()


def at_least_one(passages: Iterable[Passage]) -> Iterator[Passage]:
    """Return an iterator over texts, after checking that there is one; `InvalidText` if not."""
    remaining = iter(passages)
    first = next(remaining, None)
    if first is None:
        raise InvalidText("passages must hold at least one text, but none was given")
    return chain([first], remaining)


def from_file(path: Path) -> Passage:
    """Return the text of a user's file, named after the file.

    Raises
    ------
    InvalidText
        If the path is not a file, or its content is empty or not text in UTF-8.

    """
    return Passage(name=path.stem, text=read_text(path), origin=f"file {path.name}")


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, maybe empty, without white space at its ends; errors as in `from_file`."""
    if path.is_dir():
        raise InvalidText(f"text must be a file, but {str(path)!r} is a directory")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidText(f"text {str(path)!r} can't be read: {error.strerror}") from error
    if b"\0" in raw:
        raise InvalidText(f"text must be UTF-8, but {str(path)!r} is binary (it holds a zero byte at {raw.index(0)})")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidText(f"text must be UTF-8, but {str(path)!r} is not (byte {error.start})") from error
    # Line ends differ between systems; the tokens of a text must not.
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
