"""What `pathlen doctor` says of a machine, and of one where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathlen.cli import doctor, main
from pathlen.cli.doctor import AGREEMENT, Diagnosis, examine


def said(name: str) -> Diagnosis:
    return next(one for one in examine() if one.name == name)


def test_this_machine_is_in_order_and_the_instrument_agrees_with_the_loop(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(found)[-1] == "instrument"
    assert all(one["state"] != "bad" for one in found.values())
    assert "steps against the published double loop: largest relative error" in found["instrument"]["said"]
    assert found["embedded family"]["said"] == "4 networks are whole"


def test_it_reads_like_a_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Diagnosis(name="good", state="good", said="it is"),
        Diagnosis(name="bad", state="bad", said="it is not", remedy="do this"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: iter(checks))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "✓ good            it is",
        "✗ bad             it is not",
        "                  do this",
    ]


def test_a_check_that_breaks_is_a_bad_one_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(spec: object) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(doctor, "identify", broken)
    monkeypatch.setattr(doctor, "_instrument", lambda: Diagnosis(name="instrument", state="good", said=""))
    monkeypatch.setattr(doctor._instrument, "__name__", "_instrument", raising=False)
    found = {one.name: one for one in examine()}
    assert (found["embedded"].state, found["embedded"].said) == ("bad", "OSError: disk on fire")
    assert found["instrument"].state == "good"
    assert "pip install --force-reinstall" in found["embedded"].remedy


def test_an_instrument_that_disagrees_is_bad() -> None:
    found = doctor._instrument(lambda: (2 * AGREEMENT, 10))
    assert found.state == "bad"
    assert (
        "10 steps against the published double loop: largest relative error 2.0e-05, which is not below 1e-05"
        == found.said
    )


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["torch<1", "nowhere>=2", "numpy>=1", 'extra>=1; extra == "test"']
    monkeypatch.setattr(doctor, "requires", lambda name: wanted)
    found = doctor._packages()
    assert found.state == "bad"
    assert found.said.startswith("torch 2.")
    assert found.said.endswith(" is not <1; nowhere is not installed")
    assert "pip install --upgrade pathlen" in found.remedy


def test_a_plugin_that_pytest_does_not_load_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._plugin().state == "good"
    monkeypatch.setattr(doctor, "entry_points", lambda group: [])
    assert doctor._plugin().said == "pytest does not know it"
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert doctor._plugin().state == "note"
    assert doctor._plugin().remedy.startswith("pytest -p pathlen.plugin")


def test_weights_that_are_not_here_come_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = doctor._weights()
    assert (found.state, found.remedy) == ("note", "pathlen fetch small medium large xl")
    monkeypatch.setattr(doctor, "find", lambda spec: tmp_path)
    assert doctor._weights().said == "small, medium, large, xl are on this machine"


def test_memory_says_what_it_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available", lambda: 3 * 10**9)
    assert doctor._memory().said == "3.0 GB free: room for small, medium of GPT-2 in float32"
    monkeypatch.setattr(doctor, "available", lambda: 10**8)
    assert (doctor._memory().state, doctor._memory().said) == ("note", "0.1 GB free: room for none of GPT-2 in float32")
    monkeypatch.setattr(doctor, "available", lambda: None)
    assert doctor._memory().said == "this system does not tell how much is free"


def test_a_cache_that_can_not_be_written_to_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("PATHLEN_CACHE", str(tmp_path / "taken"))
    found = doctor._cache()
    assert found.state == "note"
    assert "so every run measures anew" in found.said
    assert found.remedy == "PATHLEN_CACHE=FOLDER names another folder"


def test_a_machine_that_is_told_to_stay_offline_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert doctor._hub().remedy == "unset HF_HUB_OFFLINE, then pathlen fetch NAME"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert "(not asked)" in doctor._hub().said
