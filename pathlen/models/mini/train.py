"""Train the embedded family from scratch: ``python -m pathlen.models.mini.train --books BOOKS --work WORK``.

One plain loop, the same for the four sizes, on one or two CPU threads:

- Muon for the matrices inside the blocks, AdamW for embeddings, gains and biases; linear warm-up and cosine
  decay, gradient norm clipped at 1. AdamW alone learned more slowly from the same tokens, and tokens are what this
  corpus is short of. No dropout: nothing here is seen often enough.
- The spread of the initial weights is GPT-2's 0.02 at a width of 768, scaled by ``sqrt(768 / d_model)``, so
  that a narrow network starts in the same regime as a wide one.
- The first three quarters of the tokens are read in windows of 256 that start at position 0 or 256, so that
  every position embedding is trained; the last quarter in windows of 512, the full context.
- The order of windows depends on the seed alone. A run that is interrupted continues from its last checkpoint
  and ends in the same weights as one that was not.

Under ``WORK``, for each size: ``loss.csv`` (step, tokens, training loss, held-out loss), ``state.pt`` (to continue
from) and, when it is done, ``checkpoint/`` and ``training.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pathlen._util.files import write_text
from pathlen.models.mini import CONTEXT, SHAPES
from pathlen.models.mini.books import (
    VOCABULARY,
    Books,
    Tokens,
    bigram_loss,
    byte_level_bpe,
    read_books,
    token_stream,
    windows,
)

if TYPE_CHECKING:
    import torch
    from transformers import GPT2LMHeadModel

GPT2_WIDTH, GPT2_INITIAL_SPREAD = 768, 0.02
WARM_UP = 0.05  # as a share of the steps
FINAL_RATE = 0.05  # as a share of the peak learning rate
SHORT_SHARE = 0.75  # of the steps read windows of half the context
MUON_RATE, ADAM_RATE = 0.02, 0.01  # peak learning rates
STEPS = {"small": 8000, "medium": 5000, "large": 3000, "xl": 3000}  # fewer for deeper networks, whose steps cost more


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings of one training run; written beside its result.

    Attributes
    ----------
    size : str
        A key of `pathlen.models.mini.SHAPES`.
    seed : int
        For the initial weights and the order of the windows.
    steps : int
        Number of optimiser steps.
    tokens_per_step : int
        Tokens predicted in one step; a multiple of the context.
    held_out_every : int
        Steps between two measurements of the held-out loss, and between two checkpoints.

    """

    size: str
    seed: int
    steps: int
    tokens_per_step: int = 2 * CONTEXT
    held_out_every: int = 250


def initial_network(size: str, seed: int) -> GPT2LMHeadModel:
    """Return an untrained network of one of the family's shapes, its weights drawn with ``seed``."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = SHAPES[size]
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=shape.d_model,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        initializer_range=GPT2_INITIAL_SPREAD * math.sqrt(GPT2_WIDTH / shape.d_model),
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    torch.manual_seed(seed)
    return GPT2LMHeadModel(config)


def rate(step: int, plan: Plan) -> float:
    """Return a step's learning rate as a share of its peak: linear warm-up, then a half cosine down to 5 %.

    Examples
    --------
    >>> plan = Plan(size="small", seed=0, steps=1000)
    >>> [round(rate(step, plan), 3) for step in (0, 49, 525, 1000)]
    [0.02, 1.0, 0.525, 0.05]

    """
    warm_up = WARM_UP * plan.steps
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / (plan.steps - warm_up)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress))


def batches(stream: Tokens, plan: Plan, start: int = 0) -> Iterator[tuple[Tokens, int]]:
    """Yield for each step, from step ``start`` on, its windows and the position of their first token.

    Windows have the shape ``(rows, length + 1)``. Every window of a length is read once before any is read again, in an
    order that depends on the seed.
    """
    short = round(plan.steps * SHORT_SHARE)
    for length, first, last in ((CONTEXT // 2, 0, short), (CONTEXT, short, plan.steps)):
        if first == last:
            continue
        rows = windows(stream, length)
        per_step = plan.tokens_per_step // length
        draw = np.random.default_rng([plan.seed, length])
        needed = (last - first) * per_step
        order = np.concatenate([draw.permutation(len(rows)) for _ in range(-(-needed // len(rows)))])
        for step in range(max(first, start), last):
            index = (step - first) * per_step
            offset = (CONTEXT - length) * (step % 2)
            yield rows[order[index : index + per_step]], offset


def mean_loss(model: GPT2LMHeadModel, rows: Tokens) -> float:
    """Return the mean negative log-likelihood of windows, ``(rows, length + 1)`` token ids, in nats per token."""
    import torch

    model.eval()
    total = 0.0
    with torch.inference_mode():
        for part in np.array_split(rows, max(1, len(rows) // 4)):
            total += _loss(model, part, 0).item() * part[:, 1:].size
    model.train()
    return total / rows[:, 1:].size


def _loss(model: GPT2LMHeadModel, rows: Tokens, offset: int) -> torch.Tensor:
    import torch
    from torch.nn.functional import cross_entropy

    ids = torch.from_numpy(rows)
    positions = torch.arange(offset, offset + rows.shape[1] - 1)[None]
    logits = model(ids[:, :-1], position_ids=positions).logits
    return cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


Curve = list[tuple[int, int, float, float]]  # step, tokens, training loss, held-out loss


def train(plan: Plan, stream: Tokens, held_out: Tokens, folder: Path) -> GPT2LMHeadModel:
    """Run a plan, or the rest of an interrupted one, and return the trained network; see the module's docstring.

    Raises
    ------
    SystemExit
        If the folder has a checkpoint of another plan.

    """
    import torch
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    model = initial_network(plan.size, plan.seed)
    optimizers = _optimizers(model)
    state = folder / "state.pt"
    start, seconds, curve = _resume(plan, model, optimizers, state) if state.exists() else (0, 0.0, Curve())

    began, recent = time.monotonic() - seconds, list[float]()
    bar = tqdm(total=plan.steps, initial=start, desc=plan.size, unit="step", mininterval=2.0)
    for step, (rows, offset) in enumerate(batches(stream, plan, start), start + 1):
        loss = _loss(model, rows, offset)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate(step - 1, plan)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        recent.append(loss.item())
        bar.update()
        if step % plan.held_out_every == 0 or step == plan.steps:
            unseen = mean_loss(model, held_out[:: max(1, len(held_out) // 40)])
            curve.append((step, step * plan.tokens_per_step, float(np.mean(recent)), unseen))
            bar.set_postfix(train=f"{curve[-1][2]:.3f}", held_out=f"{unseen:.3f}")
            recent.clear()
            _write_curve(folder / "loss.csv", curve)
            snapshot = {
                "plan": asdict(plan),
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer, _ in optimizers],
                "step": step,
                "seconds": time.monotonic() - began,
                "curve": curve,
            }
            partial = state.with_suffix(".part")
            torch.save(snapshot, partial)
            os.replace(partial, state)
    bar.close()
    trained: GPT2LMHeadModel = model.eval()
    return trained


def _resume(
    plan: Plan, model: GPT2LMHeadModel, optimizers: list[tuple[torch.optim.Optimizer, float]], state: Path
) -> tuple[int, float, Curve]:
    """Load a saved state into the model and its optimizers; return its step, seconds spent and loss curve."""
    import torch

    saved = torch.load(state, weights_only=True)
    if saved["plan"] != asdict(plan):
        raise SystemExit(f"{state} belongs to another plan ({saved['plan']}); remove it to start afresh")
    model.load_state_dict(saved["model"])
    for (optimizer, _), state_dict in zip(optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(state_dict)
    return saved["step"], saved["seconds"], [tuple(row) for row in saved["curve"]]


def _optimizers(model: GPT2LMHeadModel) -> list[tuple[torch.optim.Optimizer, float]]:
    import torch

    named = list(model.named_parameters())
    matrices = [parameter for name, parameter in named if ".h." in name and parameter.ndim == 2]
    others = [parameter for name, parameter in named if ".h." not in name or parameter.ndim < 2]
    muon = torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.05, momentum=0.95)
    adam = torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [(muon, MUON_RATE), (adam, ADAM_RATE)]


def _write_curve(path: Path, curve: Curve) -> None:
    lines = [f"{step},{tokens},{training:.4f},{held_out:.4f}" for step, tokens, training, held_out in curve]
    write_text(path, "\n".join(["step,tokens,training_loss,held_out_loss", *lines, ""]))


def save(model: GPT2LMHeadModel, tokenizer: Any, folder: Path) -> None:
    """Write an ordinary checkpoint: float16 safetensors, ``config.json``, ``tokenizer.json``."""
    from transformers import PreTrainedTokenizerFast

    from pathlen.models.mini.books import END_OF_TEXT

    model.config.use_cache = True
    model.half().save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        model_max_length=CONTEXT,
    )
    wrapped.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: train the sizes one after the other."""
    parser = argparse.ArgumentParser(prog="python -m pathlen.models.mini.train", description=__doc__)
    parser.add_argument("--books", type=Path, required=True, help="folder of UTF-8 .txt files")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and results")
    parser.add_argument("--size", default=",".join(SHAPES), help="comma-separated (default: all four)")
    parser.add_argument("--steps", type=int, help="of 1,024 tokens each (default: 8000, 5000, 3000, 3000)")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    sizes = options.size.split(",")
    for size in sizes:
        if size not in SHAPES:
            parser.error(f"argument --size: {size!r} is not one of {', '.join(SHAPES)}")

    import torch

    torch.set_num_threads(options.threads)
    corpus = read_books(options.books)
    tokenizer = byte_level_bpe(corpus.training)
    stream = token_stream(tokenizer, corpus.training)
    held_out = windows(token_stream(tokenizer, corpus.held_out), CONTEXT)
    baseline = bigram_loss(stream, held_out)
    print(f"{len(stream):,} tokens to train on; a bigram model's held-out loss is {baseline:.3f}", file=sys.stderr)
    for size in sizes:
        plan = Plan(size=size, seed=options.seed, steps=options.steps or STEPS[size])
        folder = options.work / size
        model = train(plan, stream, held_out, folder)
        save(model, tokenizer, folder / "checkpoint")
        _write_summary(folder, plan, corpus, len(stream), mean_loss(model.float(), held_out), baseline, held_out.size)


def _write_summary(
    folder: Path, plan: Plan, corpus: Books, corpus_tokens: int, loss: float, baseline: float, scored: int
) -> None:
    import torch

    saved = torch.load(folder / "state.pt", weights_only=True)
    summary = {
        **asdict(plan),
        "parameters": sum(tensor.numel() for name, tensor in saved["model"].items() if name != "lm_head.weight"),
        "tokens_seen": plan.steps * plan.tokens_per_step,
        "corpus_tokens": corpus_tokens,
        "corpus_sha256": corpus.sha256,
        "books": corpus.names,
        "held_out_loss": round(loss, 4),
        "bigram_loss": round(baseline, 4),
        "held_out_tokens": scored,
        "minutes": round(saved["seconds"] / 60, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    write_text(folder / "training.json", json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
