"""Claims between sizes, decided where the sizes ran apart.

A run keeps in the user's cache what it measured of a size, and what the same size gave under the controls' perturbations (see
`pathlen.runner.provider`). Once the records of several runs are one, a claim between sizes that none of them could decide is
decided here, from those measurements alone. They are found by the digests, type, device and texts in the records. No network is
loaded and no text is read. If something was not kept, or the claim has changed since, it stays NOT TESTED, with the command that
would decide it.

This happens when records are put together rather than in whichever run comes last. So a run reports what it was asked for,
whatever others left behind, and sizes can run in any order, at the same time, or on machines that share a cache folder. It uses
the cache rather than the records because such claims and their controls need hundreds of times as much data as a record holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, cast

from pathlen._util.cache import Cache
from pathlen.claims.claim import TOGETHER
from pathlen.claims.lock import checks_of, lock_of, nearest, read_lock
from pathlen.claims.verdict import Verdict
from pathlen.errors import ModelNotFound, PathlenError
from pathlen.models.checkpoint import Identity
from pathlen.models.families import ModelSpec
from pathlen.passages.passage import Passage
from pathlen.records.merge import undecided
from pathlen.records.schema import ClaimRecord, FindingRecord, ModelRecord, Run
from pathlen.runner.check import SMALLEST, Check
from pathlen.runner.evaluator import Evaluator
from pathlen.runner.provider import ColumnProvider

__all__ = ["compared"]


def compared(run: Run, folder: Path, cache: Cache) -> tuple[Run, list[str]]:
    """Return a merged record with its claims between sizes decided where they can be, and a line about each.

    Parameters
    ----------
    run : Run
        Of several sizes that ran apart.
    folder : Path
        The claims, as they were when the sizes ran.
    cache : Cache
        Where those runs kept what they measured.

    """
    decided: dict[tuple[str, str, str], FindingRecord] = {}
    judge: _Judge | str | None = None
    for finding in undecided(run):
        claim = next(claim for claim in run.claims if (claim.id, claim.reading) == (finding.claim, finding.reading))
        sizes = claim.sizes if finding.size == TOGETHER else (SMALLEST, finding.size)
        reason = _why_undecidable(run, folder, sizes)
        if reason is None:
            judge = judge or _judge(run, folder, cache)
            outcome = replace(finding, reason=judge) if isinstance(judge, str) else judge.finding(finding, claim, sizes)
        else:
            outcome = replace(finding, reason=reason)
        decided[finding.claim, finding.reading, finding.size] = outcome
    lines = [
        f"{finding.claim} ({finding.reading}), {finding.size}: {finding.verdict}"
        + (f", {finding.reason}" if finding.reason else "")
        for finding in decided.values()
    ]
    findings = (decided.get((finding.claim, finding.reading, finding.size), finding) for finding in run.findings)
    return replace(run, findings=tuple(findings)), lines


def _why_undecidable(run: Run, folder: Path, sizes: Sequence[str]) -> str | None:
    """Return why a claim that compares sizes can't be decided whatever was kept; None if it can."""
    recorded = {model.size for model in run.models}
    absent = [size for size in sizes if size not in recorded]
    names = ", ".join(sizes)
    if absent:
        return (
            f"the claim compares {names}, but no record here is of {', '.join(absent)}; make one with: "
            f"pytest {folder} {run.selection} --size {','.join(absent)} --report DIR"
        )
    if not folder.is_dir():
        return f"the claim compares {names}, but is not in {folder}; name its folder with --claims"
    return None


def _judge(run: Run, folder: Path, cache: Cache) -> _Judge | str:
    """Return what decides the claims, or the reason why nothing can; a record is rendered in any case."""
    try:
        return _Judge(run, folder, cache)
    except PathlenError as error:
        return f"the claims that compare sizes can't be read: {error}"


class _Judge:
    """Decides claims of a record from what its runs kept."""

    def __init__(self, run: Run, folder: Path, cache: Cache) -> None:
        self._run, self._folder, self._cache = run, folder, cache
        self._models = {model.size: model for model in run.models}
        self._checks = {check.key: check for check in (Check(*declared) for declared in checks_of(folder))}
        self._declared = lock_of(folder).declarations
        path = nearest(folder, folder)
        self._lock = read_lock(path) if path else None
        self._evaluators: dict[tuple[str, str], Evaluator] = {}

    def finding(self, finding: FindingRecord, claim: ClaimRecord, sizes: Sequence[str]) -> FindingRecord:
        """Return an undecided finding, decided or with the reason why it can't be."""
        again = f"pytest {self._folder} {self._run.selection}"
        check = self._checks.get((finding.claim, finding.reading))
        if check is None or self._has_changed(check, claim):
            return replace(
                finding, reason=f"the claim in {self._folder} is not the one of these records; run again: {again}"
            )
        if not check.is_plain:
            return replace(
                finding, reason=f"the claim needs more than columns, so its sizes have to run at once: {again}"
            )
        where = {(self._models[size].device, self._models[size].dtype) for size in sizes}
        if len(where) > 1:
            ran = "; ".join(f"{size} on {self._models[size].device} in {self._models[size].dtype}" for size in sizes)
            return replace(finding, reason=f"sizes are compared on one device in one type, but ran apart: {ran}")
        try:
            decided = FindingRecord.of(self._evaluator(*where.pop()).finding(check, finding.size, {}))
        except ModelNotFound as error:
            return replace(finding, reason=str(error))
        except Exception as error:  # noqa: BLE001  # of one claim's body; the page has room for the others
            return replace(finding, verdict=Verdict.ERROR.value, reason=f"{type(error).__name__}: {error}")
        note = f"decided from what the runs of {', '.join(sizes)} kept"
        return replace(decided, reason="; ".join(filter(None, (decided.reason, note))))

    def _has_changed(self, check: Check, claim: ClaimRecord) -> bool:
        """Return whether a claim differs from the one in the records; its body does if it differs from the lock."""
        deviation = self._lock.deviation(self._declared[check.key]) if self._lock else ""
        return deviation != claim.deviation or ClaimRecord.of(check.claim, claim.node, claim.deviation) != claim

    def _evaluator(self, device: str, dtype: str) -> Evaluator:
        if (device, dtype) not in self._evaluators:
            provider = ColumnProvider(
                # Nothing is measured, so only the names and digests of the texts are used.
                cast("Sequence[Passage]", self._run.texts),
                device=device,
                dtype=dtype,
                cache=self._cache,
                loader=self._refuse,
                identifier=lambda spec: _identity(self._models[spec.size]),
            )
            evaluator = Evaluator(
                provider, self._spec, effort=self._run.controls, seed=self._run.seed, cache=self._cache
            )
            evaluator.add_readings(self._checks.values())
            self._evaluators[device, dtype] = evaluator
        return self._evaluators[device, dtype]

    def _spec(self, size: str) -> ModelSpec:
        model = self._models[size]
        return ModelSpec(
            family=self._run.family,
            size=size,
            title=model.title,
            source=model.source,
            revision=model.revision,
            n_layer=model.n_layer,
            n_head=model.n_head,
            d_model=model.d_model,
        )

    def _refuse(self, spec: ModelSpec, **_: Any) -> NoReturn:
        raise ModelNotFound(
            f"not all that the claim needs of {spec.title} and of its controls was kept in {self._cache.home} by this version of "
            "pathlen and of what it computes with",
            f"pytest {self._folder} {self._run.selection}",
        )


def _identity(model: ModelRecord) -> Identity:
    return Identity(
        context=model.context,
        weights_sha256=model.weights_sha256,
        tokenizer_sha256=model.tokenizer_sha256,
        config_sha256=model.config_sha256,
    )
