"""Commands that read records: no model is needed for any of them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathlen.cli.command import DONE, FOUND, JSON, PATH, argument, command, say, say_json

if TYPE_CHECKING:
    from pathlen.records import FindingRecord

__all__ = ["diff", "power", "report"]

RECORD = argument("record", metavar="RECORD", type=Path, completes=PATH)


@command(
    "report",
    "render a record as a page, or several as one; no model is needed",
    argument("records", metavar="RECORD", type=Path, nargs="+", completes=PATH),
    argument(
        "-o",
        "--output",
        metavar="PAGE",
        type=Path,
        help="default: beside a single record, .html",
        completes=PATH,
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
    """Write the page of one record, or of several that were made apart."""
    from pathlen.errors import InvalidRecord
    from pathlen.files import write_text
    from pathlen.merge import merged, undecided
    from pathlen.records import read, write
    from pathlen.report import page

    records: list[Path] = options.records
    whole: Path | None = options.record
    if options.output is None and len(records) > 1:
        raise InvalidRecord(f"{len(records)} records become one page, so say where it goes with -o")
    target: Path = options.output or records[0].with_suffix(".html")
    for record in records:
        for one, what in ((target, "page"), (whole, "one record of several")):
            if one and one.resolve() == record.resolve():
                raise InvalidRecord(
                    f"the {what} must not replace its record, but both are {str(record)!r}; name another with "
                    f"{'-o' if one is target else '--record'}"
                )
    run = merged([read(record) for record in records], [str(record) for record in records])
    if undecided(run) and len(records) > 1:
        # What compares sizes computes, which needs more than rendering does.
        from pathlen.cache import Cache, folder
        from pathlen.comparisons import compared

        run, lines = compared(run, options.claims, Cache(folder()))
        say(*lines)
    if whole:
        write(run, whole)
        say(str(whole))
    write_text(target, page(run))
    say(str(target))
    return DONE


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
    from pathlen.records import read
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
    from pathlen.claims import detectable, needed
    from pathlen.records import read
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
