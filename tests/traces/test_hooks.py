"""What hooks leave behind: nothing on the network, and few arrays in memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pathlen.models.checkpoint import from_directory
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.traces import hooks
from pathlen.traces.geometry import length
from pathlen.traces.tracer import Tracer, trace


def base_of(model: LoadedModel) -> Any:
    return model.network.base_model


def living(references: Sequence[weakref.ref[torch.Tensor]]) -> int:
    return sum(reference() is not None for reference in references)


def test_no_hook_stays_on_the_network(tiny: LoadedModel, short: Passage) -> None:
    def counts() -> list[int]:
        return [len(module._forward_hooks) for module in tiny.network.modules()]

    before = counts()
    trace(tiny, short)
    assert counts() == before


@pytest.mark.timing
def test_no_small_array_outlives_the_large_ones_of_a_pass(
    tiny: LoadedModel, long: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column's values at one block are written into the column's array at once: see `Collector.store`."""
    lengths: list[weakref.ref[torch.Tensor]] = []

    def noted(states: torch.Tensor) -> torch.Tensor:
        norms = length(states)
        lengths.append(weakref.ref(norms))
        return norms

    monkeypatch.setattr(hooks, "length", noted)
    alive: list[int] = []
    base = base_of(tiny)
    handle = base.ln_f.register_forward_pre_hook(lambda *_: alive.append(living(lengths)))
    try:
        Tracer(tiny).trace(long, columns=["residual_norm", "head_norm", "attention_norm", "mlp_norm"])
    finally:
        handle.remove()
    assert len(lengths) > 4 * len(base.h)
    assert max(alive) == 0


def test_at_most_a_few_states_are_alive_at_once(new_checkpoint: Callable[..., Path], long: Passage) -> None:
    """However many blocks there are."""
    model = load(from_directory(new_checkpoint("deep", n_layer=12)))
    states: list[weakref.ref[torch.Tensor]] = []
    counts: list[int] = []

    def note(module: object, inputs: object, output: Any) -> None:
        gc.collect()
        states.append(weakref.ref(output if isinstance(output, torch.Tensor) else output[0]))
        counts.append(living(states))

    for block in base_of(model).h:
        block.register_forward_hook(note)
    tracer = Tracer(model)
    tracer.trace(long)  # also finds the network's parts, on a few tokens
    states.clear()
    counts.clear()
    tracer.trace(long)
    assert 1 <= max(counts) <= 4
