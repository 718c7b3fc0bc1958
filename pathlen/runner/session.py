"""One session of claims: what it was asked to do, what it found, and where it writes that down.

The pytest plugin translates options into `Settings` and reports into findings; everything in between is here, so
that it can be read, and tested, without pytest.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from pathlen._util.cache import Cache, folder
from pathlen._util.files import write_text
from pathlen._util.provenance import environment, revision_of
from pathlen.claims.claim import TOGETHER
from pathlen.claims.finding import Finding
from pathlen.claims.lock import Declaration, declarations, nearest, read_lock
from pathlen.claims.paper import nearest_paper, read_paper
from pathlen.claims.verdict import Verdict
from pathlen.columns.measurement import LEFT_OUT
from pathlen.errors import InvalidPaper, ModelNotFound, PathlenError
from pathlen.models.families import SIZES
from pathlen.models.hub import describe, fetch, plan, require_space
from pathlen.records.files import severity_beside, write
from pathlen.records.schema import SCHEMA_VERSION, ClaimRecord, FindingRecord, ModelRecord, Run, TextRecord
from pathlen.report import page
from pathlen.runner.evaluator import Check, Evaluator
from pathlen.runner.project import CLAIMS, Project
from pathlen.runner.provider import ColumnProvider
from pathlen.runner.settings import FindingKey, Settings, is_on_this_machine

__all__ = ["Session"]

Message = tuple[ClaimRecord, FindingRecord, tuple[ModelRecord, ...]]


class Session:
    """What the claims of a session found so far.

    On a run spread over processes every process has one; those that measure send what they find, and the one that
    controls them receives and writes it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.has_claims = False
        self._has_begun = False
        self.findings: dict[FindingKey, FindingRecord] = {}
        self.project = Project()
        self._claims: dict[tuple[str, str], ClaimRecord] = {}
        self._models: dict[str, ModelRecord] = {}
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._sent: set[str] = set()
        kept = Cache(folder())
        self._bench = ColumnProvider(
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
            As `pathlen.models.hub.fetch` does.

        """
        plans = [plan(one) for one in self.settings.specs.values() if not is_on_this_machine(one)]
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
        """Return what a claim's body gets that asks for columns by name; errors as in `ColumnProvider.columns`.

        A claim about sizes `TOGETHER` gets each size's columns in its turn, so there is nothing to return before.
        """
        self._begin()
        return None if size == TOGETHER else self._evaluator.argument(name, size)

    def finding(self, check: Check, size: str, given: Mapping[str, Any]) -> Finding:
        """Return what a claim comes to; see `pathlen.runner.evaluator.Evaluator.finding`."""
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

        The share of those that it was asked for is measured first, and kept for `pathlen.runner.across_models`.
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
    def missing(self) -> list[FindingKey]:
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
