"""One forward pass over a text, reduced to the columns that are wanted while it runs.

Hooks on the blocks see each state as it is computed, take the lengths that are needed and let the state go: at no time are more
than three states in memory. Only the base model runs. The logit of the token that really came next is one dot product per token,
so the product with the whole vocabulary, a third of a pass through GPT-2 Small, is left out unless log-probability, rank,
entropy or top logit is wanted; those are kept while slices of the vocabulary pass by, and no array of tokens by vocabulary
is ever made. What is not wanted costs nothing (`pathlen.columns.CATALOG` says what belongs together).

What each attention head adds to the residual stream is never formed: with ``W`` the rows of the output projection that a
head's ``z`` meets, and ``W' = QR`` with orthonormal ``Q``, ``||z W|| = ||z R'||``, a product of a head's width alone.

Unless told to be fast, a trace is of the very states, to the last bit, that transformers computes for the text alone. GPT-2's
activation, eight steps that transformers does one after the other on all of a block's four times widened states, is done in
those eight steps here, too, but slice by slice in a core's cache, which takes less than half the time on GPT-2 Medium and
leaves no array behind that has to be let go.

A fast trace lets short texts be read together, filled up on the right, multiplies matrices as `pathlen.products` does, writes
that activation with a logistic function instead of a hyperbolic tangent, and on one thread computes attention as
`pathlen.attention` does (in half precision, where the last digit is the third, all three are left as they are). What that changes
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

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from pathlen.anatomy import Anatomy, Places, anatomy, state_after, state_before
from pathlen.attention import on_one_core
from pathlen.columns import CATALOG, OWN, OwnColumn, Trace, columns_named
from pathlen.errors import InvalidColumn, InvalidText, ModelMismatch
from pathlen.geometry import distance, length, turning_angle, widest
from pathlen.products import Replaced, product, products_of, replaceable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from pathlen.models import LoadedModel
    from pathlen.passages import Passage

__all__ = ["FEWEST_TOKENS", "Trace", "Tracer", "on_threads", "trace", "windows"]

FEWEST_TOKENS = 4  # position 0 is left out, the last token has no next: two rows are the least to relate anything
PROBE_TOKENS = 8
VOCABULARY_SLICE = 1024  # tokens of the vocabulary at a time: 340 x 1,024 logits stay in a core's cache
BATCH_NUMBERS = (
    2**18
)  # tokens by width that keep a core busy: 340 tokens of GPT-2 Small, some texts of a narrow network
BATCH_TOKENS_ELSEWHERE = 16_384  # an accelerator takes many at once
SLICE_NUMBERS = 2**16  # numbers of a slice: with what is made of them, they stay in a core's cache
AHEAD = 64  # texts whose windows are sorted by length together
LEAK = 1e-3

VOCABULARY = frozenset(name for name, one in CATALOG.items() if one.part == "vocabulary")
HEADS = frozenset(name for name, one in CATALOG.items() if one.part == "heads")
SUBLAYERS = frozenset(name for name, one in CATALOG.items() if one.part == "sublayers")


def trace(model: LoadedModel, passage: Passage, *, columns: Iterable[str] = ("all",)) -> Trace:
    """Return the lengths of one text's way through a model; `Tracer` for several texts.

    Parameters
    ----------
    model : LoadedModel
        From `pathlen.models.load`.
    passage : Passage
        Any text of at least four tokens.
    columns : iterable of str
        Which columns of `pathlen.columns.CATALOG`, or of one's own, to measure; ``"all"`` that the model has unless said.

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


@dataclass(frozen=True, slots=True)
class _Window:
    """A piece of a text that is read at once: tokens from ``start`` to ``end``, measured from ``first`` on."""

    text: int
    number: int
    start: int
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class Tracer:
    """Traces texts through one model; what is needed of the model alone is prepared once.

    On the first text's first tokens it is found out where the model's parts are, and checked that the captured states are
    those that it makes its logits of; see `pathlen.anatomy`.

    Parameters
    ----------
    model : LoadedModel
    fast : bool
        Whether rounding may differ from what transformers computes for each text alone; see the module's docstring.
    batch_tokens : int, optional
        How many tokens a fast one reads at once where texts are shorter than that. Unless said, on a processor as many as keep
        a core busy, 341 in GPT-2 Small, where longer batches gain nothing, and more in a narrower network; 16,384 elsewhere.
    places : Places, optional
        Where the parts are, found and checked in another network of the same configuration.

    Raises
    ------
    ValueError
        If ``batch_tokens`` is below 1.

    """

    def __init__(
        self, model: LoadedModel, *, fast: bool = False, batch_tokens: int | None = None, places: Places | None = None
    ) -> None:
        if batch_tokens is not None and batch_tokens < 1:
            raise ValueError(f"batch_tokens must be at least 1, but {batch_tokens} was given")
        self.model = model
        busy = BATCH_NUMBERS // model.spec.d_model if model.network.device.type == "cpu" else BATCH_TOKENS_ELSEWHERE
        self._batch_tokens = batch_tokens or (max(1, busy) if fast else 1)
        self._parts: Anatomy | None = places.parts(model.network) if places else None
        self._heads: list[Tensor] = []
        self._is_fused = fast and model.network.dtype in (torch.float32, torch.float64)
        self._replaced = _slow_activations(model.network, is_exact=not self._is_fused)
        if self._is_fused:
            self._replaced += products_of(model.network)
        self._is_sealed = False  # whether it was tried that what follows a text doesn't change it

    @property
    def places(self) -> Places | None:
        """Where the model's parts are, for other networks of its configuration; None before the first text."""
        return Places.of(self._parts, self.model.network) if self._parts else None

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
            if len(ahead) == AHEAD or tokens >= self._batch_tokens:
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

    def _prepared(self, ids: Tensor, wanted: frozenset[str]) -> tuple[Anatomy, frozenset[str]]:
        """Return the model's parts and the columns to measure in it: of all columns those that it has."""
        if self._parts is None:
            self._parts = anatomy(self.model.network, ids[:PROBE_TOKENS], self.model.spec.title)
        parts = self._parts
        if wanted & HEADS and not self._heads:
            self._heads = [_head_factors(parts.mixing(number), parts.heads) for number in range(len(parts.blocks))]
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
            _Window(place, number, *window)
            for place, one in enumerate(ids)
            for number, window in enumerate(windows(len(one), self.model.context))
        ]
        parts: dict[tuple[int, int], dict[str, Tensor]] = {}
        with ExitStack() as stack:
            if self._is_fused:
                stack.enter_context(on_one_core(self.model.network))
            stack.enter_context(_computed_otherwise(self._replaced))
            for batch in _batches(pieces, self._batch_tokens):
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
        self, model: Anatomy, ids: Sequence[Tensor], batch: Sequence[_Window], wanted: frozenset[str]
    ) -> list[dict[str, Tensor]]:
        """Return the columns of each window that is read in one pass, on the processor."""
        read = _filled([ids[one.text][one.start : one.end] for one in batch])
        collected = _Collected(batch, wanted, self._heads, len(model.blocks))
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
            part |= _predictions(final[row, own], model, following, wanted)
            found.append({name: column.cpu() for name, column in part.items()})
        return found

    def _refuse_leak(self, model: Anatomy, ids: Tensor) -> None:
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


def windows(tokens: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first token read, first token measured, end) of each window over a text; see the module's docstring."""
    measured = 0
    while measured < tokens:
        start = max(0, measured - context // 2) if measured else 0
        end = min(tokens, start + context)
        yield start, measured, end
        measured = end


def _batches(pieces: Sequence[_Window], batch_tokens: int) -> Iterator[list[_Window]]:
    """Yield windows to read together: alike in length, and no more tokens than asked for, fillers included."""
    batch: list[_Window] = []
    for one in sorted(pieces, key=len):
        if batch and len(one) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _filled(rows: Sequence[Tensor]) -> Tensor:
    """Return rows of tokens as one array, filled up on the right with each row's own last token."""
    longest = max(map(len, rows))
    return torch.stack([torch.cat([row, row[-1:].expand(longest - len(row))]) for row in rows])


def _slow_activations(network: PreTrainedModel, *, is_exact: bool) -> list[Replaced]:
    """Return the modules that compute GPT-2's activation step by step, on all states at once, and what does it sooner.

    None of them for an exact trace on an accelerator, which has no slices to gain from, nor where transformers' last bits are
    not those of `_gelu_in_slices`: it may write the formula another way some day.
    """
    from transformers.activations import NewGELUActivation

    found: list[nn.Module] = [module for module in replaceable(network) if type(module) is NewGELUActivation]
    if found and is_exact:
        if network.device.type != "cpu":
            return []
        tried = torch.linspace(-9, 9, SLICE_NUMBERS + 37, dtype=network.dtype)
        if not torch.equal(found[0](tried), _gelu_in_slices(tried)):
            return []
    return [(module, _gelu_in_slices if is_exact else _gelu) for module in found]


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


def _gelu(states: Tensor) -> Tensor:
    """Return the same activation as ``x / (1 + exp(-2 sqrt(2 / pi) (x + 0.044715 x^3)))``, on a processor slice by slice.

    There torch's own function takes 1.6 times as long, as it does for its hyperbolic tangent.
    """
    if states.device.type != "cpu":
        return nn.functional.gelu(states, approximate="tanh")
    twice = 2.0 * math.sqrt(2.0 / math.pi)
    start = states.new_tensor(twice)

    def write(x: Tensor, t: Tensor, y: Tensor) -> None:
        torch.addcmul(start, x, x, value=0.044715 * twice, out=t).mul_(x).sigmoid_()
        torch.mul(x, t, out=y)

    return _in_slices(write, states)


def _gelu_in_slices(states: Tensor) -> Tensor:
    """Return ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``, each step rounded as transformers' module rounds it."""

    def write(x: Tensor, t: Tensor, y: Tensor) -> None:
        torch.pow(x, 3.0, out=t).mul_(0.044715).add_(x).mul_(math.sqrt(2.0 / math.pi)).tanh_().add_(1.0)
        torch.mul(x, 0.5, out=y).mul_(t)

    return _in_slices(write, states)


def _in_slices(write: Callable[[Tensor, Tensor, Tensor], None], states: Tensor) -> Tensor:
    """Return what a function writes of each slice, given the slice, room of its size, and where to write."""
    made = torch.empty_like(states, memory_format=torch.contiguous_format)
    numbers = SLICE_NUMBERS * torch.get_num_threads()  # each thread gets a slice
    own = torch.empty(min(numbers, states.numel()), dtype=states.dtype, device=states.device)
    for x, y in zip(states.reshape(-1).split(numbers), made.view(-1).split(numbers), strict=True):
        write(x, own[: len(x)], y)
    return made


class _Collected:
    """Collects columns from the blocks of one forward pass; keeps the embedding and the last two states only.

    Every column is ``(texts, ..., tokens)`` here.
    """

    def __init__(self, batch: Sequence[_Window], wanted: frozenset[str], heads: Sequence[Tensor], blocks: int) -> None:
        self.batch = batch
        self.wanted = wanted
        self.heads = heads
        self.most = blocks + 1  # states
        self.kept: dict[str, Tensor] = {}
        self.count: Counter[str] = Counter()
        self.own = [one for name, one in OWN.items() if name in wanted]
        self.needs_norm = bool(wanted & {"residual_norm", "turning_angle"})
        self.needs_step = bool(wanted & {"step_length", "turning_angle"})
        self.embedding = self.before_last = self.last = torch.empty(0)
        self.has_begun = False
        self.added = self.mlp = torch.empty(0)

    def attach(self, model: Anatomy) -> Iterator[Any]:
        """Yield the handle of each hook that is put on the model."""
        for block in model.blocks:
            yield block.register_forward_hook(self.after_block, with_kwargs=True)
        if self.wanted & HEADS:
            for projection in model.projections:
                yield projection.register_forward_hook(self.after_heads)
        if self.wanted & SUBLAYERS:
            for attention, mlp in model.added or ():
                yield attention.register_forward_hook(self.after_attention)
                yield mlp.register_forward_hook(self.after_mlp)

    def keep(self, name: str, values: Tensor) -> None:
        """Write what a column is of one more state, step or block into the array that it gets at its first.

        Arrays of their own, small ones that stay between large ones that go, would split the memory that those leave: the next
        large ones would not fit, and a pass through GPT-2 Medium would hold 800 MB instead of 100.
        """
        if name not in self.kept:
            self.kept[name] = values.new_empty((len(values), self.most, *values.shape[1:]))
        self.kept[name][:, self.count[name]] = values
        self.count[name] += 1

    def after_block(self, block: object, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        before, after = state_before(inputs, named), state_after(output)
        if not self.has_begun:
            self.has_begun = True
            self.embedding = before
            self._at(before)
        self._at(after)
        if self.needs_step:
            self.keep("step_length", distance(before, after))
        if "displacement" in self.wanted:
            self.keep("displacement", distance(self.embedding, after))
        for own in self.own:
            if own.where == "step":
                self.keep(own.column.name, self._computed(own, before, after))
        self.before_last, self.last = before, after

    def _at(self, state: Tensor) -> None:
        if self.needs_norm:
            self.keep("residual_norm", length(state))
        if "centroid_distance" in self.wanted:
            middle = torch.stack([state[row, self._central(one)].mean(dim=0) for row, one in enumerate(self.batch)])
            self.keep("centroid_distance", distance(middle[:, None], state))
        for own in self.own:
            if own.where == "state":
                self.keep(own.column.name, self._computed(own, state))

    def _central(self, one: _Window) -> slice:
        """Return the tokens that a window's centroid is made of: those measured in it, but for the text's first."""
        return slice(max(one.first - one.start, 1), len(one))

    def after_heads(self, projection: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        if "head_norm" in self.wanted:
            factors = self.heads[self.count["head_norm"]]
            mixed = inputs[0].unflatten(-1, (len(factors), -1)).transpose(1, 2)
            self.keep("head_norm", length(mixed.to(factors.dtype) @ factors.mT))
        if "heads_norm" in self.wanted:
            # The bias belongs to no head.
            together = length(output) if projection.bias is None else distance(projection.bias, output)
            self.keep("heads_norm", together)

    def after_attention(self, module: object, inputs: object, output: Any) -> None:
        self.added = state_after(output)
        self._pair()

    def after_mlp(self, module: object, inputs: object, output: Any) -> None:
        self.mlp = state_after(output)
        self._pair()

    def _pair(self) -> None:
        """Measure what a block's two parts add, once both are there; in parallel blocks either may come first."""
        if not (len(self.added) and len(self.mlp)):
            return
        attention, mlp = self.added, self.mlp
        self.added = self.mlp = torch.empty(0)
        wide = widest(mlp)
        lengths = length(attention), length(mlp)
        if "attention_norm" in self.wanted:
            self.keep("attention_norm", lengths[0])
        if "mlp_norm" in self.wanted:
            self.keep("mlp_norm", lengths[1])
        if "attention_mlp_cosine" in self.wanted:
            product = torch.linalg.vecdot(attention.to(wide), mlp.to(wide))
            self.keep("attention_mlp_cosine", (product / (lengths[0] * lengths[1])).clamp(-1, 1))

    def _computed(self, own: OwnColumn, *states: Tensor) -> Tensor:
        """Return what a column of one's own makes of each text's own tokens, checked, the fillers' places empty."""
        found = torch.zeros(states[0].shape[:2], dtype=widest(states[0]), device=states[0].device)
        for row, one in enumerate(self.batch):
            name, tokens = own.column.name, len(one)
            value = own.function(*(state[row, :tokens] for state in states))
            if not isinstance(value, Tensor) or tuple(value.shape) != (tokens,):
                shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(type(value))
                raise InvalidColumn(
                    f"column {name!r} must be one number for each token, a tensor of shape ({tokens},), but is {shape}"
                )
            if not torch.isfinite(value).all():
                bad = int((~torch.isfinite(value)).sum())
                raise InvalidColumn(f"column {name!r} must be finite, but holds {bad} values that are not")
            found[row, :tokens] = value.to(found.dtype)
        return found

    def columns(self, final: Tensor) -> dict[str, Tensor]:
        """Return the columns that were wanted, the states through the final norm among them."""
        columns = {name: whole[:, : self.count[name]] for name, whole in self.kept.items()}
        if "turning_angle" in self.wanted:
            norm = columns["residual_norm"]
            columns["turning_angle"] = turning_angle(norm[:, :-1], norm[:, 1:], columns["step_length"])
        if "final_norm_step" in self.wanted:
            columns["final_norm_step"] = distance(self.before_last, final)
        if "final_norm_displacement" in self.wanted:
            columns["final_norm_displacement"] = distance(self.embedding, final)
        if "final_norm_length" in self.wanted:
            columns["final_norm_length"] = length(final)
        for own in self.own:
            if own.where == "end":
                columns[own.column.name] = self._computed(own, self.last, final)
        return {name: column for name, column in columns.items() if name in self.wanted}


def _head_factors(projection: Tensor, heads: int) -> Tensor:
    """Return ``R`` of each head, ``(heads, rank, width)``, from the output projection ``(heads * width, d_model)``."""
    whole = projection.unflatten(0, (heads, -1)).mT
    factors: Tensor = torch.linalg.qr(whole if whole.dtype == torch.float64 else whole.float(), mode="r").R
    return factors.contiguous().clone()  # a copy of its own lets what was factored be given back


def _predictions(states: Tensor, model: Anatomy, targets: Tensor, wanted: frozenset[str]) -> dict[str, Tensor]:
    """Return what the model predicts after each state, and of the tokens that came next.

    From one pass over the vocabulary where more than the next token's own logit is wanted: with the running maximum ``m``,
    ``s = sum exp(z - m)`` and ``t = sum (z - m) exp(z - m)``, the log-sum-exp is ``m + log s`` and the entropy
    ``log s - t / s``.
    """
    columns: dict[str, Tensor] = {}
    if not wanted & (VOCABULARY | {"next_logit"}):
        return columns
    wide = widest(states)
    # A product of half precision would be rounded to three digits; widened slice by slice it costs no memory.
    states = states.float() if states.dtype != torch.float64 else states
    head, offset = model.unembedding, model.offset
    logit = torch.linalg.vecdot(states[: len(targets)], head[targets].to(states.dtype))
    if offset is not None:
        logit = logit + offset[targets]
    columns["next_logit"] = logit
    if wanted & VOCABULARY:
        columns |= _over_vocabulary(states, model, targets, logit, wide, wanted)
    return {name: column for name, column in columns.items() if name in wanted}


def _over_vocabulary(
    states: Tensor, model: Anatomy, targets: Tensor, logit: Tensor, wide: torch.dtype, wanted: frozenset[str]
) -> dict[str, Tensor]:
    head, offset = model.unembedding, model.offset
    top = torch.full_like(states[:, 0], -torch.inf)
    mass = torch.zeros_like(top, dtype=wide)
    moment = torch.zeros_like(mass)
    above = torch.zeros_like(targets)
    for first in range(0, len(head), VOCABULARY_SLICE):
        part = slice(first, first + VOCABULARY_SLICE)
        logits = product(states, head[part].to(states.dtype), None if offset is None else offset[part])
        if "next_rank" in wanted:
            is_above = logits[: len(targets)] > logit[:, None]
            own = torch.nonzero((targets >= first) & (targets < first + logits.shape[1]))[:, 0]
            is_above[own, targets[own] - first] = False  # its own logit may round the other way here
            above += is_above.sum(dim=-1)
        highest = torch.maximum(top, logits.amax(dim=-1))
        if wanted & {"entropy", "next_log_probability"}:
            fall = (top - highest).to(wide)
            shrink = fall.exp()
            logits -= highest[:, None]
            weight = logits.exp()
            if "entropy" in wanted:
                risen = torch.where(mass > 0, fall * mass, 0.0)
                moment = shrink * (moment + risen) + torch.linalg.vecdot(logits, weight).to(wide)
            mass = shrink * mass + weight.sum(dim=-1).to(wide)
        top = highest
    return {
        "next_log_probability": logit.to(wide) - (top.to(wide) + mass.log())[: len(targets)],
        "next_rank": above + 1,
        "top_logit": top,
        "entropy": mass.log() - moment / mass,
    }
