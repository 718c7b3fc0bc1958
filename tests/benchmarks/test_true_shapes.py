"""GPT-2's true shapes with random weights, one size at a time: ``pytest tests/benchmarks/test_true_shapes.py -s``.

Each size is written as a checkpoint and loaded by the common path, in a process of its own, on one thread. There contenders first
have to give the same numbers (every step as the published loop computes it, to 1e-5; each column alone as among all), then
run in turns, so that a ratio is one of medians from one process. Bare is ``model(ids)`` as anybody calls it, in inference mode,
which makes all logits. Memory is read from fresh processes, one for each of bare and ours.

Nothing here fails because it was slow: the bars stand beside the ratios. Needs 7 GB of disk and 9 GB of memory for XL;
``PATHLEN_SHAPES=small,medium`` leaves sizes out. TransformerLens and nnsight are measured where they are installed (``pip install
-e '.[peers]'``), on the sizes of ``PATHLEN_PEERS``, Small unless said. With ``PATHLEN_SHAPES_DATA=FILE`` what was
measured is added to a file of JSON lines; ``python tests/benchmarks/test_true_shapes.py FILE`` makes the table of it.
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
LENGTHS = tuple(name for name, one in CATALOG.items() if one.part not in ("vocabulary", "alignment"))
PREDICTIONS = (*LENGTHS, "next_log_probability", "entropy")
ASKED = {"published": PUBLISHED, "lengths": LENGTHS, "predictions": PREDICTIONS, "everything": ("all",)}
BARS: dict[str, dict[str, float]] = {
    "published": {"small": 0.66, "medium": 0.82, "large": 0.86},
    "lengths": {"small": 0.72, "medium": 0.88, "large": 0.90},
    "predictions": {"small": 1.0, "medium": 1.0, "large": 1.0},
}
_NAMES = {
    "published": "steps, next logit (the published analysis)",
    "lengths": "all lengths, heads, attention and MLP",
    "predictions": "the same, log-probability and entropy",
    "everything": "the same, rank and top logit",
}
NAMES = {
    "bare": "bare `model(ids)`",
    **_NAMES,
    "loop": "the published double loop",
    "transformer_lens": "TransformerLens, `run_with_cache` of residual streams",
    "transformer_lens_all": "TransformerLens, `run_with_cache` of everything",
    "nnsight": "nnsight, norms inside the trace",
    "nnsight_stopped": "nnsight, the same, stopped before the head",
    **{f"{name}_fast": f"{label}, fast" for name, label in _NAMES.items()},
    "products": "matrix products alone, torch's: the physical limit",
    "products_fast": "matrix products alone, as a fast trace makes them",
}


# What a process of its own runs.


def held() -> int:
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024


def resident() -> int:
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) * 1024


def texts(model: LoadedModel) -> dict[int, Passage]:
    ids = model.token_ids(" ".join(one.text for one in chosen([])))
    return {
        tokens: Passage(name=str(tokens), text=str(model.tokenizer.decode(ids[:tokens])), origin="benchmark")
        for tokens in TOKENS
    }


def peers(model: LoadedModel, ids: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what other tools do for the steps of a text, where they are installed.

    Each gets a copy of the network: what is handed to them is rewritten.
    """
    import torch

    with suppress(ImportError):
        bridge = importlib.import_module("transformer_lens.model_bridge")
        boot = importlib.import_module("transformer_lens")
        wrapped = _transformer_lens(bridge, boot, model)
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
        named = nnsight.LanguageModel(copy.deepcopy(model.network), tokenizer=model.tokenizer)

        def norms(*, stop: bool) -> Any:
            with named.trace(ids) as tracer:
                found = nnsight.save([])
                before = named.transformer.h[0].input
                for block in named.transformer.h:
                    after = block.output[0] if isinstance(block.output, tuple) else block.output
                    found.append((after - before).norm(dim=-1))
                    before = after
                if stop:
                    tracer.stop()
            return torch.cat(list(found))

        yield "nnsight", lambda: norms(stop=False)
        yield "nnsight_stopped", lambda: norms(stop=True)


def _transformer_lens(bridge: Any, lens: Any, model: LoadedModel) -> Any:
    """Return a model wrapped by TransformerLens 4."""
    try:
        return bridge.TransformerBridge.boot_transformers(
            "gpt2" if model.spec.size == "small" else f"gpt2-{model.spec.size}",
            hf_model=copy.deepcopy(model.network),
            tokenizer=model.tokenizer,
            device="cpu",
        )
    except Exception as error:  # noqa: BLE001  # it may want what is on no machine here; said, and left out
        print(f"TransformerLens could not wrap the network: {error}", file=sys.stderr)
        return None


def products(model: LoadedModel, tokens: int, multiply: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    """Return a function that does a pass's matrix products and nothing else, on weights of the same shapes."""
    import torch

    d = model.spec.d_model
    shapes = [(d, 3 * d), (d, d), (d, 4 * d), (4 * d, d)]
    left = {rows: torch.randn(tokens, rows) for rows in {rows for rows, _ in shapes}}
    right = [
        [torch.randn(shape) for shape in shapes] for _ in range(4)
    ]  # as many as leave the cache, used in turn as blocks are

    def all_blocks() -> Any:
        with torch.inference_mode():
            for block in range(model.spec.n_layer):
                for matrix in right[block % len(right)]:
                    found = multiply(left[len(matrix)], matrix)
        return found

    return all_blocks


def measure_times(model: LoadedModel, rounds: int, with_peers: bool) -> list[dict[str, Any]]:
    import numpy as np
    import torch

    from pathlen.traces.kernels.matmul import product
    from pathlen.traces.reference import loop_steps, original, relative_error
    from pathlen.traces.tracer import Tracer

    found = []
    for text in texts(model).values():
        ids = torch.tensor(model.token_ids(text.text))[None]
        tracer, fast = Tracer(model), Tracer(model, fast=True)
        whole = tracer.trace(text)
        error = float(relative_error(whole, loop_steps(model, whole)).max())
        assert error < 1e-5, error
        for asked in ASKED.values():
            some = tracer.trace(text, columns=asked)
            assert all(np.array_equal(getattr(some, name), getattr(whole, name)) for name in some.made)
        np.testing.assert_allclose(fast.trace(text).step_length, whole.step_length, rtol=1e-5)

        def bare(ids: Any = ids) -> Any:
            with torch.inference_mode():
                return model.network(ids)

        contenders: dict[str, Callable[[], Any]] = {
            "bare": bare,
            "products": products(model, ids.shape[1], torch.matmul),
            "products_fast": products(model, ids.shape[1], lambda left, right: product(left, right.T)),
        }
        for name, asked in ASKED.items():
            contenders[name] = partial(tracer.trace, text, columns=asked)
            if name != "everything":
                contenders[f"{name}_fast"] = partial(fast.trace, text, columns=asked)
        if with_peers and ids.shape[1] < 500:
            contenders["loop"] = partial(original, model, text)
            for name, contender in peers(model, ids):
                steps = contender()
                if isinstance(steps, torch.Tensor) and steps.shape == whole.step_length.shape:
                    np.testing.assert_allclose(steps.detach(), whole.step_length, rtol=1e-3, err_msg=name)
                contenders[name] = contender
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        names = list(contenders)
        for contender in contenders.values():
            contender()
        for turn in range(rounds):
            for place in range(len(names)):
                name = names[(place + turn) % len(names)]
                start = time.process_time()  # on one thread, what others do on the machine counts for less
                contenders[name]()
                seconds[name].append(time.process_time() - start)
        medians = {name: statistics.median(each) for name, each in seconds.items()}
        found.append({"tokens": ids.shape[1], "rounds": rounds, "error": error, "seconds": medians})
    return found


def measure_memory(model: LoadedModel, what: str, tokens: int) -> int:
    """Return the bytes that one pass held at most beyond what the process held before it."""
    import torch

    from pathlen.traces.tracer import Tracer

    text = texts(model)[tokens]
    ids = torch.tensor(model.token_ids(text.text))[None]
    few = Passage(name="few", text=str(model.tokenizer.decode(ids[0, :16])), origin="benchmark")
    tracer = Tracer(model)
    with torch.inference_mode():
        model.network(ids[:, :16])  # reads every weight, so that none is read from its file for the first time later
    tracer.trace(few, columns=ASKED.get(what, ("all",)))
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # else what was given back is still held, and used again unseen
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")
    if what == "bare":
        with torch.inference_mode():
            model.network(ids)
    else:
        tracer.trace(text, columns=ASKED[what])
    return held() - before


def main(arguments: list[str]) -> None:
    import torch

    torch.set_num_threads(1)
    task, size, folder, *rest = arguments
    start = time.perf_counter()
    model = load(replace(spec("gpt2", size), source=folder, revision=""))
    loading = time.perf_counter() - start
    weights = sum(p.numel() * p.element_size() for p in model.network.parameters())
    if task == "memory":
        print(json.dumps(measure_memory(model, rest[0], int(rest[1]))))
        return
    found = measure_times(model, int(rest[0]), rest[1] == "peers")
    print(
        json.dumps(
            {
                "size": size,
                "parameters": weights // 4,
                "weights": weights,
                "loading": loading,
                "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "times": found,
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
        one = spec("gpt2", size)
        folder = tmp_path / size
        torch.manual_seed(0)
        network = GPT2LMHeadModel(GPT2Config(n_layer=one.n_layer, n_head=one.n_head, n_embd=one.d_model))
        network.save_pretrained(folder, max_shard_size="100GB")
        del network
        tokenized(folder, 50257)

        def run(task: str, *more: str, size: str = size, folder: Path = folder) -> Any:
            command = [sys.executable, __file__, task, size, str(folder), *more]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            return json.loads(done.stdout.splitlines()[-1])

        rounds = {"small": "9", "medium": "5", "large": "3"}.get(size, "2")
        found = run("times", rounds, "peers" if size in asked_peers else "alone")
        found["memory"] = [
            [what, tokens, run("memory", what, str(tokens))]
            for what in ("bare", "published", "everything")
            for tokens in (TOKENS if size in ("small", "medium") else TOKENS[1:])
        ]
        (folder / "model.safetensors").unlink()
        if data := os.environ.get("PATHLEN_SHAPES_DATA"):
            with open(data, "a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
        with capsys.disabled():
            print("\n" + "\n".join(lines([found])), flush=True)
        for each in found["times"]:
            assert each["seconds"]["published"] < each["seconds"]["bare"], each


# The table.


def lines(found: list[dict[str, Any]]) -> list[str]:
    """Return what was measured as Markdown: times as ratios to bare, then memory."""
    made = ["| size | tokens | what | seconds | of bare | bar |", "|---|---|---|---|---|---|"]
    for one in found:
        for each in one["times"]:
            bare = each["seconds"]["bare"]
            for name, label in NAMES.items():
                if name in each["seconds"]:
                    seconds = each["seconds"][name]
                    bar = BARS.get(name.removesuffix("_fast"), {}).get(one["size"]) if each["tokens"] < 500 else None
                    shown = "" if bar is None else f"{bar:.2f}"
                    ratio = seconds / bare
                    text = f"**{ratio:.2f}**" if name.removesuffix("_fast") in ASKED else f"{ratio:.2f}"
                    made.append(f"| {one['size']} | {each['tokens']:,} | {label} | {seconds:.3f} | {text} | {shown} |")
    made += ["", "| size | tokens | what | MB above weights | of bare |", "|---|---|---|---|---|"]
    for one in found:
        own = {(what, tokens): size for what, tokens, size in one["memory"]}
        for (what, tokens), size in own.items():
            ratio = size / own["bare", tokens]
            made.append(f"| {one['size']} | {tokens:,} | {NAMES[what]} | {size / 1e6:,.0f} | {ratio:.2f} |")
    made += [
        "",
        "| size | million parameters | weights, GB | loading, s | GFLOP/s of products: torch's | a fast trace's |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        first = one["times"][0]
        shape = spec("gpt2", one["size"])
        work = 2 * shape.parameters * first["tokens"] / 1e9
        rates = " | ".join(f"{work / first['seconds'][name]:.0f}" for name in ("products", "products_fast"))
        made.append(
            f"| {one['size']} | {one['parameters'] / 1e6:,.0f} | {one['weights'] / 1e9:.2f} | {one['loading']:.1f} | {rates} |"
        )
    return made


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
        rows = [json.loads(line) for line in Path(sys.argv[1]).read_text("utf-8").splitlines()]
        print(HEADER + "\n".join(lines(rows)))
    else:
        main(sys.argv[1:])
