"""The document that claims are about, and the starter folder for a new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathlen._util.digests import digest_of_file
from pathlen.claims.paper import PAPER, Paper, nearest_paper, read_paper, write_paper
from pathlen.claims.scaffold import scaffold
from pathlen.cli import main
from pathlen.errors import InvalidPaper
from pathlen.records.files import read

DIGEST = "0123456789abcdef" * 4
OPTIONS = ("--import-mode=importlib", "-p", "no:cacheprovider", "--controls", "none", "--text", "tides")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(title=texts.filter(str.strip), authors=st.lists(texts, max_size=3))
def test_a_written_paper_reads_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, title: str, authors: list[str]
) -> None:
    path = tmp_path_factory.mktemp("paper") / PAPER
    paper = Paper(title=title, authors=tuple(authors), doi="10.1234/a.b-c", sha256=DIGEST)
    write_paper(paper, path, file="none.pdf")
    assert read_paper(path) == paper


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = 1", r"paper\.toml needs a table \[paper\] with at least a title"),
        ("[paper]\ndoi = ''", r"paper\.toml: a paper needs a title, but it is empty"),
        ("[paper]\ntitle = 'A'\nyear = 2020", r"may say authors, doi, file, sha256, title, but says 'year'"),
        ("[paper]\ntitle = 'A'\nauthors = 'B'", r"authors must be a list of names, as \[\"First Author\"\], but 'B'"),
        ("[paper]\ntitle = 3", r"title must be a text in quotes, but 3 was given"),
        (
            "[paper]\ntitle = 'A'\ndoi = 'https://doi.org/10.1/x'",
            r"doi must look like 10\.1234/example, without an address, but 'https://doi\.org/10\.1/x' was given",
        ),
        ("[paper]\ntitle = 'A'\nsha256 = 'AB'", r"sha256 must be 64 hexadecimal digits in small letters, but 'AB' was"),
        ("[paper\n", r"paper\.toml is not TOML: "),
    ],
)
def test_an_invalid_paper_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / PAPER
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidPaper, match=message):
        read_paper(path)


def test_a_missing_paper_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPaper, match=r"paper '.*paper\.toml' can't be read: No such file or directory"):
        read_paper(tmp_path / PAPER)


def test_another_version_of_the_document_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "paper.pdf"
    document.write_bytes(b"as it was read")
    write_paper(Paper(title="A", sha256=digest_of_file(document)), tmp_path / PAPER, file="paper.pdf")
    assert read_paper(tmp_path / PAPER).title == "A"
    document.write_bytes(b"as it became")
    with pytest.raises(
        InvalidPaper, match=r"was written about another version of paper\.pdf: sha256 is [0-9a-f]{16}\.\.\."
    ):
        read_paper(tmp_path / PAPER)


def test_the_nearest_paper_applies(tmp_path: Path) -> None:
    inner = tmp_path / "claims" / "rotation"
    inner.mkdir(parents=True)
    assert nearest_paper(inner, tmp_path) is None
    write_paper(Paper(title="outer"), tmp_path / PAPER)
    assert nearest_paper(inner, tmp_path) == tmp_path / PAPER
    assert nearest_paper(inner, tmp_path / "claims") is None
    write_paper(Paper(title="inner"), inner / PAPER)
    assert nearest_paper(inner, tmp_path) == inner / PAPER


# The starter folder.


def test_a_new_folder_runs_at_once_and_its_record_names_the_paper(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    document = pytester.path / "draft.pdf"
    document.write_bytes(b"a draft")
    assert main(["new", "my-paper", "--title", "On “ways”", "--document", str(document)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2:] == ["next:  cd my-paper", "       pytest claims --family mini --size small"]
    home = pytester.path / "my-paper"
    assert all((pytester.path / line).is_file() for line in shown[:5])
    command = shown[-1].split()
    assert command[:2] == ["pytest", "claims"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        result = pytester.runpytest(*command[1:], *OPTIONS[:-2])
    assert result.ret == 0
    record = read(home / "reports" / "mini.json")
    assert record.paper == Paper(title="On “ways”", sha256=digest_of_file(document))
    assert [finding.verdict for finding in record.findings] == ["supported"]


def test_the_title_comes_from_the_folder_and_the_claims_can_be_locked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "how_far-tokens"
    assert main(["new", str(home), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)
    assert files[0] == str(home / PAPER)
    assert read_paper(home / PAPER).title == "How far tokens"
    assert main(["lock", str(home / "claims")]) == 0


def test_existing_files_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("", encoding="utf-8")
    assert main(["new", str(tmp_path / "mine")]) == 1
    assert "a new folder must not be there yet, or be empty, but" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    with pytest.raises(InvalidPaper, match="--document must be a file, but 'none.pdf' is none"):
        scaffold(tmp_path / "other", document=Path("none.pdf"))
    assert not (tmp_path / "other").exists()


# Several papers in one project.

CLAIM = (
    "from pathlen import *\n\n\n@claim(sizes=SIZES, expect=above(0.0), controls=[UNTRAINED])\n"
    'def test_{name}(measured):\n    """Tokens go far."""\n    return mean(measured.last_step, passage=measured.passage)\n'
)


@pytest.fixture
def two_papers(pytester: pytest.Pytester) -> Path:
    """A project whose claims have a subfolder with a paper of its own."""
    pytester.makeini("[pytest]\nnorecursedirs = rotation\n")
    inner = pytester.path / "claims" / "rotation"
    inner.mkdir(parents=True)
    (pytester.path / "claims" / "test_far.py").write_text(CLAIM.format(name="far"), encoding="utf-8")
    (inner / "test_near.py").write_text(CLAIM.format(name="near"), encoding="utf-8")
    write_paper(Paper(title="Rotation"), inner / PAPER)
    return pytester.path


def test_each_paper_has_its_own_report_and_lock(pytester: pytest.Pytester, two_papers: Path, checkpoint: Path) -> None:
    assert pytester.runpytest("claims", "--model", str(checkpoint), *OPTIONS).ret == 0
    assert pytester.runpytest("claims/rotation", "--model", str(checkpoint), *OPTIONS).ret == 0
    outer, inner = (read(two_papers / "reports" / name) for name in ("tiny.json", "rotation/tiny.json"))
    assert (outer.paper, [claim.id for claim in outer.claims]) == (None, ["far"])
    assert (inner.paper, [claim.id for claim in inner.claims]) == (Paper(title="Rotation"), ["near"])
    assert main(["lock", str(two_papers / "claims")]) == 0
    assert '"near"' not in (two_papers / "claims" / "claims.lock").read_text("utf-8")
    assert main(["lock", str(two_papers / "claims" / "rotation")]) == 0
    assert '"near"' in (two_papers / "claims" / "rotation" / "claims.lock").read_text("utf-8")


def test_claims_of_two_papers_are_not_run_together(
    pytester: pytest.Pytester, two_papers: Path, checkpoint: Path
) -> None:
    pytester.makeini("[pytest]\n")
    result = pytester.runpytest("claims", "--model", str(checkpoint), *OPTIONS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: a record is of one document, *run each by itself: pytest claims, pytest claims/rotation"]
    )


def test_an_invalid_paper_stops_a_run_before_any_work(
    pytester: pytest.Pytester, two_papers: Path, checkpoint: Path
) -> None:
    (two_papers / "claims" / "rotation" / PAPER).write_text("", encoding="utf-8")
    result = pytester.runpytest("claims/rotation", "--model", str(checkpoint), *OPTIONS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *paper.toml needs a table [[]paper[]] with at least a title"])
    assert not (two_papers / "reports").exists()
