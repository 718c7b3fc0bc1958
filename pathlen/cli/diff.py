"""The command ``pathlen diff``: which verdicts changed between two records."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from pathlen.cli.command import DONE, FOUND, JSON, PATH, argument, command, identity_of, say, say_json

__all__ = ["diff"]


@command(
    "diff",
    "which verdicts changed between two records; exits with 1 if any did",
    argument("before", metavar="BEFORE", type=Path, completes=PATH),
    argument("after", metavar="AFTER", type=Path, completes=PATH),
    argument("--markdown", action="store_true", help="as a table for a pull request"),
    JSON,
)
def diff(options: Namespace) -> int:
    """Compare two records, changed verdicts first."""
    from pathlen.records.files import read
    from pathlen.report import diff_lines, diff_markdown, difference

    changes = difference(read(options.before), read(options.after))
    if options.json:
        say_json(
            {
                "changed": [
                    {**identity_of(before), "before": before.verdict, "after": after.verdict}
                    for before, after in changes.changed
                ],
                "gone": [{**identity_of(finding), "before": finding.verdict} for finding in changes.gone],
                "new": [{**identity_of(finding), "after": finding.verdict} for finding in changes.new],
                "same": changes.same,
                "conditions": list(changes.conditions),
            }
        )
    else:
        say(*(diff_markdown if options.markdown else diff_lines)(changes))
    return DONE if changes.is_empty else FOUND
