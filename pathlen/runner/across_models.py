"""What only several sizes together can say, where the sizes ran apart.

A run keeps in the user's cache what it measured of a size, and what the same size gave in the perturbations of the controls (see
`pathlen.runner.provider`). Once the records of several runs are one, a claim between sizes that none of them could decide is decided
here, from those measurements alone: digests, type, device and texts of the records are what they are kept under. No network is
loaded and no text is read. Where something is not kept, or the claim has changed since, it stays NOT TESTED, with the
command that would decide it.

It is done when records are put together, and not by whichever run comes last: so a run finds what it was asked for, whatever
others left behind, and sizes can run in any order, at the same time, or on machines that share a cache folder. It is done
from the cache, and not from the records: what such claims and their controls take of every token is hundreds of times as large as
a record.
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
from pathlen.runner.evaluator import SMALLEST, Check, Evaluator
from pathlen.runner.provider import ColumnProvider

__all__ = ["compared"]


def compared(run: Run, folder: Path, kept: Cache) -> tuple[Run, list[str]]:
    """Return a merged record with its claims between sizes decided where they can be, and a line about each.

    Parameters
    ----------
    run : Run
        Of several sizes that ran apart.
    folder : Path
        Where the claims are, as they were when the sizes ran.
    kept : Cache
        Where those runs kept what they measured.

    """
    found: dict[tuple[str, str, str], FindingRecord] = {}
    judge: _Judge | str | None = None
    for one in undecided(run):
        claim = next(claim for claim in run.claims if (claim.id, claim.reading) == (one.claim, one.reading))
        sizes = claim.sizes if one.size == TOGETHER else (SMALLEST, one.size)
        absent = [size for size in sizes if size not in {model.size for model in run.models}]
        names = ", ".join(sizes)
        if absent:
            reason = (
                f"the claim compares {names}, but no record here is of {', '.join(absent)}; make one with: "
                f"pytest {folder} {run.selection} --size {','.join(absent)} --report DIR"
            )
            made = replace(one, reason=reason)
        elif not folder.is_dir():
            made = replace(
                one, reason=f"the claim compares {names}, but is not in {folder}; name its folder with --claims"
            )
        else:
            judge = judge or _judge(run, folder, kept)
            made = replace(one, reason=judge) if isinstance(judge, str) else judge.finding(one, claim, sizes)
        found[made.claim, made.reading, made.size] = made
    lines = [
        f"{one.claim} ({one.reading}), {one.size}: {one.verdict}{f', {one.reason}' if one.reason else ''}"
        for one in found.values()
    ]
    whole = tuple(found.get((one.claim, one.reading, one.size), one) for one in run.findings)
    return replace(run, findings=whole), lines


def _judge(run: Run, folder: Path, kept: Cache) -> _Judge | str:
    """Return who decides, or why nobody can; a record is rendered all the same."""
    try:
        return _Judge(run, folder, kept)
    except PathlenError as error:
        return f"the claims that compare sizes can't be read: {error}"


class _Judge:
    """Decides claims of a record from what is kept."""

    def __init__(self, run: Run, folder: Path, kept: Cache) -> None:
        self._run, self._folder, self._kept = run, folder, kept
        self._models = {one.size: one for one in run.models}
        self._checks = {check.key: check for check in (Check(*one) for one in checks_of(folder))}
        self._declared = lock_of(folder).declarations
        path = nearest(folder, folder)
        self._lock = read_lock(path) if path else None
        self._evaluators: dict[tuple[str, str], Evaluator] = {}

    def finding(self, one: FindingRecord, claim: ClaimRecord, sizes: Sequence[str]) -> FindingRecord:
        """Return an undecided finding, decided or with the reason why it can't be."""
        again = f"pytest {self._folder} {self._run.selection}"
        check = self._checks.get((one.claim, one.reading))
        if check is None or self._has_changed(check, claim):
            return replace(
                one, reason=f"the claim in {self._folder} is not the one of these records; run again: {again}"
            )
        if not check.is_plain:
            return replace(one, reason=f"the claim needs more than columns, so its sizes have to run at once: {again}")
        where = {(self._models[size].device, self._models[size].dtype) for size in sizes}
        if len(where) > 1:
            ran = "; ".join(f"{size} on {self._models[size].device} in {self._models[size].dtype}" for size in sizes)
            return replace(one, reason=f"sizes are compared on one device in one type, but ran apart: {ran}")
        try:
            found = FindingRecord.of(self._evaluator(*where.pop()).finding(check, one.size, {}))
        except ModelNotFound as error:
            return replace(one, reason=str(error))
        except Exception as error:  # noqa: BLE001  # of one claim's body; the page has room for the others
            return replace(one, verdict=Verdict.ERROR.value, reason=f"{type(error).__name__}: {error}")
        note = f"decided from what the runs of {', '.join(sizes)} kept"
        return replace(found, reason="; ".join(filter(None, (found.reason, note))))

    def _has_changed(self, check: Check, claim: ClaimRecord) -> bool:
        """Whether a claim is another than the one in the records; its body is known by how it differs from the lock."""
        deviation = self._lock.deviation(self._declared[check.key]) if self._lock else ""
        return deviation != claim.deviation or ClaimRecord.of(check.claim, claim.node, claim.deviation) != claim

    def _evaluator(self, device: str, dtype: str) -> Evaluator:
        if (device, dtype) not in self._evaluators:
            bench = ColumnProvider(
                # Nothing is measured, so of a text its name and digest are all that is asked for.
                cast("Sequence[Passage]", self._run.texts),
                seed=self._run.seed,
                device=device,
                dtype=dtype,
                kept=self._kept,
                loader=self._refuse,
                identifier=lambda spec: _identity(self._models[spec.size]),
                tokenizers=None,
            )
            made = Evaluator(bench, self._spec, effort=self._run.controls, seed=self._run.seed, kept=self._kept)
            made.know(self._checks.values())
            self._evaluators[device, dtype] = made
        return self._evaluators[device, dtype]

    def _spec(self, size: str) -> ModelSpec:
        one = self._models[size]
        return ModelSpec(
            family=self._run.family,
            size=size,
            title=one.title,
            source=one.source,
            revision=one.revision,
            n_layer=one.n_layer,
            n_head=one.n_head,
            d_model=one.d_model,
        )

    def _refuse(self, spec: ModelSpec, **_: Any) -> NoReturn:
        raise ModelNotFound(
            f"not all that the claim needs of {spec.title} and of its controls was kept in {self._kept.home} by this version of "
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
