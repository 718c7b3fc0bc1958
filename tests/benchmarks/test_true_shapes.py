"""GPT-2's true shapes with random weights, one size at a time: ``pytest tests/benchmarks/test_true_shapes.py -s``.

Each size is written as a checkpoint and loaded as usual, in its own process, on one thread. Contenders first have to give the
same numbers (every step as the published loop computes it, to 1e-5; each column alone as together with all others), then take
turns, so that a ratio is one of medians from one process. Bare is a plain ``model(ids)`` in inference mode, which makes all
logits. Memory is measured in fresh processes, one per contender.

No test fails for missing a bar: bars are printed beside the ratios. XL needs 7 GB of disk and 9 GB of memory;
``PATHLEN_SHAPES=small,medium`` selects sizes. TransformerLens and nnsight are measured if they are installed (``pip install -e
'.[peers]'``), on the sizes of ``PATHLEN_PEERS``, by default Small. With ``PATHLEN_SHAPES_DATA=FILE`` results are appended to a
file of JSON lines; ``python tests/benchmarks/test_true_shapes.py FILE`` turns that file into the table.
"""

from __future__ import annotations

import copy
import ctypes
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pathlen import SIZES
from pathlen.columns.catalog import CATALOG
from pathlen.models.families import spec
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.choose import chosen
from pathlen.passages.passage import Passage

TOKENS = (340, 1024)
PUBLISHED = ("step_length", "final_norm_step", "next_logit")  # steps, hence their sums, and the next token's logit
LENGTHS = tuple(name for name, column in CATALOG.items() if column.part not in ("vocabulary", "alignment"))
PREDICTIONS = (*LENGTHS, "next_log_probability", "entropy")
COLUMNS = {"published": PUBLISHED, "lengths": LENGTHS, "predictions": PREDICTIONS, "everything": ("all",)}
BARS: dict[str, dict[str, float]] = {
    "published": {"small": 0.66, "medium": 0.82, "large": 0.86},
    "lengths": {"small": 0.72, "medium": 0.88, "large": 0.90},
    "predictions": {"small": 1.0, "medium": 1.0, "large": 1.0},
}
OURS = {
    "published": "steps, next logit (the published analysis)",
    "lengths": "all lengths, heads, attention and MLP",
    "predictions": "the same, log-probability and entropy",
    "everything": "the same, rank and top logit",
}
NAMES = {
    "bare": "bare `model(ids)`",
    **OURS,
    "loop": "the published double loop",
    "transformer_lens": "TransformerLens, `run_with_cache` of residual streams",
    "transformer_lens_all": "TransformerLens, `run_with_cache` of everything",
    "nnsight": "nnsight, norms inside the trace",
    "nnsight_stopped": "nnsight, the same, stopped before the head",
    **{f"{name}_fast": f"{label}, fast" for name, label in OURS.items()},
    "products": "matrix products alone, torch's: the physical limit",
    "products_fast": "matrix products alone, as a fast trace makes them",
}


# Run in a process of its own.


def peak_memory() -> int:
    """Return the most bytes that this process has held since the peak was last reset."""
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024


def resident_memory() -> int:
    """Return the bytes that this process holds now."""
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) * 1024


def texts(model: LoadedModel) -> dict[int, Passage]:
    ids = model.token_ids(" ".join(passage.text for passage in chosen([])))
    return {
        tokens: Passage(name=str(tokens), text=str(model.tokenizer.decode(ids[:tokens])), origin="benchmark")
        for tokens in TOKENS
    }


def peers(model: LoadedModel, ids: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield functions that compute a text's steps with other tools, if these are installed.

    Each tool gets a copy of the network, because it modifies the one it is given.
    """
    import torch

    with suppress(ImportError):
        bridge = importlib.import_module("transformer_lens.model_bridge")
        wrapped = _transformer_lens(bridge, model)
        if wrapped is not None:

            def residual() -> Any:
                names = [f"blocks.{block}.hook_resid_post" for block in range(model.spec.n_layer)]
                _, cache = wrapped.run_with_cache(ids, names_filter=["blocks.0.hook_resid_pre", *names])
                states = torch.stack([cache["blocks.0.hook_resid_pre"][0], *(cache[name][0] for name in names)])
                return states.diff(dim=0).norm(dim=-1)

            yield "transformer_lens", residual
            yield "transformer_lens_all", lambda: wrapped.run_with_cache(ids)
    with suppress(ImportError):
        nnsight = importlib.import_module("nnsight")
        wrapped_network = nnsight.LanguageModel(copy.deepcopy(model.network), tokenizer=model.tokenizer)

        def step_norms(*, stop: bool) -> Any:
            with wrapped_network.trace(ids) as tracer:
                norms = nnsight.save([])
                before = wrapped_network.transformer.h[0].input
                for block in wrapped_network.transformer.h:
                    after = block.output[0] if isinstance(block.output, tuple) else block.output
                    norms.append((after - before).norm(dim=-1))
                    before = after
                if stop:
                    tracer.stop()
            return torch.cat(list(norms))

        yield "nnsight", lambda: step_norms(stop=False)
        yield "nnsight_stopped", lambda: step_norms(stop=True)


def _transformer_lens(bridge: Any, model: LoadedModel) -> Any:
    """Return a model wrapped by TransformerLens 4, or `None` if it can't be wrapped."""
    try:
        return bridge.TransformerBridge.boot_transformers(
            "gpt2" if model.spec.size == "small" else f"gpt2-{model.spec.size}",
            hf_model=copy.deepcopy(model.network),
            tokenizer=model.tokenizer,
            device="cpu",
        )
    except Exception as error:  # noqa: BLE001  # it may ask for files that are not on this machine
        print(f"TransformerLens could not wrap the network: {error}", file=sys.stderr)
        return None


def products(model: LoadedModel, tokens: int, multiply: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    """Return a function that computes only the matrix products of a pass, on weights of the same shapes."""
    import torch

    d = model.spec.d_model
    shapes = [(d, 3 * d), (d, d), (d, 4 * d), (4 * d, d)]
    inputs = {rows: torch.randn(tokens, rows) for rows in {rows for rows, _ in shapes}}
    # Enough blocks to overflow the processor's cache; used in turn, as a network uses its blocks.
    weights = [[torch.randn(shape) for shape in shapes] for _ in range(4)]

    def all_blocks() -> Any:
        with torch.inference_mode():
            for block in range(model.spec.n_layer):
                for matrix in weights[block % len(weights)]:
                    product = multiply(inputs[len(matrix)], matrix)
        return product

    return all_blocks


def measure_times(model: LoadedModel, rounds: int, with_peers: bool) -> list[dict[str, Any]]:
    import numpy as np
    import torch

    from pathlen.traces.kernels.matmul import product
    from pathlen.traces.reference import loop_steps, original, relative_error
    from pathlen.traces.tracer import Tracer

    measured = []
    for text in texts(model).values():
        ids = torch.tensor(model.token_ids(text.text))[None]
        tracer, fast = Tracer(model), Tracer(model, fast=True)
        full = tracer.trace(text)
        error = float(relative_error(full, loop_steps(model, full)).max())
        assert error < 1e-5, error
        for columns in COLUMNS.values():
            subset = tracer.trace(text, columns=columns)
            assert all(np.array_equal(getattr(subset, name), getattr(full, name)) for name in subset.made)
        np.testing.assert_allclose(fast.trace(text).step_length, full.step_length, rtol=1e-5)

        def bare(ids: Any = ids) -> Any:
            with torch.inference_mode():
                return model.network(ids)

        contenders: dict[str, Callable[[], Any]] = {
            "bare": bare,
            "products": products(model, ids.shape[1], torch.matmul),
            "products_fast": products(model, ids.shape[1], lambda left, right: product(left, right.T)),
        }
        for name, columns in COLUMNS.items():
            contenders[name] = partial(tracer.trace, text, columns=columns)
            if name != "everything":
                contenders[f"{name}_fast"] = partial(fast.trace, text, columns=columns)
        if with_peers and ids.shape[1] < 500:
            contenders["loop"] = partial(original, model, text)
            for name, contender in peers(model, ids):
                steps = contender()
                if isinstance(steps, torch.Tensor) and steps.shape == full.step_length.shape:
                    np.testing.assert_allclose(steps.detach(), full.step_length, rtol=1e-3, err_msg=name)
                contenders[name] = contender
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        names = list(contenders)
        for contender in contenders.values():
            contender()
        for turn in range(rounds):
            for offset in range(len(names)):
                name = names[(offset + turn) % len(names)]
                start = time.process_time()  # CPU time: other jobs on the machine matter less
                contenders[name]()
                seconds[name].append(time.process_time() - start)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        measured.append({"tokens": ids.shape[1], "rounds": rounds, "error": error, "seconds": medians})
    return measured


def measure_memory(model: LoadedModel, contender: str, tokens: int) -> int:
    """Return the peak memory of one pass in bytes, beyond what the process held before it."""
    import torch

    from pathlen.traces.tracer import Tracer

    text = texts(model)[tokens]
    ids = torch.tensor(model.token_ids(text.text))[None]
    few = Passage(name="few", text=str(model.tokenizer.decode(ids[0, :16])), origin="benchmark")
    tracer = Tracer(model)
    with torch.inference_mode():
        model.network(
            ids[:, :16]
        )  # touches every weight, so that none is first read from its file during the measurement
    tracer.trace(few, columns=COLUMNS.get(contender, ("all",)))
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # else freed memory stays resident and is reused unseen
    before = resident_memory()
    Path("/proc/self/clear_refs").write_text("5")
    if contender == "bare":
        with torch.inference_mode():
            model.network(ids)
    else:
        tracer.trace(text, columns=COLUMNS[contender])
    return peak_memory() - before


def main(arguments: list[str]) -> None:
    import torch

    torch.set_num_threads(1)
    task, size, folder, *rest = arguments
    start = time.perf_counter()
    model = load(replace(spec("gpt2", size), source=folder, revision=""))
    loading = time.perf_counter() - start
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.network.parameters())
    if task == "memory":
        print(json.dumps(measure_memory(model, rest[0], int(rest[1]))))
        return
    times = measure_times(model, int(rest[0]), rest[1] == "peers")
    print(
        json.dumps(
            {
                "size": size,
                "parameters": weights // 4,
                "weights": weights,
                "loading": loading,
                "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "times": times,
            }
        )
    )


# The test.


def test_true_shapes(tmp_path: Path, tokenized: Callable[..., Path], capsys: Any) -> None:
    import pytest
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is read from Linux's /proc")
    asked_peers = os.environ.get("PATHLEN_PEERS", "small").split(",")
    for size in os.environ.get("PATHLEN_SHAPES", ",".join(SIZES)).split(","):
        shape = spec("gpt2", size)
        folder = tmp_path / size
        torch.manual_seed(0)
        network = GPT2LMHeadModel(GPT2Config(n_layer=shape.n_layer, n_head=shape.n_head, n_embd=shape.d_model))
        network.save_pretrained(folder, max_shard_size="100GB")
        del network
        tokenized(folder, 50257)

        def run(task: str, *more: str, size: str = size, folder: Path = folder) -> Any:
            command = [sys.executable, __file__, task, size, str(folder), *more]
            process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            return json.loads(process.stdout.splitlines()[-1])

        rounds = {"small": "9", "medium": "5", "large": "3"}.get(size, "2")
        result = run("times", rounds, "peers" if size in asked_peers else "alone")
        result["memory"] = [
            [contender, tokens, run("memory", contender, str(tokens))]
            for contender in ("bare", "published", "everything")
            for tokens in (TOKENS if size in ("small", "medium") else TOKENS[1:])
        ]
        (folder / "model.safetensors").unlink()
        if data := os.environ.get("PATHLEN_SHAPES_DATA"):
            with open(data, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
        with capsys.disabled():
            print("\n" + "\n".join(lines([result])), flush=True)
        for times in result["times"]:
            assert times["seconds"]["published"] < times["seconds"]["bare"], times


# The table.


def lines(results: list[dict[str, Any]]) -> list[str]:
    """Return results as Markdown: times as ratios to bare, then memory, then the speed of matrix products."""
    return [*_times(results), "", *_memory(results), "", *_products(results)]


def _times(results: list[dict[str, Any]]) -> list[str]:
    rows = ["| size | tokens | what | seconds | of bare | bar |", "|---|---|---|---|---|---|"]
    for result in results:
        size = result["size"]
        for times in result["times"]:
            tokens, medians = times["tokens"], times["seconds"]
            for name, label in NAMES.items():
                if name in medians:
                    columns = name.removesuffix("_fast")
                    bar = BARS.get(columns, {}).get(size) if tokens < 500 else None
                    ratio = f"{medians[name] / medians['bare']:.2f}"
                    ratio = f"**{ratio}**" if columns in COLUMNS else ratio
                    bar_text = "" if bar is None else f"{bar:.2f}"
                    rows.append(f"| {size} | {tokens:,} | {label} | {medians[name]:.3f} | {ratio} | {bar_text} |")
    return rows


def _memory(results: list[dict[str, Any]]) -> list[str]:
    rows = ["| size | tokens | what | MB above weights | of bare |", "|---|---|---|---|---|"]
    for result in results:
        peaks = {(contender, tokens): peak for contender, tokens, peak in result["memory"]}
        for (contender, tokens), peak in peaks.items():
            ratio = peak / peaks["bare", tokens]
            rows.append(f"| {result['size']} | {tokens:,} | {NAMES[contender]} | {peak / 1e6:,.0f} | {ratio:.2f} |")
    return rows


def _products(results: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| size | million parameters | weights, GB | loading, s | GFLOP/s of products: torch's | a fast trace's |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        first = result["times"][0]
        work = 2 * spec("gpt2", result["size"]).parameters * first["tokens"] / 1e9
        rates = " | ".join(f"{work / first['seconds'][name]:.0f}" for name in ("products", "products_fast"))
        parameters, gigabytes = result["parameters"] / 1e6, result["weights"] / 1e9
        rows.append(f"| {result['size']} | {parameters:,.0f} | {gigabytes:.2f} | {result['loading']:.1f} | {rates} |")
    return rows


HEADER = """# GPT-2's true shapes, random weights: what measuring costs

One thread of an AMD EPYC of the fifth generation, nothing else running. A text's columns against a bare `model(ids)` in inference
mode, which also makes all logits: medians of the processor's time in runs that took turns in one process (9 rounds on Small, 5 on
Medium, 3 on Large, 2 on XL), after all had given the same numbers. *Bars* were set before, for 340 tokens. *Fast* is
`--fast`, `Tracer(fast=True)`, which controls use, too: its states differ from transformers' by rounding. On this processor its
matrix products, and any trace's with the vocabulary, are oneDNN's, which use twice as much of it as torch's own
(`pathlen/traces/kernels/matmul.py`); what its own products take is a limit further down. Large and XL were measured just before the number
of states that oneDNN is given was rounded up, which cost a fast trace of Small and Medium 4 to 7 % at 340 tokens. Memory is the
most that one pass held beyond what the process held before it, in fresh processes; bare's is mostly its logits, tokens by
vocabulary, and the keys and values that it keeps of every block. The physical limit is the time that the blocks' matrix
products alone take, attention's own not counted. Made by

    PATHLEN_SHAPES_DATA=tests/benchmarks/SHAPES.jsonl OMP_NUM_THREADS=1 pytest tests/benchmarks/test_true_shapes.py
    python tests/benchmarks/test_true_shapes.py tests/benchmarks/SHAPES.jsonl > tests/benchmarks/SHAPES.md

"""

if __name__ == "__main__":
    if len(sys.argv) == 2:
        results = [json.loads(line) for line in Path(sys.argv[1]).read_text("utf-8").splitlines()]
        print(HEADER + "\n".join(lines(results)))
    else:
        main(sys.argv[1:])
