"""The record of each model that a run measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sample_run import TEXTS

from pathlen._util.cache import Cache
from pathlen.models.checkpoint import identify
from pathlen.models.families import ModelSpec
from pathlen.records.schema import ModelRecord
from pathlen.runner.model_records import POINTS, ModelRecorder
from pathlen.runner.provider import ColumnProvider


def recorded(spec: ModelSpec, *, seed: int = 0, cache: Cache | None = None) -> ModelRecord:
    recorder = ModelRecorder(TEXTS, seed=seed)
    provider = ColumnProvider(TEXTS, cache=cache, recorder=recorder)
    for _ in range(2):
        provider.columns(spec)
    (record,) = recorder.records
    return record


def test_models_are_recorded_in_the_order_they_are_measured(specs: dict[str, ModelSpec]) -> None:
    recorder = ModelRecorder(TEXTS, seed=0)
    provider = ColumnProvider(TEXTS, recorder=recorder)
    assert not recorder.records
    for size in ("medium", "small"):
        provider.columns(specs[size])
    assert [record.size for record in recorder.records] == ["medium", "small"]
    assert [record.weights_sha256 for record in recorder.records] == [
        identify(specs[size]).weights_sha256 for size in ("medium", "small")
    ]


def test_a_record_counts_what_was_measured(spec: ModelSpec) -> None:
    provider = ColumnProvider(TEXTS)
    columns = provider.columns(spec)
    record = recorded(spec)
    assert record.rows == len(columns.measured.passage)
    assert record.tokens == sum(len(trace.token_ids) for trace in columns.traces)
    assert len(record.spurious_points) == len(TEXTS)  # the last token of each text
    assert len(record.points) == len(record.published_points) == POINTS
    assert len(record.excerpts) == len(TEXTS)
    assert (record.device, record.dtype) == ("cpu", "float32")


def test_a_record_of_kept_columns_is_the_same_and_says_so(spec: ModelSpec, empty_cache: Path) -> None:
    cache = Cache(empty_cache)
    first, second = (recorded(spec, cache=cache) for _ in range(2))
    assert (first.is_kept, second.is_kept) == (False, True)
    assert replace(second, is_kept=False, seconds=first.seconds) == first


def test_the_seed_decides_which_points_are_shown(spec: ModelSpec) -> None:
    first, second, other = (recorded(spec, seed=seed) for seed in (0, 0, 1))
    assert first.points == second.points
    assert first.published_points == second.published_points
    assert first.points != other.points
    assert replace(other, points=first.points, published_points=first.published_points, seconds=first.seconds) == first
