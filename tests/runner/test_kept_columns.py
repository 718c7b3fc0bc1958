"""What a run takes from an earlier one: column by column, while nothing that a column depends on has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_run import SHORT_TEXTS, TEXTS, recording_provider

from pathlen._util.cache import Cache
from pathlen._util.fingerprint import forget_sources
from pathlen.columns.catalog import ALIGNMENT, CATALOG, CUSTOM_COLUMNS, measures
from pathlen.models.checkpoint import from_directory
from pathlen.models.families import ModelSpec
from pathlen.runner.model_records import RECORDED


def test_a_second_run_takes_kept_columns_and_measures_the_rest(
    spec: ModelSpec, passes: list[set[str]], empty_cache: Path
) -> None:
    first = recording_provider(SHORT_TEXTS, Cache(empty_cache))
    first.expect(["displacement"])
    first.columns(spec)
    passes.clear()
    second = recording_provider(SHORT_TEXTS, Cache(empty_cache))
    second.expect(["displacement"])
    assert second.columns(spec).measured.displacement.size
    assert not passes
    assert second.earlier == [spec.size]
    third = recording_provider(SHORT_TEXTS, Cache(empty_cache))
    third.expect(["displacement", "heads_norm"])
    third.columns(spec)
    assert passes == [{"heads_norm"}]
    assert third.earlier == []  # something was run through the network


def test_a_damaged_column_is_measured_again_and_the_others_are_not(
    spec: ModelSpec, passes: list[set[str]], empty_cache: Path
) -> None:
    cache = Cache(empty_cache)
    expected = recording_provider(SHORT_TEXTS, cache).columns(spec).measured.step_length
    files = sorted(empty_cache.glob("*/*.safetensors"))
    for path in files:
        passes.clear()
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        again = recording_provider(SHORT_TEXTS, cache).columns(spec)
        assert len(passes) == 1
        assert len(passes[0]) <= 1  # none for a column of the alignment
        assert np.array_equal(again.measured.step_length, expected)
    assert len(files) == len(RECORDED) + len(ALIGNMENT)


def test_what_was_measured_is_kept_for_the_next_run(specs: dict[str, ModelSpec], empty_cache: Path) -> None:
    cache = Cache(empty_cache)
    spec = specs["small"]
    first_run, second_run = (recording_provider(TEXTS, cache) for _ in range(2))
    first, second = first_run.columns(spec), second_run.columns(spec)
    assert (first_run.earlier, second_run.earlier) == ([], ["small"])
    assert second_run.loaded == ()
    for name in ("token", "token_id", *CATALOG.keys() - {"token_ids"}):
        assert np.array_equal(getattr(first.measured, name), getattr(second.measured, name)), name
    assert np.array_equal(first.relative_error, second.relative_error)
    third = recording_provider(TEXTS, cache).columns(spec)
    assert np.array_equal(third.relative_error, first.relative_error)


@pytest.mark.parametrize("changed", ["weights", "texts", "type", "damage"])
def test_what_was_measured_is_measured_again_when_anything_changed(
    specs: dict[str, ModelSpec], empty_cache: Path, new_checkpoint: Callable[..., Path], changed: str
) -> None:
    cache = Cache(empty_cache)
    recording_provider(TEXTS, cache).columns(specs["small"])
    spec, texts, dtype = specs["small"], TEXTS, "float32"
    if changed == "weights":
        spec = replace(from_directory(new_checkpoint("other", 7)), size="small")
    elif changed == "texts":
        texts = TEXTS[1:]
    elif changed == "type":
        dtype = "float64"
    else:
        for path in empty_cache.glob("*/*.safetensors"):
            path.write_bytes(path.read_bytes()[:-8])
    provider = recording_provider(texts, cache, dtype)
    assert len(provider.columns(spec).traces) == len(texts)
    assert provider.earlier == []


@pytest.fixture
def module_path(tmp_path: Path) -> Iterator[Path]:
    """Where a test may write a module with a custom column."""
    path = tmp_path / "module" / "mine.py"
    path.parent.mkdir()
    yield path
    CUSTOM_COLUMNS.clear()


def declare_column(path: Path, factor: float) -> None:
    source = f'def tallest(state):\n    "The tallest coordinate."\n    return {factor} * state.amax(dim=-1)\n'
    path.write_text(source, encoding="utf-8")
    forget_sources()
    scope: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), scope)  # noqa: S102  # our own source, written above
    CUSTOM_COLUMNS.clear()
    measures(at="state", unit="stream")(scope["tallest"])


def test_a_custom_column_is_kept_until_its_source_changes(
    spec: ModelSpec, passes: list[set[str]], empty_cache: Path, module_path: Path
) -> None:
    columns, new_passes = [], []
    for factor in (1.0, 1.0, 2.0):
        declare_column(module_path, factor)
        passes.clear()
        provider = recording_provider(SHORT_TEXTS, Cache(empty_cache))
        provider.expect(["tallest"])
        columns.append(provider.columns(spec).measured.tallest)
        new_passes.append([*passes])
    first, unchanged, doubled = columns
    assert np.array_equal(first, unchanged)
    assert new_passes[1:] == [[], [{"tallest"}]]
    np.testing.assert_allclose(doubled, 2 * first)
