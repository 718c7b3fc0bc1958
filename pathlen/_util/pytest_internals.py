"""Everything that the plugin uses of pytest and pytest-xdist beyond what they document, one function for each.

A docstring says what a function does, what it relies on, and what stops working if that changes.
``tests/_util/test_pytest_internals.py`` exercises each function on its own, so that a new pytest that breaks one fails there and
not somewhere in a session. Only the plugin imports this module; the rest of ``_util`` knows nothing of pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

import pytest

__all__ = [
    "argument_names",
    "attach",
    "attached",
    "capture_disabled",
    "collection_error",
    "fixture_names",
    "is_worker",
    "let_others_take_names",
    "line_writer",
    "node_without_parameters",
    "parameters",
    "set_traceback",
    "skipped_with",
    "worker_output",
]


def let_others_take_names(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """Let options that are added later take the names of earlier ones, except from within a group.

    Relies on ``Parser.optparser`` and the ``_arggroup`` of ``Parser._anonymous`` and of a group being argparse's own classes. Their
    ``conflict_handler`` is read when an option is added, and groups that are made later take over the parser's. Without it, two
    options of one name are an error: a project whose ``conftest.py`` adds ``--seed`` can't run any test where this plugin is
    installed.
    """
    for container in (parser.optparser, parser._anonymous._arggroup):
        container.conflict_handler = "resolve"
    group._arggroup.conflict_handler = "error"


def argument_names(function: pytest.Function) -> tuple[str, ...]:
    """Return the arguments that a test function takes from fixtures, in the order of its signature.

    Relies on ``Function._fixtureinfo.argnames``. Without it, a claim's body can't be called with its measurements alone: what
    fixtures of other fixtures are called is among ``Function.funcargs``, too.
    """
    return tuple(function._fixtureinfo.argnames)


def fixture_names(function: pytest.Function) -> set[str]:
    """Return the names of all fixtures behind a test function that exist, without ``request``.

    Relies on ``Function._fixtureinfo.name2fixturedefs``. Without it, a misspelt argument of a claim is reported by pytest, which
    lists every fixture instead of the column that was probably meant.
    """
    return set(function._fixtureinfo.name2fixturedefs)


def parameters(function: pytest.Function) -> Mapping[str, object]:
    """Return the values that a parametrised test function was given, by argument.

    Relies on ``Function.callspec.params``. Without it, an item does not know its size.
    """
    return function.callspec.params


def node_without_parameters(function: pytest.Function) -> str:
    """Return the node id of a parametrised test function without the part in brackets.

    Relies on ``Function.callspec.id`` being that part. Without it, the sizes of a claim would count as different claims.
    """
    return function.nodeid.removesuffix(f"[{function.callspec.id}]")


def collection_error(report: pytest.CollectReport) -> pytest.ExceptionInfo[BaseException] | None:
    """Return the exception that collection failed with; None if it didn't, or if that is not known.

    Relies on ``CollectReport.call``, where pytest's runner leaves it. Without it, an error in a claim's declaration is shown with
    all of this package's and pytest's frames.
    """
    raised: pytest.ExceptionInfo[BaseException] | None = getattr(getattr(report, "call", None), "excinfo", None)
    return raised if report.failed else None


def set_traceback(raised: pytest.ExceptionInfo[BaseException], trace: TracebackType) -> None:
    """Replace the traceback that pytest shows of an exception; that of the exception itself stays.

    Relies on ``ExceptionInfo.traceback`` being settable, and on its class taking a plain traceback. Without it, an error in the
    use of this package is shown with all of this package's and pytest's frames.
    """
    raised.traceback = type(raised.traceback)(trace)


def skipped_with(report: pytest.TestReport, item: pytest.Item, text: str) -> None:
    """Turn a report into one of a skipped item, with a reason.

    Relies on the ``longrepr`` of a skipped report being path, line and reason. Without it, ``-rs`` and JUnit's XML break on what
    is neither passed nor failed.
    """
    path, line, _ = item.location
    report.outcome, report.longrepr = "skipped", (path, line or 0, text)


def attach(report: pytest.TestReport, name: str, text: str) -> None:
    """Note a text on a report under a name; `attached` reads it.

    Relies on attributes of a report surviving the way between processes. Without it, a run spread over processes shows every
    verdict that is neither a pass nor a failure as a skip.
    """
    setattr(report, name, text)


def attached(report: pytest.CollectReport | pytest.TestReport, name: str) -> str:
    """Return the text that `attach` noted on a report; empty if there is none."""
    text: str = getattr(report, name, "")
    return text


def capture_disabled(config: pytest.Config) -> AbstractContextManager[None]:
    """Return a context in which output reaches the terminal although pytest captures it.

    Relies on the plugin ``capturemanager`` and its ``global_and_fixture_disabled``. Without it, a download of minutes shows no
    progress.
    """
    manager: Any = config.pluginmanager.get_plugin("capturemanager")
    return manager.global_and_fixture_disabled() if manager else nullcontext()


def line_writer(config: pytest.Config) -> Callable[[str], None]:
    """Return a function that prints a line in pytest's terminal; where there is none, it does nothing.

    Relies on the plugin ``terminalreporter``, its ``ensure_newline`` and ``write_line``. Without it, the lines of a download go
    into the middle of pytest's.
    """
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if not terminal:
        return lambda line: None
    terminal.ensure_newline()
    write_line: Callable[[str], None] = terminal.write_line
    return write_line


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs items for another one, which collects their reports.

    Relies on pytest-xdist setting ``Config.workerinput`` there. Without it, every process would write a record of its own items.
    """
    return getattr(config, "workerinput", None) is not None


def worker_output(source: object) -> dict[str, str]:
    """Return what a worker sends back at its end: to fill, from its ``Config``; to read, from its node in the other process.

    Relies on ``workeroutput``, which pytest-xdist sets on both. Without it, a run spread over processes has neither lock nor
    paper in its record.
    """
    output: dict[str, str] = getattr(source, "workeroutput", {})
    return output
