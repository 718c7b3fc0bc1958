"""Matrix products by oneDNN against torch's own, and where they stay out of the way."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers.activations import NewGELUActivation

from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.kernels import matmul as products
from pathlen.traces.kernels.matmul import _is_half_used, _rounded_up, product, products_of
from pathlen.traces.tracer import Tracer

HAS_ONEDNN = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and products._is_right()), reason="torch was built without oneDNN"
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Say that torch's own products use half of this processor; the shapes of what oneDNN is asked for."""
    found: list[tuple[int, ...]] = []
    by_onednn = products._by_onednn

    def counted(states: torch.Tensor, rows: torch.Tensor, offset: torch.Tensor | None) -> torch.Tensor:
        found.append((*states.shape, len(rows)))
        return by_onednn(states, rows, offset)

    monkeypatch.setattr(products, "_is_half_used", lambda: True)
    monkeypatch.setattr(products, "_by_onednn", counted)
    return found


@pytest.fixture
def amd(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A processor that all is known of, for changing one thing at a time."""
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(products, "_vendor", lambda: "AuthenticAMD")
    monkeypatch.setattr(products, "_by_onednn", nn.functional.linear)
    _is_half_used.cache_clear()
    yield monkeypatch
    _is_half_used.cache_clear()


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


@HAS_ONEDNN
@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("has_offset", [False, True])
@pytest.mark.parametrize(
    ("states", "made"), [((700, 40), 60), ((1, 340, 96), 33), ((3, 120, 70), 70), ((5, 3072), 768)]
)
@torch.inference_mode()
def test_it_is_torchs_product(
    calls: list[tuple[int, ...]], states: tuple[int, ...], made: int, has_offset: bool, is_turned: bool
) -> None:
    left, rows = drawn(*states), drawn(states[-1], made).T if is_turned else drawn(made, states[-1])
    offset = drawn(made) if has_offset else None
    found = product(left, rows, offset)
    assert calls == [(*states, made)]
    assert found.shape == (*states[:-1], made)
    expected = nn.functional.linear(left.double(), rows.double(), None if offset is None else offset.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6 * states[-1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_left_to_torch(calls: list[tuple[int, ...]], dtype: torch.dtype) -> None:
    left, rows = drawn(700, 40).to(dtype), drawn(60, 40).to(dtype)
    assert torch.equal(product(left, rows), nn.functional.linear(left, rows))
    assert not calls


def test_so_are_products_too_small_to_repay_the_call(calls: list[tuple[int, ...]]) -> None:
    left, rows = drawn(8, 8), drawn(8, 8)
    assert torch.equal(product(left, rows), nn.functional.linear(left, rows))
    assert not calls


def test_few_counts_serve_all_lengths() -> None:
    found = [_rounded_up(count) for count in range(1, 8193)]
    assert all(count <= each <= count * 17 / 16 for count, each in enumerate(found, start=1))
    assert all(_rounded_up(each) == each for each in found)
    assert len(set(found)) < 200


def test_it_has_its_turn_on_amds_processors_with_wide_registers(amd: pytest.MonkeyPatch) -> None:
    assert _is_half_used()


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (products, "_vendor", lambda: "GenuineIntel"),
        (products, "_vendor", lambda: ""),
        (torch.backends.cpu, "get_cpu_capability", lambda: "AVX2"),
        (torch.backends.mkl, "is_available", lambda: False),
        (torch.backends.mkldnn, "is_available", lambda: False),
        (products, "_by_onednn", lambda states, rows, offset: 1.01 * nn.functional.linear(states, rows, offset)),
    ],
)
def test_it_stays_out_of_the_way_elsewhere(
    amd: pytest.MonkeyPatch, tiny: LoadedModel, where: object, name: str, value: object
) -> None:
    amd.setattr(where, name, value)
    assert not _is_half_used()
    assert products_of(tiny.network) == []


@pytest.mark.parametrize("error", [AttributeError, RuntimeError])
def test_an_operator_that_torch_no_longer_has_is_not_missed(amd: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def gone(*given: object) -> torch.Tensor:
        raise error("no such operator")

    amd.setattr(products, "_by_onednn", gone)
    assert not _is_half_used()


def test_who_made_the_processor_is_read_where_linux_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "cpuinfo"
    monkeypatch.setattr(products, "CPUINFO", told)
    assert products._vendor() == ""
    told.write_text("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\n")
    assert products._vendor() == "AuthenticAMD"
    told.write_text("Processor : ARMv7\n")
    assert products._vendor() == ""


@HAS_ONEDNN
def test_a_fast_trace_makes_its_products_so_and_an_exact_one_only_with_the_vocabulary(
    tiny: LoadedModel, short: Passage, calls: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "WORTH", 1)
    own = Tracer(tiny)
    assert {type(one) for one, _ in own._replaced} <= {NewGELUActivation}
    expected = own.trace(short, columns=["step_length", "next_logit"])
    assert not calls
    lengths = Tracer(tiny, fast=True).trace(short, columns=["step_length", "next_logit"])
    # Queries, keys and values; attention's output; two of the feed-forward part.
    assert len(calls) == 4 * tiny.spec.n_layer
    assert all("forward" not in vars(one) for one in tiny.network.modules())
    np.testing.assert_allclose(lengths.step_length, expected.step_length, rtol=1e-5)
    np.testing.assert_allclose(lengths.next_logit, expected.next_logit, rtol=1e-5, atol=1e-5)
    calls.clear()
    predicted = own.trace(short, columns=["entropy"])
    assert {made[-2] for made in calls} == {tiny.network.config.hidden_size}
    assert sum(made[-1] for made in calls) == tiny.network.config.vocab_size
    monkeypatch.setattr(products, "_is_half_used", lambda: False)
    np.testing.assert_allclose(predicted.entropy, own.trace(short, columns=["entropy"]).entropy, rtol=1e-5)


def test_a_network_of_another_precision_is_left_alone(tiny: LoadedModel, calls: list[tuple[int, ...]]) -> None:
    assert products_of(tiny.network)
    assert products_of(copy.deepcopy(tiny.network).double()) == []


def test_a_module_that_something_else_computes_already_is_left_to_that(
    tiny: LoadedModel, calls: list[tuple[int, ...]]
) -> None:
    every = {one for one, _ in products_of(tiny.network)}
    taken = next(iter(every))
    taken.forward = type(taken).forward.__get__(taken)
    try:
        assert {one for one, _ in products_of(tiny.network)} == every - {taken}
    finally:
        del taken.forward
