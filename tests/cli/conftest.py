"""What the tests of several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def printed_json(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """Return what a command printed as JSON; it must have printed nothing to standard error."""

    def read() -> Any:
        printed = capsys.readouterr()
        assert printed.err == ""
        return json.loads(printed.out)

    return read
