"""Claims as data, and the step from a claim and a statistic to a finding.

A claim is a function whose docstring is the sentence, whose decorator says where the sentence should hold and in
which region the number must lie, and whose body returns the statistic::

    @claim(sizes=[SMALL], section="3.2", expect=below(0.0), controls=[UNTRAINED, SHIFTED])
    def test_small_negative(measured):
        \"\"\"In Small, the shorter the last step, the larger the next token's logit.\"\"\"
        return pearson(measured.last_step, measured.next_logit, passage=measured.passage)

The id is the function's name: ``test_small_negative`` is the claim ``small-negative``. A function whose name ends
in ``_as_published`` is the published reading of the same claim; both stand side by side in every report. The
body never sees the region, and the region stands before anything is measured. Controls say where the claim must *not*
come out supported (`pathlen.controls`); without one, support could mean nothing, so a claim has to name some.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from pathlen import SIZES
from pathlen.attribution import Attribution
from pathlen.controls import Control, Tally
from pathlen.errors import InvalidClaim, ModelMismatch, UndefinedEstimate
from pathlen.misuse import refuse_assertions, what_to_return, where_it_must_lie
from pathlen.stats.estimate import Estimate
from pathlen.stats.power import passages_in, smallest_effect, smallest_margin, tokens_to_decide
from pathlen.stats.scales import SCALES
from pathlen.stats.statistic import REPLICATES, Statistic
from pathlen.stats.units import By
from pathlen.universes import Curve, Multiverse
from pathlen.verdicts import Logic, Region, Verdict

__all__ = [
    "FRAGILE",
    "NEGLIGIBLE",
    "TOGETHER",
    "Claim",
    "Finding",
    "Reading",
    "claim",
    "decided",
    "declared",
    "detectable",
    "evaluate",
    "flags",
    "is_negligible",
    "needed",
    "refuse_duplicates",
    "vacuous_if",
]

AS_PUBLISHED = "_as_published"
FRAGILE = "fragile"
UNCONTROLLED = "uncontrolled"
TOGETHER = "together"  # the size of a finding about all sizes at once
NEGLIGIBLE = "negligible"
Reading = Literal["corrected", "as published"]
CONTROLS = ", ".join(control.name for control in Control)

Function = TypeVar("Function", bound=Callable[..., Statistic])


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence that can be checked, declared before anything is measured.

    Attributes
    ----------
    id : str
        Unique, together with ``reading``.
    reading : str
        ``"corrected"``, or ``"as published"`` for the published procedure with its slips.
    sentence : str
        The claim in plain words.
    section : str
        Where the document says it.
    sizes : tuple of str
        The sizes it speaks about; on any other it is not claimed.
    expect : Region
        Where the number must lie for the sentence to be true.
    logic : str
        ``"each"`` size for itself; ``"all"`` of them together; or ``"differs"``: the number is the largest difference
        between any two of them, on the same tokens.
    controls : tuple of Control
        Where the claim must not come out supported; see `pathlen.controls`.
    unit : str or None
        What is resampled: ``"passages"``, ``"blocks"`` or ``"tokens"``. Unless said, passages, and fewer than five texts are
        read as a series.
    universes : Multiverse or None
        The choices behind the number, and its value for each way to make them.
    needs : tuple of str
        What the body asks for.
    true_by_construction : str
        Why the number could not have come out otherwise; empty if it could. Support is then vacuous.
    not_shown : str
        What a supported verdict would still not show.
    exploratory : bool
        Whether the document only suggests it.
    negligible : Region or None
        Numbers that would be too small to matter. Support whose 90 % interval lies in it is flagged: with enough tokens
        a number can be both below zero and about zero.

    Raises
    ------
    InvalidClaim
        If the sentence, the sizes, the region or the controls are missing, or a size is unknown.

    """

    id: str
    reading: Reading
    sentence: str
    section: str
    sizes: tuple[str, ...]
    expect: Region
    logic: Logic = "each"
    true_by_construction: str = ""
    not_shown: str = ""
    exploratory: bool = False
    negligible: Region | None = None
    controls: tuple[Control, ...] = ()
    unit: By | None = None
    universes: Multiverse | None = None
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sentence:
            raise InvalidClaim(f"claim {self.id!r} needs a sentence: write it as the function's docstring")
        if not isinstance(self.expect, Region):
            raise InvalidClaim(
                f"claim {self.id!r} needs a region: say {where_it_must_lie(self.expect)}, but {self.expect!r} was given"
            )
        if not self.sizes:
            raise InvalidClaim(f"claim {self.id!r} needs at least one size out of {', '.join(SIZES)}")
        for size in self.sizes:
            if size not in SIZES:
                raise InvalidClaim(f"claim {self.id!r}: size must be one of {', '.join(SIZES)}, but {size!r} was given")
        if self.logic not in ("each", "all", "differs"):
            raise InvalidClaim(
                f"claim {self.id!r}: logic must be 'each', 'all' or 'differs', but {self.logic!r} was given"
            )
        if self.logic == "differs" and len(self.sizes) < 2:
            raise InvalidClaim(
                f"claim {self.id!r}: 'differs' compares sizes, but only {', '.join(self.sizes)} was given"
            )
        if self.unit not in (None, "passages", "blocks", "tokens"):
            raise InvalidClaim(
                f"claim {self.id!r}: unit must be 'passages', 'blocks' or 'tokens', but {self.unit!r} was given"
            )
        for control in self.controls:
            if not isinstance(control, Control):
                raise InvalidClaim(f"claim {self.id!r}: controls must be out of {CONTROLS}, but {control!r} was given")
        if not self.controls and not self.true_by_construction:
            raise InvalidClaim(
                f"claim {self.id!r} names no control, so nothing would tell support from what any network would give: say "
                f"where it must not be supported, controls=[...] out of {CONTROLS}; or, if no network could refute it, "
                'true_by_construction="why"'
            )
        if self.negligible is not None and (self.expect.is_equivalence or not self.negligible.is_equivalence):
            raise InvalidClaim(
                f"claim {self.id!r}: negligible says which numbers too small to matter a direction may still hold for, so it "
                f"needs within(...) beside below(...) or above(...), but {self.negligible} was given beside {self.expect}"
            )

    def speaks_about(self, size: str) -> bool:
        """Whether the claim is made about a size; one made about every size is made about any other model too."""
        if size == TOGETHER or self.logic == "differs":
            return size == TOGETHER and self.logic == "differs"
        return size in self.sizes or set(self.sizes) == set(SIZES)

    @property
    def compares_sizes(self) -> bool:
        """Whether the claim is about size: more than one network goes into what is said."""
        return self.logic != "each" or any(name.endswith("_small") for name in self.needs)


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


def claim(
    bare: Callable[..., object] | None = None,
    /,
    *,
    sizes: Iterable[str] = (),
    section: str = "",
    expect: Region | None = None,
    logic: Logic = "each",
    true_by_construction: str = "",
    not_shown: str = "",
    exploratory: bool = False,
    negligible: Region | None = None,
    controls: Iterable[Control] = (),
    unit: By | None = None,
    universes: Multiverse | None = None,
) -> Callable[[Function], Function]:
    """Declare a function to be a claim; see the module's docstring and `Claim` for the arguments.

    Raises
    ------
    InvalidClaim
        As soon as the function is defined, if the claim could not be checked.

    """
    if bare is not None:
        raise InvalidClaim(
            f"claim {getattr(bare, '__name__', bare)!r} is declared without saying anything: write "
            "@claim(sizes=[...], expect=..., controls=[...]), with its parentheses"
        )

    def declare(function: Function) -> Function:
        name = function.__name__.removeprefix("test_")
        refuse_assertions(name.replace("_", "-"), function)
        if isinstance(sizes, str):
            raise InvalidClaim(
                f"claim {name!r}: sizes must be a list of sizes, but {sizes!r} was given: write [{sizes!r}]"
            )
        published = name.endswith(AS_PUBLISHED)
        sentence = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        declaration = Claim(
            id=name.removesuffix(AS_PUBLISHED).replace("_", "-"),
            reading="as published" if published else "corrected",
            sentence=sentence,
            section=section,
            sizes=tuple(sizes),
            expect=expect,  # type: ignore[arg-type]  # Claim itself says what is missing
            logic=logic,
            true_by_construction=true_by_construction,
            not_shown=not_shown,
            exploratory=exploratory,
            negligible=negligible,
            controls=tuple(controls),
            unit=unit,
            universes=universes,
            needs=tuple(name for name in inspect.signature(function).parameters if name != "self"),
        )
        function.__pathlen_claim__ = declaration  # type: ignore[attr-defined]
        return function

    return declare


def declared(function: object) -> Claim | None:
    """Return the claim that a function was declared to be, or None."""
    found = getattr(function, "__pathlen_claim__", None)
    return found if isinstance(found, Claim) else None


def is_negligible(margin: Region | None, estimate: Estimate) -> bool:
    """Whether a number is shown, by the interval that decides margins, to lie where it is too small to matter."""
    if margin is None:
        return False
    narrow = estimate.at(margin.level)
    return margin.judge(narrow.low, narrow.high) is Verdict.SUPPORTED


def refuse_duplicates(claims: Sequence[tuple[Claim, str]]) -> None:
    """Raise `InvalidClaim` if two functions, named by the second entries, declare the same claim and reading."""
    homes: dict[tuple[str, str], str] = {}
    for one, home in claims:
        first = homes.setdefault((one.id, one.reading), home)
        if first != home:
            raise InvalidClaim(
                f"claim {one.id!r} ({one.reading}) is declared twice, in {first} and in {home}: rename one of the functions"
            )


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
    damning = "; ".join(str(tally) for tally in controls if tally.is_damning)
    if verdict is not finding.verdict:
        reason = finding.claim.true_by_construction or f"its controls give it as well: {damning}"
    elif verdict is Verdict.INCONCLUSIVE and damning:
        reason += f"; but support would be vacuous: {damning}"
    return replace(finding, verdict=verdict, reason=reason, controls=tuple(controls))


def vacuous_if(verdict: Verdict, true_by_construction: str, controls: Iterable[Tally]) -> Verdict:
    """Return the verdict that is left of one when nothing could have refuted it, or controls support it too."""
    empty = bool(true_by_construction) or any(tally.is_damning for tally in controls)
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
