"""Which texts a run measures: shipped ones by name, a reader's own files, or leads of Wikipedia articles.

The document measured the lead section of an article of Wikipedia, which has authors and a licence of its own and does not
ship with the package; ``wikipedia:TITLE@REVISION`` gets it (see `pathlen.passages.wikipedia`). A file whose name opens like
that is reached by a path, ``./wikipedia:...``.
"""

from __future__ import annotations

from pathlib import Path

from pathlen.errors import InvalidText
from pathlen.passages.passage import Passage, from_file
from pathlen.passages.shipped import NAMES, shipped

__all__ = ["chosen", "from_wikipedia"]

WIKIPEDIA = "wikipedia:"


def from_wikipedia(reference: str) -> Passage:
    """Return the lead section of an article of Wikipedia at a revision, as in ``wikipedia:Friedrich_Nietzsche@1234567890``.

    What was read once is kept in the cache folder and needs no network again.

    Raises
    ------
    InvalidText
        As `pathlen.passages.wikipedia.lead` does: no reference, no revision, not to be had, or not what it names.

    """
    from pathlen.passages.wikipedia import lead

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
