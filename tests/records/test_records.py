"""Record files: round trips, refusal of invalid files, and atomic writes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from project import SAMPLES

from pathlen._util.files import write_text
from pathlen._util.provenance import environment, revision_of
from pathlen.errors import InvalidRecord
from pathlen.records import files
from pathlen.records.files import SCHEMA, decoded, encoded, read, schema, write
from pathlen.records.schema import Run
from pathlen.report import page


def test_a_written_record_reads_back_unchanged(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    write(run, path)
    assert read(path) == run


def test_the_same_run_gives_the_same_bytes(run: Run) -> None:
    assert encoded(run) == encoded(decoded(encoded(run)))


def test_values_are_stored_in_full_precision(run: Run) -> None:
    estimate = json.loads(encoded(run))["findings"][0]["estimate"]
    assert run.findings[0].estimate is not None
    assert estimate["value"] == run.findings[0].estimate.value


def test_lists_of_numbers_are_on_one_line_and_strings_are_unchanged(run: Run) -> None:
    list_in_a_string = "[\n 1, 2\n]  [ 3 ]"
    text = encoded(replace(run, selection=list_in_a_string))
    assert decoded(text).selection == list_in_a_string
    assert "\n      [ 1.5, 2.25, 3.0, 0.5, 1.0, 4.0, 2.0, 1.75 ],\n" in text


def test_a_gzipped_record_is_read_and_a_damaged_one_refused(run: Run, tmp_path: Path) -> None:
    packed = gzip.compress(encoded(run).encode())
    path = tmp_path / "run.json.gz"
    path.write_bytes(packed)
    assert read(path) == run
    path.write_bytes(packed[:-20])
    with pytest.raises(InvalidRecord, match=r"run\.json\.gz is a damaged gzip file"):
        read(path)


def test_a_record_of_version_3_can_be_read_and_shown(run: Run) -> None:
    data = json.loads(encoded(run)) | {"schema_version": 3}
    for name in ("lock_sha256", "declared", "revision"):
        del data[name]
    for name in ("vocabulary", "surprise", "excerpts"):
        del data["models"][0][name]
    old = decoded(json.dumps(data))
    assert (old.models[0].excerpts, old.models[0].knows_nothing, old.revision) == ((), False, None)
    assert "This record holds no single tokens." in page(old)


def test_the_shipped_schema_is_current_and_records_satisfy_it(run: Run) -> None:
    shipped = json.loads(Path(str(files.__file__)).with_name(SCHEMA).read_text("utf-8"))
    assert shipped == json.loads(msgspec.json.encode(schema()))
    jsonschema.Draft202012Validator.check_schema(shipped)
    check = jsonschema.Draft202012Validator(shipped)
    check.validate(json.loads(encoded(run)))
    sample = SAMPLES / "mini.json"
    check.validate(json.loads(sample.read_text("utf-8")))
    with pytest.raises(jsonschema.ValidationError, match="'seed' is a required property"):
        check.validate({key: value for key, value in json.loads(encoded(run)).items() if key != "seed"})


def test_a_network_no_better_than_a_uniform_guess_knows_nothing(run: Run) -> None:
    model = run.models[0]
    assert not model.knows_nothing  # 4.5 nats; a uniform guess costs 8.3
    assert replace(model, surprise=8.4).knows_nothing
    assert not replace(model, surprise=None).knows_nothing


def test_an_excerpt_can_be_cut_short(run: Run) -> None:
    excerpt = run.models[0].excerpts[0]
    short = excerpt.first(3)
    assert (short.measured, short.pieces, short.steps[1]) == (3, excerpt.pieces[:5], excerpt.steps[1][:3])
    with pytest.raises(ValueError, match="at least one token, but 0 was given"):
        excerpt.first(0)


def test_the_revision_of_a_folder_comes_from_git(tmp_path: Path) -> None:
    assert revision_of(tmp_path) is None

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments], cwd=tmp_path, check=True)

    git("init", "-q")
    (tmp_path / "claim.py").write_text("one", encoding="utf-8")
    git("add", ".")
    git("commit", "-qm", "one")
    committed = revision_of(tmp_path)
    assert committed is not None
    assert (len(committed.commit), committed.is_dirty) == (40, False)
    (tmp_path / "claim.py").write_text("two", encoding="utf-8")
    assert revision_of(tmp_path) == replace(committed, is_dirty=True)
    git("commit", "-qam", "two")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}", encoding="utf-8")
    git("add", ".")
    git("commit", "-qm", "three")
    (tmp_path / "out" / "run.json").write_text("[]", encoding="utf-8")
    for leaving_out, is_dirty in ((None, True), (tmp_path, False), (tmp_path / "out", False), (tmp_path.parent, True)):
        revision = revision_of(tmp_path, leaving_out)
        assert revision is not None
        assert revision.is_dirty == is_dirty, leaving_out


def test_an_open_end_of_a_region_is_null(run: Run) -> None:
    claims = {claim["id"]: claim for claim in json.loads(encoded(run))["claims"]}
    assert (claims["falls"]["low"], claims["falls"]["high"]) == (None, 0.0)


def test_an_unknown_schema_version_is_refused(run: Run) -> None:
    text = encoded(replace(run, schema_version=99))
    with pytest.raises(InvalidRecord, match="schema_version must be 3 or 4, but run.json has 99"):
        decoded(text, "run.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a record"),
        ("{}", "missing required field `schema_version`"),
        ('{"schema_version": 4}', "missing required field `family`"),
    ],
)
def test_an_invalid_record_is_refused(text: str, message: str) -> None:
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
        (lambda data: data["models"][0].update(vocabulary=1), "at least two tokens, but 1 was given"),
        (lambda data: data["models"][0].update(n_layer=3), "a row of steps for each of 3 blocks, but 2 were given"),
        (lambda data: data["models"][0]["excerpts"][0].update(next_logit=[1.0]), "as many numbers in every column"),
        (lambda data: data["models"][0]["excerpts"][0].update(left_out=20), "as many numbers in every column"),
        (lambda data: data["models"][0]["excerpts"][0]["steps"][0].__setitem__(0, -1.0), "must lie from 0 to 1e"),
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


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match=r"none\.json.* can't be read"):
        read(tmp_path / "none.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_environment_names_the_versions_that_numbers_depend_on() -> None:
    versions = environment(("numpy", "no-such-package"))
    assert versions["numpy"][0].isdigit()
    assert versions["no-such-package"] == "not installed"
    assert {"python", "platform", "machine"} < versions.keys()
