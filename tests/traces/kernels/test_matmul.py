"""Matrix products by oneDNN against torch's, and when torch's are used instead."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.kernels import matmul
from pathlen.traces.kernels.matmul import cpu_vendor, matmul_replacements, onednn_linear, padded_count, product
from pathlen.traces.tracer import Tracer

HAS_ONEDNN = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and matmul._is_right()), reason="torch was built without oneDNN"
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Make this CPU one that uses oneDNN; return the shapes of its calls, states' with the number of outputs."""
    shapes: list[tuple[int, ...]] = []

    def counted(states: torch.Tensor, rows: torch.Tensor, offset: torch.Tensor | None) -> torch.Tensor:
        shapes.append((*states.shape, len(rows)))
        return onednn_linear(states, rows, offset)

    monkeypatch.setattr(matmul, "_is_half_used", lambda: True)
    monkeypatch.setattr(matmul, "onednn_linear", counted)
    return shapes


@pytest.fixture
def amd(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A CPU that uses oneDNN, of which a test changes one property."""
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(matmul, "cpu_vendor", lambda: "AuthenticAMD")
    monkeypatch.setattr(matmul, "onednn_linear", nn.functional.linear)
    matmul._is_half_used.cache_clear()
    yield monkeypatch
    matmul._is_half_used.cache_clear()


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


@HAS_ONEDNN
@pytest.mark.parametrize("is_transposed", [False, True])
@pytest.mark.parametrize("has_offset", [False, True])
@pytest.mark.parametrize(
    ("states", "outputs"), [((700, 40), 60), ((1, 340, 96), 33), ((3, 120, 70), 70), ((5, 3072), 768)]
)
@torch.inference_mode()
def test_it_equals_torchs_product(
    calls: list[tuple[int, ...]], states: tuple[int, ...], outputs: int, has_offset: bool, is_transposed: bool
) -> None:
    left = drawn(*states)
    rows = drawn(states[-1], outputs).T if is_transposed else drawn(outputs, states[-1])
    offset = drawn(outputs) if has_offset else None
    computed = product(left, rows, offset)
    assert calls == [(*states, outputs)]
    assert computed.shape == (*states[:-1], outputs)
    expected = nn.functional.linear(left.double(), rows.double(), None if offset is None else offset.double())
    torch.testing.assert_close(computed.double(), expected, rtol=1e-5, atol=1e-6 * states[-1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_left_to_torch(calls: list[tuple[int, ...]], dtype: torch.dtype) -> None:
    left, rows = drawn(700, 40).to(dtype), drawn(60, 40).to(dtype)
    assert torch.equal(product(left, rows), nn.functional.linear(left, rows))
    assert not calls


def test_small_products_are_left_to_torch(calls: list[tuple[int, ...]]) -> None:
    left, rows = drawn(8, 8), drawn(8, 8)
    assert torch.equal(product(left, rows), nn.functional.linear(left, rows))
    assert not calls


def test_few_padded_counts_serve_all_lengths() -> None:
    padded = [padded_count(count) for count in range(1, 8193)]
    assert all(count <= larger <= count * 17 / 16 for count, larger in enumerate(padded, start=1))
    assert all(padded_count(count) == count for count in padded)
    assert len(set(padded)) < 200


def test_onednn_is_used_on_amd_cpus_with_avx512(amd: pytest.MonkeyPatch, tiny: LoadedModel) -> None:
    assert matmul_replacements(tiny.network)


@pytest.mark.parametrize(
    ("owner", "name", "replacement"),
    [
        (matmul, "cpu_vendor", lambda: "GenuineIntel"),
        (matmul, "cpu_vendor", lambda: ""),
        (torch.backends.cpu, "get_cpu_capability", lambda: "AVX2"),
        (torch.backends.mkl, "is_available", lambda: False),
        (torch.backends.mkldnn, "is_available", lambda: False),
        (matmul, "onednn_linear", lambda states, rows, offset: 1.01 * nn.functional.linear(states, rows, offset)),
    ],
)
def test_torchs_products_are_used_on_other_cpus(
    amd: pytest.MonkeyPatch, tiny: LoadedModel, owner: object, name: str, replacement: object
) -> None:
    amd.setattr(owner, name, replacement)
    assert matmul_replacements(tiny.network) == []


@pytest.mark.parametrize("error", [AttributeError, RuntimeError])
def test_torchs_products_are_used_if_onednns_operator_is_gone(
    amd: pytest.MonkeyPatch, tiny: LoadedModel, error: type[Exception]
) -> None:
    def gone(*arguments: object) -> torch.Tensor:
        raise error("no such operator")

    amd.setattr(matmul, "onednn_linear", gone)
    assert matmul_replacements(tiny.network) == []


def test_the_cpus_vendor_is_read_from_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(matmul, "CPUINFO", cpuinfo)
    assert cpu_vendor() == ""
    cpuinfo.write_text("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\n")
    assert cpu_vendor() == "AuthenticAMD"
    cpuinfo.write_text("Processor : ARMv7\n")
    assert cpu_vendor() == ""


@HAS_ONEDNN
def test_a_fast_trace_uses_onednn_throughout_and_an_exact_one_only_over_the_vocabulary(
    tiny: LoadedModel, short: Passage, calls: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matmul, "WORTH", 1)
    exact = Tracer(tiny)
    expected = exact.trace(short, columns=["step_length", "next_logit"])
    assert not calls
    lengths = Tracer(tiny, fast=True).trace(short, columns=["step_length", "next_logit"])
    # Queries, keys and values in one; attention's output; two of the feed-forward part.
    assert len(calls) == 4 * tiny.spec.n_layer
    assert all("forward" not in vars(module) for module in tiny.network.modules())
    np.testing.assert_allclose(lengths.step_length, expected.step_length, rtol=1e-5)
    np.testing.assert_allclose(lengths.next_logit, expected.next_logit, rtol=1e-5, atol=1e-5)
    calls.clear()
    predicted = exact.trace(short, columns=["entropy"])
    assert {shape[-2] for shape in calls} == {tiny.network.config.hidden_size}
    assert sum(shape[-1] for shape in calls) == tiny.network.config.vocab_size
    monkeypatch.setattr(matmul, "_is_half_used", lambda: False)
    np.testing.assert_allclose(predicted.entropy, exact.trace(short, columns=["entropy"]).entropy, rtol=1e-5)


def test_a_network_of_another_precision_is_left_alone(tiny: LoadedModel, calls: list[tuple[int, ...]]) -> None:
    assert matmul_replacements(tiny.network)
    assert matmul_replacements(copy.deepcopy(tiny.network).double()) == []


def test_a_module_whose_forward_is_replaced_already_is_left_alone(
    tiny: LoadedModel, calls: list[tuple[int, ...]]
) -> None:
    before = {module for module, _ in matmul_replacements(tiny.network)}
    wrapped = next(iter(before))
    wrapped.forward = type(wrapped).forward.__get__(wrapped)
    try:
        assert {module for module, _ in matmul_replacements(tiny.network)} == before - {wrapped}
    finally:
        del wrapped.forward
