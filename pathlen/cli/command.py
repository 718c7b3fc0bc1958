"""What commands share: each is one function, with its name, its sentence and its arguments declared above it.

::

    @command("texts", "the passages that ship with the package", JSON)
    def texts(options):
        ...
        return DONE

A command takes the parsed arguments, prints to standard output and returns its exit status. It imports what it needs inside
its body, so that ``pathlen --help`` stays fast. `pathlen.cli.COMMANDS` lists them all.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pathlen.records.schema import FindingRecord

__all__ = [
    "DONE",
    "FOUND",
    "JSON",
    "PATH",
    "Argument",
    "Command",
    "argument",
    "command",
    "identity_of",
    "painted",
    "say",
    "say_json",
]

DONE = 0
FOUND = 1  # the input is wrong, or it differs from what it is compared with
PATH = "path"

COLOURS = {"green": "32", "red": "31", "yellow": "33", "dim": "2"}


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a command.

    Attributes
    ----------
    names : tuple of str
    settings : dict
        As ``ArgumentParser.add_argument`` takes them.
    completes : str
        `PATH` if a shell should offer files.
    instead_of : str
        Arguments that share this name exclude each other; empty for an argument that excludes none.

    """

    names: tuple[str, ...]
    settings: dict[str, Any]
    completes: str = ""
    instead_of: str = ""


def argument(*names: str, completes: str = "", instead_of: str = "", **settings: Any) -> Argument:
    """Return an argument of a command; names and settings are those of ``ArgumentParser.add_argument``."""
    return Argument(names, settings, completes, instead_of)


JSON = argument("--json", action="store_true", help="as JSON, for a program to read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of the command line.

    Attributes
    ----------
    name : str
    sentence : str
        What it does, for ``--help``.
    arguments : tuple of Argument
    run : callable
        Takes the parsed arguments and returns an exit status.

    """

    name: str
    sentence: str
    arguments: tuple[Argument, ...]
    run: Callable[[Namespace], int]

    def add_to(self, parser: ArgumentParser, paths: object = None) -> None:
        """Add the command's arguments to a parser; ``paths`` is shtab's marker for files, None if no completion is made."""
        group_names = dict.fromkeys(argument.instead_of for argument in self.arguments if argument.instead_of)
        groups = {name: parser.add_mutually_exclusive_group() for name in group_names}
        for argument in self.arguments:
            action = groups.get(argument.instead_of, parser).add_argument(*argument.names, **argument.settings)
            if paths and argument.completes == PATH:
                action.complete = paths  # type: ignore[attr-defined]  # where shtab looks for it


def command(name: str, sentence: str, *arguments: Argument) -> Callable[[Callable[[Namespace], int]], Command]:
    """Declare a function as a command."""

    def declare(run: Callable[[Namespace], int]) -> Command:
        return Command(name=name, sentence=sentence, arguments=arguments, run=run)

    return declare


def say(*lines: str) -> None:
    """Print lines to standard output."""
    for line in lines:
        print(line, flush=True)


def say_json(data: object) -> None:
    """Print plain data as JSON."""
    say(json.dumps(data, indent=2, ensure_ascii=False))


def identity_of(finding: FindingRecord) -> dict[str, str]:
    """Return what identifies a finding among those of a record, as plain data."""
    return {"claim": finding.claim, "reading": finding.reading, "size": finding.size}


def painted(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return a text in a colour if the stream is a terminal, or ``FORCE_COLOR`` is set; never if ``NO_COLOR`` is."""
    stream = stream or sys.stdout
    is_wanted = bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")
    if os.environ.get("NO_COLOR") or not is_wanted:
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"
