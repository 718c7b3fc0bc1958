"""Read texts one by one from files that may be larger than memory."""

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
    """Return an iterator over the texts of files, after checking that all files exist.

    Parameters
    ----------
    names : sequence of str
        Paths of files in UTF-8, or names that `pathlen.passages.choose.chosen` takes: shipped passages,
        ``wikipedia:TITLE@REVISION``.
    split : str
        What a text is. ``"file"``: a whole file. ``"paragraphs"``: the lines between two blank lines. ``"lines"``: a
        line that isn't blank. Parts of a file are named after it and the line they start at, ``book.txt:12``.

    Raises
    ------
    ValueError
        If ``split`` is none of these.
    InvalidText
        If no name is given, a name is neither a file nor a passage, or it is given twice; during iteration, if a file
        is not UTF-8.

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
            chosen([name])  # raises an error that lists what can be given
    return _texts(names, split)


def size_of(names: Sequence[str]) -> int:
    """Return the approximate size of the texts in bytes; for files, their size on disk."""
    return sum(
        Path(name).stat().st_size if Path(name).is_file() else len(chosen([name])[0].text.encode("utf-8"))
        for name in names
    )


def _texts(names: Sequence[str], split: str) -> Iterator[Passage]:
    for name in names:
        path = Path(name)
        if path.is_file():
            yield from [replace(from_file(path), name=name)] if split == "file" else _parts_of_file(path, name, split)
            continue
        (passage,) = chosen([name])
        if split == "file":
            yield passage
        else:
            for number, text in _parts(passage.text.splitlines(), split):
                yield replace(passage, name=f"{name}:{number}", text=text)


def _parts_of_file(path: Path, name: str, split: str) -> Iterator[Passage]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, text in _parts(file, split):
                if "\0" in text:
                    raise InvalidText(f"text must be UTF-8, but {name!r} is binary (a zero byte from line {number} on)")
                yield Passage(name=f"{name}:{number}", text=text, origin=f"file {path.name}")
    except UnicodeDecodeError as error:
        raise InvalidText(f"text must be UTF-8, but {name!r} is not (somewhere after line {number})") from error
    except OSError as error:
        raise InvalidText(f"text {name!r} can't be read: {error.strerror}") from error


def _parts(lines: Iterable[str], split: str) -> Iterator[tuple[int, str]]:
    """Yield each text with the number of its first line, counted from 1."""
    first, open_lines = 0, list[str]()
    for number, line in enumerate(lines, 1):
        if line.strip():
            first = first or number
            open_lines.append(line.strip() if split == "lines" else line.rstrip("\n"))
        if open_lines and (split == "lines" or not line.strip()):
            yield first, "\n".join(open_lines).strip()
            first, open_lines = 0, []
    if open_lines:
        yield first, "\n".join(open_lines).strip()
