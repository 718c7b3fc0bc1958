"""The command that measures corpora; what it does is in `pathlen.measuring`."""

from __future__ import annotations

from pathlen import measuring
from pathlen.cli.command import PATH, Command, argument

__all__ = ["measure"]

FILES = ("FILE", "FOLDER", "MODEL")

measure = Command(
    name="measure",
    sentence=measuring.SENTENCE,
    arguments=tuple(
        argument(*names, completes=PATH if settings.get("metavar") in FILES else "", **settings)
        for names, settings in measuring.ARGUMENTS
    ),
    run=measuring.run,
)
