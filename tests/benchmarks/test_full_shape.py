"""``pytest claims/`` on GPT-2's true shapes, from a local Hub cache: ``pytest tests/benchmarks/test_full_shape.py -s``.

Each size is written with random weights where the Hub's client would have put the real checkpoint, in the layout of the real
file: names without ``transformer.``, and the masks of all blocks among the weights. Then the users' command runs in a process
of its own, offline, on one thread and with an empty cache; its time and peak memory are recorded. The verdicts are those of
random weights and are not checked. What is checked is that every claim about the size was tested.

==================================== =====================================================================================
``PATHLEN_GPT2_TOKENIZER=FOLDER``    GPT-2's ``vocab.json`` and ``merges.txt``; the default is the embedded family's tokenizer,
                                     which gives other tokens, and the table says so
``PATHLEN_FULL_SIZES=small,medium``  the sizes to run; XL needs 7 GB of disk and 8 GB of memory
``PATHLEN_FULL_CONTROLS=none,quick`` the efforts of controls, each in a run of its own; this is the default
``PATHLEN_FULL_TABLE=FILE``          where the table is written; its rows of other sizes are kept
``PATHLEN_FULL_PAGE=FILE``           a page with a short form of that table between two marks
==================================== =====================================================================================
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest

from pathlen import SIZES
from pathlen.claims import controls
from pathlen.models.families import ModelSpec, spec
from pathlen.records.files import read
from pathlen.records.schema import Run

PROJECT = Path(__file__).parents[2]
TOKENIZER = os.environ.get("PATHLEN_GPT2_TOKENIZER")
ASKED_SIZES = os.environ.get("PATHLEN_FULL_SIZES", ",".join(SIZES)).split(",")
EFFORTS = os.environ.get("PATHLEN_FULL_CONTROLS", "none,quick").split(",")
HEADER = """# The claims on GPT-2's true shapes, random weights

`pytest claims/ --family gpt2 --size SIZE --controls EFFORT`, offline, from a local Hub cache in the Hub's own layout, on one
thread, with nothing kept from earlier runs. *File* is the checkpoint on the disk, which holds the masks of all blocks, too, as
the real ones do. *Measuring* is loading the checkpoint and one pass over all texts. *Run* is the whole command, Python's start and
the report included, and *CPU* the seconds that its process computed, which is less where others use the machine. *Memory* is the
most that the process held, and how much of that is not the weights: Python, torch, the largest step of a pass, the columns. Made
by
`PATHLEN_GPT2_TOKENIZER=FOLDER PATHLEN_FULL_TABLE=tests/benchmarks/FULL_SHAPE.md PATHLEN_FULL_PAGE=docs/real-models.md pytest tests/benchmarks/test_full_shape.py`.

| size | controls | tokenizer | texts | tokens | file, GB | weights, GB | measuring, s | run, s | CPU, s | memory, GB | beyond weights, GB | processor |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""
COST = """| size | download, GB | memory, GB | without controls, minutes of one thread | `--controls quick` |
|---|---|---|---|---|
"""
# Random weights never reach the confidence that this claim requires, so it has no number.
WITHOUT_A_NUMBER = {"stillness"}


def write_into_hub_cache(home: Path, model: ModelSpec) -> Path:
    """Write a random checkpoint where the Hub's client would have put the real one; return the path of its weights."""
    import torch
    from safetensors.torch import save_file
    from transformers import GPT2Config, GPT2LMHeadModel

    repository = home / f"models--{model.source.replace('/', '--')}"
    folder, blobs = repository / "snapshots" / model.revision, repository / "blobs"
    folder.mkdir(parents=True)
    blobs.mkdir()
    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=model.n_layer, n_head=model.n_head, n_embd=model.d_model, architectures=["GPT2LMHeadModel"]
    )
    network = GPT2LMHeadModel(config)
    tensors = {name: parameter.detach() for name, parameter in network.transformer.named_parameters()}
    mask = torch.ones(1, 1, config.n_positions, config.n_positions).tril()
    tensors |= {f"h.{block}.attn.bias": mask.clone() for block in range(model.n_layer)}
    save_file(tensors, blobs / "weights", metadata={"format": "pt"})
    (folder / "model.safetensors").symlink_to(Path("../../blobs/weights"))
    config.save_pretrained(folder)
    return blobs / "weights"


def link_tokenizer(folder: Path, tokenizer: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        (folder / name).symlink_to((tokenizer / name).resolve(strict=True))


def run_claims(home: Path, size: str, effort: str) -> tuple[Run, float, float, int]:
    """Run the claims in their own process; return the record, wall and CPU seconds, and peak memory in bytes."""
    report = home / f"report-{effort}"
    arguments = ["claims/", "--family", "gpt2", "--size", size, "--controls", effort, "--report", str(report)]
    environment = {
        **os.environ,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PATHLEN_CACHE": str(home / f"cache-{effort}"),
    }
    start = time.perf_counter()
    with (home / "log").open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "--fail-on", "error", *arguments],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(child.pid, 0)  # the usage of this child alone
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    assert child.returncode == 0, (home / "log").read_text("utf-8")[-3000:]
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return read(report / "gpt2.json"), seconds, usage.ru_utime + usage.ru_stime, peak


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(rows: dict[tuple[str, str], str], path: Path) -> list[str]:
    """Write rows into a file's table, in order, and keep its rows of other sizes; return all rows."""
    present = path.read_text("utf-8").splitlines() if path.exists() else []
    known = {row_key(line): line for line in present if line.startswith("| ") and row_key(line)[0] in SIZES} | rows
    ordered = [
        known[key] for key in sorted(known, key=lambda key: (SIZES.index(key[0]), controls.EFFORTS.index(key[1])))
    ]
    path.write_text(HEADER + "\n".join(ordered) + "\n", encoding="utf-8")
    return ordered


def row_key(line: str) -> tuple[str, str]:
    """Return the size and the effort of controls of a table's row."""
    _, size, effort, *_ = (cell.strip() for cell in line.split("|"))
    return size, effort


def short(rows: list[str]) -> str:
    """Return the short form of a table: one line per size, with disk, memory and minutes."""
    cells = {row_key(line): [cell.strip() for cell in line.split("|")[1:-1]] for line in rows}
    lines = []
    for size in SIZES:
        by_effort = [cells.get((size, effort)) for effort in ("none", "quick")]
        measured = [row for row in by_effort if row]
        if measured:
            minutes = [f"{float(row[9]) / 60:.1f}" if row else "not measured" for row in by_effort]
            memory = max(float(row[10]) for row in measured)
            lines.append(f"| {size} | {measured[0][5]} | {memory:.1f} | {' | '.join(minutes)} |")
    return COST + "\n".join(lines)


def into(page: Path, text: str) -> None:
    """Write a text between the two marks of a page."""
    before, mark, rest = page.read_text("utf-8").partition("<!-- cost -->\n")
    _, end, after = rest.partition("<!-- /cost -->")
    assert mark, f"{page} has no place for a table"
    assert end, f"{page} has no end of the place for a table"
    page.write_text(f"{before}{mark}\n{text}\n\n{end}{after}", encoding="utf-8")


@pytest.mark.skipif(
    sys.platform == "win32", reason="peak memory of a child process comes from wait4, which Windows does not have"
)
@pytest.mark.parametrize("size", ASKED_SIZES)
def test_the_claims_run_on_a_true_shape(
    size: str, tmp_path: Path, tokenized: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = spec("gpt2", size)
    weights = write_into_hub_cache(tmp_path / "hub", wanted)
    folder = weights.parents[1] / "snapshots" / wanted.revision
    if TOKENIZER:
        link_tokenizer(folder, Path(TOKENIZER))
    else:
        tokenized(folder, 50257)
    rows = {}
    try:
        for effort in EFFORTS:
            run, seconds, cpu_seconds, peak = run_claims(tmp_path, size, effort)
            (model,) = run.models
            assert (model.size, model.source, model.revision) == (size, wanted.source, wanted.revision)
            untested = {(finding.claim, finding.size) for finding in run.findings if finding.verdict == "not tested"}
            between_sizes = {claim.id for claim in run.claims if claim.compares_sizes}
            assert {claim for claim, _ in untested} <= between_sizes, untested
            assert len(run.findings) - len(untested) >= 15
            invalid = {finding.claim for finding in run.findings if finding.verdict == "invalid"}
            assert invalid <= WITHOUT_A_NUMBER
            loaded = sum(tensor_bytes(weights))
            rows[size, effort] = (
                f"| {size} | {effort} | {'GPT-2' if TOKENIZER else 'embedded'} | {len(run.texts)} | {model.tokens:,} "
                f"| {weights.stat().st_size / 1e9:.2f} | {loaded / 1e9:.2f} | {model.seconds:.0f} | {seconds:.0f} | {cpu_seconds:.0f} | {peak / 1e9:.2f} | {(peak - loaded) / 1e9:.2f} | {cpu()} |"
            )
            with capsys.disabled():
                print(f"\n{rows[size, effort]}", flush=True)
            assert peak - loaded < 2.5e9, "a run holds more beyond its weights than it should"
    finally:
        weights.unlink()
    if path := os.environ.get("PATHLEN_FULL_TABLE"):
        all_rows = table(rows, Path(path))
        if page := os.environ.get("PATHLEN_FULL_PAGE"):
            into(Path(page), short(all_rows))


def tensor_bytes(weights: Path) -> list[int]:
    """Return the size in bytes of each tensor that is loaded; the masks in the file are not loaded."""
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        names = [name for name in file.keys() if not name.endswith(".attn.bias")]  # noqa: SIM118
        return [4 * int(prod(file.get_slice(name).get_shape())) for name in names]
