"""One record out of several that were made apart: sizes that ran on different days, or on different machines.

What was measured under other conditions is not put side by side: records are merged only if they are of one family, the
same texts, seed, controls and lock, by one version of this package, and where they speak of the same model or claim they must
say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from pathlen import SIZES
from pathlen.errors import InvalidRecord
from pathlen.records import FindingRecord, Run
from pathlen.verdicts import Verdict

__all__ = ["merged", "undecided"]

T = TypeVar("T")

SAME: dict[str, Callable[[Run], object]] = {
    "family": lambda run: run.family,
    "texts": lambda run: ", ".join(f"{text.name} {text.sha256[:12]}" for text in run.texts),
    "seed": lambda run: run.seed,
    "tokens left out": lambda run: run.left_out,
    "controls": lambda run: run.controls,
    "lock": lambda run: run.lock,
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
            if of(run) != of(first):
                raise InvalidRecord(
                    f"records of one {what} can be merged, but {names[0]} has {of(first)} and {name} has {of(run)}"
                )
    if not others:
        return first
    named = list(zip(runs, names, strict=True))
    models = _union(
        [((one.size,), one, name) for run, name in named for one in run.models],
        lambda one: (one.weights_sha256, one.tokenizer_sha256, one.dtype),
        "other weights, tokenizer or type",
    )
    claims = _union(
        [((one.id, one.reading), one, name) for run, name in named for one in run.claims],
        lambda one: replace(one, node=""),
        "another declaration",
    )
    tested = sorted(
        (((one.claim, one.reading, one.size), one, name) for run, name in named for one in run.findings),
        key=lambda found: found[1].verdict == Verdict.NOT_TESTED.value,
    )
    findings = _union(tested, lambda one: one.verdict, "another verdict", unless=Verdict.NOT_TESTED.value)
    sizes = {size for run in runs for size in run.sizes}
    ordered = [*(size for size in SIZES if size in sizes), *sorted(sizes - set(SIZES))]
    return replace(
        first,
        sizes=tuple(ordered),
        selection=f"--family {first.family}",
        started=min(run.started for run in runs),
        seconds=sum(run.seconds for run in runs),
        models=tuple(sorted(models, key=lambda one: ordered.index(one.size) if one.size in ordered else len(ordered))),
        claims=tuple(claims),
        findings=tuple(findings),
        environment={
            key: "; ".join(dict.fromkeys(run.environment[key] for run in runs if key in run.environment))
            for key in first.environment
        },
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
