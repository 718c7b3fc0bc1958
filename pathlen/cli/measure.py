"""The command ``pathlen measure``: a corpus from files, with throughput and the time left."""

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

__all__ = ["DASK_TIMEOUT", "LINE_INTERVAL", "ProgressDisplay", "measure", "time_left"]

LINE_INTERVAL = 15.0  # seconds between two lines of progress where there is no terminal for a bar
DASK_TIMEOUT = "10s"  # for a scheduler that doesn't answer
LEFT_OUT_SHOWN = 5  # names of texts that were left out


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
    """Measure the corpus, then print what it holds and how fast it was measured."""
    from pathlen.corpora.measure import FREE, SHARD_TOKENS, measure_corpus
    from pathlen.passages.files import size_of, texts_of

    texts = texts_of(options.text, split=options.split)
    display = ProgressDisplay(size_of(options.text), sys.stderr)
    with ExitStack() as stack:
        stack.callback(display.close)
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
                progress=display.tell,
            )
        except ValueError as error:  # an option is out of its range
            display.close()
            print(f"pathlen measure: {error}", file=sys.stderr)
            return FOUND
    summary = _summary(corpus, display.last)
    if options.json:
        say_json(summary)
    else:
        say(*_lines(summary))
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
        client = stack.enter_context(Client(address, timeout=DASK_TIMEOUT))
    except (OSError, ValueError) as error:
        raise PathlenError(f"no Dask scheduler answers at {address!r}: {error}") from error
    executor: Executor = client.get_executor()
    return executor


class ProgressDisplay:
    """Shows progress on a stream: a bar on a terminal, otherwise a line every `LINE_INTERVAL` seconds.

    Parameters
    ----------
    total : int
        Bytes of text to measure.
    stream : TextIO

    Attributes
    ----------
    last : Progress or None
        The last state that was told, other than waiting.

    """

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._bar: Any = None
        self._last_line = time.monotonic()
        self.last: Progress | None = None

    def tell(self, state: Progress) -> None:
        """Show the state of a run."""
        if state.is_waiting:
            print("another process measures into this folder; waiting for it", file=self._stream, flush=True)
            return
        self.last = state
        line = f"{state.tokens:,} tokens, {state.tokens_per_second:,.0f} tokens/s, {time_left(state, self._total)} left"
        if self._stream.isatty():
            self._draw(state, line)
        elif time.monotonic() - self._last_line >= LINE_INTERVAL:
            self._last_line = time.monotonic()
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
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def time_left(state: Progress, total: int) -> str:
    """Return the time left as ``minutes:seconds``, or with hours; ``?`` before this run has measured anything.

    It assumes that the rest goes as fast as what this run measured; ``total`` is in bytes of text.
    """
    measured_bytes = state.bytes - state.earlier_bytes
    if not measured_bytes:
        return "?"
    seconds = round(max(total - state.bytes, 0) / measured_bytes * state.seconds)
    hours, seconds = divmod(seconds, 3600)
    return f"{hours}:{seconds // 60:02}:{seconds % 60:02}" if hours else f"{seconds // 60}:{seconds % 60:02}"


def _summary(corpus: Corpus, state: Progress | None) -> dict[str, Any]:
    """Return what a corpus holds and what this run measured of it, as plain data."""
    measured_tokens = state.tokens - state.earlier_tokens if state else 0
    return {
        "folder": str(corpus.folder),
        "model": corpus.manifest.recipe.title,
        "columns": list(corpus.columns),
        "texts": len(corpus),
        "copies": corpus.copies(),
        "tokens": corpus.tokens,
        "shards": len(corpus.manifest.shards),
        "bytes": sum(entry.bytes for entry in corpus.manifest.shards),
        "left_out": [text.name for text in corpus.manifest.left_out],
        "measured_tokens": measured_tokens,
        "seconds": round(state.seconds, 3) if state and measured_tokens else 0.0,
        "tokens_per_second": round(state.tokens_per_second, 1) if state and measured_tokens else None,
    }


def _lines(summary: dict[str, Any]) -> list[str]:
    """Return a summary as lines for a terminal."""
    shards, measured_tokens, left_out = summary["shards"], summary["measured_tokens"], summary["left_out"]
    content = f"{summary['texts']:,} texts, {summary['tokens']:,} tokens in {shards:,} shard{'s' * (shards != 1)}"
    lines = [f"{summary['folder']}: {content} ({summary['bytes'] / 1e6:,.1f} MB), {summary['model']}"]
    if measured_tokens:
        rate = f"{summary['tokens_per_second']:,.0f} tokens/s"
        lines.append(f"measured now: {measured_tokens:,} tokens in {summary['seconds']:,.0f} s, {rate}")
    else:
        lines.append("measured now: nothing, all of it was there")
    if left_out:
        names = ", ".join(left_out[:LEFT_OUT_SHOWN]) + (", ..." if len(left_out) > LEFT_OUT_SHOWN else "")
        lines.append(f"left out, for they have fewer than four tokens: {len(left_out):,} texts ({names})")
    if summary["copies"]:
        lines.append(
            f"note: {summary['copies']:,} texts are word for word the same as others; they are no further observations"
        )
    return lines
