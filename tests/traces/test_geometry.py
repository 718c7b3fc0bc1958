"""Lengths and angles, against arithmetic by hand, NumPy and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pathlen.traces.geometry import distance, length, turning_angle

seeds = st.integers(0, 2**32 - 1)


def random_states(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(4, 3, 8)))


def steps(states: torch.Tensor) -> torch.Tensor:
    return distance(states[:-1], states[1:])


def test_steps_equal_a_double_loop() -> None:
    states = random_states(1)
    loop = [[float(np.linalg.norm(states[b + 1, t] - states[b, t])) for t in range(3)] for b in range(3)]
    np.testing.assert_allclose(steps(states), loop, rtol=1e-14)


@given(seeds, st.floats(0.01, 100))
def test_scaling_states_scales_steps(seed: int, factor: float) -> None:
    states = random_states(seed)
    torch.testing.assert_close(steps(factor * states), factor * steps(states))


@given(seeds)
def test_rotating_the_space_changes_no_step(seed: int) -> None:
    states = random_states(seed)
    rotation, _ = torch.linalg.qr(random_states(seed + 1).reshape(-1, 8)[:8])
    torch.testing.assert_close(steps(states @ rotation), steps(states))


@given(seeds)
def test_a_path_is_never_shorter_than_the_straight_line(seed: int) -> None:
    states = random_states(seed)
    assert (steps(states).sum(dim=0) >= distance(states[0], states[-1]) - 1e-9).all()


@given(seeds)
def test_the_angle_equals_the_arc_cosine_of_the_cosine(seed: int) -> None:
    x, y = random_states(seed)[0], random_states(seed)[1]
    expected = torch.acos((x * y).sum(-1) / (length(x) * length(y)))
    torch.testing.assert_close(turning_angle(length(x), length(y), distance(x, y)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("angle", [1e-3, 1e-5, 1e-7])
def test_a_small_angle_keeps_its_digits(angle: float) -> None:
    x, y = torch.tensor([1.0, 0.0]).double(), torch.tensor([math.cos(angle), math.sin(angle)]).double()
    computed = turning_angle(length(x), length(y), distance(x, y)).item()
    assert computed == pytest.approx(angle, rel=1e-6)


def test_a_pure_stretch_has_no_angle_but_a_step() -> None:
    x = torch.tensor([3.0, 4.0]).double()
    assert turning_angle(length(x), length(2 * x), distance(x, 2 * x)).item() == 0.0
    assert distance(x, 2 * x).item() == 5.0


def test_a_short_step_between_long_vectors_is_exact_in_single_precision() -> None:
    start = torch.full((64,), 3000.0)
    end = start.clone()
    end[0] += 0.25
    assert distance(start, end).item() == 0.25
