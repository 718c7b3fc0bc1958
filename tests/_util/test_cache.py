"""The cache keeps texts and arrays, finds damage, and deletes nothing that it did not write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pathlen._util.cache import Cache, folder
from pathlen._util.digests import digest
from pathlen.cli import main


@pytest.fixture
def cache(empty_cache: Path) -> Cache:
    return Cache(empty_cache)


def test_a_text_is_returned_as_it_was_kept(cache: Cache) -> None:
    cache.put(digest("a"), "wörd\n")
    assert cache.get(digest("a")) == "wörd\n"
    assert cache.get(digest("b")) is None
    assert len(cache.entries()) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"text": "x", "sha256": "0"}', b'{"sha256": "0"}', b"\xff"])
def test_a_damaged_entry_counts_as_missing_and_is_replaced(cache: Cache, damage: bytes) -> None:
    name = digest("a")
    cache.put(name, "a text")
    (path,) = cache.entries()
    path.write_bytes(damage)
    assert cache.get(name) is None
    cache.put(name, "again")
    assert cache.get(name) == "again"


def test_a_folder_that_cannot_be_written_to_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    cache = Cache(tmp_path / "taken")
    cache.put(digest("a"), "x")
    assert cache.get(digest("a")) is None


def test_the_folder_is_tagged_as_a_cache(cache: Cache) -> None:
    cache.put(digest("a"), "x")
    assert (cache.home / "CACHEDIR.TAG").read_text("utf-8").startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_only_a_cache_is_cleared(cache: Cache, tmp_path: Path) -> None:
    cache.put(digest("a"), "x")
    cache.put(digest("b"), "y")
    assert cache.clear() == 2
    assert cache.entries() == []
    other = tmp_path / "mine"
    (other / "aa").mkdir(parents=True)
    (other / "aa" / "thesis.json").write_text("{}", encoding="utf-8")
    assert Cache(other).clear() == 0
    assert (other / "aa" / "thesis.json").exists()


def test_other_files_in_the_folder_are_left_alone(cache: Cache) -> None:
    project = cache.home / "project"
    project.mkdir(parents=True)
    (project / "data.json").write_text("{}", encoding="utf-8")
    cache.put(digest("a"), "x")
    (entry,) = cache.entries()
    (entry.parent / "mine.txt").write_text("mine", encoding="utf-8")
    assert cache.clear() == 1
    assert (project / "data.json").exists()
    assert (entry.parent / "mine.txt").exists()


def test_damaged_arrays_count_as_missing(cache: Cache) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3)[:, ::2], "b": np.array([1, 2])}
    assert cache.get_arrays(digest("x")) is None
    cache.put_arrays(digest("x"), arrays)
    loaded = cache.get_arrays(digest("x"))
    assert loaded is not None
    assert all(
        np.array_equal(loaded[name], arrays[name]) and loaded[name].dtype == arrays[name].dtype for name in arrays
    )
    path = next(entry for entry in cache.entries() if entry.suffix == ".safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert cache.get_arrays(digest("x")) is None
    path.unlink()
    assert cache.get_arrays(digest("x")) is None


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATHLEN_CACHE", str(tmp_path / "there"))
    assert folder() == tmp_path / "there"
    monkeypatch.delenv("PATHLEN_CACHE")
    assert folder().name == "pathlen"


def test_the_command_describes_and_clears_the_cache(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    cache.put(digest("a"), "x")
    assert main(["cache", "info"]) == 0
    assert capsys.readouterr().out == f"{cache.home}: 1 entries, 0.0 MB\n"
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"{cache.home}: 1 entries deleted\n"
    assert main(["cache", "info"]) == 0
