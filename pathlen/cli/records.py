"""Commands that read records: no model is needed for any of them."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen.cli.command import DONE, FOUND, JSON, PATH, argument, command, say, say_json

if TYPE_CHECKING:
    from pathlen.records.schema import FindingRecord, Run

__all__ = ["diff", "power", "report"]

RECORD = argument("record", metavar="RECORD", type=Path, completes=PATH)


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
    """Write the page of one record, or of several that were made apart; or what it holds in another form."""
    from pathlen._util.files import write_text
    from pathlen.errors import InvalidRecord
    from pathlen.records.files import encoded, write
    from pathlen.report import matrix_markdown, page, tokens_csv

    forms = {"markdown": matrix_markdown, "tokens": tokens_csv, "json": encoded}
    form = next((name for name in forms if getattr(options, name)), "page")
    records: list[Path] = options.records
    whole: Path | None = options.record
    output: Path | None = options.output
    if output is None and len(records) > 1 and form == "page":
        raise InvalidRecord(f"{len(records)} records become one page, so say where it goes with -o")
    target = records[0].with_suffix(".html") if output is None else output
    for record in records:
        for one, what in ((target, "page"), (whole, "one record of several")):
            if one and one.resolve() == record.resolve():
                raise InvalidRecord(
                    f"the {what} must not replace its record, but both are {str(record)!r}; name another with "
                    f"{'-o' if one is target else '--record'}"
                )
    run, lines = _put_together(records, options.claims)
    text = forms.get(form, page)(run)
    is_printed = output is None and form != "page"
    if whole:
        write(run, whole)
        lines.append(str(whole))
    if is_printed:
        print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr)
        print(text, end="")
    else:
        write_text(target, text)
        say(*lines, str(target))
    return DONE


def _put_together(paths: Sequence[Path], claims: Path) -> tuple[Run, list[str]]:
    """Return one record of several with its claims between sizes decided, and a line about each; families are merged last."""
    from pathlen.records.files import read
    from pathlen.records.merge import merged, undecided

    found = [(read(path), str(path)) for path in paths]
    wholes, lines = [], []
    for family in dict.fromkeys(run.family for run, _ in found):
        runs, names = zip(*(one for one in found if one[0].family == family), strict=True)
        whole = merged(runs, names)
        if undecided(whole) and len(runs) > 1:
            # What compares sizes computes, which needs more than rendering does.
            from pathlen._util.cache import Cache, folder
            from pathlen.runner.across_models import compared

            whole, said = compared(whole, claims, Cache(folder()))
            lines += said
        wholes.append((whole, names[0]))
    return merged([run for run, _ in wholes], [name for _, name in wholes]), lines


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

    found = difference(read(options.before), read(options.after))
    if options.json:
        say_json(
            {
                "changed": [
                    {**_named(one), "before": one.verdict, "after": other.verdict} for one, other in found.changed
                ],
                "gone": [{**_named(one), "before": one.verdict} for one in found.gone],
                "new": [{**_named(one), "after": one.verdict} for one in found.new],
                "same": found.same,
                "conditions": list(found.conditions),
            }
        )
    else:
        say(*(diff_markdown if options.markdown else diff_lines)(found))
    return DONE if found.is_empty else FOUND


@command("power", "what a record's texts could have shown, and what it would take to decide", RECORD, JSON)
def power(options: Namespace) -> int:
    """Say for every finding what so many tokens find, and how many more would decide."""
    from pathlen.claims.finding import detectable, needed
    from pathlen.records.files import read
    from pathlen.report import power_lines

    run = read(options.record)
    if not options.json:
        say(*power_lines(run))
        return DONE
    regions = {(claim.id, claim.reading): claim.region for claim in run.claims}
    found: list[dict[str, Any]] = []
    for one in run.findings:
        if one.estimate is not None:
            region = regions[one.claim, one.reading]
            found.append(
                {
                    **_named(one),
                    "verdict": one.verdict,
                    "tokens": one.estimate.n,
                    "effective_tokens": one.estimate.effective_n,
                    "could_show": detectable(one.estimate, region),
                    "would_decide": needed(one.estimate, region),
                }
            )
    say_json(found)
    return DONE


def _named(one: FindingRecord) -> dict[str, str]:
    return {"claim": one.claim, "reading": one.reading, "size": one.size}
