"""In other projects, the installed plugin is neither seen nor felt unless there are claims."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

START_UP_MS = 20

OWN_OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=7)
    parser.addoption("--device", default="abacus")
    parser.addoption("--report", action="store_true")
"""
SEEN = """
def test_own(request):
    assert request.config.getoption("--seed") == 5
    assert request.config.getoption("device") == "abacus"
    assert request.config.option.report
"""

# Prints how long importing the plugin takes after pytest, and how much longer 100 tests take with it than without: in
# milliseconds of processor time. A busy machine only ever adds to them, so the least of several counts.
COST = """
import contextlib, io, time
import pytest

start = time.process_time()
import pathlen.plugin
print((time.process_time() - start) * 1e3)

def session(*options):
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        assert pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options]) == 0
    return (time.process_time() - start) * 1e3

session()
pairs = [(session(), session("-p", "no:pathlen")) for _ in range(9)]
print(min(plugged for plugged, _ in pairs) - min(plain for _, plain in pairs))
"""


def test_options_of_a_project_take_names_from_the_plugin_and_not_the_reverse(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(OWN_OPTIONS)
    pytester.makepyfile(SEEN)
    result = pytester.runpytest("--seed", "5", "--report")
    assert result.ret == 0, result.stdout.str()


def test_every_option_keeps_its_prefixed_name(pytester: pytest.Pytester, checkpoint: Path) -> None:
    pytester.makeconftest(OWN_OPTIONS)
    pytester.makepyfile(
        test_mine="from pathlen import *\n\n\n@claim(sizes=SIZES, expect=above(0.0), controls=[UNTRAINED])\n"
        'def test_far(measured):\n    """Far."""\n    return mean(measured.last_step, passage=measured.passage)\n'
    )
    options = ("--pathlen-seed", "4", "--pathlen-report", "here", "--controls", "none", "--text", "tides")
    result = pytester.runpytest("--model", str(checkpoint), *options, "--import-mode=importlib", "test_mine.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["pathlen: 1 texts (tides), seed 4, *", "record here/tiny.json"])


def test_a_plugin_that_came_first_keeps_its_names(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        early="import pytest\n\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_addoption(parser):\n"
        '    parser.getgroup("early").addoption("--size", type=int, default=3)\n',
        test_own='def test_own(request):\n    assert request.config.getoption("--size") == 8\n',
    )
    code = (
        "import pytest, sys, early\n"
        "import _pytest.config as c\n"
        "sys.exit(pytest.main(['-q', '--size', '8', '-p', 'no:cacheprovider', 'test_own.py']))"
    )
    environment = {"PYTEST_PLUGINS": "early,pathlen.plugin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    process = run_python(pytester.path, code, **environment)
    assert process.returncode == 0, process.stdout + process.stderr


def run_python(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_project_without_claims_sees_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_a():\n    pass\n")
    loud = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    quiet = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:pathlen")
    plain = [
        [line for line in result.outlines if not line.startswith(("plugins:", "===="))] for result in (loud, quiet)
    ]
    assert plain[0] == plain[1]
    assert loud.errlines == quiet.errlines == []
    assert not (pytester.path / "reports").exists()


@pytest.mark.timing
def test_the_cost_of_the_plugin_where_it_is_not_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n\n\n@pytest.mark.parametrize('x', range(100))\ndef test_a(x):\n    pass\n")
    # Users have the bytecode; a first process writes it to a folder of the test's own.
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(pytester.path / "bytecode")}
    assert run_python(pytester.path, "import pytest, pathlen.plugin", **bytecode).returncode == 0
    costs = []
    for _ in range(3):
        process = run_python(pytester.path, COST, **bytecode)
        assert process.returncode == 0, process.stderr
        costs.append(tuple(map(float, process.stdout.split())))
    imported, more = map(min, zip(*costs, strict=True))
    print(f"importing the plugin {imported:.1f} ms, a session of 100 tests {more:+.1f} ms")
    assert imported + more < START_UP_MS
