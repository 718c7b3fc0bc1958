"""``pathlen doctor``: its diagnoses of this machine, and of machines with a fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathlen.cli import doctor, main
from pathlen.cli.doctor import (
    AGREEMENT,
    CHECKS,
    Diagnosis,
    check_cache,
    check_hub,
    check_instrument,
    check_memory,
    check_packages,
    check_plugin,
    check_weights,
    examine,
)


def test_this_machine_is_in_order_and_the_instrument_agrees_with_the_loop(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    diagnoses = {diagnosis["name"]: diagnosis for diagnosis in json.loads(capsys.readouterr().out)}
    assert list(diagnoses)[-1] == "instrument"
    assert all(diagnosis["state"] != "bad" for diagnosis in diagnoses.values())
    assert "steps against the published double loop: largest relative error" in diagnoses["instrument"]["said"]
    assert diagnoses["embedded family"]["said"] == "4 networks are whole"


def test_it_prints_a_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    diagnoses = [
        Diagnosis(name="good", state="good", said="it is"),
        Diagnosis(name="bad", state="bad", said="it is not", remedy="do this"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: iter(diagnoses))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "✓ good            it is",
        "✗ bad             it is not",
        "                  do this",
    ]


def test_a_check_that_raises_is_bad_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(spec: object) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr("pathlen.models.checkpoint.identify", broken)
    monkeypatch.setitem(CHECKS, "instrument", lambda: Diagnosis(name="instrument", state="good", said=""))
    diagnoses = {diagnosis.name: diagnosis for diagnosis in examine()}
    assert (diagnoses["embedded"].state, diagnoses["embedded"].said) == ("bad", "OSError: disk on fire")
    assert diagnoses["instrument"].state == "good"
    assert "pip install --force-reinstall" in diagnoses["embedded"].remedy


def test_an_instrument_that_disagrees_is_bad() -> None:
    diagnosis = check_instrument(lambda: (2 * AGREEMENT, 10))
    assert diagnosis.state == "bad"
    assert (
        "10 steps against the published double loop: largest relative error 2.0e-05, which is not below 1e-05"
        == diagnosis.said
    )


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    required = ["torch<1", "nowhere>=2", "numpy>=1", 'extra>=1; extra == "test"']
    monkeypatch.setattr("importlib.metadata.requires", lambda name: required)
    diagnosis = check_packages()
    assert diagnosis.state == "bad"
    assert diagnosis.said.startswith("torch 2.")
    assert diagnosis.said.endswith(" is not <1; nowhere is not installed")
    assert "pip install --upgrade pathlen" in diagnosis.remedy


def test_a_plugin_that_pytest_does_not_load_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_plugin().state == "good"
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    assert check_plugin().said == "pytest does not know it"
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert check_plugin().state == "note"
    assert check_plugin().remedy.startswith("pytest -p pathlen.plugin")


def test_missing_weights_come_with_the_command_that_gets_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    diagnosis = check_weights()
    assert (diagnosis.state, diagnosis.remedy) == ("note", "pathlen fetch small medium large xl")
    monkeypatch.setattr("pathlen.models.checkpoint.find", lambda spec: tmp_path)
    assert check_weights().said == "small, medium, large, xl are on this machine"


def test_memory_lists_the_sizes_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathlen._util.memory.available", lambda: 3 * 10**9)
    assert check_memory().said == "3.0 GB free: room for small, medium of GPT-2 in float32"
    monkeypatch.setattr("pathlen._util.memory.available", lambda: 10**8)
    diagnosis = check_memory()
    assert (diagnosis.state, diagnosis.said) == ("note", "0.1 GB free: room for none of GPT-2 in float32")
    monkeypatch.setattr("pathlen._util.memory.available", lambda: None)
    assert check_memory().said == "this system does not tell how much is free"


def test_a_read_only_cache_is_not_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("PATHLEN_CACHE", str(tmp_path / "taken"))
    diagnosis = check_cache()
    assert diagnosis.state == "note"
    assert "so every run measures anew" in diagnosis.said
    assert diagnosis.remedy == "PATHLEN_CACHE=FOLDER names another folder"


def test_offline_mode_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert check_hub().remedy == "unset HF_HUB_OFFLINE, then pathlen fetch NAME"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert "(not asked)" in check_hub().said
