"""The command ``pathlen measure``: a corpus from files, with throughput and the time that is left."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pathlen.cli.command import DONE, FOUND, JSON, PATH, argument, command, say, say_json

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pathlen.corpora.corpus import Corpus
    from pathlen.corpora.measure import Progress
    from pathlen.models.families import ModelSpec

__all__ = ["measure"]

EVERY = 15.0  # seconds between two lines where nobody watches a bar
PATIENCE = "10s"  # with a scheduler that doesn't answer
NAMED = 5  # texts that were left out


@command(
    "measure",
    "measure texts of any number into a folder; goes on where it was interrupted",
    argument("--family", metavar="FAMILY", default="mini", help="whose size is meant; default: mini"),
    argument("--size", metavar="SIZE", default="small", help="default: small"),
    argument(
        "--model", metavar="MODEL", help="another model: a directory, or owner/repository of the Hub", completes=PATH
    ),
    argument(
        "--text",
        metavar="FILE",
        nargs="+",
        required=True,
        help="files in UTF-8, or names of shipped passages",
        completes=PATH,
    ),
    argument("--split", choices=("file", "paragraphs", "lines"), default="file", help="what a text is; default: file"),
    argument(
        "-o", "--output", metavar="FOLDER", type=Path, required=True, help="where the corpus goes", completes=PATH
    ),
    argument("--columns", metavar="COLUMN", nargs="+", help="what to measure, or all; default: what is nearly free"),
    argument("--workers", metavar="N", type=int, default=1, help="processes that measure; default: 1"),
    argument("--threads", metavar="N", type=int, default=1, help="of each worker; default: 1"),
    argument("--dask", metavar="ADDRESS", help="measure on the workers of a Dask scheduler instead"),
    argument("--device", metavar="DEVICE", default="cpu", help="cpu, cuda or mps; default: cpu"),
    argument("--dtype", metavar="TYPE", default="float32", help="default: float32"),
    argument("--fast", action="store_true", help="short texts together, sums in another order: the last digit differs"),
    argument("--shard-tokens", metavar="N", type=int, help="tokens that close a shard; default: 16,384"),
    argument("--leave-out-short", action="store_true", help="leave out texts of fewer than four tokens, and list them"),
    JSON,
)
def measure(options: Namespace) -> int:
    """Measure the corpus, and say what it holds and what that took."""
    from pathlen.corpora.measure import FREE, SHARD_TOKENS, measure_corpus
    from pathlen.passages.files import size_of, texts_of

    texts = texts_of(options.text, split=options.split)
    shown = _Shown(size_of(options.text), sys.stderr)
    with ExitStack() as stack:
        stack.callback(shown.close)
        try:
            corpus = measure_corpus(
                _model(options),
                texts,
                options.output,
                columns=options.columns or FREE,
                device=options.device,
                dtype=options.dtype,
                fast=options.fast,
                executor=_executor(options.workers, options.dask, stack),
                threads=options.threads,
                shard_tokens=SHARD_TOKENS if options.shard_tokens is None else options.shard_tokens,
                leave_out_short=options.leave_out_short,
                progress=shown.tell,
            )
        except ValueError as error:  # an option out of its range
            shown.close()
            print(f"pathlen measure: {error}", file=sys.stderr)
            return FOUND
    found = _found(corpus, shown.last)
    if options.json:
        say_json(found)
    else:
        say(*_lines(found))
    return DONE


def _model(options: Namespace) -> ModelSpec:
    from pathlen.models.checkpoint import from_name
    from pathlen.models.families import spec

    return from_name(options.model) if options.model else spec(options.family, options.size)


def _executor(workers: int, address: str | None, stack: ExitStack) -> Executor | Callable[[], Executor] | None:
    from pathlen.corpora.measure import processes
    from pathlen.errors import PathlenError

    if address is None:
        return processes(workers) if workers != 1 else None
    try:
        from distributed import Client
    except ImportError as error:
        raise PathlenError("--dask needs Dask: pip install 'pathlen[cluster]'") from error
    try:
        client = stack.enter_context(Client(address, timeout=PATIENCE))
    except (OSError, ValueError) as error:
        raise PathlenError(f"no Dask scheduler answers at {address!r}: {error}") from error
    executor: Executor = client.get_executor()
    return executor


class _Shown:
    """Shows progress: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._bar: Any = None
        self._said = time.monotonic()
        self.last: Progress | None = None

    def tell(self, state: Progress) -> None:
        """Show how far a run is."""
        if state.is_waiting:
            print("another process measures into this folder; waiting for it", file=self._stream, flush=True)
            return
        self.last = state
        line = f"{state.tokens:,} tokens, {state.tokens_per_second:,.0f} tokens/s, {_left(state, self._total)} left"
        if self._stream.isatty():
            self._draw(state, line)
        elif time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            print(f"{min(state.bytes / self._total, 1):.0%}: {line}", file=self._stream, flush=True)

    def _draw(self, state: Progress, line: str) -> None:
        from tqdm import tqdm

        if self._bar is None:
            layout = "{percentage:3.0f}% |{bar}| {desc}"
            self._bar = tqdm(total=self._total, file=self._stream, bar_format=layout, leave=False)
        self._bar.set_description_str(line, refresh=False)
        self._bar.update(min(state.bytes, self._total) - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def _left(state: Progress, total: int) -> str:
    """Return the time that is left, if the rest goes as fast as what this run has measured."""
    done = state.bytes - state.earlier_bytes
    if not done:
        return "?"
    seconds = round(max(total - state.bytes, 0) / done * state.seconds)
    hours, seconds = divmod(seconds, 3600)
    return f"{hours}:{seconds // 60:02}:{seconds % 60:02}" if hours else f"{seconds // 60}:{seconds % 60:02}"


def _found(corpus: Corpus, state: Progress | None) -> dict[str, Any]:
    measured = state.tokens - state.earlier_tokens if state else 0
    return {
        "folder": str(corpus.folder),
        "model": corpus.manifest.recipe.title,
        "columns": list(corpus.columns),
        "texts": len(corpus),
        "copies": corpus.copies(),
        "tokens": corpus.tokens,
        "shards": len(corpus.manifest.shards),
        "bytes": sum(one.bytes for one in corpus.manifest.shards),
        "left_out": [one.name for one in corpus.manifest.left_out],
        "measured_tokens": measured,
        "seconds": round(state.seconds, 3) if state and measured else 0.0,
        "tokens_per_second": round(state.tokens_per_second, 1) if state and measured else None,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    shards, tokens = found["shards"], found["measured_tokens"]
    what = f"{found['texts']:,} texts, {found['tokens']:,} tokens in {shards:,} shard{'s' * (shards != 1)}"
    lines = [f"{found['folder']}: {what} ({found['bytes'] / 1e6:,.1f} MB), {found['model']}"]
    if tokens:
        rate = f"{found['tokens_per_second']:,.0f} tokens/s"
        lines.append(f"measured now: {tokens:,} tokens in {found['seconds']:,.0f} s, {rate}")
    else:
        lines.append("measured now: nothing, all of it was there")
    if found["left_out"]:
        names = ", ".join(found["left_out"][:NAMED]) + (", ..." if len(found["left_out"]) > NAMED else "")
        lines.append(f"left out, for they have fewer than four tokens: {len(found['left_out']):,} texts ({names})")
    if found["copies"]:
        lines.append(
            f"note: {found['copies']:,} texts are word for word the same as others; they are no further observations"
        )
    return lines
