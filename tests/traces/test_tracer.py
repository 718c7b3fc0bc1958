"""Traces against an explicit computation from stored states, on tiny networks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pathlen.columns.catalog import ALIGNMENT, CATALOG
from pathlen.columns.measurement import from_traces
from pathlen.columns.table import Trace
from pathlen.errors import InvalidText, ModelMismatch, UnmeasuredColumn
from pathlen.models.checkpoint import from_directory
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.traces import vocabulary
from pathlen.traces.geometry import distance, length
from pathlen.traces.tracer import Tracer, measure_passages, trace


@pytest.fixture(scope="module")
def traced(tiny: LoadedModel, short: Passage) -> Trace:
    return trace(tiny, short)


def base_of(model: LoadedModel) -> Any:
    return model.network.base_model


def stored_states(model: LoadedModel, ids: np.ndarray) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """States before the final norm, the state after it, and all logits, in float64 from an untouched forward pass."""
    last: list[torch.Tensor] = []
    handle = (
        base_of(model)
        .h[-1]
        .register_forward_hook(
            lambda block, inputs, output: last.append(output if isinstance(output, torch.Tensor) else output[0])
        )
    )
    with torch.no_grad():
        outputs = model.network(torch.from_numpy(ids)[None], output_hidden_states=True)
    handle.remove()
    states = [state[0].double() for state in [*outputs.hidden_states[:-1], last[0]]]
    return states, outputs.hidden_states[-1][0].double(), outputs.logits[0].double()


def test_every_length_equals_the_explicit_computation(tiny: LoadedModel, traced: Trace) -> None:
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
def test_lengths_are_exact_beside_a_very_long_first_token(checkpoint: Path, short: Passage, dtype: str) -> None:
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


def test_states_before_and_after_the_final_norm_differ(traced: Trace) -> None:
    assert not np.allclose(traced.final_norm_step, traced.step_length[-1], rtol=0.05)


def test_next_logit_and_log_probability_equal_the_models(tiny: LoadedModel, traced: Trace) -> None:
    _, _, logits = stored_states(tiny, traced.token_ids)
    following = torch.from_numpy(traced.token_ids[1:])
    rows = torch.arange(len(following))
    np.testing.assert_allclose(traced.next_logit, logits[rows, following], rtol=1e-5, atol=1e-5)
    expected = torch.log_softmax(logits, dim=-1)[rows, following]
    np.testing.assert_allclose(traced.next_log_probability, expected, rtol=1e-5, atol=1e-5)


def test_entropy_top_logit_and_rank_equal_those_from_all_logits(tiny: LoadedModel, traced: Trace) -> None:
    _, _, logits = stored_states(tiny, traced.token_ids)
    chances = torch.softmax(logits, dim=-1)
    np.testing.assert_allclose(traced.entropy, -(chances * chances.log()).sum(dim=-1), rtol=1e-5)
    np.testing.assert_allclose(traced.top_logit, logits.amax(dim=-1), rtol=1e-5)
    following = torch.from_numpy(traced.token_ids[1:])
    target = logits[torch.arange(len(following)), following]
    expected = 1 + (logits[: len(following)] > target[:, None]).sum(dim=-1)
    assert np.mean(traced.next_rank == expected.numpy()) > 0.99  # ranks of logits equal up to rounding may swap
    np.testing.assert_allclose(traced.next_rank, expected, atol=1)
    assert traced.next_rank.min() >= 1


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_what_each_head_adds_equals_an_explicit_product(
    new_checkpoint: Callable[..., Path], short: Passage, heads: int
) -> None:
    """Head by head: attention-weighted values times the head's rows of the output projection."""
    model = load(from_directory(new_checkpoint(n_head=heads)))
    projections = [block.attn.c_proj for block in base_of(model).h]
    for projection in projections:
        torch.nn.init.normal_(projection.bias)  # the bias belongs to no head
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


def test_a_shuffled_trace_has_the_same_tokens_in_another_order(
    tiny: LoadedModel, short: Passage, traced: Trace
) -> None:
    tracer = Tracer(tiny)
    first, again, other = (tracer.trace(short, shuffle=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.token_ids, again.token_ids)
    assert not np.array_equal(first.token_ids, other.token_ids)
    assert np.array_equal(np.sort(first.token_ids), np.sort(traced.token_ids))


def test_there_is_one_fewer_next_token_than_tokens(traced: Trace) -> None:
    assert len(traced.next_logit) == len(traced.next_log_probability) == len(traced.token_ids) - 1
    assert traced.step_length.shape == (2, len(traced.token_ids))
    assert traced.residual_norm.shape == (3, len(traced.token_ids))


def test_tracing_a_text_again_gives_the_same_bits(tiny: LoadedModel, short: Passage, traced: Trace) -> None:
    again = trace(tiny, short)
    for name in CATALOG:
        assert np.array_equal(getattr(again, name), getattr(traced, name)), name


def test_a_long_text_is_read_in_windows_that_measure_every_token_once(tiny: LoadedModel, long: Passage) -> None:
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


def test_captured_states_that_do_not_give_the_models_logits_are_refused(tiny: LoadedModel, short: Passage) -> None:
    class Louder(torch.nn.Linear):
        """A head whose logits aren't the product with its weight."""

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


def test_norms_of_attention_and_mlp_equal_those_of_their_outputs(
    tiny: LoadedModel, short: Passage, traced: Trace
) -> None:
    outputs: dict[str, list[torch.Tensor]] = {"attn": [], "mlp": []}
    handles = [
        getattr(block, name).register_forward_hook(
            lambda module, inputs, output, name=name: outputs[name].append(
                (output[0] if isinstance(output, tuple) else output)[0].double()
            )
        )
        for block in base_of(tiny).h
        for name in outputs
    ]
    with torch.no_grad():
        tiny.network(torch.from_numpy(traced.token_ids)[None])
    for handle in handles:
        handle.remove()
    attention, mlp = (torch.stack(outputs[name]) for name in ("attn", "mlp"))
    np.testing.assert_allclose(traced.attention_norm, attention.norm(dim=-1), rtol=1e-5)
    np.testing.assert_allclose(traced.mlp_norm, mlp.norm(dim=-1), rtol=1e-5)
    cosine = torch.cosine_similarity(attention, mlp, dim=-1)
    np.testing.assert_allclose(traced.attention_mlp_cosine, cosine, rtol=1e-5, atol=1e-6)
    states, _, _ = stored_states(tiny, traced.token_ids)
    step = torch.stack(states).diff(dim=0)
    np.testing.assert_allclose(step, attention + mlp, atol=1e-5)


def test_a_block_that_does_not_add_its_parts_has_no_columns_of_them(tiny: LoadedModel, short: Passage) -> None:
    network = copy.deepcopy(tiny.network)
    block = base_of(replace(tiny, network=network)).h[1]
    block.mlp.register_forward_hook(
        lambda module, inputs, output: 0.5 * output
    )  # runs after hooks that were registered earlier
    block.register_forward_hook(lambda module, inputs, output: 1.25 * output)
    scaled = replace(tiny, network=network)
    with pytest.raises(ModelMismatch, match="attention_norm: the blocks of tiny do not add what their attention"):
        trace(scaled, short, columns=["attention_norm"])
    everything = trace(scaled, short)
    assert "attention_norm" not in everything.made
    assert "step_length" in everything.made


# Batches.


@pytest.fixture(scope="module")
def several(long: Passage) -> list[Passage]:
    """Texts of several lengths, most of them shorter than a batch."""
    words = long.text.split()
    return [Passage(name=f"text {n}", text=" ".join(words[n : n + n]), origin="test") for n in (9, 5, 30, 7, 20, 5)]


@pytest.mark.parametrize("batch_tokens", [64, 256, 100_000])
def test_texts_in_a_batch_give_the_same_as_each_text_alone(
    tiny: LoadedModel, several: list[Passage], batch_tokens: int
) -> None:
    batched = list(Tracer(tiny, batch_tokens=batch_tokens).traces(several))
    tracer = Tracer(tiny)
    assert [traced.passage for traced in batched] == [passage.name for passage in several]
    for traced, passage in zip(batched, several, strict=True):
        alone = tracer.trace(passage)
        for name in CATALOG:
            np.testing.assert_allclose(getattr(traced, name), getattr(alone, name), rtol=1e-4, atol=1e-6, err_msg=name)


def test_short_texts_are_read_in_one_batch(tiny: LoadedModel, several: list[Passage]) -> None:
    calls: list[tuple[int, ...]] = []
    handle = base_of(tiny).register_forward_pre_hook(
        lambda module, inputs: calls.append(tuple(inputs[0].shape)) if inputs else None
    )
    try:
        list(Tracer(tiny, batch_tokens=100_000).traces(several, columns=["step_length"]))
    finally:
        handle.remove()
    assert max(rows for rows, _ in calls) == len(several)


def test_a_model_that_is_not_causal_is_not_read_in_batches(tiny: LoadedModel, several: list[Passage]) -> None:
    network = copy.deepcopy(tiny.network)
    looking = replace(tiny, network=network)
    base_of(looking).h[0].register_forward_hook(
        lambda module, inputs, output: output + output.mean(dim=1, keepdim=True)
    )
    with pytest.raises(ModelMismatch, match="what stands behind a text must not change it, but in tiny states move by"):
        list(Tracer(looking, batch_tokens=1000).traces(several))
    assert len(list(Tracer(looking).traces(several))) == len(several)


def test_a_batch_of_no_tokens_is_refused(tiny: LoadedModel) -> None:
    with pytest.raises(ValueError, match="batch_tokens must be at least 1, but 0 was given"):
        Tracer(tiny, batch_tokens=0)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_text_about_as_long_as_the_context(tiny: LoadedModel, long: Passage, more: int) -> None:
    """One token short of the context, exactly the context, and one token longer, which takes a second window for that token."""
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
def test_an_exact_trace_is_made_of_the_states_that_transformers_computes(
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


# Only the wanted columns.


@pytest.mark.parametrize("name", sorted(CATALOG.keys() - set(ALIGNMENT)))
def test_a_column_alone_equals_the_same_column_among_all(tiny: LoadedModel, short: Passage, name: str) -> None:
    alone = trace(tiny, short, columns=[name])
    assert set(alone.made) == {name, *ALIGNMENT}
    assert np.array_equal(getattr(alone, name), getattr(trace(tiny, short), name))


def test_no_pass_over_the_vocabulary_unless_a_column_needs_it(
    tiny: LoadedModel, short: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*arguments: object) -> None:
        raise AssertionError("a pass over the vocabulary")

    monkeypatch.setattr(vocabulary, "product", forbidden)
    trace(tiny, short, columns=CATALOG.keys() - vocabulary.VOCABULARY)
    with pytest.raises(AssertionError, match="a pass over the vocabulary"):
        trace(tiny, short, columns=["entropy"])


def test_a_column_that_was_left_out_is_not_in_the_measurement(tiny: LoadedModel, short: Passage) -> None:
    measured = measure_passages(tiny, [short], columns=["step_length"])
    assert measured.last_step.shape == (len(measured),)
    with pytest.raises(UnmeasuredColumn, match=r"column 'entropy' was not measured: name it in columns=\[...\]"):
        _ = measured.entropy


def test_measuring_no_text_is_refused(tiny: LoadedModel) -> None:
    with pytest.raises(InvalidText, match="passages must hold at least one text, but none was given"):
        measure_passages(tiny, iter(()))


def test_blocks_that_add_nothing_leave_the_embedding_unchanged(tiny: LoadedModel) -> None:
    """Numbers by hand, from a network whose every output projection is zero.

    Every step is 0, every angle too, and every norm is the embedding's.
    """
    network: Any = copy.deepcopy(tiny.network)
    for block in network.transformer.h:
        for module in (block.attn.c_proj, block.mlp.c_proj):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
    text = Passage(name="tides", text="The sea rises and falls twice a day.", origin="test")
    traced = Tracer(replace(tiny, network=network)).trace(text)
    ids = torch.from_numpy(traced.token_ids)
    embedding = network.transformer.wte.weight[ids] + network.transformer.wpe.weight[: len(ids)]
    expected = embedding.double().norm(dim=-1).detach().numpy()
    np.testing.assert_allclose(traced.residual_norm, np.tile(expected, (3, 1)), rtol=1e-12)
    assert not traced.step_length.any()
    assert not traced.turning_angle.any()
    assert not traced.displacement.any()
    assert not traced.attention_norm.any()
    assert len(from_traces([traced])) == len(ids) - 2
