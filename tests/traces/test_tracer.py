"""Traces against an explicit computation over stored states, on tiny networks."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.activations import NewGELUActivation

from pathlen.columns.catalog import CATALOG
from pathlen.columns.table import Trace
from pathlen.errors import InvalidText, ModelMismatch
from pathlen.models.checkpoint import from_directory
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.traces import hooks
from pathlen.traces.geometry import distance, length
from pathlen.traces.kernels import gelu
from pathlen.traces.kernels.gelu import _gelu, _gelu_in_slices
from pathlen.traces.tracer import Tracer, trace
from pathlen.traces.windows import windows


@pytest.fixture(scope="module")
def traced(tiny: LoadedModel, short: Passage) -> Trace:
    return trace(tiny, short)


def base_of(model: LoadedModel) -> Any:
    return model.network.base_model


def stored_states(model: LoadedModel, ids: np.ndarray) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """States before the final norm, the state after it, and all logits, in float64 from an untouched forward pass."""
    kept: list[torch.Tensor] = []
    handle = (
        base_of(model)
        .h[-1]
        .register_forward_hook(
            lambda block, inputs, output: kept.append(output if isinstance(output, torch.Tensor) else output[0])
        )
    )
    with torch.no_grad():
        result = model.network(torch.from_numpy(ids)[None], output_hidden_states=True)
    handle.remove()
    states = [state[0].double() for state in [*result.hidden_states[:-1], kept[0]]]
    return states, result.hidden_states[-1][0].double(), result.logits[0].double()


def test_every_length_equals_the_explicit_one(tiny: LoadedModel, traced: Trace) -> None:
    states, final, _ = stored_states(tiny, traced.token_ids)
    norm = torch.linalg.vector_norm
    for block in range(1, len(states)):
        step = norm(states[block] - states[block - 1], dim=-1)
        np.testing.assert_allclose(traced.step_length[block - 1], step, rtol=1e-5)
        np.testing.assert_allclose(traced.displacement[block - 1], norm(states[block] - states[0], dim=-1), rtol=1e-5)
        cosine = torch.cosine_similarity(states[block], states[block - 1], dim=-1)
        np.testing.assert_allclose(traced.turning_angle[block - 1], torch.acos(cosine), rtol=1e-4)
    np.testing.assert_allclose(traced.residual_norm, norm(torch.stack(states), dim=-1), rtol=1e-5)
    centroid = torch.stack([state[1:].mean(dim=0, keepdim=True) for state in states])
    np.testing.assert_allclose(traced.centroid_distance, norm(torch.stack(states) - centroid, dim=-1), rtol=1e-5)
    np.testing.assert_allclose(traced.final_norm_step, norm(final - states[-2], dim=-1), rtol=1e-5)
    np.testing.assert_allclose(traced.final_norm_displacement, norm(final - states[0], dim=-1), rtol=1e-5)
    np.testing.assert_allclose(traced.final_norm_length, norm(final, dim=-1), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_lengths_are_those_of_the_states_however_long_the_first_tokens_are(
    checkpoint: Path, short: Passage, dtype: str
) -> None:
    """GPT-2's first token has a norm of thousands; steps and angles beside it must keep their digits."""
    model = load(from_directory(checkpoint), dtype=dtype)
    with torch.no_grad():
        base_of(model).wpe.weight[0] *= 300
    traced = trace(model, short)
    states, final, _ = stored_states(model, traced.token_ids)
    assert traced.residual_norm[0, 0] > 100 * traced.residual_norm[0, 1:].max()
    for block in range(1, len(states)):
        before, after = states[block - 1], states[block]
        np.testing.assert_allclose(traced.step_length[block - 1], (after - before).norm(dim=-1), rtol=1e-5)
        sine = (after / after.norm(dim=-1, keepdim=True) - before / before.norm(dim=-1, keepdim=True)).norm(dim=-1) / 2
        np.testing.assert_allclose(traced.turning_angle[block - 1], 2 * torch.asin(sine), rtol=1e-4)
    np.testing.assert_allclose(traced.final_norm_step, (final - states[-2]).norm(dim=-1), rtol=1e-5)


def test_states_before_and_after_the_final_norm_are_told_apart(traced: Trace) -> None:
    assert not np.allclose(traced.final_norm_step, traced.step_length[-1], rtol=0.05)


def test_next_logit_and_log_probability_are_the_models_own(tiny: LoadedModel, traced: Trace) -> None:
    _, _, logits = stored_states(tiny, traced.token_ids)
    following = torch.from_numpy(traced.token_ids[1:])
    rows = torch.arange(len(following))
    np.testing.assert_allclose(traced.next_logit, logits[rows, following], rtol=1e-5, atol=1e-5)
    expected = torch.log_softmax(logits, dim=-1)[rows, following]
    np.testing.assert_allclose(traced.next_log_probability, expected, rtol=1e-5, atol=1e-5)


def test_entropy_top_logit_and_rank_are_those_of_all_logits(tiny: LoadedModel, traced: Trace) -> None:
    _, _, logits = stored_states(tiny, traced.token_ids)
    chances = torch.softmax(logits, dim=-1)
    np.testing.assert_allclose(traced.entropy, -(chances * chances.log()).sum(dim=-1), rtol=1e-5)
    np.testing.assert_allclose(traced.top_logit, logits.amax(dim=-1), rtol=1e-5)
    following = torch.from_numpy(traced.token_ids[1:])
    own = logits[torch.arange(len(following)), following]
    expected = 1 + (logits[: len(following)] > own[:, None]).sum(dim=-1)
    assert np.mean(traced.next_rank == expected.numpy()) > 0.99  # neighbours within rounding may change places
    np.testing.assert_allclose(traced.next_rank, expected, atol=1)
    assert traced.next_rank.min() >= 1


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_what_each_head_adds_equals_an_explicit_product(
    new_checkpoint: Callable[..., Path], short: Passage, heads: int
) -> None:
    """Head by head: attention-weighted values through the head's own rows of the output projection."""
    model = load(from_directory(new_checkpoint(n_head=heads)))
    projections = [block.attn.c_proj for block in base_of(model).h]
    for projection in projections:
        torch.nn.init.normal_(projection.bias)  # it belongs to no head
    traced = trace(model, short)
    mixed: list[torch.Tensor] = []
    handles = [
        projection.register_forward_pre_hook(lambda module, inputs: mixed.append(inputs[0][0]))
        for projection in projections
    ]
    with torch.no_grad():
        model.network(torch.from_numpy(traced.token_ids)[None])
    for handle in handles:
        handle.remove()
    for number, projection in enumerate(projections):
        width = 16 // heads
        weight = projection.weight.double().reshape(heads, width, 16)
        added = torch.einsum("thi,hio->hto", mixed[number].double().reshape(-1, heads, width), weight)
        np.testing.assert_allclose(traced.head_norm[number], added.norm(dim=-1), rtol=1e-5)
        np.testing.assert_allclose(traced.heads_norm[number], added.sum(dim=0).norm(dim=-1), rtol=1e-5)


def test_tokens_in_random_order_are_the_same_tokens(tiny: LoadedModel, short: Passage, traced: Trace) -> None:
    tracer = Tracer(tiny)
    one, again, other = (tracer.trace(short, shuffle=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.token_ids, again.token_ids)
    assert not np.array_equal(one.token_ids, other.token_ids)
    assert np.array_equal(np.sort(one.token_ids), np.sort(traced.token_ids))


def test_there_is_one_next_token_less_than_tokens(traced: Trace) -> None:
    assert len(traced.next_logit) == len(traced.next_log_probability) == len(traced.token_ids) - 1
    assert traced.step_length.shape == (2, len(traced.token_ids))
    assert traced.residual_norm.shape == (3, len(traced.token_ids))


def test_no_hook_stays_on_the_network(tiny: LoadedModel, short: Passage) -> None:
    def hooks() -> list[int]:
        return [len(block._forward_hooks) for block in base_of(tiny).h]

    before = hooks()
    trace(tiny, short)
    assert hooks() == before


def test_the_same_text_gives_the_same_trace_bit_for_bit(tiny: LoadedModel, short: Passage, traced: Trace) -> None:
    again = trace(tiny, short)
    for name in CATALOG:
        assert np.array_equal(getattr(again, name), getattr(traced, name)), name


@pytest.mark.parametrize(
    ("tokens", "context", "expected"),
    [
        (5, 8, [(0, 0, 5)]),
        (8, 8, [(0, 0, 8)]),
        (9, 8, [(0, 0, 8), (4, 8, 9)]),
        (20, 8, [(0, 0, 8), (4, 8, 12), (8, 12, 16), (12, 16, 20)]),
    ],
)
def testwindows_by_hand(tokens: int, context: int, expected: list[tuple[int, int, int]]) -> None:
    assert list(windows(tokens, context)) == expected


def test_a_long_text_is_read_inwindows_that_measure_every_token_once(tiny: LoadedModel, long: Passage) -> None:
    traced = trace(tiny, long)
    tokens = len(traced.token_ids)
    assert tokens > 3 * tiny.context
    assert traced.step_length.shape == (2, tokens)
    assert len(traced.next_logit) == tokens - 1
    assert traced.window[-1] >= 3
    later = traced.position[traced.window > 0]
    assert later.min() == tiny.context // 2  # half a context before every later token
    assert traced.position.max() == tiny.context - 1


def test_a_later_window_equals_a_pass_over_that_window_alone(tiny: LoadedModel, long: Passage) -> None:
    traced = trace(tiny, long)
    rows = np.flatnonzero(traced.window == 1)
    start = rows[0] - tiny.context // 2
    states, _, logits = stored_states(tiny, traced.token_ids[start : rows[-1] + 1])
    expected = torch.linalg.vector_norm(states[1] - states[0], dim=-1)[tiny.context // 2 :]
    np.testing.assert_allclose(traced.step_length[0, rows], expected, rtol=1e-5)
    last = logits[-1, traced.token_ids[rows[-1] + 1]]  # the next token lies in the next window
    np.testing.assert_allclose(traced.next_logit[rows[-1]], last, rtol=1e-5)


@pytest.mark.parametrize("text", ["I", "a b"])
def test_a_text_of_too_few_tokens_is_refused(tiny: LoadedModel, text: str) -> None:
    with pytest.raises(InvalidText, match=r"needs at least 4 tokens, but 'one' has \d"):
        trace(tiny, Passage(name="one", text=text, origin="test"))


def test_a_capture_that_does_not_give_the_models_logits_is_refused(tiny: LoadedModel, short: Passage) -> None:
    class Louder(torch.nn.Linear):
        """A head whose logits are not the product with its weight."""

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            return 16 * super().forward(states)

    network = tiny.network
    head = network.lm_head
    network.lm_head = Louder(head.in_features, head.out_features, bias=False)
    network.lm_head.weight = head.weight
    try:
        with pytest.raises(ModelMismatch, match="must give the model's own logits"):
            trace(replace(tiny), short)
    finally:
        network.lm_head = head


# Attention and the feed-forward part.


def test_what_attention_and_mlp_add_equals_their_outputs(tiny: LoadedModel, short: Passage, traced: Trace) -> None:
    kept: dict[str, list[torch.Tensor]] = {"attn": [], "mlp": []}
    handles = [
        getattr(block, name).register_forward_hook(
            lambda module, inputs, output, name=name: kept[name].append(
                (output[0] if isinstance(output, tuple) else output)[0].double()
            )
        )
        for block in base_of(tiny).h
        for name in kept
    ]
    with torch.no_grad():
        tiny.network(torch.from_numpy(traced.token_ids)[None])
    for handle in handles:
        handle.remove()
    attention, mlp = (torch.stack(kept[name]) for name in ("attn", "mlp"))
    np.testing.assert_allclose(traced.attention_norm, attention.norm(dim=-1), rtol=1e-5)
    np.testing.assert_allclose(traced.mlp_norm, mlp.norm(dim=-1), rtol=1e-5)
    cosine = torch.cosine_similarity(attention, mlp, dim=-1)
    np.testing.assert_allclose(traced.attention_mlp_cosine, cosine, rtol=1e-5, atol=1e-6)
    states, _, _ = stored_states(tiny, traced.token_ids)
    step = torch.stack(states).diff(dim=0)
    np.testing.assert_allclose(step, attention + mlp, atol=1e-5)


def test_a_block_that_adds_otherwise_has_no_parts_to_tell_apart(tiny: LoadedModel, short: Passage) -> None:
    network = copy.deepcopy(tiny.network)
    block = base_of(replace(tiny, network=network)).h[1]
    block.mlp.register_forward_hook(lambda module, inputs, output: 0.5 * output)  # seen by nobody who looks before
    block.register_forward_hook(lambda module, inputs, output: 1.25 * output)
    scaled = replace(tiny, network=network)
    with pytest.raises(ModelMismatch, match="attention_norm: the blocks of tiny do not add what their attention"):
        trace(scaled, short, columns=["attention_norm"])
    everything = trace(scaled, short)
    assert "attention_norm" not in everything.made
    assert "step_length" in everything.made


# Texts that are read together.


@pytest.fixture(scope="module")
def several(long: Passage) -> list[Passage]:
    """Texts of many lengths: some shorter than a batch, one of exactly a context, one longer by a token."""
    words = long.text.split()
    return [Passage(name=f"text {n}", text=" ".join(words[n : n + n]), origin="test") for n in (9, 5, 30, 7, 20, 5)]


@pytest.mark.parametrize("batch_tokens", [64, 256, 100_000])
def test_texts_read_together_give_what_each_gives_alone(
    tiny: LoadedModel, several: list[Passage], batch_tokens: int
) -> None:
    together = list(Tracer(tiny, batch_tokens=batch_tokens).traces(several))
    alone = Tracer(tiny)
    assert [one.passage for one in together] == [one.name for one in several]
    for one, passage in zip(together, several, strict=True):
        other = alone.trace(passage)
        for name in CATALOG:
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-4, atol=1e-6, err_msg=name)


def test_short_texts_are_really_read_together(tiny: LoadedModel, several: list[Passage]) -> None:
    calls: list[tuple[int, ...]] = []
    handle = base_of(tiny).register_forward_pre_hook(
        lambda module, inputs: calls.append(tuple(inputs[0].shape)) if inputs else None
    )
    try:
        list(Tracer(tiny, batch_tokens=100_000).traces(several, columns=["step_length"]))
    finally:
        handle.remove()
    assert max(rows for rows, _ in calls) == sum(1 for _ in several)


def test_a_model_that_looks_ahead_is_not_read_in_batches(tiny: LoadedModel, several: list[Passage]) -> None:
    network = copy.deepcopy(tiny.network)
    looking = replace(tiny, network=network)
    base_of(looking).h[0].register_forward_hook(
        lambda module, inputs, output: output + output.mean(dim=1, keepdim=True)
    )
    with pytest.raises(ModelMismatch, match="what stands behind a text must not change it, but in tiny states move by"):
        list(Tracer(looking, batch_tokens=1000).traces(several))
    assert len(list(Tracer(looking).traces(several))) == len(several)


def test_tokens_read_at_once_are_at_least_one(tiny: LoadedModel) -> None:
    with pytest.raises(ValueError, match="batch_tokens must be at least 1, but 0 was given"):
        Tracer(tiny, batch_tokens=0)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_text_about_as_long_as_the_context(tiny: LoadedModel, long: Passage, more: int) -> None:
    """One token short of the context, exactly the context, and one longer, which takes a second window for one token."""
    ids = tiny.token_ids(long.text)[: tiny.context + more]
    text = Passage(name="cut", text=str(tiny.tokenizer.decode(ids)), origin="test")
    assert tiny.token_ids(text.text) == ids
    traced = trace(tiny, text)
    assert np.bincount(traced.window).tolist() == ([tiny.context, 1] if more == 1 else [tiny.context + more])
    states, _, _ = stored_states(tiny, traced.token_ids[-tiny.context // 2 - 1 :] if more == 1 else traced.token_ids)
    expected = torch.linalg.vector_norm(states[1] - states[0], dim=-1)[-1]
    np.testing.assert_allclose(traced.step_length[0, -1], expected, rtol=1e-5)


def test_a_text_without_tokens_is_refused(tiny: LoadedModel) -> None:
    nothing = replace(tiny, tokenizer=lambda text, **options: {"input_ids": []})  # type: ignore[arg-type]
    with pytest.raises(InvalidText, match="needs at least 4 tokens, but 'none' has 0"):
        trace(nothing, Passage(name="none", text="...", origin="test"))


@pytest.mark.parametrize("passage", ["short", "long"])
def test_unless_fast_a_trace_is_of_the_very_states_that_transformers_computes(
    tiny: LoadedModel, request: pytest.FixtureRequest, passage: str
) -> None:
    text: Passage = request.getfixturevalue(passage)
    traced = Tracer(tiny).trace(text)
    first = traced.token_ids[: tiny.context]
    with torch.no_grad():
        states = tiny.network(torch.from_numpy(first)[None], output_hidden_states=True).hidden_states
    steps = torch.stack([distance(before, after)[0] for before, after in pairwise(states[:-1])])
    assert np.array_equal(traced.step_length[: len(steps), : len(first)], steps)
    assert np.array_equal(traced.residual_norm[: len(states) - 1, : len(first)], length(torch.cat(states[:-1])))
    fast = Tracer(tiny, fast=True).trace(text)
    assert not np.array_equal(fast.step_length, traced.step_length)
    np.testing.assert_allclose(fast.step_length, traced.step_length, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("numbers", [1, 3, 37, 1 << 16, (1 << 16) + 1, 200_003])
def test_the_activation_in_slices_is_transformers_to_the_last_bit(dtype: torch.dtype, numbers: int) -> None:
    states = (torch.randn(numbers, generator=torch.Generator().manual_seed(0)) * 4).to(dtype)
    apart = states.repeat_interleave(2)[::2]  # not side by side in memory
    for x in (states, states[None], apart):
        assert torch.equal(_gelu_in_slices(x), NewGELUActivation()(x))


def test_a_text_of_many_slices_has_the_very_states_too(
    tiny: LoadedModel, long: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Tracer(tiny).trace(long)
    monkeypatch.setattr(gelu, "SLICE_NUMBERS", 100)
    assert np.array_equal(Tracer(tiny).trace(long).step_length, whole.step_length)


def test_where_transformers_last_bits_are_others_they_are_kept(
    tiny: LoadedModel, short: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Tracer(tiny).trace(short)
    calls: list[torch.Tensor] = []

    def other(states: torch.Tensor) -> torch.Tensor:
        calls.append(states)
        return 1.001 * _gelu_in_slices(states)

    monkeypatch.setattr(gelu, "_gelu_in_slices", other)
    assert np.array_equal(Tracer(tiny).trace(short).step_length, expected.step_length)
    assert len(calls) == 1  # it was tried, and not used


@pytest.mark.parametrize("fast", [False, True])
def test_the_activation_is_the_networks_own_again_afterwards(tiny: LoadedModel, short: Passage, fast: bool) -> None:
    activations = [block.mlp.act for block in base_of(tiny).h]
    tracer = Tracer(tiny, fast=fast)
    tracer.trace(short)
    assert {one for one, _ in tracer._replaced} >= set(activations)
    assert all("forward" not in vars(one) for one in tiny.network.modules())
    x = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(_gelu(x), activations[0](x), rtol=1e-5, atol=1e-6)


def test_no_small_array_stays_between_the_large_ones_of_a_pass(
    tiny: LoadedModel, long: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a column is of one block goes into the column's own array at once: see `_Collected.keep`."""
    made: list[weakref.ref[torch.Tensor]] = []

    def noted(states: torch.Tensor) -> torch.Tensor:
        made.append(weakref.ref(found := length(states)))
        return found

    monkeypatch.setattr(hooks, "length", noted)
    alive: list[int] = []
    base = base_of(tiny)
    handle = base.ln_f.register_forward_pre_hook(lambda *_: alive.append(sum(one() is not None for one in made)))
    try:
        Tracer(tiny).trace(long, columns=["residual_norm", "head_norm", "attention_norm", "mlp_norm"])
    finally:
        handle.remove()
    assert len(made) > 4 * len(base.h)
    assert max(alive) == 0


def test_few_states_are_alive_at_once(new_checkpoint: Callable[..., Path], long: Passage) -> None:
    """However many blocks there are, at no time are more than a few states kept by a trace."""
    import gc

    model = load(from_directory(new_checkpoint("deep", n_layer=12)))
    alive: list[weakref.ref[torch.Tensor]] = []
    most = [0]

    def note(module: object, inputs: object, output: Any) -> None:
        gc.collect()
        alive.append(weakref.ref(output if isinstance(output, torch.Tensor) else output[0]))
        most[0] = max(most[0], sum(one() is not None for one in alive))

    for block in base_of(model).h:
        block.register_forward_hook(note)
    tracer = Tracer(model)
    tracer.trace(long)  # looks at the network's parts first, on a few tokens
    alive.clear()
    most[0] = 0
    tracer.trace(long)
    assert 1 <= most[0] <= 4
