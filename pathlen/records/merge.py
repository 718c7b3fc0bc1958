"""One record out of several that were made apart: sizes that ran on different days or machines, or whole families.

What was measured under other conditions is not put side by side: records are merged only if they are of the same texts,
seed, controls and lock, made by one version of this package, and where they speak of the same model or claim they must say the
same. Sizes of several families are told apart by their names: ``gpt2 / small`` beside ``mini / small``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from pathlen._util.provenance import Revision
from pathlen.claims.verdict import Verdict
from pathlen.errors import InvalidRecord
from pathlen.models.families import SIZES
from pathlen.records.schema import FindingRecord, Run

__all__ = ["ALONE", "AND", "OF", "merged", "undecided"]

OF = " / "  # between a family and its size
AND = " + "  # between families
ALONE = "model"  # the size of a checkpoint that is a family of its own

T = TypeVar("T")

CONTENT = "content of the lock"
SAME: dict[str, Callable[[Run], object]] = {
    "texts": lambda run: ", ".join(f"{text.name} {text.sha256[:12]}" for text in run.texts),
    "seed": lambda run: run.seed,
    "tokens left out": lambda run: run.left_out,
    "controls": lambda run: run.controls,
    "lock": lambda run: run.lock,
    CONTENT: lambda run: run.lock_sha256 and run.lock_sha256[:12],
    "deviations from the lock": lambda run: "; ".join(run.deviations),
    "version of pathlen": lambda run: run.environment.get("pathlen"),
}


def merged(runs: Sequence[Run], names: Sequence[str]) -> Run:
    """Return one record of several; a single one is returned as it is.

    Parameters
    ----------
    runs : sequence of Run
        At least one.
    names : sequence of str
        What to call each in an error: the file it was read from.

    Raises
    ------
    InvalidRecord
        If they differ in what has to be the same; the message says in what, and which.

    """
    first, *others = runs
    for run, name in zip(others, names[1:], strict=True):
        for what, of in SAME.items():
            if of(run) != of(first) and not (what == CONTENT and None in (of(run), of(first))):  # not in old records
                raise InvalidRecord(
                    f"records of one {what} can be merged, but {names[0]} has {of(first)} and {name} has {of(run)}"
                )
    if not others:
        return first
    families = dict.fromkeys(family for run in runs for family in run.family.split(AND))
    if len(families) > 1:
        runs = [_labelled(run) for run in runs]
    named = list(zip(runs, names, strict=True))
    models = _union(
        [((one.size,), one, name) for run, name in named for one in run.models],
        lambda one: (one.weights_sha256, one.tokenizer_sha256, one.dtype),
        "other weights, tokenizer or type",
    )
    claims = _union(
        [((one.id, one.reading), one, name) for run, name in named for one in run.claims],
        lambda one: replace(one, node="", sizes=() if len(families) > 1 else one.sizes),
        "another declaration",
    )
    sizes_of: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        for one in run.claims:
            sizes_of.setdefault((one.id, one.reading), []).extend(one.sizes)
    claims = [replace(one, sizes=tuple(dict.fromkeys(sizes_of[one.id, one.reading]))) for one in claims]
    tested = sorted(
        (((one.claim, one.reading, one.size), one, name) for run, name in named for one in run.findings),
        key=lambda found: found[1].verdict == Verdict.NOT_TESTED.value,
    )
    findings = _union(tested, lambda one: one.verdict, "another verdict", unless=Verdict.NOT_TESTED.value)
    sizes = list(dict.fromkeys(size for run in runs for size in run.sizes))
    families_in_order = list(families)
    sizes.sort(key=lambda size: _place(size, families_in_order))
    return replace(
        first,
        schema_version=max(run.schema_version for run in runs),
        family=AND.join(families),
        sizes=tuple(sizes),
        selection=AND.join(dict.fromkeys(_selection(run) for run in runs)),
        started=min(run.started for run in runs),
        seconds=sum(run.seconds for run in runs),
        models=tuple(sorted(models, key=lambda one: sizes.index(one.size) if one.size in sizes else len(sizes))),
        claims=tuple(claims),
        findings=tuple(findings),
        environment={
            key: "; ".join(dict.fromkeys(run.environment[key] for run in runs if key in run.environment))
            for key in first.environment
        },
        lock_sha256=next((run.lock_sha256 for run in runs if run.lock_sha256), None),
        declared=next((run.declared for run in runs if run.declared is not None), None),
        revision=_revision(runs),
    )


def _revision(runs: Sequence[Run]) -> Revision | None:
    """Return the commit that all runs share, with changes if one of them had some; None where they share none."""
    found = [run.revision for run in runs]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or len({one.commit for one in known}) > 1:
        return None
    return Revision(commit=known[0].commit, is_dirty=any(one.is_dirty for one in known))


def _selection(run: Run) -> str:
    """Return the options that choose all models of a run's family, whichever of its sizes it ran on."""
    is_own = run.sizes in ((ALONE,), (run.family,))
    return run.selection if is_own or AND in run.family else f"--family {run.family}"


def _place(size: str, families: list[str]) -> tuple[int, int, str]:
    """Return where a size stands: by its family, then by the order of sizes, then by name."""
    family, _, own = size.rpartition(OF)
    family = family or own
    return (
        families.index(family) if family in families else 0,
        SIZES.index(own) if own in SIZES else len(SIZES),
        own,
    )


def _labelled(run: Run) -> Run:
    """Return a run whose sizes are named with its family, unless they are already."""

    def label(size: str) -> str:
        if OF in size or size in run.family.split(AND):
            return size
        return run.family if size == ALONE else f"{run.family}{OF}{size}"

    return replace(
        run,
        sizes=tuple(map(label, run.sizes)),
        models=tuple(replace(one, size=label(one.size)) for one in run.models),
        claims=tuple(replace(one, sizes=tuple(map(label, one.sizes))) for one in run.claims),
        findings=tuple(replace(one, size=label(one.size)) for one in run.findings),
    )


def undecided(run: Run) -> list[FindingRecord]:
    """Return the findings between sizes that were not tested, though the size that they are about was measured."""
    claims = {(one.id, one.reading): one for one in run.claims if one.compares_sizes}
    measured = {one.size for one in run.models}
    return [
        one
        for one in run.findings
        if one.verdict == Verdict.NOT_TESTED.value
        and (claim := claims.get((one.claim, one.reading)))
        and (one.size in measured or claim.logic == "differs")
    ]


def _union(
    parts: Sequence[tuple[tuple[str, ...], T, str]],
    same: Callable[[T], object],
    what: str,
    *,
    unless: object = None,
) -> list[T]:
    """Return each part once, in order; `InvalidRecord` if two of one name differ in what has to be the same."""
    found: dict[tuple[str, ...], tuple[T, str]] = {}
    for key, one, name in parts:
        known, where = found.setdefault(key, (one, name))
        if same(one) != same(known) and same(one) != unless:
            raise InvalidRecord(
                f"records must agree to be merged, but {name} has {what} of {' '.join(key)} than {where}"
            )
    return [one for one, _ in found.values()]
