"""The ``pathlen`` command: translation only.

::

    pathlen new FOLDER                    create a folder with an example claim, to write the claims of a paper in
    pathlen models                        which models there are, and which are on this machine
    pathlen fetch NAME...                 get weights from the Hugging Face Hub: sizes of GPT-2, or owner/repository
    pathlen texts                         the passages that ship with the package
    pathlen report RECORD... -o PAGE      render a record again, or several as one, which decides claims between sizes;
                                          needs no model
    pathlen measure --text FILE... -o FOLDER
                                          measure any number of texts into a folder, or resume an interrupted run
    pathlen diff BEFORE AFTER             which verdicts changed between two records
    pathlen power RECORD                  what its texts could have shown, and what it would take to decide
    pathlen lock FOLDER                   record what its claims declare; a run that differs is flagged
    pathlen lock FOLDER --check           list the differences from that record
    pathlen doctor                        whether this machine has everything, and how to get what is missing
    pathlen cache info|clear              show or delete what earlier runs saved
    pathlen completion bash|zsh|...       a script that completes these commands in a shell

=========== ======================================================================================================
exit status when
=========== ======================================================================================================
0           done, and nothing was found wrong or different
1           the input is wrong, or something differs or is out of order (``diff``, ``lock --check``, ``doctor``); the message
            on standard error says what to do
2           a wrong command line
130         stopped by the user
=========== ======================================================================================================

``--json`` makes every command whose answer is data print it as JSON. ``NO_COLOR`` is respected. Every command is a function
in a module of the same name beside this one; see `pathlen.cli.command`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from pathlen.cli import cache, completion, diff, doctor, fetch, lock, measure, models, new, power, report, texts
from pathlen.cli.command import FOUND, Command
from pathlen.errors import PathlenError, near

__all__ = ["COMMANDS", "main", "parser"]

STOPPED = 130

COMMANDS: tuple[Command, ...] = (
    new.new,
    models.models,
    fetch.fetch,
    texts.texts,
    measure.measure,
    report.report,
    diff.diff,
    power.power,
    lock.lock,
    doctor.doctor,
    cache.cache,
    completion.completion,
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors suggest the command that is most like an unknown one."""

    def error(self, message: str) -> NoReturn:
        unknown = message.partition("invalid choice: ")[2].partition(" ")[0].strip("'")
        super().error(f"{message}{near(unknown, [command.name for command in COMMANDS])}")


def parser(paths: object = None) -> argparse.ArgumentParser:
    """Return the parser of the command line; see `Command.add_to` for ``paths``."""
    main_parser = _Parser(
        prog="pathlen",
        description="Executable claims about how far token vectors travel inside a language model.",
        epilog="Exit status: 0 done; 1 something is wrong or differs, and the message says what to do; "
        "2 a wrong command line. Claims themselves are run with pytest: see pytest --help, group pathlen.",
    )
    subparsers = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.sentence, description=f"{command.sentence}.")
        command.add_to(subparser, paths)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = parser().parse_args(arguments)
    command = next(command for command in COMMANDS if command.name == options.command)

    try:
        return command.run(options)
    except (PathlenError, OSError) as error:
        print(f"pathlen {command.name}: {error}", file=sys.stderr)
        return FOUND
    except KeyboardInterrupt:
        print(f"pathlen {command.name}: stopped", file=sys.stderr)
        return STOPPED
