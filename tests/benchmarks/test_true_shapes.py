"""GPT-2's true shapes with random weights, one size at a time: ``pytest tests/benchmarks/test_true_shapes.py -s``.

Each size is written as a checkpoint, loaded in a process of its own by the common path, and measured on one thread: the
whole trace, every column, against a bare forward pass of the same network, which also makes all logits. Needs 7 GB of disk
and 9 GB of memory for XL; ``PATHLEN_SHAPES=small,medium`` leaves sizes out. With ``PATHLEN_SHAPES_TABLE=FILE`` the table is
written to a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pathlen import SIZES
from pathlen.models import spec

HEADER = """# GPT-2's true shapes, random weights

One thread. *Ratio* is the median time of a trace with every column (steps, angles, heads, entropy, rank) over that of a
bare `model(ids)`, in one process. *Memory* is the most that a fresh
process held beyond the weights while a text of 1,024 tokens was traced, Python and torch themselves (0.4 GB) included.
Made by
`PATHLEN_SHAPES_TABLE=tests/benchmarks/SHAPES.md pytest tests/benchmarks/test_true_shapes.py`.

| size | million parameters | weights, GB | loading, s | tokens | bare, s | trace, s | ratio | memory, GB |
|---|---|---|---|---|---|---|---|---|
"""
MEASURE = """
import json, resource, statistics, sys, time
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
from pathlen.models import load, spec
from pathlen.passages import Passage, chosen
from pathlen.traces import Tracer

def held():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

size, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = time.perf_counter()
model = load(replace(spec("gpt2", size), source=folder, revision=""))
loading = time.perf_counter() - start
weights = sum(p.numel() * p.element_size() for p in model.network.parameters())
ids = model.token_ids(" ".join(one.text for one in chosen([])))

def cut(tokens):
    return Passage(name="cut", text=model.tokenizer.decode(ids[:tokens]), origin="benchmark")

Path("/proc/self/clear_refs").write_text("5")  # the most that is held, from here on
Tracer(model).trace(cut(1024))
above = held() - weights
found = []
for tokens in (340, 1024):
    text = cut(tokens)
    read = torch.tensor(model.token_ids(text.text))
    tracer = Tracer(model)
    bare, ours = [], []
    with torch.inference_mode():
        tracer.trace(text)
        for _ in range(rounds):
            start = time.perf_counter()
            model.network(read[None], use_cache=False)
            bare.append(time.perf_counter() - start)
            start = time.perf_counter()
            tracer.trace(text)
            ours.append(time.perf_counter() - start)
    found.append([len(read), statistics.median(bare), statistics.median(ours)])
print(json.dumps([sum(p.numel() for p in model.network.parameters()), weights, loading, above, found]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_true_shapes(tmp_path: Path, tokenized: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    lines = []
    for size in os.environ.get("PATHLEN_SHAPES", ",".join(SIZES)).split(","):
        one = spec("gpt2", size)
        folder = tmp_path / size
        torch.manual_seed(0)
        network = GPT2LMHeadModel(GPT2Config(n_layer=one.n_layer, n_head=one.n_head, n_embd=one.d_model))
        network.save_pretrained(folder, max_shard_size="100GB")
        del network
        tokenized(folder)
        command = [sys.executable, "-c", MEASURE, size, str(folder), "3"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        parameters, weights, loading, above, found = json.loads(result.stdout.splitlines()[-1])
        (folder / "model.safetensors").unlink()
        assert above < 1.5e9, (size, above)
        for tokens, bare, ours in found:
            lines.append(
                f"| {size} | {parameters / 1e6:,.0f} | {weights / 1e9:.2f} | {loading:.1f} | {tokens:,} | {bare:.2f} | {ours:.2f} "
                f"| {ours / bare:.2f} | {above / 1e9:.2f} |"
            )
        with capsys.disabled():
            print("\n".join(lines[-2:]), flush=True)
    if table := os.environ.get("PATHLEN_SHAPES_TABLE"):
        Path(table).write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
