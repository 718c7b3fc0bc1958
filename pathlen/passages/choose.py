"""Which texts a run measures: shipped ones by name, the user's files, or leads of Wikipedia articles.

The document under test measured the lead section of a Wikipedia article. That has its own authors and licence and does
not ship with the package; ``wikipedia:TITLE@REVISION`` gets it (see `pathlen.passages.wikipedia`). A file whose name
starts with ``wikipedia:`` is given as a path, ``./wikipedia:...``.
"""

from __future__ import annotations

from pathlib import Path

from pathlen.errors import InvalidText
from pathlen.passages.article import PREFIX
from pathlen.passages.passage import Passage, from_file
from pathlen.passages.shipped import NAMES, shipped

__all__ = ["chosen", "from_wikipedia"]


def from_wikipedia(reference: str) -> Passage:
    """Return the lead section of a Wikipedia article at a revision, as in ``wikipedia:Friedrich_Nietzsche@1234567890``.

    It is kept in the cache folder, so reading it again needs no network.

    Raises
    ------
    InvalidText
        As in `pathlen.passages.wikipedia.lead`.

    """
    from pathlen.passages.wikipedia import lead  # on demand: few runs need its HTTP client

    return lead(reference)


def chosen(names: list[str]) -> list[Passage]:
    """Return the passages that are named on a command line, or all shipped ones if none is.

    A name is that of a shipped passage, a path, or a reference for `from_wikipedia`.

    Raises
    ------
    InvalidText
        If a passage can't be read, or two have the same name or the same text.

    """
    if not names:
        return [shipped(name) for name in NAMES]
    passages = [_passage(name) for name in names]
    names_seen: set[str] = set()
    texts_seen: dict[str, str] = {}
    for passage in passages:
        if passage.name in names_seen:
            raise InvalidText(f"every text needs a name of its own, but {passage.name!r} was given twice")
        names_seen.add(passage.name)
        # A copy is not a second observation: it would narrow intervals, which resample whole texts.
        twin = texts_seen.setdefault(passage.sha256, passage.name)
        if twin != passage.name:
            raise InvalidText(f"texts must differ, but {passage.name!r} is the same as {twin!r}")
    return passages


def _passage(name: str) -> Passage:
    if name in NAMES:
        return shipped(name)
    if name.startswith(PREFIX):
        return from_wikipedia(name)
    path = Path(name)
    # A bare word that is not a file was probably meant as the name of a passage; the error then lists the names.
    if not path.exists() and path.suffix == "" and path.parent == Path("."):
        return shipped(name)
    return from_file(path)
