"""Where the numbers of a page come from, how to get them again, how to cite them, and what a reader must be warned of."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from importlib.metadata import version

from pathlen.claims.verdict import Verdict
from pathlen.records.files import encoded
from pathlen.records.merge import ALONE, AND
from pathlen.records.schema import Run
from pathlen.report.matrix import NOT_RUN, OF_ITS_TEXTS_ONLY, rows, speaks_of_its_texts_only
from pathlen.report.tables import tokens_csv

__all__ = [
    "AUTHORS",
    "TITLE",
    "Banner",
    "Download",
    "banners",
    "bibtex",
    "citation",
    "downloads",
    "reproduce",
    "stages",
    "stamp",
]

TITLE = "pathlen: executable claims about how far token vectors travel inside a language model"
AUTHORS = "The pathlen authors"
SHIPPED = "shipped with pathlen"


@dataclass(frozen=True, slots=True)
class Banner:
    """A warning at the head of a page: a word for it, what it means, and a list of what it is about."""

    name: str
    words: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Download:
    """A file that the page carries: its name, its address, and how large it is packed."""

    name: str
    address: str
    kilobytes: float


def banners(run: Run) -> list[Banner]:
    """Return what a reader must know before any number, the gravest first."""
    found = []
    families = run.family.split(AND)
    if "mini" in families:
        found.append(
            Banner(
                "Demonstration family.",
                "mini is four small networks of GPT-2’s architecture that this project trained itself. "
                + (
                    "Nothing on this page says anything about GPT-2."
                    if families == ["mini"]
                    else "What stands under mini says nothing about GPT-2."
                ),
            )
        )
    if random := [model.title for model in run.models if model.knows_nothing]:
        found.append(
            Banner(
                "Random weights.",
                f"{', '.join(random)} guesses the next token no better than blindly, as a network does that was never trained. "
                "What is found there is no property of a language model.",
            )
        )
    if run.deviations:
        found.append(
            Banner(
                "Deviated.",
                f"These claims are not the ones that were written down beforehand in {run.lock}:",
                run.deviations,
            )
        )
    if missing := _missing(run):
        found.append(Banner("Partial run.", "This page does not hold all that was declared:", tuple(missing)))
    if not any(one.controls for one in run.findings):
        found.append(
            Banner(
                "No controls.",
                "Nothing was tried where the claims should fail, so support may be what any network would give.",
            )
        )
    if speaks_of_its_texts_only(run):
        found.append(Banner("These texts only.", OF_ITS_TEXTS_ONLY))
    if (made := run.environment.get("pathlen", "unknown")) != (now := version("pathlen")):
        found.append(
            Banner(
                "Stale.",
                f"The record was made by pathlen {made} and is shown by {now}; what is computed may have changed.",
            )
        )
    return found


def _missing(run: Run) -> list[str]:
    found = []
    if run.declared is not None and len(run.claims) < run.declared:
        found.append(f"{len(run.claims)} of {run.declared} declared readings of claims were asked for")
    claimed = {size for claim in run.claims for size in claim.sizes}
    if AND not in run.family and (absent := sorted(claimed - set(run.sizes))) and run.sizes != (ALONE,):
        found.append(f"sizes that claims are made about, and that were not run: {', '.join(absent)}")
    words = [cell.word for row in rows(run) for cell in row.all_cells]
    if times := words.count(NOT_RUN):
        found.append(f"{times} checks on these sizes were not run")
    if times := words.count(Verdict.NOT_TESTED.value):
        found.append(f"{times} checks could not be made; their cells say why")
    return found


def stamp(run: Run) -> list[tuple[str, str]]:
    """Return what a run is known by: when, on what, under which lock, resampled how, where."""
    tokens = max((model.tokens for model in run.models), default=0)
    digest = hashlib.sha256("".join(text.sha256 for text in run.texts).encode()).hexdigest()
    texts = "1 text" if len(run.texts) == 1 else f"{len(run.texts)} texts"
    drawn = [one.estimate for one in run.findings if one.estimate and one.estimate.replicates]
    units = dict.fromkeys(f"{one.units} {one.unit} resampled {one.replicates:,} times" for one in drawn)
    places = dict.fromkeys(f"{model.dtype} on {model.device}" for model in run.models)
    return [
        ("family", run.family),
        ("run", run.started.replace("T", " ").replace("+00:00", " UTC")),
        ("texts", f"{texts}, {tokens:,} tokens, sha256 {digest[:12]}" if tokens else f"{texts}, sha256 {digest[:12]}"),
        ("lock", f"{run.lock}{f', sha256 {run.lock_sha256[:12]}' if run.lock_sha256 else ''}" if run.lock else "none"),
        ("intervals", f"{next(iter(units), 'nothing resampled')}, seed {run.seed}"),
        ("controls", run.controls),
        ("networks", ", ".join(places) or "none measured"),
        ("record", f"pathlen {run.environment.get('pathlen', 'unknown')}, schema {run.schema_version}"),
    ]


def stages(run: Run) -> list[tuple[str, float, str]]:
    """Return the wall time of each stage in seconds, and what of it came from an earlier run."""
    measuring = sum(model.seconds for model in run.models)
    kept = [model.size for model in run.models if model.is_kept]
    tallies = [tally for one in run.findings for tally in one.controls]
    controls = sum(tally.seconds for tally in tallies)
    runs, earlier = sum(tally.runs for tally in tallies), sum(tally.kept for tally in tallies)
    return [
        ("loading and measuring networks", measuring, f"kept from an earlier run: {', '.join(kept)}" if kept else ""),
        ("controls", controls, f"{runs:,} runs{f', {earlier:,} of them kept from an earlier one' if earlier else ''}"),
        ("intervals, universes and the rest", max(0.0, run.seconds - measuring - controls), ""),
        ("all of it", run.seconds, ""),
    ]


def reproduce(run: Run) -> list[str]:
    """Return the commands that make a run again, in a checkout of the project."""
    made = run.environment.get("pathlen", "unknown")
    first = (
        f"git checkout {run.revision.commit}{'   # with changes that were not committed' if run.revision.is_dirty else ''}"
        if run.revision
        else f"# a checkout of pathlen {made} with these claims"
    )
    own = [text.origin for text in run.texts if text.origin != SHIPPED]
    texts = f" --text {' '.join(_quoted(one) for one in own)}" if own else ""
    return [
        first,
        "python3 -m venv .venv && .venv/bin/pip install -q .",
        *(
            f".venv/bin/pytest claims/ {selection} --seed {run.seed} --controls {run.controls}{texts}"
            for selection in run.selection.split(AND)
        ),
    ]


def _quoted(words: str) -> str:
    return (
        words
        if words.replace("/", "").replace(".", "").replace("-", "").replace("_", "").isalnum()
        else json.dumps(words)
    )


def bibtex(run: Run, digest: str) -> str:
    """Return an entry that cites the software and this very record, whose SHA-256 is given."""
    return "\n".join(
        [
            f"@software{{pathlen_{run.started[:4]},",
            f"  author  = {{{{{AUTHORS}}}}},",
            f"  title   = {{{TITLE}}},",
            f"  version = {{{run.environment.get('pathlen', 'unknown')}}},",
            f"  year    = {{{run.started[:4]}}},",
            f"  note    = {{Record of {run.started[:10]}, sha256 {digest}}}",
            "}",
        ]
    )


def citation(release: str) -> str:
    """Return the text of the project's CITATION.cff, for one release."""
    return "\n".join(
        [
            "cff-version: 1.2.0",
            "message: If you use this software or a record that it made, please cite it as below.",
            "type: software",
            f'title: "{TITLE}"',
            "authors:",
            f'  - name: "{AUTHORS}"',
            f'version: "{release}"',
            "license: MIT",
            "",
        ]
    )


def downloads(run: Run) -> list[Download]:
    """Return the files that a page carries, packed by gzip; the same run gives the same bytes."""
    files = [(f"{_named(run.family)}.json.gz", encoded(run)), (f"{_named(run.family)}.tokens.csv.gz", tokens_csv(run))]
    made = []
    for name, content in files:
        packed = gzip.compress(content.encode("utf-8"), 9, mtime=0)
        address = f"data:application/gzip;base64,{b64encode(packed).decode('ascii')}"
        made.append(Download(name, address, len(packed) / 1000))
    return made


def _named(family: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in family)
