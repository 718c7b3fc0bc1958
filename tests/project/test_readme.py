"""The README is right: its commands, its table and its code."""

from __future__ import annotations

import re

import pytest
from project import PROJECT

from pathlen.models.families import FAMILIES
from pathlen.records.files import read
from pathlen.report import page, terminal_lines

README = (PROJECT / "README.md").read_text("utf-8")
SAMPLE = PROJECT / "reports" / "samples" / "mini.json"
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    return [line.strip() for line in README.splitlines() if line.startswith("    python3 -m venv")]


def test_the_first_screen_has_the_two_commands() -> None:
    claims, tests = commands()
    assert claims.endswith("pytest claims/ --family mini")
    assert tests.endswith("/pytest")
    assert README.index(tests) < 1600


def test_ci_calls_the_test_command_word_for_word() -> None:
    assert commands()[1] in (PROJECT / ".ci" / "run").read_text("utf-8").splitlines()


def test_the_table_is_that_of_the_sample_record() -> None:
    table = re.search(r"<!-- sample -->\n(.*?)<!-- /sample -->", README, re.DOTALL)
    assert table is not None
    expected = "\n".join(f"    {line}".rstrip() for line in terminal_lines(read(SAMPLE)))
    assert table.group(1).strip("\n") == expected.strip("\n")


def test_the_sample_page_is_rendered_from_the_sample_record() -> None:
    assert SAMPLE.with_suffix(".html").read_text("utf-8") == page(read(SAMPLE))


def test_the_command_that_fetches_weights_is_the_one_that_findings_name() -> None:
    assert FAMILIES["gpt2"]["small"].remedy in README


def test_the_claim_of_the_readme_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=CODE[0])
    options = ("--family", "mini", "--size", "small", "--text", "tides", "--import-mode=importlib")
    result = pytester.runpytest("test_mine.py", *options)
    result.stdout.fnmatch_lines(["far-is-sure *"])
    assert "error" not in result.parseoutcomes()


def test_the_script_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(CODE[1], "README", "exec"), {})  # noqa: S102  # our own README
    blocks, rows = eval(capsys.readouterr().out)  # noqa: S307
    assert blocks == 12
    assert rows > 300


def test_options_of_the_readme_exist_in_the_plugin() -> None:
    plugin = (PROJECT / "pathlen" / "plugin.py").read_text("utf-8")
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        assert f'"{option}"' in plugin, option
