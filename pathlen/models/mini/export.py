"""Put trained checkpoints into the package: ``python -m pathlen.models.mini.export --work WORK``.

Copies what `pathlen.models.mini.train` left under ``WORK`` into this folder and writes the model card from the training
summaries, so that no number of the card is typed by hand. Nothing is copied unless all four sizes are there,
each clearly better than the bigram model, and together within 20 MiB.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pathlen._util.files import write_text
from pathlen.models.mini import CONTEXT, HOME, SHAPES
from pathlen.models.mini.books import HELD_OUT_SHARE, VOCABULARY

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
LARGEST = 20 * 2**20  # bytes of all weights together
CLEARLY = 0.1  # nats per token below the bigram model, which is 10 % less perplexity


def export(work: Path, home: Path = HOME) -> None:
    """Copy the checkpoints of ``work`` into ``home`` and write ``MODEL_CARD.md`` there.

    Raises
    ------
    ValueError
        If a size is missing or not better than the bigram model, or the weights are too large.

    """
    summaries = {size: _summary(work / size, size) for size in SHAPES}
    total = sum((work / size / "checkpoint" / "model.safetensors").stat().st_size for size in SHAPES)
    if total > LARGEST:
        raise ValueError(f"the weights must take at most {LARGEST:,} bytes together, but take {total:,}")
    for size in SHAPES:
        folder = home / size
        folder.mkdir(exist_ok=True)
        for name in FILES:
            shutil.copyfile(work / size / "checkpoint" / name, folder / name)
        for name in ("training.json", "loss.csv"):
            shutil.copyfile(work / size / name, folder / name)
    write_text(home / "MODEL_CARD.md", card(summaries, total))


def _summary(folder: Path, size: str) -> dict[str, Any]:
    path = folder / "training.json"
    if not path.is_file():
        raise ValueError(f"size {size} is not trained to its end: {path} is missing")
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if summary["held_out_loss"] > summary["bigram_loss"] - CLEARLY:
        raise ValueError(
            f"size {size} must be {CLEARLY} nats below the bigram model's {summary['bigram_loss']}, "
            f"but its held-out loss is {summary['held_out_loss']}"
        )
    return summary


def card(summaries: dict[str, dict[str, Any]], total: int) -> str:
    """Return the model card as Markdown, from the training summaries and the size of all weights in bytes."""
    first = next(iter(summaries.values()))
    rows = "\n".join(
        f"| {size} | {shape.n_layer} | {shape.d_model} | {shape.n_head} | {summary['parameters']:,} "
        f"| {summary['tokens_seen']:,} | **{summary['held_out_loss']:.3f}** | {summary['minutes']:.0f} "
        f"| {summary['seed']} |"
        for size, shape in SHAPES.items()
        for summary in [summaries[size]]
    )
    books = "\n".join(f"- {name.removesuffix('.txt').replace('-', ' ')}" for name in first["books"])
    return f"""# The mini family

Four causal language models of GPT-2's own architecture (`GPT2LMHeadModel`) and depths, trained from scratch for
this package so that claims can be run on trained networks without a download. They are a demonstration of the
instrument. **Nothing measured on them says anything about GPT-2**, and they are of no use for writing text.

| size | blocks | width | heads | parameters | tokens seen | held-out loss | minutes | seed |
|---|---|---|---|---|---|---|---|---|
{rows}

- Loss: nats a token over {first["held_out_tokens"]:,} held-out tokens, in windows of {CONTEXT}, of the float16
  weights that ship, computed in float32. **A Kneser-Ney bigram model on the same tokens has {first["bigram_loss"]:.3f}.**
- Context {CONTEXT} tokens; byte-level BPE with {VOCABULARY:,} entries, trained on the training part; input and output
  embeddings tied, as in GPT-2. The weights take {total / 2**20:.1f} MiB together.
- Training part: {first["corpus_tokens"]:,} tokens of twelve English books, all in the public domain; the last
  {HELD_OUT_SHARE:.0%} of each book's paragraphs are held out. SHA-256 of the books: `{first["corpus_sha256"]}`.
- Muon and AdamW, float32, {first["threads"]} CPU thread, torch {first["torch"]}. Minutes are wall time on a machine that was
  doing other work beside it. `training.json` and `loss.csv` in each folder hold the plan and the loss curve.
- Known limits: the prose is old, literary and narrow; the networks are undertrained by any modern measure, the
  deeper ones more so (fewer tokens each); embeddings of rare tokens are close to their initial values.

The books:

{books}

Made by:

    python -m pathlen.models.mini.train  --books BOOKS --work WORK
    python -m pathlen.models.mini.export --work WORK
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m pathlen.models.mini.export", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="the folder that pathlen.models.mini.train wrote to")
    options = parser.parse_args(arguments)
    try:
        export(options.work)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
