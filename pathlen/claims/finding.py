"""What a claim comes to: its estimate, its verdict, and what would settle it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pathlen.claims.claim import NEGLIGIBLE, Claim
from pathlen.claims.controls import Tally
from pathlen.claims.hints import what_to_return
from pathlen.claims.multiverse import Curve
from pathlen.claims.shapley import Attribution
from pathlen.claims.verdict import Region, Verdict
from pathlen.errors import InvalidClaim, ModelMismatch, UndefinedEstimate
from pathlen.stats.estimate import Estimate
from pathlen.stats.power import passages_in, smallest_effect, smallest_margin, tokens_to_decide
from pathlen.stats.statistic import REPLICATES, Statistic
from pathlen.stats.transforms import SCALES

__all__ = ["FRAGILE", "Finding", "decided", "detectable", "evaluate", "flags", "is_negligible", "needed", "vacuous_if"]

FRAGILE = "fragile"
UNCONTROLLED = "uncontrolled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a claim came to on one model.

    Attributes
    ----------
    claim : Claim
    size : str
    verdict : Verdict
    estimate : Estimate or None
        None if there is none: not tested, invalid, or an error.
    reason : str
        What a reader needs to know beside the numbers: why it is inconclusive and what would settle it, why
        vacuous, why not tested and which command would change that.
    p_value : float or None
        Of the hypothesis that the truth lies outside the claim's region, from the same distribution as the interval:
        supported is a p-value below 0.05. None where nothing was inferred.
    negligible : bool
        Whether the claim is supported by a number too small to matter; see `Claim`.
    controls : tuple of Tally
        How often each of the claim's controls supports it; empty where none was run.
    attribution : Attribution or None
        What each correction changes, beside a published reading.
    universes : Curve or None
        What other defensible analyses come to.

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
        """What a reader must know beside the verdict."""
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
    """Return what a reader must know beside a verdict: a small number, a choice it hangs on, controls that told nothing."""
    found = {
        NEGLIGIBLE: negligible,
        FRAGILE: universes is not None and universes.is_fragile,
        UNCONTROLLED: bool(controls) and not any(tally.defined for tally in controls),
    }
    return tuple(name for name, holds in found.items() if holds)


def is_negligible(margin: Region | None, estimate: Estimate) -> bool:
    """Whether a number is shown, by the interval that decides margins, to lie where it is too small to matter."""
    if margin is None:
        return False
    narrow = estimate.at(margin.level)
    return margin.judge(narrow.low, narrow.high) is Verdict.SUPPORTED


def evaluate(
    claim: Claim, size: str, body: Callable[[], Statistic], *, seed: int, replicates: int = REPLICATES
) -> Finding:
    """Return the finding of a claim on one model: run its body, make the interval its region asks for, judge.

    An estimate that can't be made is `Verdict.INVALID`, never a verdict about the claim. Any other exception of
    the body is the caller's to report. Controls come after: see `decided`.

    Raises
    ------
    InvalidClaim
        If the body returns no statistic, or one that could never refute the claim.

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
    """Return a finding with its controls: support that they give as well, or that nothing could refute, is vacuous."""
    verdict = vacuous_if(finding.verdict, finding.claim.true_by_construction, controls)
    reason = finding.reason
    damning = "; ".join(str(tally) for tally in controls if tally.shows_vacuity)
    if verdict is not finding.verdict:
        reason = finding.claim.true_by_construction or f"its controls give it as well: {damning}"
    elif verdict is Verdict.INCONCLUSIVE and damning:
        reason += f"; but support would be vacuous: {damning}"
    return replace(finding, verdict=verdict, reason=reason, controls=tuple(controls))


def vacuous_if(verdict: Verdict, true_by_construction: str, controls: Iterable[Tally]) -> Verdict:
    """Return the verdict that is left of one when nothing could have refuted it, or controls support it too."""
    empty = bool(true_by_construction) or any(tally.shows_vacuity for tally in controls)
    return Verdict.VACUOUS if verdict is Verdict.SUPPORTED and empty else verdict


def _refuse_unfit(claim: Claim, statistic: object) -> None:
    if not isinstance(statistic, Statistic):
        raise InvalidClaim(what_to_return(claim.id, statistic))
    least, most = statistic.ends
    if least >= claim.expect.low and most <= claim.expect.high:
        raise InvalidClaim(
            f"claim {claim.id!r} could never be refuted: its {statistic.name} lies from {least:g} to {most:g}, all of it "
            f"{claim.expect}"
        )


def detectable(estimate: Estimate, region: Region) -> str:
    """Return what so many tokens could have shown, in words; empty where there is no standard error.

    For a direction the nearest value beyond its edge, for a margin the closest bounds around its middle, that is found four
    times in five.
    """
    scale = SCALES[estimate.scale]
    low, high = scale.there(region.low), scale.there(region.high)
    correlation = "a delta" if estimate.statistic.startswith("Cliff") else "an r"
    name = {"fisher z": correlation, "identity": "a value", "log": "a ratio", "logit": "a share"}[estimate.scale]
    if math.isfinite(low) and math.isfinite(high):
        margin = smallest_margin(estimate)
        if margin is None:
            return ""
        least, most = (scale.back((low + high) / 2 + side * margin) for side in (-1, 1))
        return f"show {name} between {least:.3g} and {most:.3g} at best, four times in five"
    effect = smallest_effect(estimate)
    if effect is None:
        return ""
    if math.isfinite(low):
        return f"find {name} of {scale.back(low + effect):.3g} or more four times in five"
    if math.isfinite(high):
        return f"find {name} of {scale.back(high - effect):.3g} or less four times in five"
    return ""


def needed(estimate: Estimate, region: Region) -> str:
    """Return how many tokens would decide, in words; empty where that can't be said, or the interval crosses no edge."""
    tokens = [found for edge in _crossed(estimate, region) if (found := tokens_to_decide(estimate, edge)) is not None]
    if not tokens:
        return ""
    passages = passages_in(max(tokens), estimate)
    more = f" in {passages:,} such passages" if passages else ""
    return f"about {_two_digits(max(tokens)):,}{more} would decide, were the value what it seems"


def _crossed(estimate: Estimate, region: Region) -> list[float]:
    return [edge for edge in (region.low, region.high) if estimate.low <= edge <= estimate.high]


def _what_would_settle(estimate: Estimate, region: Region) -> str:
    parts = [f"the interval crosses {' and '.join(f'{edge:g}' for edge in _crossed(estimate, region))}"]
    if could := detectable(estimate, region):
        parts.append(f"{estimate.n:,} tokens like these {could}")
    if more := needed(estimate, region):
        parts.append(more)
    return "; ".join(parts)


def _two_digits(number: int) -> int:
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit
