"""Records: there and back, refused when they are something else, never half written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pathlen.errors import InvalidRecord
from pathlen.files import write_text
from pathlen.records import Run, decoded, encoded, environment, read, write


def test_a_record_reads_back_as_what_was_written(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    write(run, path)
    assert read(path) == run


def test_the_same_run_gives_the_same_bytes(run: Run) -> None:
    assert encoded(run) == encoded(decoded(encoded(run)))


def test_values_are_stored_in_full(run: Run) -> None:
    estimate = json.loads(encoded(run))["findings"][0]["estimate"]
    assert run.findings[0].estimate is not None
    assert estimate["value"] == run.findings[0].estimate.value


def test_an_open_end_of_a_region_is_null(run: Run) -> None:
    claims = {one["id"]: one for one in json.loads(encoded(run))["claims"]}
    assert (claims["falls"]["low"], claims["falls"]["high"]) == (None, 0.0)


def test_an_unknown_schema_version_is_refused(run: Run) -> None:
    text = encoded(replace(run, schema_version=99))
    with pytest.raises(InvalidRecord, match="schema_version must be 3, but run.json has 99"):
        decoded(text, "run.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a record"),
        ("{}", "missing required field `schema_version`"),
        ('{"schema_version": 3}', "missing required field `family`"),
    ],
)
def test_what_is_no_record_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRecord, match=message):
        decoded(text)


def test_a_truncated_record_is_refused(run: Run) -> None:
    text = encoded(run)
    with pytest.raises(InvalidRecord, match="is not JSON"):
        decoded(text[: len(text) // 2])


def test_an_edited_estimate_outside_its_interval_is_refused(run: Run) -> None:
    data = json.loads(encoded(run))
    data["findings"][0]["estimate"]["value"] = 7.0
    with pytest.raises(InvalidRecord, match="lies outside its interval"):
        decoded(json.dumps(data))


def edited(run: Run, change: Callable[[dict[str, Any]], None]) -> str:
    data = json.loads(encoded(run))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["findings"][0].update(verdict="refuted"), "says refuted, but its interval says supported"),
        (lambda data: data["findings"][0].update(claim="other"), "is of no claim in this record"),
        (lambda data: data["claims"][1].update(low=0.2), "a region needs low < high"),
        (lambda data: data["claims"][0].update(high=None), "at least one finite end"),
        (lambda data: data["models"][0].update(points=[]), "needs points to draw"),
        (lambda data: data["models"][0].update(points=[[1e308, 0.0]]), "points must lie within"),
        (lambda data: data["findings"][0]["estimate"]["intervals"][0].update(level=9.5), "at most 1, but 9.5"),
    ],
)
def test_an_edited_record_that_contradicts_itself_is_refused(
    run: Run, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(InvalidRecord, match=message):
        decoded(edited(run, change))


def test_an_edited_verdict_is_refused(run: Run) -> None:
    data = json.loads(encoded(run))
    data["findings"][0]["verdict"] = "proven"
    with pytest.raises(InvalidRecord, match="'proven' is not a valid Verdict"):
        decoded(json.dumps(data))


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match=r"none\.json.* can't be read"):
        read(tmp_path / "none.json")


def test_a_write_that_breaks_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_environment_names_what_numbers_depend_on() -> None:
    found = environment(("numpy", "no-such-package"))
    assert found["numpy"][0].isdigit()
    assert found["no-such-package"] == "not installed"
    assert {"python", "platform", "machine"} < found.keys()
