"""Tiny networks to run on, and a list of the passes through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# torch is imported inside fixtures: pytest reads this file even for `pytest --help`.
if TYPE_CHECKING:
    from pathlen.columns.table import Trace
    from pathlen.models.families import ModelSpec
    from pathlen.passages.passage import Passage
    from pathlen.traces.tracer import Tracer


@pytest.fixture
def spec(new_checkpoint: Callable[..., Path]) -> ModelSpec:
    """A tiny network."""
    from pathlen.models.checkpoint import from_directory

    return from_directory(new_checkpoint())


@pytest.fixture
def specs(new_checkpoint: Callable[..., Path]) -> dict[str, ModelSpec]:
    """A family of two tiny networks."""
    from pathlen.models.checkpoint import from_directory

    sizes = enumerate(("small", "medium"))
    return {size: replace(from_directory(new_checkpoint(size, seed)), size=size) for seed, size in sizes}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The columns of each pass through a network so far, without those of the alignment."""
    from pathlen.columns.catalog import ALIGNMENT
    from pathlen.traces.tracer import Tracer

    columns_of_passes: list[set[str]] = []
    traces = Tracer.traces

    def counted(
        self: Tracer, passages: Iterable[Passage], *, columns: Iterable[str] = ("all",), shuffle: int | None = None
    ) -> Iterator[Trace]:
        columns = frozenset(columns)
        columns_of_passes.append({*columns} - {*ALIGNMENT})
        return traces(self, passages, columns=columns, shuffle=shuffle)

    monkeypatch.setattr(Tracer, "traces", counted)
    return columns_of_passes
