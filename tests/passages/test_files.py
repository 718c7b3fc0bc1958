"""Texts are read one by one, and wrong names are refused before any text is read."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from pathlen.errors import InvalidText
from pathlen.passages.files import size_of, texts_of
from pathlen.passages.shipped import shipped

BOOK = "\ufeff\n First line.\r\nSecond line. \n\n\n\tThird.\n   \nLast line"


@pytest.fixture
def book(tmp_path: Path) -> str:
    path = tmp_path / "book.txt"
    path.write_bytes(BOOK.encode("utf-8"))
    return str(path)


def names_and_texts(name: str, split: str) -> list[tuple[str, str]]:
    """Return the texts of a file with their names, without the file's name."""
    return [(passage.name.removeprefix(name), passage.text) for passage in texts_of([name], split=split)]


def test_a_file_is_a_text(book: str) -> None:
    assert names_and_texts(book, "file") == [("", "First line.\nSecond line. \n\n\n\tThird.\n   \nLast line")]


def test_paragraphs_are_separated_by_blank_lines(book: str) -> None:
    assert names_and_texts(book, "paragraphs") == [
        (":2", "First line.\nSecond line."),
        (":6", "Third."),
        (":8", "Last line"),
    ]


def test_every_line_that_is_not_blank_is_a_text(book: str) -> None:
    assert names_and_texts(book, "lines") == [
        (":2", "First line."),
        (":3", "Second line."),
        (":6", "Third."),
        (":8", "Last line"),
    ]


def test_shipped_passages_can_be_named(tmp_path: Path) -> None:
    assert list(texts_of(["tides"])) == [shipped("tides")]
    lines = list(texts_of(["tides"], split="lines"))
    assert lines[0].name == "tides:1"
    assert lines[0].licence == "MIT"
    assert size_of(["tides"]) == len(shipped("tides").text.encode())


def test_the_size_of_several_files_is_their_sum(book: str, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_bytes(b"12345")
    assert size_of([book, str(other)]) == len(BOOK.encode()) + 5


@pytest.mark.timing
def test_a_long_file_is_never_read_into_memory_at_once(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("w", encoding="utf-8") as file:
        for number in range(200_000):
            file.write(f"This is line {number} of a long file of text.\n")
    tracemalloc.start()
    count = sum(1 for _ in texts_of([str(path)], split="lines"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200_000
    assert peak < 1e6 < path.stat().st_size / 5


def test_wrong_names_are_refused_before_a_text_is_read(book: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split must be one of file, paragraphs, lines, but 'words' was given"):
        texts_of([book], split="words")
    with pytest.raises(InvalidText, match="name at least one file of texts; none was given"):
        texts_of([])
    with pytest.raises(InvalidText, match="every file must be given once, but .*book.txt' was given twice"):
        texts_of([book, book])
    with pytest.raises(InvalidText, match="can't be read: No such file"):
        texts_of([book, str(tmp_path / "none.txt")])
    with pytest.raises(InvalidText, match="text must be a file, but .* is a directory"):
        texts_of([str(tmp_path)])
    with pytest.raises(InvalidText, match="text must be a file or one of nietzsche"):
        texts_of(["nitzsche"])


def test_a_file_that_is_not_text_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"good line\n\nbad \xff line\n")
    with pytest.raises(InvalidText, match=r"text must be UTF-8, but .*bad.txt' is not \(somewhere after line 0\)"):
        list(texts_of([str(path)], split="lines"))
    path.write_bytes(b"good line\n\nzero \0 byte\n")
    with pytest.raises(InvalidText, match=r"but .*bad.txt' is binary \(a zero byte from line 3 on\)"):
        list(texts_of([str(path)], split="paragraphs"))


def test_a_file_that_disappears_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "gone.txt"
    path.write_text("a line", encoding="utf-8")
    texts = texts_of([str(path)], split="lines")
    path.unlink()
    path.mkdir()
    with pytest.raises(InvalidText, match=r"text must be a file, but .*gone.txt' is a directory|can't be read"):
        list(texts)
