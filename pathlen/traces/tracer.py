"""One forward pass over a text, reduced to the wanted columns while it runs.

Only the base model runs, without its head. Hooks on its modules (`pathlen.traces.hooks`) take lengths from each state and let it
go; predictions are computed from the last state (`pathlen.traces.vocabulary`); texts are read in windows and batches
(`pathlen.traces.windows`). Columns that are not wanted cost nothing: `pathlen.columns.catalog.CATALOG` says which belong together.

By default a trace is exact: it is made of the same states, to the last bit, that transformers computes for the text alone.
GPT-2's activation is computed in a faster way that doesn't change them (`pathlen.traces.kernels.gelu`).

A fast trace reads short texts together, padded on the right, and uses the kernels in `pathlen.traces.kernels`: in single and
double precision a faster activation and faster matrix products, and in single precision on one thread faster attention. In half
precision, where the last digit is the third, it uses none of them. Only rounding changes: compared with float64, a fast trace is
as accurate in all but the last digit, but a step a thousand times shorter than its state differs by some millionths. A causal
model reads from left to right, so padding behind a text can't change it; that the model is causal is checked before its first
batch.

Most software calls two different states "last hidden state". Here every length is about the state *before* the final norm. What
the published procedure measured, the state *after* it, has columns of its own, `final_norm_step` and its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pathlen.columns.catalog import CATALOG, columns_named
from pathlen.columns.measurement import Measurement, from_traces
from pathlen.columns.table import Trace
from pathlen.errors import InvalidText, ModelMismatch
from pathlen.models.architecture import Architecture, ArchitecturePaths, find_architecture
from pathlen.passages.passage import at_least_one
from pathlen.traces.hooks import HEADS, SUBLAYERS, Collector, head_factors
from pathlen.traces.kernels.attention import single_core_attention
from pathlen.traces.kernels.gelu import gelu_replacements
from pathlen.traces.kernels.matmul import Replacement, matmul_replacements
from pathlen.traces.vocabulary import predictions
from pathlen.traces.windows import Window, batches, right_padded, windows

if TYPE_CHECKING:
    from pathlen.models.loading import LoadedModel
    from pathlen.passages.passage import Passage

__all__ = ["FEWEST_TOKENS", "Tracer", "measure_passages", "on_threads", "trace"]

FEWEST_TOKENS = 4  # position 0 is left out and the last token has no next one; at least two rows must remain
PROBE_TOKENS = 8  # tokens of the first text on which the model is examined
BATCH_NUMBERS = (
    2**18
)  # tokens times width that keep a core busy: 341 tokens of GPT-2 Small, several texts of a narrow network
BATCH_TOKENS_ELSEWHERE = 16_384  # on an accelerator
TEXTS_AHEAD = 64  # texts whose windows are sorted by length together
LEAK = 1e-3  # how far padding may move a causal model's states by rounding, as a share of the largest coordinate


def trace(model: LoadedModel, passage: Passage, *, columns: Iterable[str] = ("all",)) -> Trace:
    """Return the trace of one text through a model; see `Tracer` for several texts.

    Parameters
    ----------
    model : LoadedModel
        From `pathlen.models.loading.load`.
    passage : Passage
        Any text of at least four tokens.
    columns : iterable of str
        Which columns of `pathlen.columns.catalog.CATALOG`, or custom ones, to measure; by default ``"all"`` that the model has.

    Raises
    ------
    InvalidText
        If the text has too few tokens.
    InvalidColumn
        If there is no such column, or a custom one returns anything but one number per token.
    ModelMismatch
        If the captured last state, passed through the model's final norm and head, doesn't give the model's logits; if columns
        of attention or the feed-forward part are named for a model whose blocks don't add those two to their input.

    """
    return Tracer(model).trace(passage, columns=columns)


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads inside the context: the last digits of a sum depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Tracer:
    """Traces texts through one model; everything that depends only on the model is prepared once.

    The first tokens of the first text are used to find the model's parts, and to check that the captured states are those that
    its logits are computed from; see `pathlen.models.architecture`.

    Parameters
    ----------
    model : LoadedModel
        From `pathlen.models.loading.load`.
    fast : bool
        Whether rounding may differ from what transformers computes for each text alone; see the module's docstring.
    batch_tokens : int, optional
        How many tokens of short texts are read at once. By default every text is read alone, and a fast tracer reads as many
        tokens as keep a core busy on a CPU, 341 in GPT-2 Small, where longer batches gain nothing, and more in a narrower
        network; on an accelerator 16,384.
    places : ArchitecturePaths, optional
        Where the model's parts are, as found and checked in another network of the same configuration.

    Raises
    ------
    ValueError
        If ``batch_tokens`` is below 1.

    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        fast: bool = False,
        batch_tokens: int | None = None,
        places: ArchitecturePaths | None = None,
    ) -> None:
        if batch_tokens is not None and batch_tokens < 1:
            raise ValueError(f"batch_tokens must be at least 1, but {batch_tokens} was given")
        self.model = model
        busy = BATCH_NUMBERS // model.spec.d_model if model.network.device.type == "cpu" else BATCH_TOKENS_ELSEWHERE
        self._batch_tokens = batch_tokens or (max(1, busy) if fast else 1)
        self._architecture: Architecture | None = places.parts(model.network) if places else None
        self._head_factors: list[Tensor] = []
        self._uses_kernels = fast and model.network.dtype in (torch.float32, torch.float64)
        self._replacements = gelu_replacements(model.network, is_exact=not self._uses_kernels)
        if self._uses_kernels:
            self._replacements += matmul_replacements(model.network)
        self._is_causal = False  # until checked

    @property
    def places(self) -> ArchitecturePaths | None:
        """Where the model's parts are, for other networks of its configuration; None before the first text."""
        return ArchitecturePaths.of(self._architecture, self.model.network) if self._architecture else None

    def trace(self, passage: Passage, *, columns: Iterable[str] = ("all",), shuffle: int | None = None) -> Trace:
        """Return the trace of one text; errors as in `pathlen.traces.tracer.trace`.

        ``shuffle`` seeds a random order of the text's tokens, to measure the same tokens without their language.
        """
        return next(self.traces([passage], columns=columns, shuffle=shuffle))

    def traces(
        self, passages: Iterable[Passage], *, columns: Iterable[str] = ("all",), shuffle: int | None = None
    ) -> Iterator[Trace]:
        """Yield the trace of each text, in order; short ones are read together in batches. Arguments and errors as in `trace`.

        At most 64 texts are read ahead of the one that is yielded, so the texts may be a stream of any length.
        """
        wanted = columns_named(columns)
        ahead: list[tuple[Passage, Tensor]] = []
        tokens = 0
        for passage in passages:
            ids = self._token_ids(passage, shuffle)
            ahead.append((passage, ids))
            tokens += len(ids)
            if len(ahead) == TEXTS_AHEAD or tokens >= self._batch_tokens:
                yield from self._measured(ahead, wanted)
                ahead, tokens = [], 0
        yield from self._measured(ahead, wanted)

    def _token_ids(self, passage: Passage, shuffle: int | None) -> Tensor:
        ids = torch.tensor(self.model.token_ids(passage.text), dtype=torch.int64)
        if len(ids) < FEWEST_TOKENS:
            raise InvalidText(f"a text needs at least {FEWEST_TOKENS} tokens, but {passage.name!r} has {len(ids)}")
        if shuffle is not None:
            ids = ids[torch.from_numpy(np.random.default_rng(shuffle).permutation(len(ids)))]
        return ids

    def _prepared(self, ids: Tensor, wanted: frozenset[str]) -> tuple[Architecture, frozenset[str]]:
        """Return the model's parts and the columns to measure; if all are wanted, those that the model has."""
        if self._architecture is None:
            self._architecture = find_architecture(self.model.network, ids[:PROBE_TOKENS], self.model.spec.title)
        architecture = self._architecture
        if wanted & HEADS and not self._head_factors:
            blocks = range(len(architecture.blocks))
            self._head_factors = [head_factors(architecture.mixing(block), architecture.heads) for block in blocks]
        if wanted & SUBLAYERS and architecture.added is None:
            if wanted >= CATALOG.keys():
                return architecture, wanted - SUBLAYERS
            raise ModelMismatch(
                f"{', '.join(sorted(wanted & SUBLAYERS))}: the blocks of {self.model.spec.title} do not add what their "
                "attention and their feed-forward part make to their input, so the two can't be told apart"
            )
        return architecture, wanted

    @torch.inference_mode()
    def _measured(self, texts: Sequence[tuple[Passage, Tensor]], wanted: frozenset[str]) -> list[Trace]:
        """Return the traces of texts, given their token ids on the CPU."""
        if not texts:
            return []
        ids = [tokens.to(self.model.network.device) for _, tokens in texts]
        architecture, wanted = self._prepared(ids[0], wanted)
        pieces = [
            Window(text, number, *window)
            for text, tokens in enumerate(ids)
            for number, window in enumerate(windows(len(tokens), self.model.context))
        ]
        parts: dict[Window, dict[str, Tensor]] = {}
        with ExitStack() as stack:
            if self._uses_kernels:
                stack.enter_context(single_core_attention(self.model.network))
            stack.enter_context(_replaced_forwards(self._replacements))
            for batch in batches(pieces, self._batch_tokens):
                if len(batch) > 1:
                    self._refuse_leak(architecture, ids[batch[0].text][batch[0].start : batch[0].end])
                parts.update(zip(batch, self._batch(architecture, ids, batch, wanted), strict=True))
        return [
            _joined(passage, tokens, [parts[piece] for piece in pieces if piece.text == text])
            for text, (passage, tokens) in enumerate(texts)
        ]

    def _batch(
        self, architecture: Architecture, ids: Sequence[Tensor], batch: Sequence[Window], wanted: frozenset[str]
    ) -> list[dict[str, Tensor]]:
        """Return the columns of each window, on the CPU, after reading all of them in one pass."""
        tokens = right_padded([ids[window.text][window.start : window.end] for window in batch])
        collector = Collector(batch, wanted, self._head_factors, len(architecture.blocks))
        with ExitStack() as stack:
            for handle in collector.attach(architecture):
                stack.callback(handle.remove)
            final = architecture.base(tokens, use_cache=False).last_hidden_state
        collected = collector.columns(final)
        parts = []
        for row, window in enumerate(batch):
            measured = window.measured
            columns = {name: column[row][..., measured] for name, column in collected.items()}
            columns["window"] = torch.full((window.end - window.first,), window.number)
            columns["position"] = torch.arange(measured.start, measured.stop)
            targets = ids[window.text][window.first + 1 : window.end + 1]
            columns |= predictions(final[row, measured], architecture, targets, wanted)
            parts.append({name: column.cpu() for name, column in columns.items()})
        return parts

    def _refuse_leak(self, architecture: Architecture, ids: Tensor) -> None:
        """Raise `ModelMismatch` if right-padding changes the states of real tokens, i.e. the model is not causal.

        Checked once per tracer.
        """
        if self._is_causal:
            return
        ids = ids[:PROBE_TOKENS]
        alone, padded = (
            architecture.base(tokens[None], use_cache=False).last_hidden_state[0, : len(ids)].float()
            for tokens in (ids, torch.cat([ids, ids.flip(0)]))
        )
        error = ((alone - padded).abs().max() / alone.abs().max().clamp(min=1.0)).item()
        tolerance = LEAK if self.model.network.dtype in (torch.float32, torch.float64) else 50 * LEAK
        if not error < tolerance:
            raise ModelMismatch(
                f"what stands behind a text must not change it, but in {self.model.spec.title} states move by {error:.2g} "
                "of their size; measure its texts one by one, without fast"
            )
        self._is_causal = True


def _joined(passage: Passage, token_ids: Tensor, parts: Sequence[dict[str, Tensor]]) -> Trace:
    """Return the trace of a text from the columns of its windows, floats widened to float64."""
    columns = {name: torch.cat([part[name] for part in parts], dim=-1) for name in parts[0]}
    arrays: dict[str, Any] = {
        name: (column.double() if column.is_floating_point() else column).numpy() for name, column in columns.items()
    }
    return Trace(passage=passage.name, token_ids=token_ids.numpy(), **arrays)


@contextmanager
def _replaced_forwards(replacements: Sequence[Replacement]) -> Iterator[None]:
    """Let functions compute modules inside the context."""
    for module, function in replacements:
        module.forward = function
    try:
        yield
    finally:
        for module, _ in replacements:
            del module.forward


def measure_passages(
    model: LoadedModel, passages: Iterable[Passage], *, columns: Iterable[str] = ("all",)
) -> Measurement:
    """Return the aligned columns of texts in a model, one forward pass each.

    Parameters
    ----------
    model : LoadedModel
        From `pathlen.models.loading.load`.
    passages : iterable of Passage
        At least one.
    columns : iterable of str
        As in `pathlen.traces.tracer.trace`; reading a column that was left out raises `UnmeasuredColumn`.

    Raises
    ------
    InvalidText
        If there is no text, or one has too few tokens.
    InvalidColumn, ModelMismatch
        As in `pathlen.traces.tracer.trace`.

    """
    return from_traces(list(Tracer(model).traces(at_least_one(passages), columns=columns)))
