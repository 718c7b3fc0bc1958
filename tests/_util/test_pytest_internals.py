"""Each use of something that pytest does not document, on its own: where one fails, a new pytest has changed it."""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Generator
from types import TracebackType

import pytest

from pathlen._util.pytest_internals import (
    argument_names,
    attach,
    attached,
    capture_disabled,
    collection_error,
    fixture_names,
    is_worker,
    let_others_take_names,
    line_writer,
    node_without_parameters,
    parameters,
    set_traceback,
    skipped_with,
)

PLAIN = ("-p", "no:cacheprovider", "-p", "no:pathlen")


class Flavours:
    """A plugin that lets others take the names of its options, beside one that came before and one that comes after."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        parser.getgroup("earlier").addoption("--taken", dest="earlier_taken", default="by the earlier")
        group = parser.getgroup("flavours")
        let_others_take_names(parser, group)
        group.addoption("--flavour", "--own-flavour", dest="own", default="plain")
        try:
            group.addoption("--taken", dest="own_taken")
        except ArgumentError as error:
            self.refused.append(str(error))
        parser.getgroup("later").addoption("--flavour", dest="later", default="none")
        parser.addoption("--own-colour", dest="colour", default="none")


def test_options_added_later_take_names_and_earlier_ones_keep_theirs(pytester: pytest.Pytester) -> None:
    plugin = Flavours()
    pytester.plugins.append(plugin)
    config = pytester.parseconfig(*PLAIN, "--flavour", "sweet", "--own-flavour", "sour", "--taken", "it")
    assert (config.option.later, config.option.own, config.option.earlier_taken) == ("sweet", "sour", "it")
    (refusal,) = plugin.refused
    assert "--taken" in refusal


PARAMETRISED = """
import pytest

@pytest.mark.parametrize("size", ["small"])
def test_a(size, tmp_path, misspelt):
    pass
"""


def item_of(pytester: pytest.Pytester) -> pytest.Function:
    item = pytester.getitem(PARAMETRISED, "test_a[small]")
    assert isinstance(item, pytest.Function)
    return item


def test_a_function_takes_its_arguments_from_fixtures_that_exist_or_not(pytester: pytest.Pytester) -> None:
    item = item_of(pytester)
    assert argument_names(item) == ("size", "tmp_path", "misspelt")
    assert fixture_names(item) >= {"tmp_path", "tmp_path_factory"}
    assert "misspelt" not in fixture_names(item)


def test_a_parametrised_item_knows_its_values_and_its_name_without_them(pytester: pytest.Pytester) -> None:
    item = item_of(pytester)
    assert parameters(item) == {"size": "small"}
    assert item.nodeid.endswith("::test_a[small]")
    assert node_without_parameters(item).endswith("::test_a")


class CollectionErrors:
    """A plugin that notes why files could not be collected, by node."""

    def __init__(self) -> None:
        self.errors: dict[str, BaseException | None] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        raised = collection_error(report)
        self.errors[collector.name] = raised and raised.value
        return report


def test_a_collection_that_fails_says_with_what(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_bad="import pytest\nraise pytest.Collector.CollectError('no claim')", test_good="def test_a(): pass"
    )
    plugin = CollectionErrors()
    pytester.inline_run(*PLAIN, plugins=[plugin])
    assert plugin.errors["test_good.py"] is None
    assert isinstance(plugin.errors["test_bad.py"], pytest.Collector.CollectError)


def test_a_traceback_shows_what_it_is_set_to() -> None:
    def inner() -> None:
        raise ValueError("too deep")

    def outer() -> None:
        inner()

    with pytest.raises(ValueError, match="too deep") as raised:
        outer()
    trace = raised.tb.tb_next
    assert trace is not None
    assert [entry.name for entry in raised.traceback][-2:] == ["outer", "inner"]
    set_traceback(raised, TracebackType(None, trace.tb_frame, trace.tb_lasti, trace.tb_lineno))
    assert [entry.name for entry in raised.traceback] == ["outer"]
    assert "raise ValueError" not in str(raised.getrepr())


class Undecided:
    """A plugin that makes every item one that was skipped."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call":
            skipped_with(report, item, "neither one nor the other")
        return report


def test_a_report_can_be_made_a_skipped_one_with_a_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a="def test_a():\n    pass\n")
    result = pytester.runpytest(*PLAIN, "-rs", "--junitxml", "junit.xml", plugins=[Undecided()])
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] test_a.py:*: neither one nor the other"])
    assert "neither one nor the other" in (pytester.path / "junit.xml").read_text("utf-8")


def test_what_is_attached_to_a_report_survives_the_way_between_processes(request: pytest.FixtureRequest) -> None:
    report = pytest.TestReport("test_a.py::test_a", ("test_a.py", 0, "test_a"), {}, "passed", None, "call")
    assert attached(report, "flavour") == ""
    attach(report, "flavour", "sweet")
    hook = request.config.hook
    sent = hook.pytest_report_to_serializable(config=request.config, report=report)
    received = hook.pytest_report_from_serializable(config=request.config, data=sent)
    assert received is not report
    assert attached(received, "flavour") == "sweet"


class Chatty:
    """A plugin that prints during an item: captured, with capturing disabled, and as a line of the terminal."""

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        print("a captured line")
        with capture_disabled(item.config):
            print("a visible line")
            line_writer(item.config)("a line of the terminal")


def test_lines_reach_the_terminal_where_output_is_captured(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a="def test_a():\n    pass\n")
    result = pytester.runpytest(*PLAIN, plugins=[Chatty()])
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*a visible line", "a line of the terminal*"])
    assert "a captured line" not in result.stdout.str()


def test_without_capturing_or_a_terminal_lines_go_nowhere_or_straight_out(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    config = pytester.parseconfig(*PLAIN, "-p", "no:terminal", "-p", "no:logging")
    config.pluginmanager.unregister(name="capturemanager")
    with capture_disabled(config):
        line_writer(config)("a line of no terminal")
    assert "a line of no terminal" not in capsys.readouterr().out


def test_a_process_that_controls_a_run_is_no_worker(pytester: pytest.Pytester) -> None:
    assert not is_worker(pytester.parseconfig(*PLAIN))


def test_a_worker_sends_its_output_to_the_process_that_controls_the_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "from pathlen._util.pytest_internals import is_worker, worker_output\n"
        "def pytest_sessionfinish(session):\n"
        "    if is_worker(session.config):\n"
        "        worker_output(session.config)['flavour'] = 'sweet'\n"
        "def pytest_testnodedown(node, error):\n"
        "    print('received', worker_output(node)['flavour'])\n"
    )
    pytester.makepyfile(test_a="def test_a():\n    pass\n")
    result = pytester.runpytest_subprocess(*PLAIN, "-n", "1", "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*received sweet*"])
