"""The command ``pathlen completion``: a script that completes these commands in a shell."""

from __future__ import annotations

from argparse import Namespace

from pathlen.cli.command import DONE, argument, command, say

__all__ = ["completion"]

SHELLS = ("bash", "zsh", "tcsh", "fish")


@command(
    "completion",
    "a script with which a shell completes these commands",
    argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS)),
)
def completion(options: Namespace) -> int:
    """Print the script for a shell: ``eval "$(pathlen completion bash)"``."""
    import shtab

    from pathlen.cli import parser

    say(shtab.complete(parser(paths=shtab.FILE), shell=options.shell))
    return DONE
