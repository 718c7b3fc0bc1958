"""What a run measures, and what it takes from an earlier one: column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pathlen._util.cache import Cache
from pathlen._util.fingerprint import forget_sources
from pathlen.claims.controls import PLANTED, SHIFTED, SHUFFLED, UNTRAINED, Perturbation
from pathlen.columns.catalog import ALIGNMENT, CATALOG, CUSTOM_COLUMNS, measures
from pathlen.columns.table import Trace
from pathlen.models.checkpoint import from_directory
from pathlen.models.families import ModelSpec
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import shipped
from pathlen.runner.model_records import RECORDED
from pathlen.runner.provider import ColumnProvider
from pathlen.traces.tracer import Tracer

TEXTS = tuple(
    Passage(name=name, text=shipped(name).text[:300], origin="test") for name in ("tides", "nietzsche", "bees")
)


@pytest.fixture
def spec(new_checkpoint: Callable[..., Path]) -> ModelSpec:
    return from_directory(new_checkpoint())


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The columns of each pass through a network, alignment left out."""
    found: list[set[str]] = []
    real = Tracer.traces

    def counted(
        self: Tracer, passages: Iterable[Passage], *, columns: Iterable[str] = ("all",), shuffle: int | None = None
    ) -> Iterator[Trace]:
        columns = frozenset(columns)
        found.append({*columns} - {*ALIGNMENT})
        return real(self, passages, columns=columns, shuffle=shuffle)

    monkeypatch.setattr(Tracer, "traces", counted)
    return found


def test_what_is_expected_is_measured_in_one_pass_and_nothing_else(spec: ModelSpec, passes: list[set[str]]) -> None:
    bench = ColumnProvider(TEXTS)
    bench.expect(["entropy"])
    columns = bench.columns(spec)
    assert passes == [RECORDED | {"entropy"}]
    assert columns.measured.entropy.size
    assert columns.measured.last_step.size
    assert len(passes) == 1
    assert columns.measured.centroid_distance.size  # nobody foresaw it
    assert passes[1:] == [{"centroid_distance"}]


def test_a_column_that_nobody_foresaw_is_the_one_that_would_have_been_measured(spec: ModelSpec) -> None:
    late, early = ColumnProvider(TEXTS), ColumnProvider(TEXTS)
    early.expect(CATALOG)
    for name in sorted(CATALOG.keys() - {"token_ids"}):
        one, other = (getattr(bench.columns(spec).measured, name) for bench in (late, early))
        assert np.array_equal(one, other), name


@pytest.mark.parametrize("control", [UNTRAINED, SHUFFLED])
def test_a_control_measures_what_its_claims_name(spec: ModelSpec, passes: list[set[str]], control: Any) -> None:
    columns = ColumnProvider(TEXTS).control(spec, Perturbation(control, 0), ["step_length"])
    assert passes == [{"step_length"}]
    assert columns.measured.total_length.size
    assert len(passes) == 1


@pytest.mark.parametrize("control", [SHIFTED, PLANTED])
def test_moved_predictions_take_no_pass_of_their_own(spec: ModelSpec, passes: list[set[str]], control: Any) -> None:
    bench = ColumnProvider(TEXTS)
    bench.columns(spec)
    columns = bench.control(spec, Perturbation(control, 0), ["step_length", "next_logit"])
    assert columns.measured.next_logit.size
    assert len(passes) == 1  # of the real columns
    assert not np.array_equal(columns.measured.next_logit, bench.columns(spec).measured.next_logit)


def test_a_second_run_takes_what_was_kept_and_measures_the_rest(
    spec: ModelSpec, passes: list[set[str]], empty_cache: Path
) -> None:
    first = ColumnProvider(TEXTS, cache=Cache(empty_cache))
    first.expect(["displacement"])
    first.columns(spec)
    passes.clear()
    second = ColumnProvider(TEXTS, cache=Cache(empty_cache))
    second.expect(["displacement"])
    assert second.columns(spec).measured.displacement.size
    assert not passes
    assert second.earlier == [spec.size]
    third = ColumnProvider(TEXTS, cache=Cache(empty_cache))
    third.expect(["displacement", "heads_norm"])
    third.columns(spec)
    assert passes == [{"heads_norm"}]
    assert third.earlier == []  # something was run through the network


def test_a_damaged_column_is_measured_again_and_the_others_are_not(
    spec: ModelSpec, passes: list[set[str]], empty_cache: Path
) -> None:
    kept = Cache(empty_cache)
    expected = ColumnProvider(TEXTS, cache=kept).columns(spec).measured.step_length
    files = sorted(empty_cache.glob("*/*.safetensors"))
    for path in files:
        passes.clear()
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        again = ColumnProvider(TEXTS, cache=kept).columns(spec)
        assert len(passes) == 1
        assert len(passes[0]) <= 1  # the alignment's own columns leave none
        assert np.array_equal(again.measured.step_length, expected)
    assert len(files) == len(RECORDED) + len(ALIGNMENT)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A module with a column of its own."""
    path = tmp_path / "own" / "mine.py"
    path.parent.mkdir()
    yield path
    CUSTOM_COLUMNS.clear()


def declare(path: Path, factor: float) -> None:
    source = f'def tallest(state):\n    "The tallest coordinate."\n    return {factor} * state.amax(dim=-1)\n'
    path.write_text(source, encoding="utf-8")
    forget_sources()
    scope: dict[str, Any] = {}
    exec(compile(source, str(path), "exec"), scope)  # noqa: S102  # our own source, written above
    CUSTOM_COLUMNS.clear()
    measures(at="state", unit="stream")(scope["tallest"])


def test_a_column_of_ones_own_is_kept_until_its_source_changes(
    spec: ModelSpec, passes: list[set[str]], empty_cache: Path, own: Path
) -> None:
    found = []
    for factor in (1.0, 1.0, 2.0):
        declare(own, factor)
        passes.clear()
        bench = ColumnProvider(TEXTS, cache=Cache(empty_cache))
        bench.expect(["tallest"])
        found.append((bench.columns(spec).measured.tallest, [*passes]))
    (first, _), (second, again), (third, changed) = found
    assert np.array_equal(first, second)
    assert again == []
    assert changed == [{"tallest"}]
    np.testing.assert_allclose(third, 2 * first)


def test_numbers_do_not_depend_on_what_is_measured_beside_them(spec: ModelSpec) -> None:
    torch.manual_seed(3)  # whatever the state of the world's generators is
    columns = [ColumnProvider(TEXTS).columns(spec) for _ in range(2)]
    assert np.array_equal(columns[0].measured.step_length, columns[1].measured.step_length)
