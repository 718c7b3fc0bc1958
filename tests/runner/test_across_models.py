"""Sizes that ran apart are compared from what their runs kept, and from nothing else."""

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
# Where the weights of a size are gone, as on a machine that never had them.
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


def ran(home: Path, sizes: str, *options: str, **environment: str) -> Path:
    """Run the claims of a folder on some sizes, in a process of its own, and return the record."""
    report = home / f"on {sizes}"
    command = ["-m", "pytest", "claims", "--size", sizes, *TEXTS, *PLAIN, "--report", str(report), *options]
    environment = {**os.environ, "PATHLEN_CACHE": str(home / "cache"), **environment}
    subprocess.run([sys.executable, *command], cwd=home, env=environment, capture_output=True, check=False)
    return report / "mini.json"


def project(home: Path, claims: str = CLAIMS) -> Path:
    (home / "claims").mkdir()
    (home / "claims" / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (home / "claims" / "test_sizes.py").write_text(claims, encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sizes that ran apart, the second where the first one's weights were gone."""
    home = project(tmp_path_factory.mktemp("apart"))
    ran(home, "small")
    ran(home, "medium", GONE="small")
    return home


@pytest.fixture
def home(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may change, and the cache that those runs had."""
    copy = shutil.copytree(done, tmp_path / "home")
    monkeypatch.setenv("PATHLEN_CACHE", str(copy / "cache"))
    return copy


def parts(home: Path) -> list[str]:
    return [str(home / f"on {size}" / "mini.json") for size in ("small", "medium")]


def whole(home: Path) -> Run:
    return merged([read(Path(path)) for path in parts(home)], parts(home))


def decided(home: Path, run: Run | None = None) -> Run:
    return compared(run or whole(home), home / "claims", Cache(home / "cache"))[0]


def found(run: Run, key: tuple[str, str, str]) -> FindingRecord:
    (one,) = (one for one in run.findings if (one.claim, one.reading, one.size) == key)
    return one


def without_cost(one: FindingRecord) -> FindingRecord:
    """The finding without what depends on when it was made: seconds, and whether a control was kept."""
    return replace(one, reason="", controls=tuple(replace(tally, seconds=0.0, kept=0) for tally in one.controls))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr("pathlen.runner.forward.Tracer", refuse)
    monkeypatch.setattr("pathlen.models.loading._network", refuse)
    monkeypatch.setattr("pathlen.models.loading._untrained", refuse)


@pytest.mark.usefixtures("no_network")
def test_what_ran_apart_comes_to_what_runs_at_once_come_to(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(home)
    assert {(one.claim, one.reading, one.size) for one in undecided(before)} == {APART, MORE, MORE_AS_PUBLISHED}
    monkeypatch.chdir(home)  # where the claims are looked for
    assert main(["report", *parts(home), "-o", "page.html", "--record", "all.json"]) == 0
    out = capsys.readouterr().out
    assert "apart (corrected), together: " in out
    assert out.count("decided from what the runs of small, medium kept") == 3
    assert out.splitlines()[-2:] == ["all.json", "page.html"]
    together = read(home / "all.json")
    assert undecided(together) == []
    config = (mini.checkpoint("medium") / "config.json").read_bytes()
    assert together.models[1].config_sha256 == hashlib.sha256(config).hexdigest()
    at_once = read(ran(home, "small,medium", PATHLEN_CACHE=str(tmp_path / "another cache")))
    assert len(together.findings) == len(at_once.findings) == 5
    for key in together.verdicts:
        assert without_cost(found(together, key)) == without_cost(found(at_once, key)), key
    assert [tally.control for tally in found(together, APART).controls] == ["shifted", "shuffled", "untrained"]
    assert found(together, MORE).universes is not None
    assert found(together, MORE).attribution is not None
    assert "decided from what the runs of small, medium kept" in (home / "page.html").read_text("utf-8")


@pytest.mark.usefixtures("no_network")
def test_what_is_not_kept_is_not_tested_and_the_command_is_named(home: Path, tmp_path: Path) -> None:
    folder, nothing = home / "claims", tmp_path / "nothing"
    run, _ = compared(whole(home), folder, Cache(nothing))
    assert {found(run, key).verdict for key in (APART, MORE)} == {"not tested"}
    assert found(run, MORE).reason == (
        f"not all that the claim needs of mini Small and of its controls was kept in {nothing} by this version of pathlen and of "
        f"what it computes with; get them with: pytest {folder} --family mini"
    )


class Listening(Cache):
    """A cache that notes which arrays were found in it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.read: list[str] = []

    def get_arrays(self, name: str) -> dict[str, NDArray[Any]] | None:
        found = super().get_arrays(name)
        if found is not None:
            self.read.append(name)
        return found


@pytest.mark.usefixtures("no_network")
def test_a_part_is_as_good_as_nothing(home: Path, tmp_path: Path) -> None:
    run = whole(home)
    run = replace(run, findings=tuple(one for one in run.findings if one.claim == "apart"))
    listening = Listening(home / "cache")
    assert found(compared(run, home / "claims", listening)[0], APART).verdict != "not tested"
    # Of each size its own columns, and those of its two untrained networks and of its two shuffles.
    assert len(set(listening.read)) >= 2 * (1 + 2 + 2) * 2
    for part in sorted(set(listening.read))[::6]:
        cache = Cache(shutil.copytree(home / "cache", tmp_path / part))
        for kept in cache.home.glob("*/*.json"):
            if not kept.with_suffix(".safetensors").exists():
                kept.unlink()  # what its controls came to the first time, which serves as well as their columns
        path = cache.home / part[:2] / f"{part}.safetensors"
        path.write_bytes(path.read_bytes()[:-8])
        assert found(compared(run, home / "claims", cache)[0], APART).verdict == "not tested", part


def test_a_size_that_did_not_run_is_named(home: Path) -> None:
    small = read(Path(parts(home)[0]))
    run, lines = compared(merged([small, small], ["a", "b"]), home / "claims", Cache(home / "cache"))
    assert found(run, APART).reason == (
        "the claim compares small, medium, but no record here is of medium; make one with: "
        f"pytest {home / 'claims'} --family mini --size medium --report DIR"
    )
    assert lines == [f"apart (corrected), together: not tested, {found(run, APART).reason}"]


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
def test_a_claim_that_is_another_now_is_not_tested(home: Path, old: str, new: str, reason: str) -> None:
    (home / "claims" / "test_sizes.py").write_text(CLAIMS.replace(old, new), encoding="utf-8")
    one = found(decided(home), APART)
    assert one.verdict == "not tested"
    assert one.reason.startswith(reason.format(claims=home / "claims"))


def test_a_folder_without_claims_and_runs_in_other_types_are_named(home: Path, tmp_path: Path) -> None:
    run, _ = compared(whole(home), tmp_path / "elsewhere", Cache(home / "cache"))
    assert found(run, APART).reason == (
        f"the claim compares small, medium, but is not in {tmp_path / 'elsewhere'}; name its folder with --claims"
    )
    run = whole(home)
    small, medium = run.models
    run = decided(home, replace(run, models=(small, replace(medium, dtype="float64"))))
    assert found(run, APART).reason == (
        "sizes are compared on one device in one type, but ran apart: small on cpu in float32; medium on cpu in float64"
    )


def test_a_body_that_was_changed_since_is_told_by_the_lock(home: Path) -> None:
    assert main(["lock", str(home / "claims")]) == 0
    assert found(decided(home), APART).verdict != "not tested"
    file = home / "claims" / "test_sizes.py"
    file.write_text(CLAIMS.replace("measured.last_step, ", "measured.last_step**2, ", 1), "utf-8")
    assert "is not the one of these records" in found(decided(home), APART).reason


@pytest.mark.usefixtures("no_network")
def test_a_body_that_fails_is_an_error(home: Path) -> None:
    text = CLAIMS.replace('"""Sizes differ."""', '"""Sizes differ."""\n    measured = measured.nothing')
    (home / "claims" / "test_sizes.py").write_text(text, encoding="utf-8")
    one = found(decided(home), APART)
    assert one.verdict == "error"
    assert one.reason.startswith("AttributeError: a Measurement has no column 'nothing'")


def test_one_record_is_rendered_as_it_is(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError("a single record was compared with nothing")

    monkeypatch.setattr("pathlen.runner.across_models.compared", refuse)
    one = parts(home)[0]
    assert main(["report", one]) == 0
    assert capsys.readouterr().out == f"{Path(one).with_suffix('.html')}\n"


def test_the_one_record_does_not_replace_a_part(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = parts(home)[0]
    content = Path(one).read_bytes()
    assert main(["report", *parts(home), "-o", str(home / "page.html"), "--record", one]) == 1
    assert capsys.readouterr().err == (
        f"pathlen report: the one record of several must not replace its record, but both are {one!r}; "
        "name another with --record\n"
    )
    assert Path(one).read_bytes() == content
