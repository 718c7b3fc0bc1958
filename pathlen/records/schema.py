"""The schema of a record: what a run found, and the provenance of its findings.

A `Run` holds everything a report shows: the claims as declared, the findings with their estimates, and the provenance of
models, texts, settings and software. Values are stored in full precision; only reports round them.
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
from pathlen.records.excerpts import LARGEST_POINT, Excerpt
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
# A trained network's surprise is below this share of a uniform guess's, because text is never close to uniform.
BLIND = 0.97
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRecord:
    """A claim as declared. ``low`` or ``high`` is null where the region is open.

    Attributes
    ----------
    compares_sizes : bool
        Whether the number or verdict depends on more than one network.
    universes : str
        Name of the multiverse behind the number; empty if none is declared.
    deviation : str
        How the declaration differs from the lock; empty if it doesn't or there is no lock.
    node : str
        Pytest node id of the claim.

    The other attributes are those of `pathlen.claims.claim.Claim`.

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
        _ = self.region, self.margin  # raises ValueError if the ends form no region

    @property
    def region(self) -> Region:
        """The region in which the claim is true."""
        return Region(-math.inf if self.low is None else self.low, math.inf if self.high is None else self.high)

    @property
    def margin(self) -> Region | None:
        """The region of values too small to matter; None if the claim declares none."""
        return None if self.negligible is None else Region(*self.negligible)

    @classmethod
    def of(cls, claim: Claim, node: str, deviation: str = "") -> ClaimRecord:
        """Return the record of a claim that is defined at the pytest node id ``node``."""
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
    """A finding. Its claim is given by id and reading."""

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
        Verdict(self.verdict)  # raises ValueError for an unknown verdict in an edited record
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
        """Warnings that belong beside the verdict."""
        return flags(self.negligible, self.universes, self.controls)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRecord:
    """A text: its name, origin, licence and authors if known, and the SHA-256 of its UTF-8 bytes."""

    name: str
    origin: str
    licence: str
    attribution: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A model that was measured.

    Attributes
    ----------
    tokens, rows, windows : int
        Tokens read, rows measured, and windows used, over all texts.
    seconds : float
        Time to load and measure, or to read cached measurements.
    is_kept : bool
        Whether the measurements came from the cache of an earlier run.
    step_autocorrelation, logit_autocorrelation : float or None
        Lag-one autocorrelation within passages of the last step and of the next-token logit: how strongly neighbouring
        tokens depend on each other. None if a column is constant.
    points, published_points, spurious_points : tuple of (float, float)
        Last step and next-token logit of randomly drawn rows, for a scatter plot: by our procedure; by the published one; and
        the published procedure's last row of each text, whose logit is a zero that belongs to no token.
    config_sha256 : str
        Like the other digests, of the file that was read. Empty in old records.
    vocabulary : int or None
        Number of tokens in the vocabulary. None in old records.
    surprise : float or None
        Mean ``-log p`` of the actual next tokens, in nats; a uniform guess costs ``log(vocabulary)``. None in old records.
    excerpts : tuple of Excerpt
        The beginnings of the texts, token by token. Empty in old records.

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
        """Whether the model predicts hardly better than a uniform guess, as an untrained network does."""
        if self.vocabulary is None or self.surprise is None:
            return False
        return self.surprise > BLIND * math.log(self.vocabulary)

    def __post_init__(self) -> None:
        if self.vocabulary is not None and self.vocabulary < 2:
            raise ValueError(f"a vocabulary has at least two tokens, but {self.vocabulary} was given")
        for excerpt in self.excerpts:
            if len(excerpt.steps) != self.n_layer:
                raise ValueError(
                    f"an excerpt has a row of steps for each of {self.n_layer} blocks, but {len(excerpt.steps)} were given"
                )
        if not self.points or not self.published_points:
            raise ValueError(f"the model record of {self.title} needs points to draw, but holds none")
        for point in (*self.points, *self.published_points, *self.spurious_points):
            if max(map(abs, point)) > LARGEST_POINT:
                raise ValueError(f"points must lie within {LARGEST_POINT:g}, but {point} was given")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeverityLine:
    """How often a claim on one size got each verdict, over random families.

    ``counts`` says whether support is a false alarm: the document states the claim, and the claim declares that it must fail
    on untrained networks.
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
    """Verdicts of the claims on untrained networks; see `pathlen.runner.false_alarms`.

    Attributes
    ----------
    lock : str
        Digest of the declarations it was computed with.
    families : int
        Number of random families, each with a network of every size.
    like : str
        The family whose shapes and tokenizer they share.
    lines : tuple of SeverityLine
        One per claim and size.

    """

    lock: str
    families: int
    like: str
    lines: tuple[SeverityLine, ...]

    @property
    def checks(self) -> int:
        """Number of checks that could have been a false alarm."""
        return sum(sum(line.verdicts.values()) for line in self.lines if line.counts)

    def came_to(self, verdict: Verdict) -> int:
        """Return how many of these checks got a verdict."""
        return sum(line.verdicts.get(verdict.value, 0) for line in self.lines if line.counts)

    @property
    def alarms(self) -> int:
        """Number of these checks that came out supported and not vacuous."""
        return self.came_to(Verdict.SUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run: its settings, its findings, and their provenance.

    Attributes
    ----------
    schema_version : int
        `SCHEMA_VERSION` of the package that wrote it.
    family : str
        ``gpt2``, ``mini``, or the name of a local checkpoint. In a merged record, several joined by `` + ``.
    sizes : tuple of str
        The requested sizes, in order.
    selection : str
        The options that select these models: ``"--family mini"``. In a merged record, those of each family joined by `` + ``.
    started : str
        Date and time, UTC, ISO 8601.
    seconds : float
        Wall time of the whole run.
    seed : int
        Of every resample.
    left_out : int
        Number of tokens left out at the start of every text.
    controls : str
        Requested number of control runs: ``"none"``, ``"quick"`` or ``"full"``.
    lock : str or None
        Path of the lock that the claims were compared with; None if there is none.
    deviations : tuple of str
        Every difference from the lock, in words.
    severity : Severity or None
        Verdicts of these claims on random networks, if they were computed with the same lock.
    paper : Paper or None
        The document whose claims were checked, if a ``paper.toml`` describes it.
    lock_sha256 : str or None
        Digest of the declarations in the lock. None without a lock and in old records.
    declared : int or None
        Number of declarations in the lock. None without a lock and in old records.
    revision : Revision or None
        Git revision of the folder with the claims. None outside git and in old records.

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
        claims = {(claim.id, claim.reading): claim for claim in self.claims}
        for finding in self.findings:
            claim = claims.get((finding.claim, finding.reading))
            if claim is None:
                raise ValueError(f"finding {_name_of(finding)} is of no claim in this record")
            _refuse_contradictions(finding, claim)

    @property
    def verdicts(self) -> dict[tuple[str, str, str], str]:
        """The verdict of every (claim, reading, size)."""
        return {(finding.claim, finding.reading, finding.size): finding.verdict for finding in self.findings}


def _name_of(finding: FindingRecord) -> str:
    return f"{finding.claim} ({finding.reading}, {finding.size})"


def _refuse_contradictions(finding: FindingRecord, claim: ClaimRecord) -> None:
    """Raise `ValueError` unless a finding's verdict follows from its numbers, which readers of a record may rely on."""
    if finding.estimate is None:
        return
    interval = finding.estimate.at(claim.region.level)
    verdict = claim.region.judge(interval.low, interval.high)
    negligible = verdict is Verdict.SUPPORTED and is_negligible(claim.margin, finding.estimate)
    if finding.negligible != negligible:
        raise ValueError(
            f"finding {_name_of(finding)} has negligible {finding.negligible}, but its interval says {negligible}"
        )
    verdict = vacuous_if(verdict, claim.true_by_construction, finding.controls)
    if finding.verdict != verdict.value:
        raise ValueError(f"finding {_name_of(finding)} says {finding.verdict}, but its interval says {verdict.value}")
