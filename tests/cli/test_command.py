"""What commands share: colours."""

from __future__ import annotations

import io

import pytest

from pathlen.cli.command import painted


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_and_obeys_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert painted("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert painted("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("TERM", "dumb")
    assert painted("x", "red", Terminal()) == "x"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert painted("x", "red", io.StringIO()) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("x", "red", Terminal()) == "x"
