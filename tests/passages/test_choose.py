"""Texts: shipped ones, the user's files, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pathlen.errors import InvalidText
from pathlen.passages.choose import chosen
from pathlen.passages.passage import Passage, from_file
from pathlen.passages.shipped import FOLDER, NAMES, shipped


def test_the_shipped_passages_are_at_least_twelve_and_nietzsche_comes_first() -> None:
    assert len(NAMES) >= 12
    assert NAMES[0] == "nietzsche"
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_passage_is_one_paragraph_of_the_declared_length(name: str) -> None:
    text = shipped(name).text
    assert "\n" not in text
    assert 1400 < len(text) < 1700  # 317 to 345 GPT-2 tokens, counted with GPT-2's tokenizer
    assert len(shipped(name).sha256) == 64
    assert (shipped(name).licence, shipped(name).attribution) == ("MIT", "written for pathlen")


def test_without_names_all_shipped_passages_are_chosen() -> None:
    assert tuple(passage.name for passage in chosen([])) == NAMES


def test_a_passage_is_named_after_its_file_and_has_no_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffGrüße an alle.\n".encode())
    assert from_file(path) == Passage(name="mine", text="Grüße an alle.", origin="file mine.txt")
    assert [passage.name for passage in chosen(["tides", str(path)])] == ["tides", "mine"]
    assert from_file(path).licence == from_file(path).attribution == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs at least one word"),
        (b" \n\t ", "needs at least one word"),
        (b"caf\xe9 au lait", r"must be UTF-8.*byte 3"),
        (b"PK\x03\x04\x00\x00", "is binary"),
        ("utf-16 text".encode("utf-16"), "is binary"),
    ],
)
def test_a_file_without_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidText, match=message):
        from_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidText, match=r"missing\.txt.*No such file"):
        chosen([str(tmp_path / "missing.txt")])


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidText, match="must be a file, but .* is a directory"):
        from_file(tmp_path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidText, match="nietzsche, hypatia.*but 'nietsche' was given"):
        chosen(["nietsche"])


def test_a_copy_with_other_line_ends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"One line.\r\nAnother.")
    (tmp_path / "b.txt").write_bytes(b"One line.\nAnother.\n")
    assert from_file(tmp_path / "a.txt").text == "One line.\nAnother."
    with pytest.raises(InvalidText, match="texts must differ, but 'b' is the same as 'a'"):
        chosen([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])


def test_two_texts_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidText, match="'tides' was given twice"):
        chosen(["tides", "tides"])
