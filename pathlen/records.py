"""What a run found and where it came from, as one JSON file that any later version can read again.

A `Run` holds everything a report shows: the claims as they were declared, the findings with their estimates, and
the provenance of models, texts, settings and software. Values are stored in full; only a page rounds them.

A file is written beside its place and moved there when it is complete, so that a killed run leaves the previous
record as it was. Reading checks the schema version first and every field's type after it.
"""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from pathlen.attribution import Attribution
from pathlen.claims import Claim, Finding, flags, is_negligible, vacuous_if
from pathlen.controls import Effort, Tally
from pathlen.errors import InvalidRecord, UndefinedEstimate
from pathlen.files import write_text
from pathlen.paper import Paper
from pathlen.stats.estimate import Estimate
from pathlen.universes import Curve
from pathlen.verdicts import Region, Verdict

__all__ = [
    "SCHEMA_VERSION",
    "SEVERITY",
    "ClaimRecord",
    "FindingRecord",
    "ModelRecord",
    "Point",
    "Run",
    "Severity",
    "SeverityLine",
    "TextRecord",
    "decoded",
    "encoded",
    "environment",
    "read",
    "severity_beside",
    "write",
]

SCHEMA_VERSION = 3
SEVERITY = "severity.json"
PACKAGES = ("pathlen", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "pytest")

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

    The others are those of `pathlen.claims.Claim`.

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

    def __post_init__(self) -> None:
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
    """What claims come to on networks that were never trained; see `pathlen.severity`.

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
        ``gpt2``, ``mini``, or the name of a local checkpoint.
    sizes : tuple of str
        The sizes that were asked for, in order.
    selection : str
        The options that choose these models: ``"--family mini"``.
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


@dataclass(frozen=True, slots=True)
class _Header:
    schema_version: int


def encoded(run: Run) -> str:
    """Return a run as JSON text; the same run gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(run), indent=1).decode("utf-8") + "\n"


def decoded(text: str | bytes, source: str = "the record") -> Run:
    """Return the run that a JSON text holds.

    Raises
    ------
    InvalidRecord
        If it is not JSON, of an unknown schema version, or a field is missing or of the wrong type.

    """
    try:
        found = msgspec.json.decode(text, type=_Header).schema_version
        if found != SCHEMA_VERSION:
            raise InvalidRecord(
                f"schema_version must be {SCHEMA_VERSION}, but {source} has {found}: "
                "it was written by another version of pathlen"
            )
        return msgspec.json.decode(text, type=Run)
    except (msgspec.ValidationError, UndefinedEstimate) as error:
        raise InvalidRecord(f"{source} is not a record: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRecord(f"{source} is not JSON: {error}") from error


def read(path: Path) -> Run:
    """Return the run of a file; errors as in `decoded`, and `InvalidRecord` if the file can't be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidRecord(f"record {str(path)!r} can't be read: {error.strerror}") from error
    return decoded(raw, str(path))


def severity_beside(lock: Path, digest: str) -> Severity | None:
    """Return the table that stands beside a lock; None if there is none, or it was made with other declarations.

    Raises
    ------
    InvalidRecord
        If the file is damaged.

    """
    path = lock.parent / SEVERITY
    if not path.is_file():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Severity)
    except msgspec.MsgspecError as error:
        raise InvalidRecord(f"{path} is not a table of severity: {error}") from error
    return found if found.lock == digest else None


def write(run: Run, path: Path) -> None:
    """Write a run to a file, completely or not at all."""
    write_text(path, encoded(run))


def environment(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that numbers depend on."""
    found = {"python": sys.version.split()[0], "platform": platform.platform(terse=True), "machine": platform.machine()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
