"""The plugin: pytest runs inside pytest, on a tiny checkpoint and on the embedded family."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pathlen.claims.paper import Paper, write_paper
from pathlen.cli import main
from pathlen.records.files import read

PLAIN = ("--import-mode=importlib", "-p", "no:cacheprovider", "--report", "out")
OPTIONS = (*PLAIN, "--controls", "none")

# Sizes of the embedded family as a stand-in for every other: a claim about all sizes runs on any model.
CLAIMS = '''
"""Claims whose outcome is known whatever the model."""

import numpy as np

from pathlen import SHIFTED, SIZES, SMALL, above, below, claim, every, largest, pearson


def planted(measured, rho):
    draw = np.random.default_rng(1)
    x, noise = draw.normal(size=(2, len(measured.passage)))
    return pearson(x, rho * x + noise, passage=measured.passage)


@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED])
def test_holds(measured):
    """A planted relation is found."""
    return planted(measured, -1.0)


@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED])
def test_fails(measured):
    """A planted relation of the other sign refutes."""
    return planted(measured, 1.0)


@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED])
def test_open(measured):
    """Where nothing is planted, nothing is decided."""
    return planted(measured, 0.0)


@claim(sizes=SIZES, section="1", expect=above(0.5), true_by_construction="it is a sum")
def test_empty(measured):
    """What could not be otherwise is vacuous."""
    return every(measured.path_grows)


@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED])
def test_constant(measured):
    """A constant column has no correlation."""
    return pearson(np.ones(len(measured.passage)), measured.next_logit, passage=measured.passage)


@claim(sizes=[SMALL], section="1", expect=below(0.0), controls=[SHIFTED])
def test_other(measured):
    """Spoken about Small only."""
    return planted(measured, -1.0)


def test_ordinary():
    assert True
'''


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with one file of claims and a text of its own."""
    (pytester.path / "claims").mkdir()
    (pytester.path / "claims" / "test_known.py").write_text(CLAIMS, encoding="utf-8")
    (pytester.path / "mine.txt").write_text("The river rose in the night. " * 60, encoding="utf-8")
    return pytester


KNOWN = "claims/test_known.py"


def run_claims(project: pytest.Pytester, checkpoint: Path | str, *more: str) -> pytest.RunResult:
    return project.runpytest("claims", "--model", str(checkpoint), "--text", "mine.txt", *OPTIONS, *more)


def verdicts(project: pytest.Pytester, name: str = "tiny") -> dict[str, str]:
    return {finding.claim: finding.verdict for finding in read(project.path / "out" / f"{name}.json").findings}


def test_every_verdict_has_its_outcome(project: pytest.Pytester, checkpoint: Path) -> None:
    result = run_claims(project, checkpoint)
    assert result.ret == 1
    outcomes = result.parseoutcomes()
    outcomes.pop("seconds", None)
    assert outcomes == {"failed": 2, "passed": 2, "inconclusive": 1, "vacuous": 1, "not": 1}  # "1 not claimed"
    assert verdicts(project) == {
        "holds": "supported",
        "fails": "refuted",
        "open": "inconclusive",
        "empty": "vacuous",
        "constant": "invalid",
    }


def test_the_terminal_says_what_why_and_where(project: pytest.Pytester, checkpoint: Path) -> None:
    result = run_claims(project, checkpoint, "-v")
    result.stdout.fnmatch_lines(
        [
            "pathlen: family tiny (model): --model *",
            "pathlen: 1 texts (mine), seed 0, controls none",
            "*test_holds[[]model[]] PASSED*",
            "*test_fails[[]model[]] FAILED*",
            "*test_open[[]model[]] INCONCLUSIVE*",
            "*test_empty[[]model[]] VACUOUS*",
            "*test_other[[]model[]] NOT CLAIMED*",
            "refuted: A planted relation of the other sign refutes.",
            "  claimed   Pearson r within passages, trend removed: below 0  (section 1, corrected)",
            "  measured  *tokens in 1 text), 95% interval",
            "*= claims =*",
            "holds *supported*",
            "record *tiny.json",
            "report *tiny.html",
        ]
    )


def test_fail_on_changes_what_fails(project: pytest.Pytester, checkpoint: Path) -> None:
    result = run_claims(project, checkpoint, "--fail-on", "inconclusive")
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["refuted"], outcomes["invalid"]) == (1, 1, 1)
    assert run_claims(project, checkpoint, "--fail-on", "not-tested").ret == 0


def test_expect_passes_exactly_when_verdicts_equal_the_record(project: pytest.Pytester, checkpoint: Path) -> None:
    run_claims(project, checkpoint)
    record = project.path / "before.json"
    (project.path / "out" / "tiny.json").rename(record)
    assert run_claims(project, checkpoint, "--expect", str(record)).ret == 0

    (project.path / KNOWN).write_text(CLAIMS.replace("measured, 0.0", "measured, -1.0"), encoding="utf-8")
    result = run_claims(project, checkpoint, "--expect", str(record))
    assert result.ret == 1
    result.stdout.fnmatch_lines(["expected inconclusive, found supported: *"])
    assert result.parseoutcomes()["failed"] == 1


def test_a_record_with_untested_claims_is_met_by_the_same(
    project: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_checkpoint: Callable[..., Path]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    broken = new_checkpoint("broken")
    (broken / "model.safetensors").write_bytes(b"")
    for options in (["--family", "gpt2", "--size", "small"], ["--model", str(broken)]):
        project.runpytest("claims", *options, *OPTIONS)
        (record,) = (project.path / "out").glob("*.json")
        record.rename(project.path / "before.json")
        result = project.runpytest("claims", *options, *OPTIONS, "--expect", "before.json")
        outcomes = result.parseoutcomes()
        assert "failed" not in outcomes
        assert "errors" not in outcomes
        assert outcomes["passed"] >= 6
        record.unlink()


def test_expect_fails_when_the_record_holds_more(project: pytest.Pytester, checkpoint: Path) -> None:
    run_claims(project, checkpoint)
    record = project.path / "before.json"
    (project.path / "out" / "tiny.json").rename(record)
    result = run_claims(project, checkpoint, "--expect", str(record), "-k", "not test_fails")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["the expected record also holds: fails corrected model"])


def test_a_missing_model_is_not_tested_and_the_command_is_named(
    project: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    result = project.runpytest("claims", "--family", "gpt2", "--size", "small", *OPTIONS, "-k", "not ordinary")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(
        [
            "not tested: *GPT-2 Small are not on this machine; get them with: pathlen fetch small",
            "nothing was tested, so nothing is verified",
        ]
    )
    assert set(verdicts(project, "gpt2").values()) == {"not tested"}


def test_a_claim_of_no_size_that_runs_tests_nothing(project: pytest.Pytester) -> None:
    result = project.runpytest(f"{KNOWN}::test_other", "--family", "mini", "--size", "xl", *OPTIONS)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["nothing was tested, so nothing is verified"])


def test_a_run_that_stops_early_leaves_the_previous_report(project: pytest.Pytester, checkpoint: Path) -> None:
    run_claims(project, checkpoint)
    before = (project.path / "out" / "tiny.json").read_bytes()
    result = run_claims(project, checkpoint, "-x")
    result.stdout.fnmatch_lines(["stopped early, so no report was written, and the one before it is as it was"])
    assert (project.path / "out" / "tiny.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            (
                '@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED])\ndef test_open(measured)',
                (
                    "import pytest\n\n\n@pytest.mark.parametrize('block', [1, 2])\n"
                    '@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED])\ndef test_open(measured, block)'
                ),
            ),
            "claim 'open' must have one finding per size, but is parametrised by block; write one claim for each",
        ),
        (
            ("def test_ordinary():\n    assert True", "class TestTwin:\n    test_holds = staticmethod(test_holds)"),
            "claim 'holds' (corrected) is declared twice, in *TestTwin*",
        ),
    ],
)
def test_two_findings_for_one_claim_and_size_are_refused(
    project: pytest.Pytester, checkpoint: Path, change: tuple[str, str], message: str
) -> None:
    assert change[0] in CLAIMS
    (project.path / KNOWN).write_text(CLAIMS.replace(*change), encoding="utf-8")
    result = run_claims(project, checkpoint)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: {message}" if "*" not in message else "ERROR: claim 'holds' (corrected) is declared twice*"]
    )


def test_a_damaged_checkpoint_is_invalid(project: pytest.Pytester, new_checkpoint: Callable[..., Path]) -> None:
    folder = new_checkpoint("broken")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    assert run_claims(project, folder).ret == 1
    assert set(verdicts(project, "broken").values()) == {"invalid"}


def test_a_bug_in_a_claim_is_an_error_with_its_traceback(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / "claims" / "test_known.py").write_text(
        CLAIMS
        + '\n\n@claim(sizes=SIZES, expect=below(0.0), controls=[SHIFTED])\ndef test_bug(measured):\n    """A bug."""\n    return measured.paht\n',
        encoding="utf-8",
    )
    result = project.runpytest(f"{KNOWN}::test_bug", "--model", str(checkpoint), "--text", "mine.txt", *OPTIONS)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*AttributeError: *paht*"])
    assert verdicts(project) == {"bug": "error"}


def test_small_is_measured_beside_a_larger_size(project: pytest.Pytester) -> None:
    (project.path / "claims" / "test_known.py").write_text(
        '''
from pathlen import MEDIUM, SHIFTED, below, claim, pearson


def refuse_others(small, medium):
    assert small.step_length.shape[0] == 12
    assert medium.step_length.shape[0] == 24


@claim(sizes=[MEDIUM], section="3.2", expect=below(9.0), controls=[SHIFTED])
def test_differs(measured_small, measured):
    """Small is not Medium."""
    refuse_others(measured_small, measured)
    small = pearson(measured_small.last_step, measured_small.next_logit, passage=measured_small.passage)
    return small.minus(pearson(measured.last_step, measured.next_logit, passage=measured.passage))
''',
        encoding="utf-8",
    )
    result = project.runpytest("claims", "--family", "mini", "--size", "medium", "--text", "mine.txt", *OPTIONS)
    assert result.ret == 0
    assert [model.size for model in read(project.path / "out" / "mini.json").models] == ["small", "medium"]


def test_there_is_no_small_beside_a_checkpoint_of_its_own(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / "claims" / "test_known.py").write_text(
        "from pathlen import SHIFTED, SIZES, below, claim, every\n\n\n@claim(sizes=SIZES, expect=below(0.5), controls=[SHIFTED])\n"
        'def test_differs(measured_small):\n    """Small differs."""\n    return every(measured_small.path_grows)\n',
        encoding="utf-8",
    )
    result = run_claims(project, checkpoint)
    result.stdout.fnmatch_lines(["not tested: there is no small beside tiny, which is a checkpoint of its own"])


def test_a_run_spread_over_processes_writes_the_same_findings(project: pytest.Pytester, checkpoint: Path) -> None:
    run_claims(project, checkpoint)
    alone = read(project.path / "out" / "tiny.json")
    (project.path / "out" / "tiny.json").unlink()
    result = project.runpytest_subprocess(
        "claims", "--model", str(checkpoint), "--text", "mine.txt", *OPTIONS, "-n", "2"
    )
    assert result.ret == 1
    spread = read(project.path / "out" / "tiny.json")
    assert {finding.claim: finding for finding in spread.findings} == {
        finding.claim: finding for finding in alone.findings
    }
    assert [model.weights_sha256 for model in spread.models] == [model.weights_sha256 for model in alone.models]


def test_a_run_spread_over_processes_knows_its_lock_and_its_paper(project: pytest.Pytester, checkpoint: Path) -> None:
    folder = project.path / "claims" / "mine"
    folder.mkdir()
    (project.path / KNOWN).rename(folder / "test_known.py")
    write_paper(Paper(title="A paper of mine"), folder / "paper.toml")
    assert main(["lock", str(folder)]) == 0
    lengthened = CLAIMS.replace(
        "expect=below(0.0), controls=[SHIFTED])\ndef test_fails",
        "expect=below(0.9), controls=[SHIFTED])\ndef test_fails",
    )
    (folder / "test_known.py").write_text(lengthened.replace("def test_open", "def test_other_name"), encoding="utf-8")
    records = []
    for more in ([], ["-n", "2"]):
        project.runpytest_subprocess(
            "claims", "--model", str(checkpoint), "--text", "mine.txt", "--controls", "none", *more
        )
        path = project.path / "reports" / "mine" / "tiny.json"
        records.append(read(path))
        path.unlink()
    alone, spread = records
    assert alone.lock == "claims/mine/claims.lock"
    assert len(alone.deviations) == 3
    assert alone.paper == Paper(title="A paper of mine")
    for name in ("lock", "lock_sha256", "declared", "deviations", "severity", "paper", "revision"):
        assert getattr(spread, name) == getattr(alone, name), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--family", "gpt3"], "family must be one of gpt2, mini, but 'gpt3' was given"),
        (["--family", "mini", "--size", "tiny"], "size must be one of small, medium, large, xl, but 'tiny' was given"),
        (["--text", "nowhere.txt"], "'nowhere.txt' can't be read: No such file or directory"),
        (["--text", "."], "text must be a file, but '.' is a directory"),
        (["--text", "nietsche"], "one of nietzsche, *but 'nietsche' was given"),
        (["--text", "empty.txt"], "a text needs at least one word*"),
        (["--text", "latin.txt"], "text must be UTF-8, but 'latin.txt' is not (byte 3)"),
        (["--model", "nowhere"], "model must be a directory with a checkpoint, but 'nowhere' is not a directory*"),
        (
            ["--fail-on", "refused"],
            "--fail-on must name verdicts out of supported, refuted, *, but 'refused' was given",
        ),
        (["--expect", "none.json"], "record 'none.json' can't be read: No such file or directory"),
        (["--text", "mine.txt", "test_x.py"], "'test_x.py' is no text: name tests before it"),
        (["--text", "mine.txt", "copy.txt"], "texts must differ, but 'copy' is the same as 'mine'"),
        (["--controls", "some"], "--controls must be none, quick or full, but 'some' was given"),
        (["--family", "mini", "--seed", "x"], "--seed must be a whole number, but 'x' was given"),
        (["--family"], "--family needs a value"),
        (["--family", "mini", "--seed", "-1"], "--seed must not be negative, but -1 was given"),
    ],
)
def test_a_wrong_option_is_refused_before_any_work(project: pytest.Pytester, options: list[str], message: str) -> None:
    (project.path / "empty.txt").write_text(" \n", encoding="utf-8")
    (project.path / "latin.txt").write_bytes(b"caf\xe9")
    (project.path / "copy.txt").write_bytes((project.path / "mine.txt").read_bytes())
    result = project.runpytest("claims", *OPTIONS, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{message}"])
    assert not (project.path / "out").exists()


def test_a_text_of_one_token_is_invalid_and_says_so(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / "mine.txt").write_text("I", encoding="utf-8")
    assert run_claims(project, checkpoint).ret == 1
    findings = read(project.path / "out" / "tiny.json").findings
    assert {finding.verdict for finding in findings} == {"invalid"}
    assert {finding.reason for finding in findings} == {"a text needs at least 4 tokens, but 'mine' has 1"}


def test_a_report_that_cannot_be_written_is_refused_before_any_work(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / "taken").write_text("a file", encoding="utf-8")
    options = ("--import-mode=importlib", "--report", "taken")
    result = project.runpytest("claims", "--model", str(checkpoint), "--text", "mine.txt", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --report must be a folder that can be written to, but taken*"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"""A planted relation is found."""', "pass"), "claim 'holds' needs a sentence*"),
        (
            (
                'section="1", expect=below(0.0), controls=[SHIFTED])\ndef test_holds',
                'section="1", controls=[SHIFTED])\ndef test_holds',
            ),
            "claim 'holds' needs a region*",
        ),
        (
            ("expect=below(0.0), controls=[SHIFTED])\ndef test_holds", "expect=below(0.0))\ndef test_holds"),
            "claim 'holds' names no control, so nothing would tell support from what any network would give*",
        ),
        (("def test_open", "def test_holds_as_published"), ""),
        (("def test_holds(measured)", "def test_holds()"), "claim test_holds must take what it measures*"),
    ],
)
def test_a_claim_that_cannot_be_checked_stops_at_collection(
    project: pytest.Pytester, checkpoint: Path, change: tuple[str, str], message: str
) -> None:
    assert change[0] in CLAIMS
    (project.path / "claims" / "test_known.py").write_text(CLAIMS.replace(*change), encoding="utf-8")
    result = run_claims(project, checkpoint)
    if message:
        assert result.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR)
        assert any(message.rstrip("*") in line for line in [*result.outlines, *result.errlines])
        assert not (project.path / "out" / "tiny.json").exists()
    else:
        assert "holds (as published)" in result.stdout.str()


def test_two_claims_with_one_id_stop_the_session(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / "claims" / "test_twin.py").write_text(CLAIMS, encoding="utf-8")
    result = run_claims(project, checkpoint)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: claim 'holds' (corrected) is declared twice, in *test_known.py* and in *test_twin.py*"]
    )


def test_a_session_that_dies_leaves_the_previous_report(
    project: pytest.Pytester, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_claims(project, checkpoint)
    before = {path.name: path.read_bytes() for path in (project.path / "out").iterdir()}

    def killed(*_: object) -> None:
        raise OSError("killed")

    monkeypatch.setattr(os, "replace", killed)
    result = run_claims(project, checkpoint, "--seed", "3", "--fail-on", "error")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["the report could not be written, and the one before it is as it was: killed"])
    assert {path.name: path.read_bytes() for path in (project.path / "out").iterdir()} == before


def test_a_killed_run_leaves_the_previous_report(project: pytest.Pytester, checkpoint: Path) -> None:
    run_claims(project, checkpoint)
    before = {path.name: path.read_bytes() for path in (project.path / "out").iterdir()}
    (project.path / KNOWN).write_text(
        CLAIMS.replace(
            "    return planted(measured, 0.0)", "    open('started', 'w').close()\n    import time\n    time.sleep(60)"
        ),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "claims", "--model", str(checkpoint), "--text", "mine.txt", *OPTIONS]
    running = subprocess.Popen(command, cwd=project.path, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (project.path / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (project.path / "started").exists()
    finally:
        running.kill()
        running.wait()
    assert {path.name: path.read_bytes() for path in (project.path / "out").iterdir()} == before


def test_a_project_without_claims_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing():\n    pass\n")
    result = pytester.runpytest(*PLAIN[:3])
    assert result.ret == 0
    assert "pathlen" not in "\n".join(line for line in result.outlines if not line.startswith(("plugins:", "rootdir:")))
    assert not (pytester.path / "reports").exists()


def test_collecting_only_measures_nothing(project: pytest.Pytester, checkpoint: Path) -> None:
    result = run_claims(project, checkpoint, "--collect-only", "-q")
    assert result.ret == 0
    assert not (project.path / "out").exists()


def test_a_directory_can_stand_for_a_size_and_is_held_to_its_shape(project: pytest.Pytester, checkpoint: Path) -> None:
    result = run_claims(project, checkpoint, "--size", "small")
    assert result.ret == 1
    reasons = {finding.reason for finding in read(project.path / "out" / "gpt2.json").findings}
    assert any("GPT-2 Small from" in reason and "must have n_layer = 12" in reason for reason in reasons)


# A relation that the real measurement has and a shifted one has not, and one that any data have.
CONTROLLED = '''
import numpy as np
import pytest

from pathlen import SHIFTED, SHUFFLED, SIZES, UNTRAINED, above, below, claim, pearson

REAL = []


@pytest.fixture
def noise(measured):
    return np.random.default_rng(0).normal(size=len(measured.passage))


@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED, SHUFFLED, UNTRAINED])
def test_severe(measured):
    """Only what was really measured gives it."""
    REAL.append(measured.next_logit)
    draw = np.random.default_rng(0)
    return pearson(measured.next_logit, draw.normal(size=len(REAL[0])) - REAL[0], passage=measured.passage)


@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED, UNTRAINED])
def test_empty(measured):
    """Anything gives it."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=len(measured.passage))
    return pearson(x, draw.normal(size=len(x)) - x, passage=measured.passage)


@claim(sizes=SIZES, section="1", expect=above(0.0), controls=[SHIFTED])
def test_own(measured, noise):
    """A custom fixture goes into the controls too."""
    return pearson(noise, noise + 0.5 * np.roll(noise, 1), passage=measured.passage)
'''


def test_controls_tell_a_severe_check_from_an_empty_one(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / KNOWN).write_text(CONTROLLED, encoding="utf-8")
    result = project.runpytest("claims", "--model", str(checkpoint), "--text", "tides", *PLAIN)  # "mine" has a period
    assert result.ret == 0
    assert verdicts(project) == {"severe": "supported", "empty": "vacuous", "own": "vacuous"}
    tallies = {
        finding.claim: {tally.control: (tally.supported, tally.runs) for tally in finding.controls}
        for finding in read(project.path / "out" / "tiny.json").findings
    }
    assert {name: runs for name, (_, runs) in tallies["severe"].items()} == {
        "shifted": 20,
        "shuffled": 5,
        "untrained": 10,
    }
    assert all(supported <= runs // 5 for supported, runs in tallies["severe"].values())
    assert tallies["empty"] == {"shifted": (20, 20), "untrained": (10, 10)}
    assert tallies["own"] == {"shifted": (20, 20)}
    result.stdout.fnmatch_lines(
        [
            "vacuous: empty, corrected, is supported where it should not be (model: shifted 20 of 20, untrained 10 of 10)",
            "controls (full): 85 runs in * s",
        ]
    )


def test_quick_controls_are_fewer_and_their_absence_is_reported(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / KNOWN).write_text(CONTROLLED, encoding="utf-8")
    run = ("claims", "--model", str(checkpoint), "--text", "mine.txt")
    project.runpytest(*run, *PLAIN, "--controls", "quick").stdout.fnmatch_lines(["controls (quick): 21 runs in * s"])
    assert verdicts(project)["empty"] == "vacuous"
    project.runpytest(*run, *OPTIONS).stdout.fnmatch_lines(["controls were not run, so support may be what*"])
    assert verdicts(project)["empty"] == "supported"


DIFFERS = '''
from pathlen import SHIFTED, SIZES, above, claim, pearson


@claim(sizes=SIZES, section="4", expect=above(0.1), logic="differs", controls=[SHIFTED])
def test_apart(measured):
    """Sizes differ."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)
'''


def test_a_difference_between_sizes_is_judged_once(project: pytest.Pytester) -> None:
    (project.path / KNOWN).write_text(DIFFERS, encoding="utf-8")
    texts = ("--text", "tides", "bees", "zero", "tea", "kant")
    result = project.runpytest(KNOWN, "--family", "mini", *texts, *PLAIN, "--controls", "quick")
    assert result.ret == 0
    (finding,) = read(project.path / "out" / "mini.json").findings
    assert (finding.size, finding.verdict) == ("together", "supported")
    assert [(tally.control, tally.supported, tally.runs) for tally in finding.controls] == [("shifted", 0, 5)]
    result.stdout.fnmatch_lines(["apart *supported*"])


def test_a_difference_needs_all_its_sizes(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / KNOWN).write_text(DIFFERS, encoding="utf-8")
    project.runpytest(KNOWN, "--family", "mini", "--size", "small,xl", "--text", "mine.txt", *OPTIONS)
    (finding,) = read(project.path / "out" / "mini.json").findings
    assert finding.verdict == "not tested"
    assert finding.reason == (
        "the claim compares small, medium, large, xl, but medium, large was not asked for; run it without --size, or put "
        "the records of all sizes together with: pathlen report"
    )
    result = project.runpytest(KNOWN, "--model", str(checkpoint), "--text", "mine.txt", *OPTIONS, "-rA")
    assert result.parseoutcomes() == {"not": 1} or "1 not claimed" in result.stdout.str()


def test_a_claim_that_differs_from_its_lock_is_flagged(project: pytest.Pytester, checkpoint: Path) -> None:
    assert main(["lock", str(project.path / "claims")]) == 0
    result = run_claims(project, checkpoint)
    assert "DEVIATED" not in result.stdout.str()
    assert read(project.path / "out" / "tiny.json").lock == "claims/claims.lock"
    moved = CLAIMS.replace(
        "expect=below(0.0), controls=[SHIFTED])\ndef test_fails",
        "expect=below(0.9), controls=[SHIFTED])\ndef test_fails",
    )
    (project.path / KNOWN).write_text(moved.replace("def test_open", "def test_other_name"), encoding="utf-8")
    result = run_claims(project, checkpoint)
    result.stdout.fnmatch_lines(
        [
            "fails *(deviated)*",
            "DEVIATED from claims/claims.lock: fails (corrected): expect was below 0.0, is below 0.9",
            "DEVIATED from claims/claims.lock: other-name (corrected): the claim is not in the lock",
            "DEVIATED from claims/claims.lock: open (corrected) is locked, but test_known.py declares it no more",
        ]
    )
    by_claim = {claim.id: claim.deviation for claim in read(project.path / "out" / "tiny.json").claims}
    assert by_claim["fails"] == "expect was below 0.0, is below 0.9"
    assert by_claim["holds"] == ""


def test_a_lock_that_cannot_be_read_stops_the_run(project: pytest.Pytester, checkpoint: Path) -> None:
    (project.path / "claims" / "claims.lock").write_text("{", encoding="utf-8")
    result = run_claims(project, checkpoint)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *claims.lock is not a lock*"])
