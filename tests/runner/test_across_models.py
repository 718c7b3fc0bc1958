"""Sizes that ran apart are compared from what their runs kept, and only from that."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from pathlen._util.cache import Cache
from pathlen.cli import main
from pathlen.models import mini
from pathlen.records.files import read
from pathlen.records.merge import merged, undecided
from pathlen.records.schema import FindingRecord, Run
from pathlen.runner.across_models import compared

PLAIN = ("--import-mode=importlib", "-p", "no:cacheprovider", "--controls", "quick", "--family", "mini")
TEXTS = ("--text", "tides", "bees", "zero", "tea", "kant")
CLAIMS = '''
from pathlen import LAST_STEP_AND_NEXT_TOKEN, SHIFTED, SHUFFLED, UNTRAINED, above, below, claim, pearson


@claim(sizes=["small", "medium"], expect=above(0.1), logic="differs", controls=[UNTRAINED, SHUFFLED, SHIFTED])
def test_apart(measured):
    """Sizes differ."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


@claim(sizes=["medium"], expect=below(0.0), controls=[UNTRAINED, SHIFTED], universes=LAST_STEP_AND_NEXT_TOKEN)
def test_more(measured_small, measured):
    """Small's is more negative."""
    small = pearson(measured_small.last_step, measured_small.next_logit, passage=measured_small.passage)
    return small.minus(pearson(measured.last_step, measured.next_logit, passage=measured.passage))


@claim(sizes=["medium"], expect=below(0.0), controls=[UNTRAINED, SHIFTED])
def test_more_as_published(as_published_small, as_published):
    """Small's is more negative."""
    small = pearson(as_published_small.last_step, as_published_small.next_logit, passage=as_published_small.passage)
    return small.minus(pearson(as_published.last_step, as_published.next_logit, passage=as_published.passage))


@claim(sizes=["small", "medium"], expect=below(0.0), controls=[UNTRAINED, SHIFTED])
def test_own(measured):
    """It falls."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)
'''
# Takes away the weights of a size, as on a machine that never had them.
CONFTEST = """
import os
from dataclasses import replace

from pathlen.models.families import FAMILIES

if gone := os.environ.get("GONE"):
    FAMILIES["mini"][gone] = replace(FAMILIES["mini"][gone], source="nowhere")
"""
APART = ("apart", "corrected", "together")
MORE = ("more", "corrected", "medium")
MORE_AS_PUBLISHED = ("more", "as published", "medium")


def record_of(home: Path, sizes: str, *options: str, **environment: str) -> Path:
    """Run the claims of a project on some sizes, in a process of its own, and return the path of the record."""
    report = home / f"on {sizes}"
    command = ["-m", "pytest", "claims", "--size", sizes, *TEXTS, *PLAIN, "--report", str(report), *options]
    environment = {**os.environ, "PATHLEN_CACHE": str(home / "cache"), **environment}
    subprocess.run([sys.executable, *command], cwd=home, env=environment, capture_output=True, check=False)
    return report / "mini.json"


def project_in(home: Path, claims: str = CLAIMS) -> Path:
    (home / "claims").mkdir()
    (home / "claims" / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (home / "claims" / "test_sizes.py").write_text(claims, encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the records of two sizes that ran apart, the second without the first one's weights."""
    home = project_in(tmp_path_factory.mktemp("apart"))
    record_of(home, "small")
    record_of(home, "medium", GONE="small")
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project that a test may change, with the cache of its runs."""
    copy = shutil.copytree(finished, tmp_path / "home")
    monkeypatch.setenv("PATHLEN_CACHE", str(copy / "cache"))
    return copy


def record_paths(home: Path) -> list[str]:
    return [str(home / f"on {size}" / "mini.json") for size in ("small", "medium")]


def merged_run(home: Path) -> Run:
    return merged([read(Path(path)) for path in record_paths(home)], record_paths(home))


def decided(home: Path, run: Run | None = None) -> Run:
    return compared(run or merged_run(home), home / "claims", Cache(home / "cache"))[0]


def key_of(finding: FindingRecord) -> tuple[str, str, str]:
    return finding.claim, finding.reading, finding.size


def finding_of(run: Run, key: tuple[str, str, str]) -> FindingRecord:
    (finding,) = (finding for finding in run.findings if key_of(finding) == key)
    return finding


def without_cost(finding: FindingRecord) -> FindingRecord:
    """Return the finding without what depends on when it was made: seconds, and whether a control was kept."""
    controls = tuple(replace(tally, seconds=0.0, kept=0) for tally in finding.controls)
    return replace(finding, reason="", controls=controls)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr("pathlen.runner.forward.Tracer", refuse)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", refuse)
    monkeypatch.setattr(AutoModelForCausalLM, "from_config", refuse)


@pytest.mark.usefixtures("no_network")
def test_sizes_that_ran_apart_come_to_the_same_as_sizes_that_ran_together(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = merged_run(home)
    assert {key_of(finding) for finding in undecided(before)} == {APART, MORE, MORE_AS_PUBLISHED}
    monkeypatch.chdir(home)  # where the claims are looked for
    assert main(["report", *record_paths(home), "-o", "page.html", "--record", "all.json"]) == 0
    out = capsys.readouterr().out
    assert "apart (corrected), together: " in out
    assert out.count("decided from what the runs of small, medium kept") == 3
    assert out.splitlines()[-2:] == ["all.json", "page.html"]
    together = read(home / "all.json")
    assert undecided(together) == []
    config = (mini.checkpoint("medium") / "config.json").read_bytes()
    assert together.models[1].config_sha256 == hashlib.sha256(config).hexdigest()
    at_once = read(record_of(home, "small,medium", PATHLEN_CACHE=str(tmp_path / "another cache")))
    assert len(together.findings) == len(at_once.findings) == 5
    for key in together.verdicts:
        assert without_cost(finding_of(together, key)) == without_cost(finding_of(at_once, key)), key
    assert [tally.control for tally in finding_of(together, APART).controls] == ["shifted", "shuffled", "untrained"]
    assert finding_of(together, MORE).universes is not None
    assert finding_of(together, MORE).attribution is not None
    assert "decided from what the runs of small, medium kept" in (home / "page.html").read_text("utf-8")


@pytest.mark.usefixtures("no_network")
def test_without_kept_columns_a_claim_is_not_tested_and_the_command_is_named(home: Path, tmp_path: Path) -> None:
    folder, empty = home / "claims", tmp_path / "empty"
    run, _ = compared(merged_run(home), folder, Cache(empty))
    assert {finding_of(run, key).verdict for key in (APART, MORE)} == {"not tested"}
    assert finding_of(run, MORE).reason == (
        f"not all that the claim needs of mini Small and of its controls was kept in {empty} by this version of pathlen and of "
        f"what it computes with; get them with: pytest {folder} --family mini"
    )


class ListeningCache(Cache):
    """A cache that notes which arrays were read from it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.read: list[str] = []

    def get_arrays(self, name: str) -> dict[str, NDArray[Any]] | None:
        arrays = super().get_arrays(name)
        if arrays is not None:
            self.read.append(name)
        return arrays


@pytest.mark.usefixtures("no_network")
def test_a_claim_is_not_tested_if_any_of_its_kept_columns_is_damaged(home: Path, tmp_path: Path) -> None:
    run = merged_run(home)
    run = replace(run, findings=tuple(finding for finding in run.findings if finding.claim == "apart"))
    listening = ListeningCache(home / "cache")
    assert finding_of(compared(run, home / "claims", listening)[0], APART).verdict != "not tested"
    # Of each size its own columns, and those of its two untrained networks and of its two shuffles.
    assert len(set(listening.read)) >= 2 * (1 + 2 + 2) * 2
    for name in sorted(set(listening.read))[::6]:
        cache = Cache(shutil.copytree(home / "cache", tmp_path / name))
        for path in cache.home.glob("*/*.json"):
            if not path.with_suffix(".safetensors").exists():
                path.unlink()  # what its controls came to the first time, which serves as well as their columns
        damaged = cache.home / name[:2] / f"{name}.safetensors"
        damaged.write_bytes(damaged.read_bytes()[:-8])
        assert finding_of(compared(run, home / "claims", cache)[0], APART).verdict == "not tested", name


def test_a_size_that_did_not_run_is_named(home: Path) -> None:
    small = read(Path(record_paths(home)[0]))
    run, lines = compared(merged([small, small], ["a", "b"]), home / "claims", Cache(home / "cache"))
    assert finding_of(run, APART).reason == (
        "the claim compares small, medium, but no record here is of medium; make one with: "
        f"pytest {home / 'claims'} --family mini --size medium --report DIR"
    )
    assert lines == [f"apart (corrected), together: not tested, {finding_of(run, APART).reason}"]


CHANGED = "the claim in {claims} is not the one of these records; run again: pytest {claims} --family mini"


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Sizes differ.", "Sizes differ a lot.", CHANGED),
        ("def test_apart", "def test_other", CHANGED),
        (
            "apart(measured)",
            "apart(measured, tmp_path)",
            "the claim needs more than columns, so its sizes have to run at once",
        ),
        (
            "import LAST",
            "import no, LAST",
            "the claims that compare sizes can't be read: {claims}/test_sizes.py can't be",
        ),
    ],
)
def test_a_claim_that_has_changed_is_not_tested(home: Path, old: str, new: str, reason: str) -> None:
    (home / "claims" / "test_sizes.py").write_text(CLAIMS.replace(old, new), encoding="utf-8")
    finding = finding_of(decided(home), APART)
    assert finding.verdict == "not tested"
    assert finding.reason.startswith(reason.format(claims=home / "claims"))


def test_a_folder_without_claims_and_runs_in_other_types_are_named(home: Path, tmp_path: Path) -> None:
    run, _ = compared(merged_run(home), tmp_path / "elsewhere", Cache(home / "cache"))
    assert finding_of(run, APART).reason == (
        f"the claim compares small, medium, but is not in {tmp_path / 'elsewhere'}; name its folder with --claims"
    )
    run = merged_run(home)
    small, medium = run.models
    run = decided(home, replace(run, models=(small, replace(medium, dtype="float64"))))
    assert finding_of(run, APART).reason == (
        "sizes are compared on one device in one type, but ran apart: small on cpu in float32; medium on cpu in float64"
    )


def test_the_lock_tells_that_a_body_has_changed(home: Path) -> None:
    assert main(["lock", str(home / "claims")]) == 0
    assert finding_of(decided(home), APART).verdict != "not tested"
    file = home / "claims" / "test_sizes.py"
    file.write_text(CLAIMS.replace("measured.last_step, ", "measured.last_step**2, ", 1), "utf-8")
    assert "is not the one of these records" in finding_of(decided(home), APART).reason


@pytest.mark.usefixtures("no_network")
def test_a_body_that_fails_is_an_error(home: Path) -> None:
    text = CLAIMS.replace('"""Sizes differ."""', '"""Sizes differ."""\n    measured = measured.nothing')
    (home / "claims" / "test_sizes.py").write_text(text, encoding="utf-8")
    finding = finding_of(decided(home), APART)
    assert finding.verdict == "error"
    assert finding.reason.startswith("AttributeError: a Measurement has no column 'nothing'")


def test_a_single_record_is_rendered_without_a_comparison(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a single record was compared")

    monkeypatch.setattr("pathlen.runner.across_models.compared", refuse)
    path = record_paths(home)[0]
    assert main(["report", path]) == 0
    assert capsys.readouterr().out == f"{Path(path).with_suffix('.html')}\n"


def test_the_merged_record_does_not_replace_one_of_its_records(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record_paths(home)[0]
    content = Path(path).read_bytes()
    assert main(["report", *record_paths(home), "-o", str(home / "page.html"), "--record", path]) == 1
    assert capsys.readouterr().err == (
        f"pathlen report: the one record of several must not replace its record, but both are {path!r}; "
        "name another with --record\n"
    )
    assert Path(path).read_bytes() == content
