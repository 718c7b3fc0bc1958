"""``pathlen texts``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pathlen.cli import main


def test_texts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["texts"]) == 0
    assert capsys.readouterr().out.startswith("nietzsche ")


def test_json_names_every_text(printed_json: Callable[[], Any]) -> None:
    assert main(["texts", "--json"]) == 0
    assert {text["name"] for text in printed_json()} >= {"nietzsche", "tides"}
