"""The texts that ship with the package.

They are short encyclopaedic summaries of 317 to 345 GPT-2 tokens, written for this project: one of the kind that the
document under test measured, and thirteen on other people and subjects, so that whole passages can be resampled.
``nietzsche`` is first: a procedure that uses one text uses this one.
"""

from __future__ import annotations

from pathlib import Path

from pathlen.errors import InvalidText
from pathlen.passages.passage import Passage, read_text

__all__ = ["NAMES", "SHIPPED", "shipped"]

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
SHIPPED = "shipped with pathlen"  # the origin that a record states for them


def shipped(name: str) -> Passage:
    """Return a passage that ships with this package.

    Raises
    ------
    InvalidText
        If there is none of that name; the message lists all names.

    """
    if name not in NAMES:
        raise InvalidText(f"text must be a file or one of {', '.join(NAMES)}, but {name!r} was given")
    return Passage(
        name=name,
        text=read_text(FOLDER / f"{name}.txt"),
        origin=SHIPPED,
        licence="MIT",
        attribution="written for pathlen",
    )
