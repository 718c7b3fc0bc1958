"""Passes through networks in this process: which networks are in memory, and for how long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sample_run import SHORT_TEXTS

from pathlen.columns.catalog import ALIGNMENT
from pathlen.models.families import ModelSpec
from pathlen.runner.forward import ForwardPass, ForwardRunner


@pytest.mark.parametrize(
    ("seeds", "is_control"), [((None, None), False), ((0, None), True), ((None, 0), True), ((0, 0), True)]
)
def test_a_pass_is_a_controls_if_the_network_or_the_order_is_another(
    spec: ModelSpec, seeds: tuple[int | None, int | None], is_control: bool
) -> None:
    assert ForwardPass(spec, *seeds, frozenset(ALIGNMENT)).is_control == is_control


def test_a_small_network_stays_in_memory_beside_its_untrained_counterpart(spec: ModelSpec) -> None:
    runner = ForwardRunner(SHORT_TEXTS, device="cpu", dtype="float32")
    trained = runner.model(spec)
    first = runner.model(spec, 0)
    assert runner.loaded == (trained, first)
    second = runner.model(spec, 1)
    assert runner.loaded == (trained, second)
    assert runner.model(spec) is trained


def test_a_large_network_is_released_before_the_next_is_loaded(spec: ModelSpec, tmp_path: Path) -> None:
    """In a process of its own, because only the first load leaves something behind that keeps the network in memory."""
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import gc, weakref
from pathlen.models.checkpoint import from_name
from pathlen.models import families
from pathlen.models.loading import load
from pathlen.runner import forward
gc.disable()
families.LARGE_NETWORK = 0
networks = []
def loader(spec, **options):
    assert all(network() is None for network in networks), "two at once"
    model = load(spec, **options)
    networks.append(weakref.ref(model.network))
    return model
runner = forward.ForwardRunner((), device="cpu", dtype="float32", loader=loader)
for seed in (None, 0, None, 1):
    runner.model(from_name({spec.source!r}), seed)
print(len(networks))
"""
    )
    process = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True)
    assert not process.returncode, process.stderr
    assert process.stdout.split() == ["4"]
