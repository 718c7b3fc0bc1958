"""``pathlen measure``: a corpus from files, and its progress."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from pathlen.cli import main
from pathlen.cli import measure as measure_command
from pathlen.cli.measure import ProgressDisplay, time_left
from pathlen.corpora.corpus import open_corpus
from pathlen.corpora.measure import Progress
from pathlen.passages.shipped import NAMES, shipped


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n\n".join(shipped(name).text[:200] for name in NAMES[:8]) + "\nHi\n", encoding="utf-8")
    return path


@pytest.fixture
def command(checkpoint: Path, lines: Path, tmp_path: Path) -> list[str]:
    files = ["--text", str(lines), "--split", "lines", "--leave-out-short"]
    return ["measure", "--model", str(checkpoint), *files, "-o", str(tmp_path / "out"), "--shard-tokens", "100"]


def test_it_measures_and_prints_a_summary(
    command: list[str], tmp_path: Path, lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    corpus = open_corpus(tmp_path / "out")
    first, second, third = capsys.readouterr().out.splitlines()
    shards, size = len(corpus.manifest.shards), sum(entry.bytes for entry in corpus.manifest.shards)
    assert (
        first == f"{tmp_path / 'out'}: 8 texts, {corpus.tokens} tokens in {shards} shards ({size / 1e6:.1f} MB), tiny"
    )
    assert second.startswith(f"measured now: {corpus.tokens} tokens in ")
    assert second.endswith(" tokens/s")
    assert third == f"left out, for they have fewer than four tokens: 1 texts ({lines}:16)"
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[1] == "measured now: nothing, all of it was there"


def test_json_has_the_same_summary(
    command: list[str], tmp_path: Path, lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--json", "--columns", "next_logit", "step_length"]) == 0
    summary = json.loads(capsys.readouterr().out)
    corpus = open_corpus(tmp_path / "out")
    assert summary["columns"] == ["next_logit", "step_length"]
    assert summary["tokens"] == summary["measured_tokens"] == corpus.tokens
    assert summary["tokens_per_second"] == pytest.approx(summary["tokens"] / summary["seconds"], rel=0.05)
    assert summary["left_out"] == [f"{lines}:16"]
    assert main([*command, "--json", "--columns", "next_logit", "step_length"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens_per_second"] is None


def test_copies_are_noted(command: list[str], lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines.write_text(lines.read_text("utf-8") * 2, encoding="utf-8")
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "note: 8 texts are word for word the same as others; they are no further observations" in out


def test_workers_measure_the_same(command: list[str], tmp_path: Path) -> None:
    assert main(command) == 0
    assert main([*command, "-o", str(tmp_path / "two"), "--workers", "2"]) == 0
    assert open_corpus(tmp_path / "two").manifest.shards == open_corpus(tmp_path / "out").manifest.shards


def test_options_reach_the_corpus(command: list[str], tmp_path: Path) -> None:
    assert main([*command, "--fast", "--dtype", "float64", "--threads", "2"]) == 0
    manifest = open_corpus(tmp_path / "out").manifest
    assert (manifest.recipe.fast, manifest.recipe.dtype, manifest.threads) == (True, "float64", 2)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--workers", "0"], "workers must be at least 1, but 0 was given"),
        (["--threads", "0"], "threads must be at least 1, but 0 was given"),
        (["--shard-tokens", "0"], "shard_tokens must be at least 1, but 0 was given"),
        (["--columns", "speed"], "there is no column 'speed'"),
        (["--dtype", "int8"], "dtype must be one of"),
        (["--model", "nowhere"], "model must be a directory with a checkpoint, but 'nowhere' is not a directory"),
        (["--text", "nowhere.txt"], "text 'nowhere.txt' can't be read: No such file"),
        (["--dask", "tcp://127.0.0.1:1"], "no Dask scheduler answers at 'tcp://127.0.0.1:1'"),
    ],
)
def test_bad_input_is_a_one_line_error_and_nothing_is_written(
    command: list[str],
    more: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure_command, "DASK_TIMEOUT", "1s")
    assert main([*command, *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith("pathlen measure: ")
    assert message in error
    assert not (tmp_path / "out").exists()


def test_a_short_text_is_named(command: list[str], lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.remove("--leave-out-short")
    assert main(command) == 1
    assert f"at least 4 tokens, but '{lines}:16' has 2" in capsys.readouterr().err


def test_an_unknown_size_is_named(lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "--size", "huge", "--text", str(lines), "-o", str(tmp_path / "out")]) == 1
    assert "size must be one of small, medium, large, xl, but 'huge' was given" in capsys.readouterr().err


def test_missing_dask_is_named_with_its_remedy(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*command, "--dask", "tcp://127.0.0.1:1"]) == 1
    assert "--dask needs Dask: pip install 'pathlen[cluster]'" in capsys.readouterr().err


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


STATES = [
    Progress(shards=1, texts=2, tokens=1000, bytes=4000, earlier_tokens=1000, earlier_bytes=4000),
    Progress(shards=2, texts=4, tokens=3000, bytes=12_000, earlier_tokens=1000, earlier_bytes=4000, seconds=4.0),
]


def test_a_terminal_gets_a_bar_with_throughput_and_time_left() -> None:
    stream = Terminal()
    display = ProgressDisplay(20_000, stream)
    for state in STATES:
        display.tell(state)
    display.close()
    drawn = stream.getvalue()
    assert "20%|" in drawn.replace(" |", "|")
    assert "60%|" in drawn.replace(" |", "|")
    assert "3,000 tokens, 500 tokens/s, 0:04 left" in drawn


def test_other_streams_get_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_command, "LINE_INTERVAL", 0.0)
    stream = io.StringIO()
    display = ProgressDisplay(20_000, stream)
    display.tell(Progress(is_waiting=True))
    for state in STATES:
        display.tell(state)
    display.close()
    assert stream.getvalue().splitlines() == [
        "another process measures into this folder; waiting for it",
        "20%: 1,000 tokens, 0 tokens/s, ? left",
        "60%: 3,000 tokens, 500 tokens/s, 0:04 left",
    ]


def test_lines_are_not_written_more_often_than_every_fifteen_seconds() -> None:
    stream = io.StringIO()
    display = ProgressDisplay(20_000, stream)
    for state in STATES:
        display.tell(state)
    assert stream.getvalue() == ""


def test_time_left_has_hours_if_needed() -> None:
    assert time_left(STATES[1], 16_000_000) == "2:13:14"
    assert time_left(STATES[1], 10) == "0:00"
