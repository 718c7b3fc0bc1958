"""The command ``pathlen report``: a record as a page or in another form; no model is needed."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pathlen.cli.command import DONE, PATH, argument, command, say

if TYPE_CHECKING:
    from pathlen.records.schema import Run

__all__ = ["report"]


@command(
    "report",
    "render a record as a page, or several as one; no model is needed",
    argument("records", metavar="RECORD", type=Path, nargs="+", completes=PATH),
    argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: beside a single record, .html", completes=PATH
    ),
    argument(
        "--markdown",
        action="store_true",
        help="the matrix for a pull request, to the terminal or FILE",
        instead_of="page",
    ),
    argument(
        "--tokens",
        action="store_true",
        help="the tokens that it holds as CSV, to the terminal or FILE",
        instead_of="page",
    ),
    argument(
        "--json",
        action="store_true",
        help="the record itself, merged of several, to the terminal or FILE",
        instead_of="page",
    ),
    argument(
        "--record",
        metavar="FILE",
        type=Path,
        help="where the one record of several is written, too",
        completes=PATH,
    ),
    argument(
        "--claims",
        metavar="FOLDER",
        type=Path,
        default=Path("claims"),
        help="where claims between sizes are, which several records may decide together; default: claims",
        completes=PATH,
    ),
)
def report(options: Namespace) -> int:
    """Write the page of one record, or of several that are merged first; or the record in another form."""
    from pathlen._util.files import write_text
    from pathlen.errors import InvalidRecord
    from pathlen.records.files import encoded, write
    from pathlen.report import matrix_markdown, page, tokens_csv

    forms = {"markdown": matrix_markdown, "tokens": tokens_csv, "json": encoded}
    render = next((forms[name] for name in forms if getattr(options, name)), None)
    records: list[Path] = options.records
    if options.output is None and len(records) > 1 and render is None:
        raise InvalidRecord(f"{len(records)} records become one page, so say where it goes with -o")
    target = options.output or records[0].with_suffix(".html")
    _refuse_to_overwrite(records, target, options.record)
    run, lines = _merged(records, options.claims)
    text = (render or page)(run)
    if options.record:
        write(run, options.record)
        lines.append(str(options.record))
    if options.output is None and render:
        print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr)
        print(text, end="")
    else:
        write_text(target, text)
        say(*lines, str(target))
    return DONE


def _refuse_to_overwrite(records: Sequence[Path], target: Path, merged_record: Path | None) -> None:
    """Raise `InvalidRecord` if a file to be written is one of the records that are read."""
    from pathlen.errors import InvalidRecord

    for record in records:
        for path, what, option in ((target, "page", "-o"), (merged_record, "one record of several", "--record")):
            if path and path.resolve() == record.resolve():
                raise InvalidRecord(
                    f"the {what} must not replace its record, but both are {str(record)!r}; name another with {option}"
                )


def _merged(paths: Sequence[Path], claims: Path) -> tuple[Run, list[str]]:
    """Return the merged record, with claims between sizes decided, and a line about each; families are merged last."""
    from pathlen.records.files import read
    from pathlen.records.merge import merged, undecided

    records = [(read(path), str(path)) for path in paths]
    families, lines = [], []
    for family in dict.fromkeys(run.family for run, _ in records):
        runs, names = zip(*((run, name) for run, name in records if run.family == family), strict=True)
        combined = merged(runs, names)
        if undecided(combined) and len(runs) > 1:
            # Comparing sizes computes, which imports more than rendering does.
            from pathlen._util.cache import Cache, folder
            from pathlen.runner.across_models import compared

            combined, comparison_lines = compared(combined, claims, Cache(folder()))
            lines += comparison_lines
        families.append((combined, names[0]))
    return merged([run for run, _ in families], [name for _, name in families]), lines
