"""``pathlen cache``: its JSON. `tests/_util/test_cache.py` tests what it prints and deletes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pathlen.cli import main


def test_an_empty_cache_as_json(printed_json: Callable[[], Any]) -> None:
    assert main(["cache", "info", "--json"]) == 0
    assert printed_json() | {"folder": ""} == {"folder": "", "entries": 0, "bytes": 0}
    assert main(["cache", "clear", "--json"]) == 0
    assert printed_json()["deleted"] == 0
