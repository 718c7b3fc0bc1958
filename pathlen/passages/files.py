"""Texts read one after the other from files that may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pathlen.errors import InvalidText
from pathlen.passages.choose import chosen
from pathlen.passages.passage import Passage, from_file

__all__ = ["SPLITS", "size_of", "texts_of"]

SPLITS = ("file", "paragraphs", "lines")


def texts_of(names: Sequence[str], *, split: str = "file") -> Iterator[Passage]:
    """Return an iterator over the texts of files, after finding that all files are there.

    Parameters
    ----------
    names : sequence of str
        Paths of files in UTF-8; or what `pathlen.passages.choose.chosen` takes: shipped passages, ``wikipedia:TITLE@REVISION``.
    split : str
        ``"file"``: a file is a text. ``"paragraphs"``: texts stand between blank lines. ``"lines"``: every line that isn't
        blank is a text. Texts are named by their file and the line they begin in, ``book.txt:12``.

    Raises
    ------
    ValueError
        If ``split`` is none of these.
    InvalidText
        If a name is no file and no passage, or is given twice; while texts are read: if a file is not UTF-8.

    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, but {split!r} was given")
    if not names:
        raise InvalidText("name at least one file of texts; none was given")
    seen = set()
    for name in names:
        if str(Path(name)) in seen:
            raise InvalidText(f"every file must be given once, but {name!r} was given twice")
        seen.add(str(Path(name)))
        if not Path(name).is_file():
            chosen([name])  # a passage, or an error that says what can be given
    return _texts(names, split)


def size_of(names: Sequence[str]) -> int:
    """Return how many bytes of text there are, about."""
    return sum(
        Path(name).stat().st_size if Path(name).is_file() else len(chosen([name])[0].text.encode("utf-8"))
        for name in names
    )


def _texts(names: Sequence[str], split: str) -> Iterator[Passage]:
    for name in names:
        path = Path(name)
        if path.is_file():
            yield from [replace(from_file(path), name=name)] if split == "file" else _pieces(path, name, split)
            continue
        (passage,) = chosen([name])
        if split == "file":
            yield passage
        else:
            for number, text in _cut(passage.text.splitlines(), split):
                yield replace(passage, name=f"{name}:{number}", text=text)


def _pieces(path: Path, name: str, split: str) -> Iterator[Passage]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, text in _cut(file, split):
                if "\0" in text:
                    raise InvalidText(f"text must be UTF-8, but {name!r} is binary (a zero byte from line {number} on)")
                yield Passage(name=f"{name}:{number}", text=text, origin=f"file {path.name}")
    except UnicodeDecodeError as error:
        raise InvalidText(f"text must be UTF-8, but {name!r} is not (somewhere after line {number})") from error
    except OSError as error:
        raise InvalidText(f"text {name!r} can't be read: {error.strerror}") from error


def _cut(lines: Iterable[str], split: str) -> Iterator[tuple[int, str]]:
    """Yield each text with the number of the line it begins in, from 1."""
    begun, texts = 0, list[str]()
    for number, line in enumerate(lines, 1):
        if line.strip():
            begun = begun or number
            texts.append(line.strip() if split == "lines" else line.rstrip("\n"))
        if texts and (split == "lines" or not line.strip()):
            yield begun, "\n".join(texts).strip()
            begun, texts = 0, []
    if texts:
        yield begun, "\n".join(texts).strip()
