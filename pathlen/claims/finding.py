"""The finding of a claim on one model: its estimate, its verdict, and what would settle it.

`evaluate` runs a claim's body and judges the interval; `decided` then takes the claim's controls into account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pathlen.claims.claim import Claim
from pathlen.claims.controls import Tally
from pathlen.claims.hints import what_to_return
from pathlen.claims.multiverse import Curve
from pathlen.claims.power import crossed_edges, detectable, needed
from pathlen.claims.shapley import Attribution
from pathlen.claims.verdict import Region, Verdict
from pathlen.errors import InvalidClaim, ModelMismatch, UndefinedEstimate
from pathlen.stats.estimate import Estimate
from pathlen.stats.statistic import REPLICATES, Statistic

__all__ = [
    "FRAGILE",
    "NEGLIGIBLE",
    "UNCONTROLLED",
    "Finding",
    "decided",
    "evaluate",
    "flags",
    "is_negligible",
    "vacuous_if",
]

# Flags that stand beside a verdict.
NEGLIGIBLE = "negligible"
FRAGILE = "fragile"
UNCONTROLLED = "uncontrolled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a claim on one model.

    Attributes
    ----------
    claim : Claim
    size : str
    verdict : Verdict
    estimate : Estimate or None
        None if the claim was not tested, is invalid, or its check failed.
    reason : str
        What the numbers don't show: why the claim is inconclusive and what would settle it, why it is vacuous, or why it
        was not tested and which command would change that.
    p_value : float or None
        Of the hypothesis that the true value lies outside the claim's region, from the same distribution as the interval:
        supported means p < 0.05. None without inference.
    negligible : bool
        Whether the claim is supported by a number too small to matter; see `Claim`.
    controls : tuple of Tally
        How often each of the claim's controls supports it; empty if none was run.
    attribution : Attribution or None
        For a published reading, how much each correction changes its number.
    universes : Curve or None
        Results of the other defensible analyses.

    """

    claim: Claim
    size: str
    verdict: Verdict
    estimate: Estimate | None = None
    reason: str = ""
    p_value: float | None = None
    negligible: bool = False
    controls: tuple[Tally, ...] = ()
    attribution: Attribution | None = None
    universes: Curve | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """Warnings that belong beside the verdict."""
        return flags(self.negligible, self.universes, self.controls)

    def __str__(self) -> str:
        flag = f" ({', '.join(self.flags)})" if self.flags else ""
        lines = [f"{self.verdict.value}{flag}: {self.claim.sentence}"]
        name = self.estimate.statistic if self.estimate else "the number"
        lines.append(f"  claimed   {name}: {self.claim.expect}  (section {self.claim.section}, {self.claim.reading})")
        if self.estimate:
            level = "" if self.estimate.unit == "census" else f", {self.estimate.level:.0%} interval"
            lines.append(f"  measured  {self.estimate}{level}")
        if self.estimate and self.estimate.caution:
            lines.append(f"  caution   {self.estimate.caution}")
        lines += [f"  control   {tally}" for tally in self.controls]
        if self.claim.compares_sizes:
            lines.append("  beware    there is one network of each size, so nothing here is about size as such")
        if self.universes:
            lines.append(f"  universes {self.universes.agreeing:.0%} of equivalent analyses come to the same verdict")
        if self.reason:
            lines.append(f"  because   {self.reason}")
        return "\n".join(lines)


def flags(negligible: bool, universes: Curve | None, controls: Sequence[Tally]) -> tuple[str, ...]:
    """Return the warnings that belong beside a verdict.

    `NEGLIGIBLE` is a number too small to matter, `FRAGILE` a verdict that hangs on an analysis choice, and `UNCONTROLLED` a
    verdict whose controls all gave no number.
    """
    applies = {
        NEGLIGIBLE: negligible,
        FRAGILE: universes is not None and universes.is_fragile,
        UNCONTROLLED: bool(controls) and not any(tally.defined for tally in controls),
    }
    return tuple(name for name, holds in applies.items() if holds)


def is_negligible(margin: Region | None, estimate: Estimate) -> bool:
    """Whether the 90 % interval shows that a number lies in the region of values too small to matter."""
    if margin is None:
        return False
    interval = estimate.at(margin.level)
    return margin.judge(interval.low, interval.high) is Verdict.SUPPORTED


def evaluate(
    claim: Claim, size: str, body: Callable[[], Statistic], *, seed: int, replicates: int = REPLICATES
) -> Finding:
    """Run a claim's body on one model, judge the interval that its region asks for, and return the finding.

    If the estimate is undefined, the verdict is `Verdict.INVALID`, never one about the claim. The caller handles all other
    exceptions of the body. Controls are added later by `decided`.

    Raises
    ------
    InvalidClaim
        If the body does not return a statistic, or returns one that could never refute the claim.

    """
    try:
        statistic = body()
        _refuse_unfit(claim, statistic)
        sampling = statistic.sampling(by=claim.unit, seed=seed, replicates=replicates)
        estimate = sampling.estimate(claim.expect.level)
    except (UndefinedEstimate, ModelMismatch) as error:
        return Finding(claim=claim, size=size, verdict=Verdict.INVALID, reason=str(error))
    verdict = claim.expect.judge(estimate.low, estimate.high)
    finding = Finding(
        claim=claim,
        size=size,
        verdict=verdict,
        estimate=estimate,
        reason=_what_would_settle(estimate, claim.expect) if verdict is Verdict.INCONCLUSIVE else "",
        p_value=sampling.p_value(claim.expect.low, claim.expect.high),
    )
    if verdict is Verdict.SUPPORTED and is_negligible(claim.negligible, estimate):
        finding = replace(
            finding, negligible=True, reason=f"but the number lies {claim.negligible}, too small to matter"
        )
    return decided(finding, ())


def decided(finding: Finding, controls: Sequence[Tally]) -> Finding:
    """Return a finding with its controls.

    Support is vacuous if the controls support the claim too, or if nothing could refute it.
    """
    verdict = vacuous_if(finding.verdict, finding.claim.true_by_construction, controls)
    reason = finding.reason
    vacuous_controls = "; ".join(str(tally) for tally in controls if tally.shows_vacuity)
    if verdict is not finding.verdict:
        reason = finding.claim.true_by_construction or f"its controls give it as well: {vacuous_controls}"
    elif verdict is Verdict.INCONCLUSIVE and vacuous_controls:
        reason += f"; but support would be vacuous: {vacuous_controls}"
    return replace(finding, verdict=verdict, reason=reason, controls=tuple(controls))


def vacuous_if(verdict: Verdict, true_by_construction: str, controls: Iterable[Tally]) -> Verdict:
    """Return the verdict, with support turned vacuous if nothing could have refuted it or controls support it too."""
    is_vacuous = bool(true_by_construction) or any(tally.shows_vacuity for tally in controls)
    return Verdict.VACUOUS if verdict is Verdict.SUPPORTED and is_vacuous else verdict


def _refuse_unfit(claim: Claim, statistic: object) -> None:
    if not isinstance(statistic, Statistic):
        raise InvalidClaim(what_to_return(claim.id, statistic))
    lowest, highest = statistic.ends
    if lowest >= claim.expect.low and highest <= claim.expect.high:
        raise InvalidClaim(
            f"claim {claim.id!r} could never be refuted: its {statistic.name} lies from {lowest:g} to {highest:g}, all of it "
            f"{claim.expect}"
        )


def _what_would_settle(estimate: Estimate, region: Region) -> str:
    parts = [f"the interval crosses {' and '.join(f'{edge:g}' for edge in crossed_edges(estimate, region))}"]
    if power := detectable(estimate, region):
        parts.append(f"{estimate.n:,} tokens like these {power}")
    if remedy := needed(estimate, region):
        parts.append(remedy)
    return "; ".join(parts)
