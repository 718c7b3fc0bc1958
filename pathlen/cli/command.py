"""What a command is: one function, with its name, its sentence and its arguments written above it.

::

    @command("texts", "the passages that ship with the package", JSON)
    def texts(options):
        ...
        return DONE

A command takes the parsed arguments, prints to standard output and returns its exit status. It imports what it needs inside
its body, so that ``pathlen --help`` stays quick. `pathlen.cli.COMMANDS` lists them all.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

__all__ = ["DONE", "FOUND", "JSON", "PATH", "Argument", "Command", "argument", "command", "painted", "say", "say_json"]

DONE = 0
FOUND = 1  # something is wrong with what was given, or differs from what it is compared with
PATH = "path"

COLOURS = {"green": "32", "red": "31", "yellow": "33", "dim": "2"}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command, as ``argparse`` takes it.

    ``completes`` is `PATH` where a shell should offer files; of arguments with one word in ``instead_of`` only one may be given.
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
        From parsed arguments to an exit status.

    """

    name: str
    sentence: str
    arguments: tuple[Argument, ...]
    run: Callable[[Namespace], int]

    def add_to(self, parser: ArgumentParser, paths: object = None) -> None:
        """Give a parser the command's arguments; ``paths`` is what tells a generator of completions to offer files."""
        words = dict.fromkeys(one.instead_of for one in self.arguments if one.instead_of)
        groups = {word: parser.add_mutually_exclusive_group() for word in words}
        for one in self.arguments:
            action = groups.get(one.instead_of, parser).add_argument(*one.names, **one.settings)
            if paths and one.completes == PATH:
                action.complete = paths  # type: ignore[attr-defined]  # where shtab looks for it


def command(name: str, sentence: str, *arguments: Argument) -> Callable[[Callable[[Namespace], int]], Command]:
    """Declare a function to be a command."""

    def declare(run: Callable[[Namespace], int]) -> Command:
        return Command(name=name, sentence=sentence, arguments=arguments, run=run)

    return declare


def say(*lines: str) -> None:
    """Print lines to standard output."""
    for line in lines:
        print(line, flush=True)


def say_json(found: object) -> None:
    """Print plain data as JSON."""
    say(json.dumps(found, indent=2, ensure_ascii=False))


def painted(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return a text in a colour, where a person reads it on a terminal and has not set ``NO_COLOR``."""
    stream = stream or sys.stdout
    wanted = bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")
    if os.environ.get("NO_COLOR") or not wanted:
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"
