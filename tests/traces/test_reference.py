"""Traces against the published procedure, on every embedded size and on a network of GPT-2 Small's shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pathlen import SIZES
from pathlen.columns.measurement import as_published
from pathlen.models.families import spec
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import shipped
from pathlen.stats import pearson
from pathlen.traces.reference import loop_steps, original, relative_error
from pathlen.traces.tracer import trace


def assert_agreement(model: LoadedModel, passage: Passage) -> None:
    loop, traced = original(model, passage), trace(model, passage)
    assert relative_error(traced, loop_steps(model, traced)).max() < 1e-5
    published = as_published([traced])
    estimate = pearson(published.last_step, published.next_logit, passage=published.passage, trend=0).estimate(
        replicates=199
    )
    assert estimate.value == pytest.approx(loop.r, abs=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_published_r_and_steps_are_reproduced_on_mini(size: str) -> None:
    assert_agreement(load(spec("mini", size)), shipped("nietzsche"))


def test_published_r_and_steps_are_reproduced_on_a_random_gpt2_small() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(20)
    network = GPT2LMHeadModel(GPT2Config()).requires_grad_(False).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 124_439_808
    mini = load(spec("mini", "small"))
    model = LoadedModel(
        spec=spec("gpt2", "small"),
        network=network,
        tokenizer=mini.tokenizer,  # random weights work with any ids; all of its ids are also GPT-2's
        context=1024,
        weights_sha256="",
        tokenizer_sha256="",
    )
    assert_agreement(model, shipped("nietzsche"))


def test_the_loop_has_the_published_slips(tiny: LoadedModel, short: Passage) -> None:
    loop = original(tiny, short)
    assert loop.next_logit[-1] == 0.0
    assert not np.allclose(loop.step_length[-1], loop.last_step_before_norm, rtol=0.05)
    assert loop.r == pytest.approx(np.corrcoef(loop.next_logit[1:], loop.step_length[-1, 1:])[0, 1])


def test_a_long_text_is_compared_token_by_token_in_its_windows(tiny: LoadedModel, long: Passage) -> None:
    assert original(tiny, long).step_length.shape == (2, tiny.context)
    traced = trace(tiny, long)
    error = relative_error(traced, loop_steps(tiny, traced))
    assert error.shape == (3, len(traced.token_ids))
    assert error.max() < 1e-5


def test_the_comparison_can_fail(tiny: LoadedModel, short: Passage) -> None:
    traced = trace(tiny, short)
    traced.step_length[0, 3] *= 1.001
    assert relative_error(traced, loop_steps(tiny, traced)).max() == pytest.approx(1e-3, rel=0.01)
