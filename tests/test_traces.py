"""Traces against an explicit computation over stored states, on tiny networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pathlen.columns import CATALOG
from pathlen.errors import InvalidText, ModelMismatch
from pathlen.models import LoadedModel, from_directory, load
from pathlen.passages import Passage
from pathlen.traces import Trace, Tracer, trace, windows


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
