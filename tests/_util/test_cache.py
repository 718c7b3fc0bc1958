"""What was computed before is used again, and never when anything it depends on has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pathlen._util.cache import Cache, folder
from pathlen._util.digests import digest
from pathlen.cli import main


@pytest.fixture
def kept(empty_cache: Path) -> Cache:
    return Cache(empty_cache)


def test_what_was_put_is_got(kept: Cache) -> None:
    kept.put(digest("a"), "wörd\n")
    assert kept.get(digest("a")) == "wörd\n"
    assert kept.get(digest("b")) is None
    assert len(kept.entries()) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"text": "x", "sha256": "0"}', b'{"sha256": "0"}', b"\xff"])
def test_a_damaged_entry_is_none_and_is_replaced(kept: Cache, damage: bytes) -> None:
    name = digest("a")
    kept.put(name, "whole")
    (path,) = kept.entries()
    path.write_bytes(damage)
    assert kept.get(name) is None
    kept.put(name, "again")
    assert kept.get(name) == "again"


def test_a_folder_that_can_not_be_written_to_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    kept = Cache(tmp_path / "taken")
    kept.put(digest("a"), "x")
    assert kept.get(digest("a")) is None


def test_the_folder_says_what_it_is(kept: Cache) -> None:
    kept.put(digest("a"), "x")
    assert (kept.home / "CACHEDIR.TAG").read_text("utf-8").startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_only_a_cache_is_cleared(kept: Cache, tmp_path: Path) -> None:
    kept.put(digest("a"), "x")
    kept.put(digest("b"), "y")
    assert kept.clear() == 2
    assert kept.entries() == []
    other = tmp_path / "mine"
    (other / "aa").mkdir(parents=True)
    (other / "aa" / "thesis.json").write_text("{}", encoding="utf-8")
    assert Cache(other).clear() == 0
    assert (other / "aa" / "thesis.json").exists()


def test_what_else_lies_in_the_folder_is_left_alone(kept: Cache) -> None:
    own = kept.home / "project"
    own.mkdir(parents=True)
    (own / "data.json").write_text("{}", encoding="utf-8")
    kept.put(digest("a"), "x")
    (entry,) = kept.entries()
    (entry.parent / "mine.txt").write_text("mine", encoding="utf-8")
    assert kept.clear() == 1
    assert (own / "data.json").exists()
    assert (entry.parent / "mine.txt").exists()


def test_arrays_are_kept_whole_or_not_at_all(kept: Cache) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3)[:, ::2], "b": np.array([1, 2])}
    assert kept.get_arrays(digest("x")) is None
    kept.put_arrays(digest("x"), arrays)
    found = kept.get_arrays(digest("x"))
    assert found is not None
    assert all(np.array_equal(found[name], arrays[name]) and found[name].dtype == arrays[name].dtype for name in arrays)
    path = next(one for one in kept.entries() if one.suffix == ".safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert kept.get_arrays(digest("x")) is None
    path.unlink()
    assert kept.get_arrays(digest("x")) is None


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATHLEN_CACHE", str(tmp_path / "there"))
    assert folder() == tmp_path / "there"
    monkeypatch.delenv("PATHLEN_CACHE")
    assert folder().name == "pathlen"


def test_the_command_tells_and_clears(kept: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    kept.put(digest("a"), "x")
    assert main(["cache", "info"]) == 0
    assert capsys.readouterr().out == f"{kept.home}: 1 entries, 0.0 MB\n"
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"{kept.home}: 1 entries deleted\n"
    assert main(["cache", "info"]) == 0
