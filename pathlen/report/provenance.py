"""Where the numbers of a page come from, how to reproduce and cite them, and what a reader must be warned of."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from importlib.metadata import version

from pathlen.claims.verdict import Verdict
from pathlen.passages.shipped import SHIPPED
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


@dataclass(frozen=True, slots=True)
class Banner:
    """A warning at the head of a page: its name, what it means, and a list of what it concerns."""

    name: str
    words: str
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Download:
    """A file that the page carries: its name, its ``data:`` address, and its compressed size."""

    name: str
    address: str
    kilobytes: float


def banners(run: Run) -> list[Banner]:
    """Return what a reader must know before any number, the gravest first."""
    warnings = []
    families = run.family.split(AND)
    if "mini" in families:
        warnings.append(
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
        warnings.append(
            Banner(
                "Random weights.",
                f"{', '.join(random)} guesses the next token no better than blindly, as a network does that was never trained. "
                "What is found there is no property of a language model.",
            )
        )
    if run.deviations:
        warnings.append(
            Banner(
                "Deviated.",
                f"These claims are not the ones that were written down beforehand in {run.lock}:",
                run.deviations,
            )
        )
    if missing := _missing(run):
        warnings.append(Banner("Partial run.", "This page does not hold all that was declared:", tuple(missing)))
    if not any(finding.controls for finding in run.findings):
        warnings.append(
            Banner(
                "No controls.",
                "Nothing was tried where the claims should fail, so support may be what any network would give.",
            )
        )
    if speaks_of_its_texts_only(run):
        warnings.append(Banner("These texts only.", OF_ITS_TEXTS_ONLY))
    if (recorded := run.environment.get("pathlen", "unknown")) != (installed := version("pathlen")):
        warnings.append(
            Banner(
                "Stale.",
                f"The record was made by pathlen {recorded} and is shown by {installed}; what is computed may have changed.",
            )
        )
    return warnings


def _missing(run: Run) -> list[str]:
    missing = []
    if run.declared is not None and len(run.claims) < run.declared:
        missing.append(f"{len(run.claims)} of {run.declared} declared readings of claims were asked for")
    claimed = {size for claim in run.claims for size in claim.sizes}
    if AND not in run.family and (absent := sorted(claimed - set(run.sizes))) and run.sizes != (ALONE,):
        missing.append(f"sizes that claims are made about, and that were not run: {', '.join(absent)}")
    words = [cell.word for row in rows(run) for cell in row.all_cells]
    if times := words.count(NOT_RUN):
        missing.append(f"{times} checks on these sizes were not run")
    if times := words.count(Verdict.NOT_TESTED.value):
        missing.append(f"{times} checks could not be made; their cells say why")
    return missing


def stamp(run: Run) -> list[tuple[str, str]]:
    """Return what identifies a run: when, on which texts and models, under which lock, with which resampling."""
    tokens = max((model.tokens for model in run.models), default=0)
    digest = hashlib.sha256("".join(text.sha256 for text in run.texts).encode()).hexdigest()
    texts = "1 text" if len(run.texts) == 1 else f"{len(run.texts)} texts"
    drawn = [finding.estimate for finding in run.findings if finding.estimate and finding.estimate.replicates]
    units = dict.fromkeys(
        f"{estimate.units} {estimate.unit} resampled {estimate.replicates:,} times" for estimate in drawn
    )
    devices = dict.fromkeys(f"{model.dtype} on {model.device}" for model in run.models)
    return [
        ("family", run.family),
        ("run", run.started.replace("T", " ").replace("+00:00", " UTC")),
        ("texts", f"{texts}, {tokens:,} tokens, sha256 {digest[:12]}" if tokens else f"{texts}, sha256 {digest[:12]}"),
        ("lock", f"{run.lock}{f', sha256 {run.lock_sha256[:12]}' if run.lock_sha256 else ''}" if run.lock else "none"),
        ("intervals", f"{next(iter(units), 'nothing resampled')}, seed {run.seed}"),
        ("controls", run.controls),
        ("networks", ", ".join(devices) or "none measured"),
        ("record", f"pathlen {run.environment.get('pathlen', 'unknown')}, schema {run.schema_version}"),
    ]


def stages(run: Run) -> list[tuple[str, float, str]]:
    """Return the wall time of each stage in seconds, and a note on what came from an earlier run."""
    measuring = sum(model.seconds for model in run.models)
    from_earlier = [model.size for model in run.models if model.is_kept]
    tallies = [tally for finding in run.findings for tally in finding.controls]
    controls = sum(tally.seconds for tally in tallies)
    runs, earlier = sum(tally.runs for tally in tallies), sum(tally.kept for tally in tallies)
    return [
        (
            "loading and measuring networks",
            measuring,
            f"kept from an earlier run: {', '.join(from_earlier)}" if from_earlier else "",
        ),
        ("controls", controls, f"{runs:,} runs{f', {earlier:,} of them kept from an earlier one' if earlier else ''}"),
        ("intervals, universes and the rest", max(0.0, run.seconds - measuring - controls), ""),
        ("all of it", run.seconds, ""),
    ]


def reproduce(run: Run) -> list[str]:
    """Return the commands that make a run again, in a checkout of the project."""
    release = run.environment.get("pathlen", "unknown")
    checkout = (
        f"git checkout {run.revision.commit}{'   # with changes that were not committed' if run.revision.is_dirty else ''}"
        if run.revision
        else f"# a checkout of pathlen {release} with these claims"
    )
    user_texts = [text.origin for text in run.texts if text.origin != SHIPPED]
    texts = f" --text {' '.join(map(_quoted, user_texts))}" if user_texts else ""
    return [
        checkout,
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
    """Return an entry that cites the software and this record by its SHA-256."""
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
    """Return the files that a page carries, compressed by gzip; the same run gives the same bytes."""
    stem = _file_stem(run.family)
    packages = []
    for name, content in ((f"{stem}.json.gz", encoded(run)), (f"{stem}.tokens.csv.gz", tokens_csv(run))):
        packed = gzip.compress(content.encode("utf-8"), 9, mtime=0)
        address = f"data:application/gzip;base64,{b64encode(packed).decode('ascii')}"
        packages.append(Download(name, address, len(packed) / 1000))
    return packages


def _file_stem(family: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in family)
