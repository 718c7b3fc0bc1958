"""One forward pass over a text, reduced to the columns that are wanted while it runs.

Hooks on the blocks see each state as it is computed, take the lengths that are needed and let the state go: at no time are more
than three states in memory. Only the base model runs. The logit of the token that really came next is one dot product per token,
so the product with the whole vocabulary, a third of a pass through GPT-2 Small, is left out unless log-probability, rank,
entropy or top logit is wanted; those are kept while slices of the vocabulary pass by, and no array of tokens by vocabulary
is ever made. What is not wanted costs nothing (`pathlen.columns.catalog.CATALOG` says what belongs together).

What each attention head adds to the residual stream is never formed: with ``W`` the rows of the output projection that a
head's ``z`` meets, and ``W' = QR`` with orthonormal ``Q``, ``||z W|| = ||z R'||``, a product of a head's width alone.

Unless told to be fast, a trace is of the very states, to the last bit, that transformers computes for the text alone. GPT-2's
activation, eight steps that transformers does one after the other on all of a block's four times widened states, is done in
those eight steps here, too, but slice by slice in a core's cache, which takes less than half the time on GPT-2 Medium and
leaves no array behind that has to be let go.

A fast trace lets short texts be read together, filled up on the right, multiplies matrices as `pathlen.traces.kernels.matmul` does, writes
that activation with a logistic function instead of a hyperbolic tangent, and on one thread computes attention as
`pathlen.traces.kernels.attention` does (in half precision, where the last digit is the third, all three are left as they are). What that changes
is rounding: against float64 it is as good in all but the last digit, but a step a thousand times shorter than its state differs
by some millionths. A causal model reads from left to right, so nothing that stands behind a text can change it; that this one does
is tried before its first batch.

Two states share the name "last hidden state" in most software. Here the state *before* the final norm is what every length is
about; what the published procedure measured, the state *after* it, has columns of its own (`Trace.final_norm_step` and its
neighbours).

A text longer than the model's context is read in windows that overlap by half a context; each token is measured once, in the
first window that holds it, so all but the first window's tokens have at least half a context before them.
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
from pathlen.traces.kernels.attention import on_one_core
from pathlen.traces.kernels.gelu import slow_activations
from pathlen.traces.kernels.matmul import Replaced, products_of
from pathlen.traces.vocabulary import predictions
from pathlen.traces.windows import Window, batches, right_padded, windows

if TYPE_CHECKING:
    from pathlen.models.loading import LoadedModel
    from pathlen.passages.passage import Passage

__all__ = ["FEWEST_TOKENS", "Tracer", "measure_passages", "on_threads", "trace"]

FEWEST_TOKENS = 4  # position 0 is left out, the last token has no next: two rows are the least to relate anything
PROBE_TOKENS = 8
BATCH_NUMBERS = (
    2**18
)  # tokens by width that keep a core busy: 340 tokens of GPT-2 Small, some texts of a narrow network
BATCH_TOKENS_ELSEWHERE = 16_384  # an accelerator takes many at once
TEXTS_AHEAD = 64  # texts whose windows are sorted by length together
LEAK = 1e-3


def trace(model: LoadedModel, passage: Passage, *, columns: Iterable[str] = ("all",)) -> Trace:
    """Return the lengths of one text's way through a model; `Tracer` for several texts.

    Parameters
    ----------
    model : LoadedModel
        From `pathlen.models.loading.load`.
    passage : Passage
        Any text of at least four tokens.
    columns : iterable of str
        Which columns of `pathlen.columns.catalog.CATALOG`, or of one's own, to measure; ``"all"`` that the model has unless said.

    Raises
    ------
    InvalidText
        If the text has too few tokens.
    InvalidColumn
        If there is no such column, or one's own computes something else than a number for each token.
    ModelMismatch
        If the captured last state, put through the model's own norm and head, doesn't give its own logits; if what attention
        adds is wanted of a model whose blocks don't add it.

    """
    return Tracer(model).trace(passage, columns=columns)


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads meanwhile: the last digits of a sum depend on them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Tracer:
    """Traces texts through one model; what is needed of the model alone is prepared once.

    On the first text's first tokens it is found out where the model's parts are, and checked that the captured states are
    those that it makes its logits of; see `pathlen.models.architecture`.

    Parameters
    ----------
    model : LoadedModel
    fast : bool
        Whether rounding may differ from what transformers computes for each text alone; see the module's docstring.
    batch_tokens : int, optional
        How many tokens a fast one reads at once where texts are shorter than that. Unless said, on a processor as many as keep
        a core busy, 341 in GPT-2 Small, where longer batches gain nothing, and more in a narrower network; 16,384 elsewhere.
    places : ArchitecturePaths, optional
        Where the parts are, found and checked in another network of the same configuration.

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
        self._parts: Architecture | None = places.parts(model.network) if places else None
        self._heads: list[Tensor] = []
        self._is_fused = fast and model.network.dtype in (torch.float32, torch.float64)
        self._replaced = slow_activations(model.network, is_exact=not self._is_fused)
        if self._is_fused:
            self._replaced += products_of(model.network)
        self._is_sealed = False  # whether it was tried that what follows a text doesn't change it

    @property
    def places(self) -> ArchitecturePaths | None:
        """Where the model's parts are, for other networks of its configuration; None before the first text."""
        return ArchitecturePaths.of(self._parts, self.model.network) if self._parts else None

    def trace(self, passage: Passage, *, columns: Iterable[str] = ("all",), shuffle: int | None = None) -> Trace:
        """Return the lengths of a text's way through the model; errors as in `trace`.

        ``shuffle`` is the seed of a random order of the text's tokens, to measure the same tokens without their language.
        """
        return next(self.traces([passage], columns=columns, shuffle=shuffle))

    def traces(
        self, passages: Iterable[Passage], *, columns: Iterable[str] = ("all",), shuffle: int | None = None
    ) -> Iterator[Trace]:
        """Yield the trace of each text, in order; short ones are read together. Arguments and errors as in `trace`.

        At most 64 texts are looked at ahead of the one that is yielded, so any number of them can be traced.
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
        """Return the model's parts and the columns to measure in it: of all columns those that it has."""
        if self._parts is None:
            self._parts = find_architecture(self.model.network, ids[:PROBE_TOKENS], self.model.spec.title)
        parts = self._parts
        if wanted & HEADS and not self._heads:
            self._heads = [head_factors(parts.mixing(number), parts.heads) for number in range(len(parts.blocks))]
        if wanted & SUBLAYERS and parts.added is None:
            if wanted >= CATALOG.keys():
                return parts, wanted - SUBLAYERS
            raise ModelMismatch(
                f"{', '.join(sorted(wanted & SUBLAYERS))}: the blocks of {self.model.spec.title} do not add what their "
                "attention and their feed-forward part make to their input, so the two can't be told apart"
            )
        return parts, wanted

    @torch.inference_mode()
    def _measured(self, texts: Sequence[tuple[Passage, Tensor]], wanted: frozenset[str]) -> list[Trace]:
        if not texts:
            return []
        ids = [one.to(self.model.network.device) for _, one in texts]
        model, wanted = self._prepared(ids[0], wanted)
        pieces = [
            Window(place, number, *window)
            for place, one in enumerate(ids)
            for number, window in enumerate(windows(len(one), self.model.context))
        ]
        parts: dict[tuple[int, int], dict[str, Tensor]] = {}
        with ExitStack() as stack:
            if self._is_fused:
                stack.enter_context(on_one_core(self.model.network))
            stack.enter_context(_computed_otherwise(self._replaced))
            for batch in batches(pieces, self._batch_tokens):
                if len(batch) > 1:
                    self._refuse_leak(model, ids[batch[0].text][batch[0].start : batch[0].end])
                for piece, columns in zip(batch, self._batch(model, ids, batch, wanted), strict=True):
                    parts[piece.text, piece.number] = columns
        traces = []
        for place, (passage, own) in enumerate(texts):
            mine = [parts[piece.text, piece.number] for piece in pieces if piece.text == place]
            columns = {name: torch.cat([part[name] for part in mine], dim=-1) for name in mine[0]}
            numbers: dict[str, Any] = {
                name: (one.double() if one.is_floating_point() else one).numpy() for name, one in columns.items()
            }
            traces.append(Trace(passage=passage.name, token_ids=own.numpy(), **numbers))
        return traces

    def _batch(
        self, model: Architecture, ids: Sequence[Tensor], batch: Sequence[Window], wanted: frozenset[str]
    ) -> list[dict[str, Tensor]]:
        """Return the columns of each window that is read in one pass, on the processor."""
        read = right_padded([ids[one.text][one.start : one.end] for one in batch])
        collected = Collector(batch, wanted, self._heads, len(model.blocks))
        with ExitStack() as stack:
            for handle in collected.attach(model):
                stack.callback(handle.remove)
            final = model.base(read, use_cache=False).last_hidden_state
        columns = collected.columns(final)
        found = []
        for row, one in enumerate(batch):
            own = slice(one.first - one.start, len(one))
            part = {name: column[row][..., own] for name, column in columns.items()}
            part["window"] = torch.full((one.end - one.first,), one.number)
            part["position"] = torch.arange(own.start, own.stop)
            following = ids[one.text][one.first + 1 : one.end + 1]
            part |= predictions(final[row, own], model, following, wanted)
            found.append({name: column.cpu() for name, column in part.items()})
        return found

    def _refuse_leak(self, model: Architecture, ids: Tensor) -> None:
        """Raise `ModelMismatch` if tokens behind a text change what the model makes of it; tried once."""
        if self._is_sealed:
            return
        ids = ids[:PROBE_TOKENS]
        alone, filled = (
            model.base(read[None], use_cache=False).last_hidden_state[0, : len(ids)].float()
            for read in (ids, torch.cat([ids, ids.flip(0)]))
        )
        error = ((alone - filled).abs().max() / alone.abs().max().clamp(min=1.0)).item()
        tolerance = LEAK if self.model.network.dtype in (torch.float32, torch.float64) else 50 * LEAK
        if not error < tolerance:
            raise ModelMismatch(
                f"what stands behind a text must not change it, but in {self.model.spec.title} states move by {error:.2g} "
                "of their size; measure its texts one by one, without fast"
            )
        self._is_sealed = True


@contextmanager
def _computed_otherwise(replaced: Sequence[Replaced]) -> Iterator[None]:
    """Let modules be computed by functions while a text is read."""
    for module, function in replaced:
        module.forward = function
    try:
        yield
    finally:
        for module, _ in replaced:
            del module.forward


def measure_passages(
    model: LoadedModel, passages: Iterable[Passage], *, columns: Iterable[str] = ("all",)
) -> Measurement:
    """Return the aligned columns of these texts in a model: one forward pass each.

    Parameters
    ----------
    model : LoadedModel
        From `pathlen.models.loading.load`.
    passages : iterable of Passage
        At least one.
    columns : iterable of str
        As in `pathlen.traces.tracer.trace`; asking the result for one that was left out is an `UnmeasuredColumn`.

    Raises
    ------
    InvalidText
        If there is no text, or one has too few tokens.
    InvalidColumn
        If there is no such column.
    ModelMismatch
        If the capture doesn't reproduce the model's own logits.

    """
    return from_traces(list(Tracer(model).traces(at_least_one(passages), columns=columns)))
