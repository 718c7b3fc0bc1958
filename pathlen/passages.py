"""The texts that are measured: passages that ship with the package, a reader's own files, and leads of Wikipedia articles.

The shipped passages are short encyclopaedic summaries of 317 to 345 GPT-2 tokens, written for this project, one
of the kind that the document measured and thirteen more on other people and subjects, so that whole passages can
be resampled. ``nietzsche`` comes first: where a procedure uses one text, it is that one.

The document measured the lead section of an article of Wikipedia, which has authors and a licence of its own and does not
ship with the package; ``wikipedia:TITLE@REVISION`` gets it (see `pathlen.wikipedia`). A file whose name opens like that is
reached by a path, ``./wikipedia:...``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pathlen.errors import InvalidText

__all__ = ["NAMES", "Passage", "at_least_one", "chosen", "from_file", "from_wikipedia", "shipped"]

FOLDER = Path(__file__).resolve().parent / "texts"
NAMES = (
    "nietzsche",
    "hypatia",
    "ibn-khaldun",
    "lovelace",
    "darwin",
    "curie",
    "kant",
    "printing",
    "tides",
    "bees",
    "volcanoes",
    "zero",
    "tea",
    "bridges",
)
SHIPPED = "shipped with pathlen"
WIKIPEDIA = "wikipedia:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One text.

    Attributes
    ----------
    name : str
        Short and unique within a run.
    text : str
        The text itself, without white space at its ends; lines end in a line feed.
    origin : str
        Where it comes from.
    licence : str
        What it may be used under; empty if unknown, as for a reader's own file.
    attribution : str
        Who wrote it, in the words that the licence asks for; empty if unknown.

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
        """Digest of the text's UTF-8 bytes."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()


def at_least_one(passages: Iterable[Passage]) -> Iterator[Passage]:
    """Return an iterator over texts after finding that there is one; `InvalidText` if not."""
    taken = iter(passages)
    first = next(taken, None)
    if first is None:
        raise InvalidText("passages must hold at least one text, but none was given")
    return chain([first], taken)


def shipped(name: str) -> Passage:
    """Return one of the passages of this package.

    Raises
    ------
    InvalidText
        If there is none of that name; the message lists all.

    """
    if name not in NAMES:
        raise InvalidText(f"text must be a file or one of {', '.join(NAMES)}, but {name!r} was given")
    return Passage(
        name=name,
        text=_read(FOLDER / f"{name}.txt"),
        origin=SHIPPED,
        licence="MIT",
        attribution="written for pathlen",
    )


def from_file(path: Path) -> Passage:
    """Return a reader's own text, named after its file.

    Raises
    ------
    InvalidText
        If the path is no file, or its content is not text in UTF-8, or empty.

    """
    return Passage(name=path.stem, text=_read(path), origin=f"file {path.name}")


def from_wikipedia(reference: str) -> Passage:
    """Return the lead section of an article of Wikipedia at a revision, as in ``wikipedia:Friedrich_Nietzsche@1234567890``.

    What was read once is kept in the cache folder and needs no network again.

    Raises
    ------
    InvalidText
        As `pathlen.wikipedia.lead` does: no reference, no revision, not to be had, or not what it names.

    """
    from pathlen.wikipedia import lead  # what speaks HTTP is loaded by those who need it

    found = lead(reference)
    return Passage(
        name=found.name,
        text=found.text,
        origin=found.origin,
        licence=found.licence,
        attribution=found.attribution,
    )


def chosen(names: list[str]) -> list[Passage]:
    """Return the passages of a command line, or all shipped ones if it names none.

    Each is the name of a shipped one, a path, or a reference as `from_wikipedia` takes.

    Raises
    ------
    InvalidText
        If one can't be read, or two have the same name or the same text.

    """
    if not names:
        return [shipped(name) for name in NAMES]
    passages = [_one(name) for name in names]
    names_seen: set[str] = set()
    texts_seen: dict[str, str] = {}
    for passage in passages:
        if passage.name in names_seen:
            raise InvalidText(f"every text needs a name of its own, but {passage.name!r} was given twice")
        names_seen.add(passage.name)
        # A copy is no second observation: it would narrow intervals that resample whole texts.
        twin = texts_seen.setdefault(passage.sha256, passage.name)
        if twin != passage.name:
            raise InvalidText(f"texts must differ, but {passage.name!r} is the same as {twin!r}")
    return passages


def _one(name: str) -> Passage:
    if name in NAMES:
        return shipped(name)
    if name.startswith(WIKIPEDIA):
        return from_wikipedia(name)
    path = Path(name)
    # A bare word that is no file was probably meant as the name of a passage.
    if not path.exists() and path.suffix == "" and path.parent == Path("."):
        return shipped(name)
    return from_file(path)


def _read(path: Path) -> str:
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
    # One text, one tokenisation, wherever it was saved.
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
