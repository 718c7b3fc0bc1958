"""A million tokens to disk: ``pytest tests/benchmarks/test_million_tokens.py -s`` shows throughput and the memory curve.

``pathlen measure`` streams texts through the smallest embedded network on one thread. The texts are random permutations of
sentences from the shipped passages, drawn with a fixed seed. Half way the process is killed with SIGKILL and started again.
Memory is sampled every second. With ``PATHLEN_MILLION_TABLE=FILE.md`` the table is written there, and the curve beside it as
``.csv`` and ``.svg``; ``PATHLEN_MILLION_TOKENS`` changes the number of tokens.
"""

from __future__ import annotations

import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pathlen.corpora.corpus import open_corpus
from pathlen.corpora.shard import Shard
from pathlen.models.families import spec
from pathlen.models.loading import tokenizing
from pathlen.passages.shipped import NAMES, shipped

TOKENS = int(os.environ.get("PATHLEN_MILLION_TOKENS", "1000000"))
SEED = 20_261_124
SENTENCES = 12  # in a text, as many as a shipped passage has
MEASURE = "import sys; from pathlen.cli import main; sys.exit(main())"
ESTIMATE = """
import json, resource, sys, time
from pathlen import mean, open_corpus, pearson
start = time.perf_counter()
measured = open_corpus(sys.argv[1]).measured
r = pearson(measured.last_step, measured.next_logit, passage=measured.passage).estimates()[0]
length = mean(measured.total_length, passage=measured.passage).estimates()[0]
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([seconds, peak, str(r), str(length)]))
"""
Sample = tuple[str, float, int, float]


def write_texts(path: Path) -> int:
    """Write texts, one per line, until they have at least `TOKENS` tokens; return how many they have."""
    sentences = [
        sentence.strip().rstrip(".") for name in NAMES for sentence in shipped(name).text.replace("\n", " ").split(". ")
    ]
    generator = random.Random(SEED)  # noqa: S311
    token_ids = tokenizing(spec("mini", "small"))
    count = 0
    with path.open("w", encoding="utf-8") as file:
        while count < TOKENS:
            text = ". ".join(generator.sample(sentences, SENTENCES)) + "."
            count += len(token_ids(text))
            file.write(text + "\n")
    return count


def memory(process: int) -> float:
    """Return the resident memory of a process in MiB, including files that it mapped."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


def watched(command: list[str], folder: Path, run: str, curve: list[Sample], kill_at: int | None) -> str:
    """Run a command, sample its memory every second, and kill it at ``kill_at`` shards; return its standard output."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            shards = len(list(folder.glob("shards/*/*.safetensors")))
            if held := memory(process.pid):  # 0 before the process has started and after it has ended
                curve.append((run, time.monotonic() - start, shards, held))
            if kill_at is not None and shards >= kill_at:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(1.0)
        output = process.stdout.read() if process.stdout else ""
    assert process.returncode == (-signal.SIGKILL if kill_at is not None else 0)
    return output


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_a_million_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts, folder = tmp_path / "texts.txt", tmp_path / "corpus"
    tokens = write_texts(texts)
    options = ["--family", "mini", "--size", "small", "--text", str(texts), "--split", "lines", "--json"]
    command = [sys.executable, "-c", MEASURE, "measure", *options, "-o", str(folder)]
    curve: list[Sample] = []
    kill_at = max(1, tokens // 16_384 // 2)
    watched(command, folder, "killed", curve, kill_at)
    files_left = len(list(folder.glob("shards/*/*")))
    complete = sum(bool(Shard(path).proven()) for path in folder.glob("shards/*/*.safetensors"))
    summary: dict[str, Any] = json.loads(watched(command, folder, "resumed", curve, None))
    corpus = open_corpus(folder)
    assert corpus.tokens == summary["tokens"] == tokens
    assert 0 < summary["measured_tokens"] < tokens
    assert summary["copies"] == 0
    assert all(Shard(path).proven() for path in folder.glob("shards/*/*"))
    process = subprocess.run([sys.executable, "-c", ESTIMATE, str(folder)], capture_output=True, text=True, check=True)
    estimate = json.loads(process.stdout)
    early, late = _peak(curve, 0.1, 0.5), _peak(curve, 0.75, 1.0)
    assert late < 1.1 * early, "memory grows with what is measured"
    lines = _table(summary, curve, (early, late), (complete, files_left - complete), estimate)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    if target := os.environ.get("PATHLEN_MILLION_TABLE"):
        table = Path(target)
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")
        rows = [f"{run},{seconds:.1f},{shards},{held:.1f}" for run, seconds, shards, held in curve]
        head = "run,seconds,shards on disk,memory in MiB"
        table.with_suffix(".csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
        table.with_suffix(".svg").write_text(_drawn(curve), encoding="utf-8")


def _peak(curve: list[Sample], low: float, high: float) -> float:
    """Return the most memory held while between ``low`` and ``high`` of all shards were on disk."""
    last = max(shards for _, _, shards, _ in curve)
    return max(held for _, _, shards, held in curve if shards > 0 and low * last <= shards <= high * last)


def _table(
    summary: dict[str, Any],
    curve: list[Sample],
    peaks: tuple[float, float],
    files: tuple[int, int],
    estimate: list[Any],
) -> list[str]:
    seconds, peak, r, length = estimate
    complete, unfinished = files
    resumed = [elapsed for run, elapsed, _, _ in curve if run == "resumed"]
    return [
        f"# {summary['tokens']:,} tokens to disk: {platform.machine()}, one thread, mini Small",
        "",
        "Made by `OMP_NUM_THREADS=1 PATHLEN_MILLION_TABLE=tests/benchmarks/MILLION.md pytest",
        "tests/benchmarks/test_million_tokens.py`, which says how; the curve is in `MILLION.csv` and `MILLION.svg`. The machine",
        "was shared with other work.",
        "",
        "![memory over time](MILLION.svg)",
        "",
        "| | |",
        "|---|---|",
        f"| texts, tokens, shards | {summary['texts']:,}, {summary['tokens']:,}, {summary['shards']:,} |",
        f"| columns | {', '.join(summary['columns'])} |",
        f"| on disk | {summary['bytes'] / 1e6:,.0f} MB, {summary['bytes'] / summary['tokens']:.0f} bytes a token |",
        f"| killed with SIGKILL after | {complete} whole shards; {unfinished} unfinished file{'s' * (unfinished != 1)} beside them |",
        f"| measured after that | {summary['measured_tokens']:,} tokens; none of the others was measured again |",
        f"| throughput, loading included | {summary['tokens_per_second']:,.0f} tokens/s |",
        f"| the whole second run | {resumed[-1]:,.0f} s |",
        f"| memory, most from 10 to 50 % of the shards | {peaks[0]:,.0f} MiB |",
        f"| memory, most in the last quarter | {peaks[1]:,.0f} MiB |",
        f"| r of last step and next logit, with its interval | {r} |",
        f"| mean length of the way | {length} |",
        f"| both, from opening the corpus | {seconds:.1f} s, at most {peak:,.0f} MiB |",
    ]


def _drawn(curve: list[Sample]) -> str:
    """Return the memory curve as SVG: MiB over seconds, the second run after the first."""
    width, height, left, bottom = 720, 260, 60, 220
    offset = max(elapsed for run, elapsed, _, _ in curve if run == "killed")
    points = [(seconds + offset * (run == "resumed"), held, run) for run, seconds, _, held in curve]
    longest, highest = points[-1][0], max(held for _, held, _ in points) * 1.15

    def at(seconds: float, held: float) -> str:
        return f"{left + seconds / longest * (width - left - 20):.1f},{bottom - held / highest * (bottom - 20):.1f}"

    lines = [
        f'<polyline fill="none" stroke="{colour}" points="{" ".join(at(x, y) for x, y, point_run in points if point_run == run)}"/>'
        for run, colour in (("killed", "#b5532a"), ("resumed", "#2a6ab5"))
    ]
    step = 200 if highest > 400 else 50
    for held in range(0, int(highest), step):
        x, y = at(0, held).split(",")
        lines.append(f'<text x="{float(x) - 8}" y="{float(y) + 4}" text-anchor="end">{held}</text>')
        lines.append(f'<path d="M{x} {y}H{width - 20}" stroke="#ddd"/>')
    lines.append(
        f'<text x="{left}" y="{height - 20}">0 s: first run, killed at {offset:,.0f} s; then the second, to its end</text>'
    )
    lines.append(f'<text x="{width - 20}" y="{height - 20}" text-anchor="end">{longest:,.0f} s</text>')
    lines.append(f'<text x="{left}" y="14">memory held, MiB</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="white"/>{"".join(lines)}</svg>\n'
    )
