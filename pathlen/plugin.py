"""The pytest plugin: claims become test items, one per size, and verdicts become outcomes.

=============== =========================================================
verdict         pytest
=============== =========================================================
supported       passes
refuted         fails
invalid         fails
error           fails, or errors, as any exception does
inconclusive    its own category, neither pass nor fail
vacuous         its own category: its controls, or any network, would support it as well
not tested      its own category, with the command that would change that
(not claimed)   its own category: the claim does not speak about this size
=============== =========================================================

``--fail-on`` says which verdicts fail; with ``--expect RECORD`` exactly those items pass whose verdict equals the record's.
Underneath, pytest's own three outcomes stay in place (a category of its own is a "skipped" report), so that other plugins keep
working.

Nothing is computed here, and nothing heavy is imported before a claim is collected. A finding travels on its item's report, as
JSON in ``user_properties``, so that a run spread over processes collects the same record. Whatever pytest doesn't document is
used through `pathlen._util.pytest_internals`.
"""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from pathlen._util import pytest_internals as internals

if TYPE_CHECKING:
    from pathlen.claims.claim import Claim
    from pathlen.claims.finding import Finding
    from pathlen.runner.check import Check
    from pathlen.runner.session import Session

DEFAULT_FAIL_ON = "refuted,invalid,error"
DEFAULT_REPORT = "reports"
DEFAULT_CONTROLS = "full"
NO_VALUE = "\0"  # what an option holds that was given without one
CLAIM: pytest.StashKey[Claim] = pytest.StashKey()
FINDING: pytest.StashKey[Finding] = pytest.StashKey()
SESSION: pytest.StashKey[Session] = pytest.StashKey()
DOWNLOADED: pytest.StashKey[bool] = pytest.StashKey()
SIZE = "pathlen_size"
PROPERTY = "pathlen"
VERDICT = "pathlen_verdict"
NOT_CLAIMED = "not claimed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each also under a name that nobody else takes: ``--pathlen-seed`` beside ``--seed``.

    This plugin is loaded wherever it is installed, and a project's ``conftest.py`` may well add a ``--seed`` or ``--device`` of
    its own. Two options of one name would stop every run of that project. So the project gets the plain name, and the option
    here keeps its prefixed one.
    """
    group = parser.getgroup("pathlen", "claims about language models")
    internals.let_others_take_names(parser, group)

    def add(name: str, **settings: Any) -> None:
        settings = {"dest": f"pathlen_{name.removeprefix('--').replace('-', '_')}", **settings}
        if settings.keys().isdisjoint({"action", "nargs"}):
            # A project's own option of this name may be one without a value; `_session` refuses ours without one.
            settings |= {"nargs": "?", "const": NO_VALUE}
        prefixed = name.replace("--", "--pathlen-", 1)
        try:
            group.addoption(name, prefixed, **settings)
        except ArgumentError:  # a plugin that came before has the plain name
            group.addoption(prefixed, **settings)

    add("--family", metavar="NAME", help="gpt2 or mini (default: gpt2 if any of it is on this machine, else mini)")
    add("--size", metavar="SIZES", help="comma-separated: small,medium,large,xl (default: all of the family)")
    add("--model", metavar="MODEL", help="a directory, or owner/name on the Hub; with --size, instead of that size")
    add("--device", metavar="DEVICE", default="cpu", help="cpu, cuda or mps (default: cpu)")
    add("--dtype", metavar="TYPE", default="float32", help="float64, float32, bfloat16 or float16 (default: float32)")
    add(
        "--text",
        metavar="TEXT",
        nargs="+",
        action="extend",
        default=[],
        help="UTF-8 files or names of shipped passages (default: all shipped passages)",
    )
    add("--seed", metavar="N", default="0", help="seed of every resample (default: 0)")
    add("--report", metavar="DIR", help=f"folder for the record and the page (default: {DEFAULT_REPORT})")
    add(
        "--fail-on",
        metavar="VERDICTS",
        default=DEFAULT_FAIL_ON,
        help=f"verdicts that fail (default: {DEFAULT_FAIL_ON})",
    )
    add(
        "--controls",
        metavar="EFFORT",
        default=DEFAULT_CONTROLS,
        help=f"runs of each claim's negative controls: none, quick or full (default: {DEFAULT_CONTROLS})",
    )
    add(
        "--download",
        action="store_true",
        help="first fetch the weights of these sizes that are not on this machine (default: never download)",
    )
    add("--expect", metavar="RECORD", help="pass exactly where the verdict equals this record's")


def pytest_configure(config: pytest.Config) -> None:
    """Check options that were given before anything is collected."""
    config.addinivalue_line("markers", "claim: an item that checks a claim; set by pathlen")
    config.pluginmanager.register(_Reporter(config), "pathlen-reporter")
    options = config.option
    defaults = (DEFAULT_FAIL_ON, DEFAULT_CONTROLS, "cpu", "float32")
    in_use = (options.pathlen_fail_on, options.pathlen_controls, options.pathlen_device, options.pathlen_dtype)
    selection = (options.pathlen_family, options.pathlen_size, options.pathlen_model, options.pathlen_text)
    if in_use != defaults or any((*selection, options.pathlen_expect, options.pathlen_download)):
        _session(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the processes beside this one, however the session ended."""
    if SESSION in config.stash:
        config.stash[SESSION].close()


def _session(config: pytest.Config) -> Session:
    """Return the session's claims. They are created, and the options checked, on first use."""
    if SESSION not in config.stash:
        from pathlen.errors import PathlenError
        from pathlen.runner.session import Session
        from pathlen.runner.settings import settings_of

        options = config.option
        for name, argument in vars(options).items():
            if name.startswith("pathlen_") and argument == NO_VALUE:
                raise pytest.UsageError(f"--{name.removeprefix('pathlen_').replace('_', '-')} needs a value")
        try:
            settings = settings_of(
                family=options.pathlen_family,
                sizes=options.pathlen_size,
                directory=options.pathlen_model,
                texts=options.pathlen_text,
                seed=_seed(options.pathlen_seed),
                report=Path(options.pathlen_report)
                if options.pathlen_report
                else _project_folder(config) / DEFAULT_REPORT,
                fail_on=options.pathlen_fail_on,
                expect=Path(options.pathlen_expect) if options.pathlen_expect else None,
                controls=options.pathlen_controls,
                device=options.pathlen_device,
                dtype=options.pathlen_dtype,
            )
        except (PathlenError, ValueError) as error:
            raise pytest.UsageError(str(error)) from error
        config.stash[SESSION] = Session(settings)
    return config.stash[SESSION]


def _seed(seed: str) -> int:
    try:
        return int(seed)
    except ValueError as error:
        raise ValueError(f"--seed must be a whole number, but {seed!r} was given") from error


def _project_folder(config: pytest.Config) -> Path:
    """Return the project's folder. Without a configuration file, pytest's own root would be the folder of claims."""
    return config.inipath.parent if config.inipath else config.invocation_params.dir


# Collection: one item per claim and size.


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread a claim over the sizes of the session."""
    if not _is_claim(metafunc.function):
        if SIZE in metafunc.fixturenames:
            _refuse_without_claim(metafunc)
        return
    from pathlen.claims.claim import TOGETHER, declared

    claim = declared(metafunc.function)
    assert claim is not None
    _refuse_unknown(metafunc, claim)
    if SIZE not in metafunc.fixturenames:
        raise pytest.UsageError(
            f"claim {metafunc.function.__name__} must take what it measures as an argument: {', '.join(_columns())}"
        )
    settings = _session(metafunc.config).settings
    together = claim.logic == "differs" and settings.is_family
    metafunc.parametrize(SIZE, [TOGETHER] if together else list(settings.specs), scope="session")


def _is_claim(function: object) -> bool:
    """Whether a function was declared as a claim, found out without importing what declares them."""
    return getattr(function, "__pathlen_claim__", None) is not None


def _columns() -> list[str]:
    """Return the names of the fixtures that a claim can ask for."""
    from pathlen.runner.check import COLUMNS

    return list(COLUMNS)


def _refuse_without_claim(metafunc: pytest.Metafunc) -> None:
    """Refuse a function that asks for measurements but is no claim: nothing would judge what it returns."""
    if SIZE not in _marked_arguments(metafunc):
        asked = ", ".join(name for name in metafunc.fixturenames if name in _columns())
        raise pytest.Collector.CollectError(
            f"{metafunc.function.__name__} asks for {asked} but is no claim: write "
            "@claim(sizes=[...], expect=..., controls=[...]) above it"
        )


def _refuse_unknown(metafunc: pytest.Metafunc, claim: Claim) -> None:
    """Refuse a claim that takes an argument that nothing provides, and say what was probably meant."""
    from pathlen.claims.hints import unknown_argument

    provided = internals.fixture_names(metafunc.definition) | {"request"} | _marked_arguments(metafunc)
    for name in internals.argument_names(metafunc.definition):
        if name not in provided:
            raise pytest.Collector.CollectError(unknown_argument(claim.id, name, _columns()))


def _marked_arguments(metafunc: pytest.Metafunc) -> set[str]:
    """Return the arguments that ``parametrize`` marks give values to."""
    names: set[str] = set()
    for mark in metafunc.definition.iter_markers("parametrize"):
        argnames = mark.args[0] if mark.args else mark.kwargs["argnames"]
        names |= {name.strip() for name in (argnames.split(",") if isinstance(argnames, str) else argnames)}
    return names


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Show an error in a claim's declaration with its line in the file of claims, without a traceback."""
    report = yield
    raised = internals.collection_error(report)
    if raised is not None and _is_misuse(raised.value) and not collector.config.option.fulltrace:
        lines = [entry.lineno + 1 for entry in raised.traceback if entry.path == collector.path]
        location = f"\n  in {collector.nodeid}, line {lines[-1]}" if lines else ""
        report.longrepr = f"{raised.value}{location}"
    return report


def _is_misuse(error: BaseException) -> bool:
    """Whether an error was raised by this package about the arguments that it was given."""
    from pathlen.errors import PathlenError

    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    is_ours = trace is not None and Path(trace.tb_frame.f_code.co_filename).is_relative_to(Path(__file__).parent)
    return is_ours and isinstance(error, (PathlenError, ValueError, TypeError, AttributeError))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note on an item which claim it checks."""
    if isinstance(item, pytest.Function) and _is_claim(item.function):
        from pathlen.claims.claim import declared

        claim = declared(item.function)
        assert claim is not None
        item.stash[CLAIM] = claim
        item.add_marker("claim")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse two claims with one id, and a claim that would have several findings for one size."""
    for item in items:
        others = set(internals.parameters(_function(item))) - {SIZE} if CLAIM in item.stash else set()
        if others:
            raise pytest.UsageError(
                f"claim {item.stash[CLAIM].id!r} must have one finding per size, but is parametrised by "
                f"{', '.join(sorted(others))}; write one claim for each"
            )
    claims = [(item.stash[CLAIM], _node(item)) for item in items if CLAIM in item.stash]
    if claims:
        from pathlen.claims.claim import refuse_duplicates
        from pathlen.errors import InvalidClaim

        try:
            refuse_duplicates(claims)
        except InvalidClaim as error:
            raise pytest.UsageError(str(error)) from error


def pytest_collection_finish(session: pytest.Session) -> None:
    """Prepare the claims, compare them with their lock, and check before any work that their report can be written."""
    items = [item for item in session.items if CLAIM in item.stash]
    if items and not session.config.option.collectonly:
        from pathlen.claims.lock import claims_in
        from pathlen.errors import PathlenError
        from pathlen.runner.check import Check

        claims = _session(session.config)
        modules = dict.fromkeys(item.module for item in items if isinstance(item, pytest.Function))
        claims.prepare(
            map(_check, items), (Check(*declaration) for module in modules for declaration in claims_in(module))
        )
        try:
            claims.compare_with_lock(modules, _project_folder(session.config))
            claims.take_paper(
                modules, _project_folder(session.config), moved=session.config.option.pathlen_report is None
            )
            if not internals.is_worker(session.config):
                # An error in a worker would not reach the reader; the controlling process reports what it can't write.
                claims.refuse_unwritable()
                if session.config.option.pathlen_download:
                    _download(session.config)
        except (OSError, PathlenError) as error:
            raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Receive what a worker knows of the claims' project, when it ends."""
    message = internals.worker_output(node).get(PROPERTY)
    if message:
        _session(node.config).receive_project(message)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    """Fetch missing weights in a run spread over processes: once, in the controlling one, before any worker starts on an item."""
    config: pytest.Config = node.config
    if config.option.pathlen_download and DOWNLOADED not in config.stash:
        from pathlen.errors import PathlenError

        try:
            _download(config)
        except (OSError, PathlenError) as error:
            raise pytest.UsageError(str(error)) from error


def _download(config: pytest.Config) -> None:
    """Fetch missing weights where the reader sees it: in the process that controls the run, with output not captured."""
    config.stash[DOWNLOADED] = True
    with internals.capture_disabled(config):
        _session(config).download(internals.line_writer(config))


def _check(item: pytest.Item) -> Check:
    from pathlen.runner.check import Check

    return Check(item.stash[CLAIM], _function(item).obj)


def _function(item: pytest.Item) -> pytest.Function:
    assert isinstance(item, pytest.Function)
    return item


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what is about to be measured, and why that was chosen."""
    if SESSION not in config.stash:
        return []
    settings = config.stash[SESSION].settings
    reason = f": {settings.why}" if settings.why else ""
    texts = ", ".join(passage.name for passage in settings.passages)
    return [
        f"pathlen: family {settings.family} ({', '.join(settings.specs)}){reason}",
        f"pathlen: {len(settings.passages)} texts ({texts}), seed {settings.seed}, controls {settings.controls}",
    ]


# What a claim's body can ask for.


@pytest.fixture(scope="session")
def pathlen_size(request: pytest.FixtureRequest) -> str:
    """The size an item runs on."""
    size: str = request.param
    return size


@pytest.fixture(scope="session")
def measured(pathlen_size: str, pytestconfig: pytest.Config) -> Any:
    """Aligned columns of all texts in the model at hand; lengths are before the final norm."""
    return _session(pytestconfig).argument("measured", pathlen_size)


@pytest.fixture(scope="session")
def measured_small(pathlen_size: str, pytestconfig: pytest.Config) -> Any:
    """The same columns of the family's Small, to compare the model at hand with."""
    return _session(pytestconfig).argument("measured_small", pathlen_size)


@pytest.fixture(scope="session")
def as_published(pathlen_size: str, pytestconfig: pytest.Config) -> Any:
    """The pairing of the published procedure in the model at hand, its slips included."""
    return _session(pytestconfig).argument("as_published", pathlen_size)


@pytest.fixture(scope="session")
def as_published_small(pathlen_size: str, pytestconfig: pytest.Config) -> Any:
    """The same pairing in the family's Small."""
    return _session(pytestconfig).argument("as_published_small", pathlen_size)


@pytest.fixture(scope="session")
def relative_error(pathlen_size: str, pytestconfig: pytest.Config) -> Any:
    """How far every step is from the published double loop, shape ``(steps + 1, tokens)``."""
    return _session(pytestconfig).argument("relative_error", pathlen_size)


# Running one item.


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip an item whose claim does not speak about its size."""
    if CLAIM in item.stash:
        if FINDING in item.stash:  # from an earlier attempt at this item
            del item.stash[FINDING]
        claim, size = item.stash[CLAIM], _size(item)
        if not claim.speaks_about(size):
            raise _NotClaimed(f"{NOT_CLAIMED}: {claim.id} speaks about {', '.join(claim.sizes)} only")
        if claim.logic == "differs":
            _session(item.config).refuse_missing(_check(item))


class _NotClaimed(pytest.skip.Exception):  # type: ignore[name-defined, misc]  # pytest types it as a variable
    """A claim that does not speak about the size at hand."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a claim's body and judge what it returns."""
    if CLAIM not in pyfuncitem.stash:
        return None
    if FINDING in pyfuncitem.stash:  # its columns could not be measured
        return True
    arguments = {name: pyfuncitem.funcargs[name] for name in internals.argument_names(pyfuncitem)}
    pyfuncitem.stash[FINDING] = _session(pyfuncitem.config).finding(_check(pyfuncitem), _size(pyfuncitem), arguments)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a finding into an outcome, and send it along on the report."""
    error = call.excinfo.value if call.excinfo else None
    if CLAIM in item.stash and call.excinfo and _is_misuse(call.excinfo.value) and not item.config.option.fulltrace:
        _hide_frames_around_claim(call.excinfo, item)
    report = yield
    if CLAIM not in item.stash or call.when == "teardown" or (call.when == "setup" and error is None):
        return report
    if isinstance(error, pytest.skip.Exception):
        internals.attach(report, VERDICT, NOT_CLAIMED if isinstance(error, _NotClaimed) else "")
        return report
    if error is not None:
        item.stash[FINDING] = _finding_of(error, item)
    finding = item.stash[FINDING]
    session = _session(item.config)
    expected = session.settings.expected_verdict(finding)
    is_bug = finding.verdict.value == "error" and expected != "error"
    if call.when == "setup" and not is_bug:
        # An error that kept the columns from being measured is a finding like any other; the call reports it.
        report.outcome, report.longrepr = "passed", None
        return report
    report.user_properties.append((PROPERTY, session.send(finding, _node(item))))
    # JUnit's XML takes an item's properties from the report of its teardown, which copies them from the item.
    item.user_properties += _properties(finding)
    internals.attach(report, VERDICT, finding.verdict.value)
    if is_bug:
        _report_bug(report, error, finding, item)
    else:
        _report_verdict(report, finding, expected, item)
    return report


def _report_bug(report: pytest.TestReport, error: BaseException | None, finding: Finding, item: pytest.Item) -> None:
    """Leave the report of an exception as it is, with its traceback: a bug fails under any ``--fail-on``."""
    from pathlen.errors import InvalidClaim, InvalidColumn

    if isinstance(error, (InvalidClaim, InvalidColumn)) and not item.config.option.fulltrace:
        report.longrepr = str(finding)  # about what was declared, so no line of the body is to blame


def _report_verdict(report: pytest.TestReport, finding: Finding, expected: str | None, item: pytest.Item) -> None:
    """Give a report the outcome of a verdict."""
    text = str(finding) if expected is None else f"expected {expected}, found {finding}"
    if _session(item.config).settings.fails(finding):
        report.outcome, report.longrepr = "failed", text
    elif expected is not None or finding.verdict.value == "supported":
        report.outcome, report.longrepr = "passed", None
    else:
        internals.skipped_with(report, item, text)


def _hide_frames_around_claim(raised: pytest.ExceptionInfo[BaseException], item: pytest.Item) -> None:
    """Show of a traceback only the lines in the claim's own file, without those of this package and pytest around them."""
    frames = []
    frame = raised.value.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename) == item.path:
            frames.append(frame)
        frame = frame.tb_next
    trace = None
    for frame in reversed(frames):
        trace = TracebackType(trace, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    if trace is not None:
        internals.set_traceback(raised, trace)


def _properties(finding: Finding) -> list[tuple[str, object]]:
    """Return a finding as properties of its test case in JUnit's XML, each of a plain type."""
    claim, estimate = finding.claim, finding.estimate
    properties: dict[str, object] = {
        "claim": claim.id,
        "reading": claim.reading,
        "size": finding.size,
        "region": str(claim.expect),
        "verdict": finding.verdict.value,
        "flags": ", ".join(finding.flags),
        "reason": finding.reason,
    }
    if estimate:
        properties |= {
            "statistic": estimate.statistic,
            "estimate": float(estimate.value),
            "level": float(estimate.level),
        }
        properties |= {"low": float(estimate.low), "high": float(estimate.high), "tokens": int(estimate.n)}
    return [(f"{PROPERTY}.{name}", content) for name, content in properties.items() if content != ""]


def _finding_of(error: BaseException, item: pytest.Item) -> Finding:
    from pathlen.claims.finding import Finding
    from pathlen.claims.verdict import Verdict
    from pathlen.errors import InvalidText, ModelMismatch, ModelNotFound, ModelTooLarge

    verdict, reason = Verdict.ERROR, f"{type(error).__name__}: {error}"
    if isinstance(error, (ModelNotFound, ModelTooLarge)):
        verdict, reason = Verdict.NOT_TESTED, str(error)
    elif isinstance(error, (ModelMismatch, InvalidText)):
        verdict, reason = Verdict.INVALID, str(error)
    return Finding(claim=item.stash[CLAIM], size=_size(item), verdict=verdict, reason=reason)


def _size(item: pytest.Item) -> str:
    return str(internals.parameters(_function(item))[SIZE])


def _node(item: pytest.Item) -> str:
    """Return an item's node id without its size: the same for all sizes of a claim."""
    return internals.node_without_parameters(_function(item))


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """Give a verdict that is neither a pass nor a failure a category of its own."""
    verdict = internals.attached(report, VERDICT)
    if not verdict or report.outcome != "skipped":
        return None
    letters = {"inconclusive": "?", NOT_CLAIMED: "-", "not tested": "s"}
    return verdict, letters.get(verdict, verdict[0]), verdict.upper()


class _Reporter:
    """Collects the findings of items, whichever process ran them, and writes the record and the page at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            for name, message in report.user_properties:
                if name == PROPERTY:
                    _session(self.config).receive(str(message))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the record and the page; fail a session that tested nothing, or that misses findings of the expected record."""
        if SESSION not in self.config.stash:
            return
        claims = self.config.stash[SESSION]
        if internals.is_worker(self.config):
            internals.worker_output(self.config)[PROPERTY] = claims.send_project()
            return
        if not claims.findings:
            self._fail_if_nothing_tested(session, claims)
            return
        from pathlen.report import terminal_lines

        run = claims.run()
        self.lines = terminal_lines(run)
        finished = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if not finished or session.shouldstop or session.shouldfail:
            self.lines.append("stopped early, so no report was written, and the one before it is as it was")
            return
        try:
            record, html = claims.write(run)
            self.lines += [f"record {record}", f"report {html}"]
        except OSError as error:
            self.lines.append(f"the report could not be written, and the one before it is as it was: {error}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._fail_if_nothing_tested(session, claims)
        if claims.missing:
            names = "; ".join(" ".join(key) for key in claims.missing)
            self.lines.append(f"the expected record also holds: {names}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _fail_if_nothing_tested(self, session: pytest.Session, claims: Session) -> None:
        if claims.nothing_tested:
            self.lines.append("nothing was tested, so nothing is verified")
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the matrix of claims and sizes, and the paths of the record and the page."""
        if self.lines:
            terminalreporter.section("claims")
            for line in self.lines:
                terminalreporter.write_line(line)
