"""What a run found and where it came from, as data.

A `Run` holds everything a report shows: the claims as they were declared, the findings with their estimates, and the
provenance of models, texts, settings and software. Values are stored in full; only a page rounds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pathlen._util.provenance import Revision
from pathlen.claims.claim import Claim
from pathlen.claims.controls import Effort, Tally
from pathlen.claims.finding import Finding, flags, is_negligible, vacuous_if
from pathlen.claims.multiverse import Curve
from pathlen.claims.paper import Paper
from pathlen.claims.shapley import Attribution
from pathlen.claims.verdict import Region, Verdict
from pathlen.stats.estimate import Estimate

__all__ = [
    "SCHEMA_VERSION",
    "ClaimRecord",
    "Excerpt",
    "FindingRecord",
    "ModelRecord",
    "Point",
    "Run",
    "Severity",
    "SeverityLine",
    "TextRecord",
]

SCHEMA_VERSION = 4
BLIND = 0.97  # of the surprise of guessing blindly: text is never so even that a trained network comes near it
LARGEST_POINT = 1e30  # far beyond any residual stream, and still drawable
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRecord:
    """A claim as it was declared; ``low`` or ``high`` is null where the region is open.

    Attributes
    ----------
    compares_sizes : bool
        Whether more than one network goes into what is said.
    universes : str
        What the choices behind the number are about; empty where none are declared.
    deviation : str
        How the declaration differs from the lock; empty where it doesn't, or where there is none.

    The others are those of `pathlen.claims.claim.Claim`.

    """

    id: str
    reading: str
    sentence: str
    section: str
    sizes: tuple[str, ...]
    low: float | None
    high: float | None
    logic: str
    true_by_construction: str
    not_shown: str
    exploratory: bool
    negligible: tuple[float, float] | None
    controls: tuple[str, ...]
    unit: str
    compares_sizes: bool
    universes: str
    deviation: str
    node: str

    def __post_init__(self) -> None:
        _ = self.region, self.margin  # refuses ends that are no region

    @property
    def region(self) -> Region:
        """The region the claim is decided by."""
        return Region(-math.inf if self.low is None else self.low, math.inf if self.high is None else self.high)

    @property
    def margin(self) -> Region | None:
        """The numbers that would be too small to matter, where the claim says so."""
        return None if self.negligible is None else Region(*self.negligible)

    @classmethod
    def of(cls, claim: Claim, node: str, deviation: str = "") -> ClaimRecord:
        """Return the record of a claim that is defined at ``node``, a pytest node id."""
        low, high = (end if math.isfinite(end) else None for end in (claim.expect.low, claim.expect.high))
        return cls(
            id=claim.id,
            reading=claim.reading,
            sentence=claim.sentence,
            section=claim.section,
            sizes=claim.sizes,
            low=low,
            high=high,
            logic=claim.logic,
            true_by_construction=claim.true_by_construction,
            not_shown=claim.not_shown,
            exploratory=claim.exploratory,
            negligible=None if claim.negligible is None else (claim.negligible.low, claim.negligible.high),
            controls=tuple(control.value for control in claim.controls),
            unit=claim.unit or "",
            compares_sizes=claim.compares_sizes,
            universes=claim.universes.name if claim.universes else "",
            deviation=deviation,
            node=node,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRecord:
    """A finding, its claim named by id and reading."""

    claim: str
    reading: str
    size: str
    verdict: str
    estimate: Estimate | None
    reason: str
    p_value: float | None
    negligible: bool
    controls: tuple[Tally, ...]
    attribution: Attribution | None
    universes: Curve | None

    def __post_init__(self) -> None:
        Verdict(self.verdict)  # a hand-edited word is a ValueError, and so no record
        if self.p_value is not None and not 0 <= self.p_value <= 1:
            raise ValueError(f"p_value must lie from 0 to 1, but {self.p_value} was given")

    @classmethod
    def of(cls, finding: Finding) -> FindingRecord:
        """Return the record of a finding."""
        return cls(
            claim=finding.claim.id,
            reading=finding.claim.reading,
            size=finding.size,
            verdict=finding.verdict.value,
            estimate=finding.estimate,
            reason=finding.reason,
            p_value=finding.p_value,
            negligible=finding.negligible,
            controls=finding.controls,
            attribution=finding.attribution,
            universes=finding.universes,
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know beside the verdict."""
        return flags(self.negligible, self.universes, self.controls)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRecord:
    """A text: its name, where it comes from, its licence and authors where known, and the digest of its UTF-8 bytes."""

    name: str
    origin: str
    licence: str
    attribution: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    r"""The beginning of a text as one model reads it: its tokens, and what was measured of each.

    The first ``left_out`` tokens were read and not measured, and the last one was read only to know what comes next, so
    with ``m`` tokens measured there are ``left_out + m + 1`` pieces.

    Attributes
    ----------
    text : str
        Name of the text.
    left_out : int
        Tokens before the first that was measured.
    pieces : tuple of str
        The tokens as UTF-8 text. A piece that is no valid UTF-8 alone has ``\xNN`` for each such byte, and a backslash
        is written twice, so that every piece can be turned back into its bytes.
    steps : tuple of tuple of float, shape (steps, m)
        ``||h_L - h_(L-1)||`` to three significant digits: for drawing, no verdict rests on it.
    final_norm_step, next_logit, next_log_probability : tuple of float, shape (m,)
        As in `pathlen.columns.measurement.Measurement`, to four significant digits.

    """

    text: str
    left_out: int
    pieces: tuple[str, ...]
    steps: tuple[tuple[float, ...], ...]
    final_norm_step: tuple[float, ...]
    next_logit: tuple[float, ...]
    next_log_probability: tuple[float, ...]

    def __post_init__(self) -> None:
        columns = (*self.steps, self.final_norm_step, self.next_logit, self.next_log_probability)
        if (
            not self.steps
            or self.left_out < 0
            or self.measured < 1
            or any(len(one) != self.measured for one in columns)
        ):
            raise ValueError(
                f"an excerpt of {len(self.pieces)} pieces, {self.left_out} of them left out, has {self.measured} tokens "
                f"measured and as many numbers in every column, but columns of {sorted({len(one) for one in columns})} "
                "were given"
            )
        if max(max(map(abs, one)) for one in columns) > LARGEST_POINT or min(map(min, self.steps)) < 0:
            raise ValueError(
                f"the steps of an excerpt must lie from 0 to {LARGEST_POINT:g}, and so must its logits in size"
            )

    @property
    def measured(self) -> int:
        """How many tokens were measured."""
        return len(self.pieces) - self.left_out - 1

    def first(self, tokens: int) -> Excerpt:
        """Return the excerpt with its first ``tokens`` measured tokens alone."""
        if not tokens > 0:
            raise ValueError(f"an excerpt needs at least one token, but {tokens} was given")
        return Excerpt(
            text=self.text,
            left_out=self.left_out,
            pieces=self.pieces[: self.left_out + tokens + 1],
            steps=tuple(one[:tokens] for one in self.steps),
            final_norm_step=self.final_norm_step[:tokens],
            next_logit=self.next_logit[:tokens],
            next_log_probability=self.next_log_probability[:tokens],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A model that was measured.

    Attributes
    ----------
    tokens, rows, windows : int
        Tokens read, rows measured, and windows needed, over all texts.
    seconds : float
        Loading and measuring, or finding what was kept.
    is_kept : bool
        Whether an earlier run had measured it, and nothing was run again.
    step_autocorrelation, logit_autocorrelation : float or None
        Lag-one autocorrelation within passages of the last step and of the next-token logit: how strongly
        neighbouring tokens depend on each other. None if a column is constant.
    points, published_points, spurious_points : tuple of (float, float)
        Last step and next-token logit of rows drawn by the run's seed, for a scatter; the second as published, the
        third each text's last row there, whose logit is a zero that belongs to no token.
    config_sha256 : str
        Like the other digests, of the file that was read; empty in a record from before it was noted.
    vocabulary : int or None
        Tokens the model can choose from; None in old records.
    surprise : float or None
        Mean of ``-log p`` of the tokens that came next, in nats: ``log(vocabulary)`` is what guessing blindly costs. None
        in old records.
    excerpts : tuple of Excerpt
        The beginnings of the texts, token by token; empty in old records.

    """

    size: str
    title: str
    source: str
    revision: str
    n_layer: int
    n_head: int
    d_model: int
    context: int
    weights_sha256: str
    tokenizer_sha256: str
    device: str
    dtype: str
    tokens: int
    rows: int
    windows: int
    seconds: float
    is_kept: bool
    step_autocorrelation: float | None
    logit_autocorrelation: float | None
    points: tuple[Point, ...]
    published_points: tuple[Point, ...]
    spurious_points: tuple[Point, ...]
    config_sha256: str = ""
    vocabulary: int | None = None
    surprise: float | None = None
    excerpts: tuple[Excerpt, ...] = ()

    @property
    def knows_nothing(self) -> bool:
        """Whether the model guesses the next token no better than blindly, as a network that was never trained does."""
        if self.vocabulary is None or self.surprise is None:
            return False
        return self.surprise > BLIND * math.log(self.vocabulary)

    def __post_init__(self) -> None:
        if self.vocabulary is not None and self.vocabulary < 2:
            raise ValueError(f"a vocabulary has at least two tokens, but {self.vocabulary} was given")
        for one in self.excerpts:
            if len(one.steps) != self.n_layer:
                raise ValueError(
                    f"an excerpt has a row of steps for each of {self.n_layer} blocks, but {len(one.steps)} were given"
                )
        if not self.points or not self.published_points:
            raise ValueError(f"the model record of {self.title} needs points to draw, but holds none")
        for point in (*self.points, *self.published_points, *self.spurious_points):
            if max(map(abs, point)) > LARGEST_POINT:
                raise ValueError(f"points must lie within {LARGEST_POINT:g}, but {point} was given")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeverityLine:
    """How often one claim on one size came to each verdict, over random families.

    ``counts`` says whether support is a false alarm: the document states the claim, and untrained networks are where it
    declares that it must fail.
    """

    claim: str
    reading: str
    size: str
    counts: bool
    verdicts: dict[str, int]

    def __post_init__(self) -> None:
        for word, times in self.verdicts.items():
            if Verdict(word) and times < 1:
                raise ValueError(f"a verdict that was found was found at least once, but {times} was given for {word}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Severity:
    """What claims come to on networks that were never trained; see `pathlen.runner.false_alarms`.

    Attributes
    ----------
    lock : str
        Digest of the declarations it was made with.
    families : int
        Random families, each with a network of every size.
    like : str
        The family whose shapes and tokenizer they have.
    lines : tuple of SeverityLine
        One per claim and size.

    """

    lock: str
    families: int
    like: str
    lines: tuple[SeverityLine, ...]

    @property
    def checks(self) -> int:
        """How many checks could have been a false alarm."""
        return sum(sum(one.verdicts.values()) for one in self.lines if one.counts)

    def came_to(self, verdict: Verdict) -> int:
        """Return how many of them came to a verdict."""
        return sum(one.verdicts.get(verdict.value, 0) for one in self.lines if one.counts)

    @property
    def alarms(self) -> int:
        """How many of them were supported, and not called vacuous."""
        return self.came_to(Verdict.SUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: what was asked, what was found, and on what.

    Attributes
    ----------
    schema_version : int
        `SCHEMA_VERSION` of the version that wrote it.
    family : str
        ``gpt2``, ``mini``, or the name of a local checkpoint; several joined by `` + `` in a merged record.
    sizes : tuple of str
        The sizes that were asked for, in order.
    selection : str
        The options that choose these models: ``"--family mini"``; in a merged record of each family, joined by `` + ``.
    started : str
        Date and time, UTC, ISO 8601.
    seconds : float
        Wall time of the whole run.
    seed : int
        Of every resample.
    left_out : int
        Tokens left out at the start of every text.
    controls : str
        How many runs of each control were asked for: ``"none"``, ``"quick"`` or ``"full"``.
    lock : str or None
        Where the lock stands that the claims were compared with; None if there is none.
    deviations : tuple of str
        Every difference from it, in words.
    severity : Severity or None
        What these claims come to on random networks, where that was measured with the same lock.
    paper : Paper or None
        The document whose claims were checked, where a ``paper.toml`` beside them says so.
    lock_sha256 : str or None
        Digest of the declarations in the lock; None without one, and in old records.
    declared : int or None
        How many declarations the lock holds; None without one, and in old records.
    revision : Revision or None
        Of the folder that holds the claims; None outside of git, and in old records.

    """

    schema_version: int
    family: str
    sizes: tuple[str, ...]
    selection: str
    started: str
    seconds: float
    seed: int
    left_out: int
    controls: Effort
    lock: str | None
    deviations: tuple[str, ...]
    severity: Severity | None
    texts: tuple[TextRecord, ...]
    models: tuple[ModelRecord, ...]
    claims: tuple[ClaimRecord, ...]
    findings: tuple[FindingRecord, ...]
    environment: dict[str, str]
    paper: Paper | None = None
    lock_sha256: str | None = None
    declared: int | None = None
    revision: Revision | None = None

    def __post_init__(self) -> None:
        claims = {(one.id, one.reading): one for one in self.claims}
        for finding in self.findings:
            name = f"{finding.claim} ({finding.reading}, {finding.size})"
            claim = claims.get((finding.claim, finding.reading))
            if claim is None:
                raise ValueError(f"finding {name} is of no claim in this record")
            if finding.estimate is None:
                continue
            # Whoever reads a record may rely on its verdicts following from its numbers.
            deciding = finding.estimate.at(claim.region.level)
            verdict = claim.region.judge(deciding.low, deciding.high)
            negligible = verdict is Verdict.SUPPORTED and is_negligible(claim.margin, finding.estimate)
            if finding.negligible != negligible:
                raise ValueError(
                    f"finding {name} has negligible {finding.negligible}, but its interval says {negligible}"
                )
            verdict = vacuous_if(verdict, claim.true_by_construction, finding.controls)
            if finding.verdict != verdict.value:
                raise ValueError(f"finding {name} says {finding.verdict}, but its interval says {verdict.value}")

    @property
    def verdicts(self) -> dict[tuple[str, str, str], str]:
        """The verdict of every (claim, reading, size)."""
        return {(one.claim, one.reading, one.size): one.verdict for one in self.findings}
