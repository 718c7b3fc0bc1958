"""The ``pathlen`` command: translation only.

::

    pathlen new FOLDER                    a folder with a claim that runs at once, to write one's own paper's claims in
    pathlen models                        which models there are, and which are on this machine
    pathlen fetch NAME...                 get weights from the Hugging Face Hub: sizes of GPT-2, or owner/repository
    pathlen texts                         the passages that ship with the package
    pathlen report RECORD... -o PAGE      render a record again, or several as one, which decides claims between sizes;
                                          no model is needed
    pathlen measure --text FILE... -o FOLDER
                                          measure any number of texts into a folder; goes on where it was interrupted
    pathlen diff BEFORE AFTER             which verdicts changed between two records
    pathlen power RECORD                  what its texts could have shown, and what it would take to decide
    pathlen lock FOLDER                   write down what its claims declare; a run that differs is flagged
    pathlen lock FOLDER --check           say what differs from what was written down
    pathlen doctor                        whether everything is in place on this machine, and what to do where not
    pathlen cache info|clear              what earlier runs kept to save work, and away with it
    pathlen completion bash|zsh|...       a script with which a shell completes these commands

=========== ======================================================================================================
exit status when
=========== ======================================================================================================
0           done, and nothing was found wrong or different
1           something is wrong with what was given, or differs from what it was compared with (``diff``, ``lock --check``,
            ``doctor``); the message on standard error says what to do
2           a wrong command line
130         stopped by the user
=========== ======================================================================================================

``--json`` makes every command whose answer is data print it as JSON. ``NO_COLOR`` is respected. Every command is one function
in a module beside this one; see `pathlen.cli.command`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from pathlen.cli import claims, corpora, machine, models, records
from pathlen.cli.command import FOUND, Command
from pathlen.errors import PathlenError, near

__all__ = ["COMMANDS", "main", "parser"]

STOPPED = 130

COMMANDS: tuple[Command, ...] = (
    claims.new,
    models.models,
    models.fetch,
    models.texts,
    corpora.measure,
    records.report,
    records.diff,
    records.power,
    claims.lock,
    machine.doctor,
    machine.cache,
    machine.completion,
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors say what was nearest to what was meant."""

    def error(self, message: str) -> NoReturn:
        given = message.partition("invalid choice: ")[2].partition(" ")[0].strip("'")
        super().error(f"{message}{near(given, [one.name for one in COMMANDS])}")


def parser(paths: object = None) -> argparse.ArgumentParser:
    """Return the parser of the command line; see `Command.add_to` for ``paths``."""
    whole = _Parser(
        prog="pathlen",
        description="Executable claims about how far token vectors travel inside a language model.",
        epilog="Exit status: 0 done; 1 something is wrong or differs, and the message says what to do; "
        "2 a wrong command line. Claims themselves are run with pytest: see pytest --help, group pathlen.",
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for one in COMMANDS:
        own = commands.add_parser(one.name, help=one.sentence, description=f"{one.sentence}.")
        one.add_to(own, paths)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = parser().parse_args(arguments)
    chosen = next(one for one in COMMANDS if one.name == options.command)

    try:
        return chosen.run(options)
    except (PathlenError, OSError) as error:
        print(f"pathlen {chosen.name}: {error}", file=sys.stderr)
        return FOUND
    except KeyboardInterrupt:
        print(f"pathlen {chosen.name}: stopped", file=sys.stderr)
        return STOPPED
