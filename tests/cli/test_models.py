"""``pathlen models``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pathlen.cli import main


def test_models_are_listed_with_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all("mini" in line for line in lines[4:])


def test_json_has_a_folder_or_a_remedy_for_every_model(printed_json: Callable[[], Any]) -> None:
    assert main(["models", "--json"]) == 0
    models = printed_json()
    assert [(model["family"], model["size"]) for model in models[:2]] == [("gpt2", "small"), ("gpt2", "medium")]
    assert all((model["folder"] is None) == bool(model["remedy"]) for model in models)
