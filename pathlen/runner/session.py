"""One session of claims: what it was asked to do, what it found, and where it writes that down.

The pytest plugin translates options into `Settings` and reports into findings. Everything in between is here, so that it can be
read, and tested, without pytest.
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
from pathlen.columns.measurement import LEFT_OUT
from pathlen.errors import ModelNotFound, PathlenError
from pathlen.models.families import SIZES
from pathlen.models.hub import describe, fetch, plan, require_space
from pathlen.passages.passage import Passage
from pathlen.records.files import write
from pathlen.records.schema import SCHEMA_VERSION, ClaimRecord, FindingRecord, Run, TextRecord
from pathlen.report import page
from pathlen.runner.check import Check
from pathlen.runner.evaluator import Evaluator
from pathlen.runner.model_records import ModelRecorder
from pathlen.runner.project import CLAIMS, Project
from pathlen.runner.provider import ColumnProvider
from pathlen.runner.results import Results, message_of
from pathlen.runner.settings import FindingKey, Settings, is_on_this_machine

__all__ = ["Session"]


class Session:
    """The claims of one session, from their collection to their report.

    In a run that is spread over processes every process has one. Those that measure send what they find; the one that controls
    them receives and writes it.

    Parameters
    ----------
    settings : Settings

    Attributes
    ----------
    settings : Settings
    project : Project
    has_claims : bool
        Whether claims were collected.

    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.project = Project()
        self.has_claims = False
        self._results = Results()
        self._has_begun = False
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._sent: set[str] = set()
        cache = Cache(folder())
        self._recorder = ModelRecorder(
            settings.passages, seed=settings.seed, device=settings.device, dtype=settings.dtype
        )
        self._provider = ColumnProvider(
            settings.passages, device=settings.device, dtype=settings.dtype, cache=cache, recorder=self._recorder
        )
        self._evaluator = Evaluator(
            self._provider, settings.spec, effort=settings.controls, seed=settings.seed, cache=cache
        )

    # What is run.

    def prepare(self, checks: Iterable[Check], readings: Iterable[Check] = ()) -> None:
        """Note all claims that will be run, and others whose published reading they are compared with."""
        self.has_claims = True
        self._evaluator.register(checks)
        self._evaluator.add_readings(readings)

    def download(self, say: Callable[[str], None]) -> None:
        """Fetch the weights of this session's sizes that are not on this machine, and report it line by line.

        Raises
        ------
        DownloadFailed, ModelMismatch, ModelNotFound
            As `pathlen.models.hub.fetch` does.

        """
        plans = [plan(spec) for spec in self.settings.specs.values() if not is_on_this_machine(spec)]
        for line in describe(plans) or ["the weights of every size are on this machine: nothing to download"]:
            say(f"pathlen: {line}")
        require_space(plans)
        for model_plan in plans:
            say(f"pathlen: {fetch(model_plan)}")

    def compare_with_lock(self, modules: Iterable[ModuleType], top: Path) -> None:
        """Note how the claims of these modules differ from their lock; see `Project.compare_with_lock`."""
        self.project.compare_with_lock(modules, top)

    def take_paper(self, modules: Iterable[ModuleType], top: Path, *, moved: bool) -> None:
        """Note which document the claims of these modules are about; see `Project.read_paper`.

        A folder with a paper inside of a project, other than its ``claims``, gets a report of its own, ``reports/FOLDER``, so
        that it doesn't replace the project's. ``moved`` says that nobody chose another place.
        """
        path = self.project.read_paper(modules, top)
        if path is not None and moved and path.parent not in (top, top / CLAIMS):
            self._move_report(path.parent.name)

    def _move_report(self, folder: str) -> None:
        self.project.folder = folder
        self.settings = replace(self.settings, report=self.settings.report / folder)

    def argument(self, name: str, size: str) -> Any:
        """Return the argument that a body asks for by the name of its columns; errors as in `ColumnProvider.columns`.

        A claim about sizes `TOGETHER` gets each size's columns in its turn, so there is nothing to return before.
        """
        self._begin()
        return None if size == TOGETHER else self._evaluator.argument(name, size)

    def finding(self, check: Check, size: str, given: Mapping[str, Any]) -> Finding:
        """Return what a claim comes to; see `pathlen.runner.evaluator.Evaluator.finding`."""
        self._begin()
        return self._evaluator.finding(check, size, given)

    def _begin(self) -> None:
        """Have helpers start on the controls of all claims when the first one is run."""
        if not self._has_begun:
            self._has_begun = True
            self._evaluator.prefetch(self.settings.specs)

    def close(self) -> None:
        """End the helper processes."""
        self._provider.close()

    def refuse_missing(self, check: Check) -> None:
        """Raise `ModelNotFound` if a claim compares sizes that this session was not asked to run on.

        The share of the sizes that it was asked for is measured first, and kept for `pathlen.runner.across_models`.
        """
        sizes = check.claim.sizes
        missing = [size for size in sizes if size not in self.settings.specs]
        if missing:
            for size in sizes:
                if size not in missing:
                    with suppress(PathlenError):  # raised by the claims about that size
                        self._evaluator.measure_share(check, TOGETHER, size)
            raise ModelNotFound(
                f"the claim compares {', '.join(sizes)}, but {', '.join(missing)} was not asked for; run it without --size, "
                "or put the records of all sizes together with: pathlen report"
            )

    # What is sent between processes.

    def send(self, finding: Finding, node: str) -> str:
        """Return what an item found as JSON, with the records of models that were measured since the last call."""
        models = tuple(record for record in self._recorder.records if record.size not in self._sent)
        self._sent.update(record.size for record in models)
        claim = finding.claim
        record = ClaimRecord.of(claim, node, self.project.deviation(claim.id, claim.reading))
        return message_of(record, FindingRecord.of(finding), models)

    def receive(self, message: str) -> None:
        """Take in what one item found."""
        self._results.receive(message)

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

    # What is written.

    def refuse_unwritable(self) -> None:
        """Raise `OSError` if the report can't be written, before the work rather than after it."""
        folder = self.settings.report
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(f"--report must be a folder that can be written to, but {folder}: {error}") from error

    @property
    def findings(self) -> dict[FindingKey, FindingRecord]:
        """What was found so far, by claim, reading and size."""
        return self._results.findings

    @property
    def nothing_tested(self) -> bool:
        """Whether there are claims, and none of them was tested."""
        return (self.has_claims or bool(self.findings)) and self._results.is_untested

    @property
    def missing(self) -> list[FindingKey]:
        """Findings of the expected record, on the sizes of this session, that this session does not have."""
        expected = self.settings.expected or {}
        return [key for key in expected if key[2] in self.settings.specs and key not in self.findings]

    def run(self) -> Run:
        """Return the record of this session."""
        settings, project, results = self.settings, self.project, self._results
        sizes = [*SIZES, *(size for size in results.models if size not in SIZES)]
        deviations = [f"{id} ({reading}): {text}" for id, reading, text in project.deviations if text]
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
            deviations=(*deviations, *project.gone),
            severity=project.severity,
            texts=tuple(map(_text_record, settings.passages)),
            models=tuple(results.models[size] for size in sizes if size in results.models),
            claims=tuple(results.claims.values()),
            findings=tuple(results.findings.values()),
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


def _text_record(passage: Passage) -> TextRecord:
    return TextRecord(
        name=passage.name,
        origin=passage.origin,
        licence=passage.licence,
        attribution=passage.attribution,
        sha256=passage.sha256,
    )
