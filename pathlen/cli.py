"""The ``pathlen`` command: translation only.

::

    pathlen models                        which models there are, and which are on this machine
    pathlen fetch NAME...                 get weights from the Hugging Face Hub: sizes of GPT-2, or owner/repository
    pathlen texts                         the passages that ship with the package
    pathlen report RECORD... -o PAGE      render a record again, or several as one, which decides claims between sizes;
                                          no model is needed
    pathlen report RECORD... --markdown   its matrix alone, for a pull request; --tokens for its tokens as CSV
    pathlen measure --text FILE... -o FOLDER
                                          measure any number of texts into a folder; goes on where it was interrupted
    pathlen diff BEFORE AFTER             which verdicts changed between two records
    pathlen power RECORD                  what its texts could have shown, and what it would take to decide
    pathlen lock FOLDER                   write down what its claims declare; a run that differs is flagged
    pathlen lock FOLDER --check           say what differs from what was written down
    pathlen cache info|clear              what earlier runs kept to save work, and away with it

It ends with 0, with 1 where something was found wrong with what it was given, and with 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pathlen import measuring

if TYPE_CHECKING:
    from pathlen.records import Run

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="pathlen", description="Executable claims about how far token vectors travel inside a language model."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("models", help="which models there are, and which are on this machine")
    fetch = commands.add_parser("fetch", help="get weights from the Hugging Face Hub")
    fetch.add_argument(
        "names", metavar="NAME", nargs="+", help="a size, or owner/repository, or owner/repository@revision"
    )
    fetch.add_argument("--family", metavar="FAMILY", default="gpt2", help="whose sizes are meant; default: gpt2")
    fetch.add_argument("--dry-run", action="store_true", help="say what it would take, and download nothing")
    commands.add_parser("texts", help="the passages that ship with the package")
    measuring.add_arguments(commands.add_parser("measure", help=measuring.SENTENCE))
    report = commands.add_parser("report", help="render a record as a page, or several as one; no model is needed")
    report.add_argument("records", metavar="RECORD", type=Path, nargs="+")
    report.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: beside a single record, .html")
    kind = report.add_mutually_exclusive_group()
    kind.add_argument("--markdown", action="store_true", help="the matrix for a pull request, to the terminal or FILE")
    kind.add_argument("--tokens", action="store_true", help="the tokens that it holds as CSV, to the terminal or FILE")
    kind.add_argument(
        "--json", action="store_true", help="the record itself, merged of several, to the terminal or FILE"
    )
    report.add_argument("--record", metavar="FILE", type=Path, help="where the one record of several is written, too")
    report.add_argument(
        "--claims",
        metavar="FOLDER",
        type=Path,
        default=Path("claims"),
        help="where claims between sizes are, which several records may decide together; default: claims",
    )
    power = commands.add_parser(
        "power", help="what a record's texts could have shown, and what it would take to decide"
    )
    power.add_argument("record", metavar="RECORD", type=Path)
    diff = commands.add_parser("diff", help="which verdicts changed between two records; exits with 1 if any did")
    diff.add_argument("before", metavar="BEFORE", type=Path)
    diff.add_argument("after", metavar="AFTER", type=Path)
    diff.add_argument("--markdown", action="store_true", help="as a table for a pull request")
    lock = commands.add_parser("lock", help="write down what a folder's claims declare; a run that differs is flagged")
    lock.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", default=Path("claims"), help="default: claims")
    lock.add_argument("--check", action="store_true", help="write nothing, and say what differs from the lock")
    cache = commands.add_parser("cache", help="what earlier runs kept to save work")
    cache.add_argument("action", metavar="ACTION", choices=("info", "clear"), help="info or clear")
    options = parser.parse_args(arguments)

    from pathlen.errors import PathlenError

    try:
        if options.command == "models":
            _models()
        elif options.command == "fetch":
            _fetch(options.names, options.family, dry_run=options.dry_run)
        elif options.command == "texts":
            _texts()
        elif options.command == "measure":
            return measuring.run(options)
        elif options.command == "power":
            _power(options.record)
        elif options.command == "cache":
            _cache(clear=options.action == "clear")
        elif options.command == "diff":
            return _diff(options.before, options.after, markdown=options.markdown)
        elif options.command == "lock":
            return _lock(options.folder, check=options.check)
        else:
            kinds = [kind for kind in ("markdown", "tokens", "json") if getattr(options, kind)]
            _report(options.records, options.output, options.record, options.claims, kinds[0] if kinds else "page")
    except (PathlenError, OSError) as error:
        print(f"pathlen {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"pathlen {options.command}: stopped", file=sys.stderr)
        return 130
    return 0


def _models() -> None:
    from pathlen.errors import ModelNotFound
    from pathlen.models import FAMILIES, find

    for family, sizes in FAMILIES.items():
        for size, spec in sizes.items():
            try:
                place = str(find(spec))
            except ModelNotFound as error:
                place = f"not on this machine; {error.remedy}"
            print(f"{family:5} {size:7} {spec.n_layer:2} blocks {spec.d_model:5} wide  {place}")


def _fetch(names: Sequence[str], family: str, *, dry_run: bool) -> None:
    from pathlen.fetch import describe, fetch, named, plan, require_space

    plans = [plan(named(name, family)) for name in dict.fromkeys(names)]
    print("\n".join(describe(plans)), flush=True)
    if dry_run:
        return
    require_space(plans)
    for one in plans:
        print(fetch(one), flush=True)


def _texts() -> None:
    from pathlen.passages import NAMES, shipped

    for name in NAMES:
        text = shipped(name).text
        print(f"{name:12} {len(text.split()):4} words  {text[:60]}...")


def _power(record: Path) -> None:
    from pathlen.records import read
    from pathlen.report import power_lines

    print("\n".join(power_lines(read(record))))


def _cache(*, clear: bool) -> None:
    from pathlen.cache import Cache, folder

    cache = Cache(folder())
    if clear:
        print(f"{cache.home}: {cache.clear():,} entries deleted")
        return
    entries = cache.entries()
    print(f"{cache.home}: {len(entries):,} entries, {sum(path.stat().st_size for path in entries) / 1e6:.1f} MB")


def _diff(before: Path, after: Path, *, markdown: bool) -> int:
    from pathlen.records import read
    from pathlen.report import diff_lines, diff_markdown, difference

    found = difference(read(before), read(after))
    print("\n".join((diff_markdown if markdown else diff_lines)(found)))
    return 0 if found.is_empty else 1


def _lock(folder: Path, *, check: bool) -> int:
    from pathlen.lock import LOCK, lock_of, read_lock, write_lock

    found, path = lock_of(folder), folder / LOCK
    differences = read_lock(path).deviations(found.declarations) if check or path.exists() else []
    if not check:
        write_lock(found, path)
        print("\n".join([*differences, f"{path}: {len(found.declarations)} declarations"]))
        return 0
    print("\n".join(differences) or f"{path}: {len(found.declarations)} declarations, all as locked")
    return 1 if differences else 0


def _report(records: Sequence[Path], output: Path | None, whole: Path | None, claims: Path, kind: str) -> None:
    from pathlen.errors import InvalidRecord
    from pathlen.files import write_text
    from pathlen.records import encoded, write
    from pathlen.report import matrix_markdown, page, tokens_csv

    if output is None and len(records) > 1 and kind == "page":
        raise InvalidRecord(f"{len(records)} records become one page, so say where it goes with -o")
    target = records[0].with_suffix(".html") if output is None else output
    for record in records:
        for one, what in ((target, "page"), (whole, "one record of several")):
            if one and one.resolve() == record.resolve():
                raise InvalidRecord(
                    f"the {what} must not replace its record, but both are {str(record)!r}; name another with "
                    f"{'-o' if one is target else '--record'}"
                )
    run, lines = _put_together(records, claims)
    text = {"page": page, "markdown": matrix_markdown, "tokens": tokens_csv, "json": encoded}[kind](run)
    is_printed = output is None and kind != "page"
    if lines:
        print("\n".join(lines), file=sys.stderr if is_printed else sys.stdout)
    if whole:
        write(run, whole)
        print(whole, file=sys.stderr if is_printed else sys.stdout)
    if is_printed:
        print(text, end="")
        return
    write_text(target, text)
    print(target)


def _put_together(paths: Sequence[Path], claims: Path) -> tuple[Run, list[str]]:
    """Return one record of several with its claims between sizes decided, and a line about each; families are merged last."""
    from pathlen.merge import merged, undecided
    from pathlen.records import read

    found = [(read(path), str(path)) for path in paths]
    wholes, lines = [], []
    for family in dict.fromkeys(run.family for run, _ in found):
        runs, names = zip(*(one for one in found if one[0].family == family), strict=True)
        whole = merged(runs, names)
        if undecided(whole) and len(runs) > 1:
            # What compares sizes computes, which needs more than rendering does.
            from pathlen.cache import Cache, folder
            from pathlen.comparisons import compared

            whole, said = compared(whole, claims, Cache(folder()))
            lines += said
        wholes.append((whole, names[0]))
    return merged([run for run, _ in wholes], [name for _, name in wholes]), lines


if __name__ == "__main__":
    sys.exit(main())
