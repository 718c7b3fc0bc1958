"""One session of claims: what it was asked to do, what it found, and where it writes that down.

The pytest plugin translates options into `Settings` and reports into findings; everything in between is here, so
that it can be read, and tested, without pytest.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from pathlen import SIZES
from pathlen.cache import Cache, folder
from pathlen.claims import TOGETHER, Finding
from pathlen.controls import EFFORTS, Effort
from pathlen.errors import InvalidPaper, ModelNotFound, PathlenError
from pathlen.evaluation import Check, Evaluator
from pathlen.fetch import describe, fetch, plan, require_space
from pathlen.files import write_text
from pathlen.lock import Declaration, declarations, nearest, read_lock
from pathlen.measurements import LEFT_OUT
from pathlen.models import FAMILIES, ModelSpec, find, from_name, refuse_device, spec
from pathlen.paper import Paper, nearest_paper, read_paper
from pathlen.passages import Passage, chosen
from pathlen.records import (
    SCHEMA_VERSION,
    ClaimRecord,
    FindingRecord,
    ModelRecord,
    Run,
    Severity,
    TextRecord,
    environment,
    read,
    revision_of,
    severity_beside,
    write,
)
from pathlen.report import page
from pathlen.verdicts import Verdict
from pathlen.workbench import Workbench

__all__ = ["Project", "Session", "Settings", "settings_of"]

CLAIMS = "claims"
Key = tuple[str, str, str]
Message = tuple[ClaimRecord, FindingRecord, tuple[ModelRecord, ...]]


@dataclass(slots=True, kw_only=True)
class Project:
    """What a session knows of the project that its claims lie in.

    On a run spread over processes only those that collect claims find it out; they send it to the one that writes.

    Attributes
    ----------
    top : str
        The project's folder; empty before claims were collected.
    lock, lock_sha256 : str or None
        The lock's file as a reader names it, and the digest of what it holds.
    declared : int or None
        How many claims it declares.
    deviations : list of (id, reading, text)
        Of each claim, how it differs from the lock; empty where it doesn't.
    gone : list of str
        Claims of the lock that are not there any more.
    severity : Severity or None
        The table beside the lock.
    paper : Paper or None
        The document that the claims are about.
    folder : str
        Where inside of the folder of reports the paper has its own; empty if it has none.

    """

    top: str = ""
    lock: str | None = None
    lock_sha256: str | None = None
    declared: int | None = None
    deviations: list[tuple[str, str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    severity: Severity | None = None
    paper: Paper | None = None
    folder: str = ""

    def deviation(self, id: str, reading: str) -> str:
        """Return how a claim differs from the lock; empty where it doesn't, or there is none."""
        return next((text for *key, text in self.deviations if key == [id, reading]), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a session was asked to do.

    Attributes
    ----------
    family : str
    specs : dict of str to ModelSpec
        The sizes to run on, in order.
    selection : str
        The options that choose these models, for whoever wants to run them again.
    why : str
        Why this family, where nobody asked for it.
    passages : tuple of Passage
    seed : int
    report : Path
        Folder for the record and the page.
    fail_on : frozenset of str
        Verdicts that fail.
    controls : str
        How many runs of each control: ``"none"``, ``"quick"`` or ``"full"``.
    device, dtype : str
        Where and in which type networks run.
    expected : dict or None
        The verdict of every (claim, reading, size) in the record that this session must equal.

    """

    family: str
    specs: dict[str, ModelSpec]
    selection: str
    why: str
    passages: tuple[Passage, ...]
    seed: int
    report: Path
    fail_on: frozenset[str]
    controls: Effort
    device: str
    dtype: str
    expected: dict[Key, str] | None

    @property
    def is_family(self) -> bool:
        """Whether the models are sizes of a family, rather than one checkpoint of its own."""
        return self.family in FAMILIES

    def spec(self, size: str) -> ModelSpec:
        """Return the spec of a size of the family, whether the session runs on it or only compares with it."""
        if size in self.specs:
            return self.specs[size]
        if not self.is_family:
            raise ModelNotFound(f"there is no {size} beside {self.family}, which is a checkpoint of its own")
        return spec(self.family, size)

    def fails(self, finding: Finding) -> bool:
        """Return whether a finding fails: by its verdict, or by differing from the record that was expected."""
        if self.expected is None:
            return finding.verdict.value in self.fail_on
        return self.expected_verdict(finding) != finding.verdict.value

    def expected_verdict(self, finding: Finding) -> str | None:
        """Return the verdict that the expected record has for a finding, or None."""
        key = (finding.claim.id, finding.claim.reading, finding.size)
        return None if self.expected is None else self.expected.get(key, "no finding at all")


def settings_of(
    *,
    family: str | None,
    sizes: str | None,
    directory: str | None,
    texts: Sequence[str],
    seed: int,
    report: Path,
    fail_on: str,
    expect: Path | None,
    controls: str,
    device: str = "cpu",
    dtype: str = "float32",
) -> Settings:
    """Return the settings that options of a command line stand for, all of them checked.

    Raises
    ------
    ValueError, PathlenError
        Whatever is wrong with an option; the message names it, the rule and the value.

    """
    for text in texts:
        if text.endswith(".py") or "::" in text:
            raise ValueError(
                f"--text takes every path up to the next option, but {text!r} is no text: name tests before it"
            )
    name, specs, why = _models(family, sizes, directory)
    if seed < 0:
        raise ValueError(f"--seed must not be negative, but {seed} was given")
    effort = next((one for one in EFFORTS if one == controls), None)
    if effort is None:
        raise ValueError(f"--controls must be {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}, but {controls!r} was given")
    refuse_device(device, dtype)
    return Settings(
        family=name,
        specs=specs,
        selection=f"--family {name}"
        if directory is None
        else " ".join(["--model", directory, *(["--family", name, "--size", *specs] if sizes else [])]),
        why=why,
        passages=tuple(chosen(list(texts))),
        seed=seed,
        report=report,
        fail_on=_verdict_names(fail_on),
        controls=effort,
        device=device,
        dtype=dtype,
        expected=read(expect).verdicts if expect else None,
    )


def _verdict_names(given: str) -> frozenset[str]:
    known = {verdict.value.replace(" ", "-"): verdict.value for verdict in Verdict}
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ValueError(f"--fail-on must name verdicts out of {', '.join(known)}, but {name!r} was given")
    return frozenset(known[name] for name in names)


def _models(family: str | None, sizes: str | None, directory: str | None) -> tuple[str, dict[str, ModelSpec], str]:
    """Return the family's name, the spec of each size asked for, and why these."""
    if directory is not None and sizes is None:
        if family is not None:
            raise ValueError(f"--model stands for a family of its own, but --family {family} was given without --size")
        found = from_name(directory)
        return found.family, {found.size: found}, f"--model {directory}"
    why = ""
    if family is None:
        family, why = ("gpt2", "") if directory is not None else _family_on_this_machine()
    # An unknown family is refused by its first size.
    asked = [size.strip() for size in sizes.split(",")] if sizes else list(FAMILIES.get(family, SIZES))
    specs = {size: spec(family, size) for size in asked}
    if directory is None:
        return family, specs, why
    if len(asked) != 1:
        raise ValueError(f"--model takes one --size, but {len(asked)} were given: {sizes}")
    from_name(directory)
    size = asked[0]
    stand_in = replace(specs[size], source=directory, revision="", title=f"{specs[size].title} from {directory}")
    return family, {size: stand_in}, f"--model {directory} as {size}"


def _family_on_this_machine() -> tuple[str, str]:
    if any(_is_here(candidate) for candidate in FAMILIES["gpt2"].values()):
        return "gpt2", "weights found on this machine"
    return "mini", "no GPT-2 weights on this machine, so the embedded demonstration family runs"


def _is_here(wanted: ModelSpec) -> bool:
    try:
        find(wanted)
    except ModelNotFound:
        return False
    return True


class Session:
    """What the claims of a session found so far.

    On a run spread over processes every process has one; those that measure send what they find, and the one that
    controls them receives and writes it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.has_claims = False
        self._has_begun = False
        self.findings: dict[Key, FindingRecord] = {}
        self.project = Project()
        self._claims: dict[tuple[str, str], ClaimRecord] = {}
        self._models: dict[str, ModelRecord] = {}
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._sent: set[str] = set()
        kept = Cache(folder())
        self._bench = Workbench(
            settings.passages, seed=settings.seed, device=settings.device, dtype=settings.dtype, kept=kept
        )
        self._evaluator = Evaluator(self._bench, settings.spec, effort=settings.controls, seed=settings.seed, kept=kept)

    def prepare(self, checks: Iterable[Check], others: Iterable[Check] = ()) -> None:
        """Take note of all claims that will be run, and of others whose published reading they are compared with."""
        self.has_claims = True
        self._evaluator.register(checks)
        self._evaluator.know(others)

    def download(self, say: Callable[[str], None]) -> None:
        """Fetch the weights of this session's sizes that are not on this machine, and say so line by line.

        Raises
        ------
        DownloadFailed, ModelMismatch, ModelNotFound
            As `pathlen.fetch.fetch` does.

        """
        plans = [plan(one) for one in self.settings.specs.values() if not _is_here(one)]
        for line in describe(plans) or ["the weights of every size are on this machine: nothing to download"]:
            say(f"pathlen: {line}")
        require_space(plans)
        for one in plans:
            say(f"pathlen: {fetch(one)}")

    def compare_with_lock(self, modules: Iterable[ModuleType], top: Path) -> None:
        """Note how the claims of these modules differ from the nearest lock, up to the project's folder.

        Raises
        ------
        InvalidLock, InvalidRecord
            If there is a lock, or a table of severity beside it, that can't be read.

        """
        project = self.project
        project.top = str(top)
        locked: dict[Path, list[ModuleType]] = {}
        for module in modules:
            path = nearest(Path(str(module.__file__)).parent, top)
            if path is not None:
                locked.setdefault(path, []).append(module)
        for path, ones in locked.items():
            lock = read_lock(path)
            here: dict[tuple[str, str], Declaration] = {}
            for module in ones:
                here |= declarations(module, path.parent)
            files = {Path(str(one.__file__)).resolve().relative_to(path.parent.resolve()).as_posix() for one in ones}
            project.severity = severity_beside(path, lock.digest)
            project.lock_sha256, project.declared = lock.digest, len(lock.declarations)
            project.lock = path.relative_to(top).as_posix() if path.is_relative_to(top) else str(path)
            project.deviations += [(*key, lock.deviation(one)) for key, one in here.items()]
            project.gone += lock.gone(here, files | lock.missing_files(path.parent))

    def take_paper(self, modules: Iterable[ModuleType], top: Path, *, moved: bool) -> None:
        """Note which document the claims of these modules are about: the nearest ``paper.toml``, up to the project's folder.

        A folder with a paper inside of a project, other than its ``claims``, gets a report of its own, ``reports/FOLDER``,
        where ``moved`` says that nobody chose another place: it must not replace the project's.

        Raises
        ------
        InvalidPaper
            If there is one that can't be read, or modules are of different papers: a record is of one document.

        """
        found: dict[Path | None, str] = {}
        for module in modules:
            folder = Path(str(module.__file__)).parent
            named = folder.relative_to(top) if folder.is_relative_to(top) else folder
            found.setdefault(nearest_paper(folder, top), named.as_posix())
        if len(found) > 1:
            raise InvalidPaper(
                "a record is of one document, but these claims are of several; run each by itself: "
                + ", ".join(f"pytest {folder}" for folder in sorted(found.values()))
            )
        (path,) = found
        if path is None:
            return
        self.project.paper = read_paper(path)
        if moved and path.parent not in (top, top / CLAIMS):
            self._move_report(path.parent.name)

    def _move_report(self, folder: str) -> None:
        self.project.folder = folder
        self.settings = replace(self.settings, report=self.settings.report / folder)

    def argument(self, name: str, size: str) -> Any:
        """Return what a claim's body gets that asks for columns by name; errors as in `Workbench.columns`.

        A claim about sizes `TOGETHER` gets each size's columns in its turn, so there is nothing to return before.
        """
        self._begin()
        return None if size == TOGETHER else self._evaluator.argument(name, size)

    def finding(self, check: Check, size: str, given: Mapping[str, Any]) -> Finding:
        """Return what a claim comes to; see `pathlen.evaluation.Evaluator.finding`."""
        self._begin()
        return self._evaluator.finding(check, size, given)

    def _begin(self) -> None:
        """When the first claim is run, have the controls of all begin beside it."""
        if not self._has_begun:
            self._has_begun = True
            self._evaluator.foresee(self.settings.specs)

    def close(self) -> None:
        """End what runs beside this process."""
        self._bench.close()

    def refuse_missing(self, check: Check) -> None:
        """Raise `ModelNotFound` if a claim compares sizes that this session was not asked to run on.

        The share of those that it was asked for is measured first, and kept for `pathlen.comparisons`.
        """
        sizes = check.claim.sizes
        missing = [size for size in sizes if size not in self.settings.specs]
        if missing:
            for size in sizes:
                if size not in missing:
                    with suppress(PathlenError):  # met by the claims about that size
                        self._evaluator.keep(check, TOGETHER, size)
            raise ModelNotFound(
                f"the claim compares {', '.join(sizes)}, but {', '.join(missing)} was not asked for; run it without --size, "
                "or put the records of all sizes together with: pathlen report"
            )

    def send(self, finding: Finding, node: str) -> str:
        """Return what an item found as JSON, with the records of models that were measured since the last time."""
        new = tuple(record for record in self._bench.records if record.size not in self._sent)
        self._sent.update(record.size for record in new)
        claim = finding.claim
        record = ClaimRecord.of(claim, node, self.project.deviation(claim.id, claim.reading))
        message: Message = (record, FindingRecord.of(finding), new)
        return msgspec.json.encode(message).decode("utf-8")

    def receive(self, message: str) -> None:
        """Take in what one item found."""
        claim, finding, models = msgspec.json.decode(message, type=Message)
        self._claims[claim.id, claim.reading] = claim
        self.findings[finding.claim, finding.reading, finding.size] = finding
        for model in models:
            self._models[model.size] = model

    def send_project(self) -> str:
        """Return what this session knows of its project as JSON."""
        return msgspec.json.encode(self.project).decode("utf-8")

    def receive_project(self, message: str) -> None:
        """Take in what another process of the same run knows of the project; all of them know the same."""
        if not self.project.top:
            project = msgspec.json.decode(message, type=Project)
            if project.folder:
                self._move_report(project.folder)
            self.project = project

    def refuse_unwritable(self) -> None:
        """Raise `OSError` if the report could not be written at the end; better known before the work than after."""
        folder = self.settings.report
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(f"--report must be a folder that can be written to, but {folder}: {error}") from error

    @property
    def nothing_tested(self) -> bool:
        """Whether there are claims, and none of them was tested: not claimed of any size, or no weights."""
        verdicts = {finding.verdict for finding in self.findings.values()}
        return (self.has_claims or bool(verdicts)) and verdicts <= {Verdict.NOT_TESTED.value}

    @property
    def missing(self) -> list[Key]:
        """Findings of the expected record, on the sizes of this session, that this session does not have."""
        wanted = self.settings.expected or {}
        return [key for key in wanted if key[2] in self.settings.specs and key not in self.findings]

    def run(self) -> Run:
        """Return the record of this session."""
        settings, project = self.settings, self.project
        texts = (
            TextRecord(
                name=one.name,
                origin=one.origin,
                licence=one.licence,
                attribution=one.attribution,
                sha256=one.sha256,
            )
            for one in settings.passages
        )
        known = [*SIZES, *(size for size in self._models if size not in SIZES)]
        return Run(
            schema_version=SCHEMA_VERSION,
            family=settings.family,
            sizes=tuple(settings.specs),
            selection=settings.selection,
            started=self._started.isoformat(timespec="seconds"),
            seconds=time.monotonic() - self._clock,
            seed=settings.seed,
            left_out=LEFT_OUT,
            controls=settings.controls,
            lock=project.lock,
            deviations=tuple(
                [f"{id} ({reading}): {text}" for id, reading, text in project.deviations if text] + project.gone
            ),
            severity=project.severity,
            texts=tuple(texts),
            models=tuple(self._models[size] for size in known if size in self._models),
            claims=tuple(self._claims.values()),
            findings=tuple(self.findings.values()),
            environment=environment(),
            paper=project.paper,
            lock_sha256=project.lock_sha256,
            declared=project.declared,
            revision=revision_of(Path(project.top), settings.report) if project.top else None,
        )

    def write(self, run: Run) -> tuple[Path, Path]:
        """Write a record and its page, each completely or not at all, and return their paths."""
        record = self.settings.report / f"{run.family}.json"
        html = record.with_suffix(".html")
        write(run, record)  # first: a page can be made again from it, but not the other way round
        write_text(html, page(run))
        return record, html
