"""Merging records: one record from several sizes that ran on different days or machines, or from several families.

Only comparable records are merged: they must agree on texts, seed, controls, lock and package version, and where two of them
contain the same model or claim, on that too. Sizes of several families are told apart by their names: ``gpt2 / small`` beside
``mini / small``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pathlen._util.provenance import Revision
from pathlen.claims.verdict import Verdict
from pathlen.errors import InvalidRecord
from pathlen.models.families import SIZES
from pathlen.records.schema import ClaimRecord, FindingRecord, ModelRecord, Run

__all__ = ["ALONE", "AND", "OF", "SAME", "merged", "undecided"]

OF = " / "  # between a family and its size
AND = " + "  # between families
ALONE = "model"  # the size of a checkpoint that is a family of its own
UNTESTED = Verdict.NOT_TESTED.value

CONTENT = "content of the lock"
# What merged records must agree on: its name in a message, and its value.
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
UNKNOWN_IN_OLD_RECORDS = frozenset({CONTENT})

T = TypeVar("T", ModelRecord, ClaimRecord, FindingRecord)


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """A part of a record: the words that identify it, its content, and the name of the record in messages."""

    key: tuple[str, ...]
    content: T
    source: str


def merged(runs: Sequence[Run], names: Sequence[str]) -> Run:
    """Return one record made of several. A single record is returned unchanged.

    Parameters
    ----------
    runs : sequence of Run
        At least one.
    names : sequence of str
        Their names in messages: the files they were read from.

    Raises
    ------
    InvalidRecord
        If they differ where they have to agree. The message names the difference and the records.

    """
    _refuse_other_conditions(runs, names)
    if len(runs) == 1:
        return runs[0]
    families = list(dict.fromkeys(family for run in runs for family in run.family.split(AND)))
    if len(families) > 1:
        runs = [_labelled(run) for run in runs]
    sizes = sorted(dict.fromkeys(size for run in runs for size in run.sizes), key=lambda size: _rank(size, families))
    return replace(
        runs[0],
        schema_version=max(run.schema_version for run in runs),
        family=AND.join(families),
        sizes=tuple(sizes),
        selection=AND.join(dict.fromkeys(_selection(run) for run in runs)),
        started=min(run.started for run in runs),
        seconds=sum(run.seconds for run in runs),
        models=_models(runs, names, sizes),
        claims=_claims(runs, names, sizes_may_differ=len(families) > 1),
        findings=_findings(runs, names),
        environment=_environment(runs),
        lock_sha256=next((run.lock_sha256 for run in runs if run.lock_sha256), None),
        declared=next((run.declared for run in runs if run.declared is not None), None),
        revision=_revision(runs),
    )


def _refuse_other_conditions(runs: Sequence[Run], names: Sequence[str]) -> None:
    """Raise `InvalidRecord` if a record was made under other conditions than the first."""
    for run, name in zip(runs[1:], names[1:], strict=True):
        for condition, condition_of in SAME.items():
            expected, actual = condition_of(runs[0]), condition_of(run)
            if condition in UNKNOWN_IN_OLD_RECORDS and None in (expected, actual):
                continue
            if actual != expected:
                raise InvalidRecord(
                    f"records of one {condition} can be merged, but {names[0]} has {expected} and {name} has {actual}"
                )


def _models(runs: Sequence[Run], names: Sequence[str], sizes: Sequence[str]) -> tuple[ModelRecord, ...]:
    """Return every model once, in the order of the sizes; a size that no run asked for comes last."""
    models = _union(
        [_Part((model.size,), model, name) for run, name in zip(runs, names, strict=True) for model in run.models],
        lambda model: (model.weights_sha256, model.tokenizer_sha256, model.dtype),
        "other weights, tokenizer or type",
    )
    return tuple(sorted(models, key=lambda model: sizes.index(model.size) if model.size in sizes else len(sizes)))


def _claims(runs: Sequence[Run], names: Sequence[str], *, sizes_may_differ: bool) -> tuple[ClaimRecord, ...]:
    """Return every claim once, about the sizes of all its declarations."""
    claims = _union(
        [
            _Part((claim.id, claim.reading), claim, name)
            for run, name in zip(runs, names, strict=True)
            for claim in run.claims
        ],
        lambda claim: replace(claim, node="", sizes=() if sizes_may_differ else claim.sizes),
        "another declaration",
    )
    sizes: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        for claim in run.claims:
            sizes.setdefault((claim.id, claim.reading), []).extend(claim.sizes)
    return tuple(replace(claim, sizes=tuple(dict.fromkeys(sizes[claim.id, claim.reading]))) for claim in claims)


def _findings(runs: Sequence[Run], names: Sequence[str]) -> tuple[FindingRecord, ...]:
    """Return every finding once. One that was not tested gives way to the same finding where it was tested."""
    parts = [
        _Part((finding.claim, finding.reading, finding.size), finding, name)
        for run, name in zip(runs, names, strict=True)
        for finding in run.findings
    ]
    parts.sort(key=lambda part: part.content.verdict == UNTESTED)
    return tuple(_union(parts, lambda finding: finding.verdict, "another verdict", compatible=UNTESTED))


def _union(
    parts: Sequence[_Part[T]],
    must_agree: Callable[[T], object],
    difference: str,
    *,
    compatible: object = None,
) -> list[T]:
    """Return the first part of each key, in order.

    Raises
    ------
    InvalidRecord
        If two parts with one key differ in ``must_agree``, unless the later one has the ``compatible`` value.

    """
    firsts: dict[tuple[str, ...], _Part[T]] = {}
    for part in parts:
        first = firsts.setdefault(part.key, part)
        if must_agree(part.content) not in (must_agree(first.content), compatible):
            raise InvalidRecord(
                f"records must agree to be merged, but {part.source} has {difference} of {' '.join(part.key)} "
                f"than {first.source}"
            )
    return [first.content for first in firsts.values()]


def _environment(runs: Sequence[Run]) -> dict[str, str]:
    """Return the distinct versions of everything that the first record's environment names."""
    return {
        name: "; ".join(dict.fromkeys(run.environment[name] for run in runs if name in run.environment))
        for name in runs[0].environment
    }


def _revision(runs: Sequence[Run]) -> Revision | None:
    """Return the commit of all runs, dirty if it was in any of them; None unless they share one."""
    revisions = [run.revision for run in runs if run.revision is not None]
    if len(revisions) < len(runs) or len({revision.commit for revision in revisions}) > 1:
        return None
    return Revision(commit=revisions[0].commit, is_dirty=any(revision.is_dirty for revision in revisions))


def _selection(run: Run) -> str:
    """Return the options that select all models of a run's family, whichever of its sizes it ran on."""
    is_single_checkpoint = run.sizes in ((ALONE,), (run.family,))
    return run.selection if is_single_checkpoint or AND in run.family else f"--family {run.family}"


def _rank(size: str, families: Sequence[str]) -> tuple[int, int, str]:
    """Return the sort key of a size: by family, then by the order of sizes, then by name."""
    family, _, name = size.rpartition(OF)
    family = family or name
    return (
        families.index(family) if family in families else 0,
        SIZES.index(name) if name in SIZES else len(SIZES),
        name,
    )


def _labelled(run: Run) -> Run:
    """Return a run whose sizes are named with its family, unless they already are."""

    def label(size: str) -> str:
        if OF in size or size in run.family.split(AND):
            return size
        return run.family if size == ALONE else f"{run.family}{OF}{size}"

    return replace(
        run,
        sizes=tuple(map(label, run.sizes)),
        models=tuple(replace(model, size=label(model.size)) for model in run.models),
        claims=tuple(replace(claim, sizes=tuple(map(label, claim.sizes))) for claim in run.claims),
        findings=tuple(replace(finding, size=label(finding.size)) for finding in run.findings),
    )


def undecided(run: Run) -> list[FindingRecord]:
    """Return the findings that compare sizes and were not tested although the size they are about was measured."""
    claims = {(claim.id, claim.reading): claim for claim in run.claims if claim.compares_sizes}
    measured = {model.size for model in run.models}
    return [
        finding
        for finding in run.findings
        if finding.verdict == UNTESTED
        and (claim := claims.get((finding.claim, finding.reading)))
        and (finding.size in measured or claim.logic == "differs")
    ]
