"""The catalog, tables that make columns when they are asked for, columns of one's own, and what a claim's code names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pathlen
from pathlen.claims.last_step_multiverse import LAST_STEP_AND_NEXT_TOKEN
from pathlen.columns.catalog import ALIGNMENT, CATALOG, CUSTOM_COLUMNS, column, columns_named, measures
from pathlen.columns.measurement import Measurement, Published, from_traces
from pathlen.columns.named import asked_for
from pathlen.columns.table import Table, Trace
from pathlen.errors import InvalidColumn, UnmeasuredColumn
from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.tracer import Tracer, measure_passages, trace

HOME = Path(pathlen.__file__).parent


@pytest.fixture(autouse=True)
def no_own_columns_stay() -> Iterator[None]:
    before = dict(CUSTOM_COLUMNS)
    yield
    CUSTOM_COLUMNS.clear()
    CUSTOM_COLUMNS.update(before)


# The catalog.


def test_every_column_has_the_axes_and_kind_that_the_catalog_says(tiny: LoadedModel, short: Passage) -> None:
    traced = trace(tiny, short)
    tokens, blocks, heads = len(traced.token_ids), 2, 2
    sizes = {"token": tokens, "next": tokens - 1, "step": blocks, "block": blocks, "state": blocks + 1, "head": heads}
    assert sorted(traced.made) == sorted(CATALOG)
    for name, one in CATALOG.items():
        values = getattr(traced, name)
        assert values.shape == tuple(sizes[axis] for axis in one.axes), name
        assert values.dtype == (np.int64 if one.is_whole else np.float64), name


@pytest.mark.parametrize("kind", [Trace, Measurement])
def test_the_docstrings_name_every_column(kind: type[Table]) -> None:
    missing = {name for name in CATALOG if name not in (kind.__doc__ or "")}
    assert missing <= ({"token_ids", "final_norm_displacement", "final_norm_length"} if kind is Measurement else set())


def test_a_column_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidColumn, match="there is no column 'step_lenght'; did you mean 'step_length'?"):
        column("step_lenght")
    with pytest.raises(InvalidColumn, match="there is no column 'zzz'$"):
        columns_named(["zzz"])
    assert columns_named("entropy") == {"entropy"}
    assert columns_named("all") == CATALOG.keys()


# Only what is asked for.


@pytest.mark.parametrize("name", sorted(CATALOG.keys() - set(ALIGNMENT)))
def test_a_column_alone_equals_the_same_among_all(tiny: LoadedModel, short: Passage, name: str) -> None:
    alone = trace(tiny, short, columns=[name])
    assert set(alone.made) == {name, *ALIGNMENT}
    assert np.array_equal(getattr(alone, name), getattr(trace(tiny, short), name))


def test_the_vocabulary_is_left_alone_unless_a_column_needs_it(
    tiny: LoadedModel, short: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlen.traces import vocabulary

    def forbidden(*arguments: object) -> None:
        raise AssertionError("a pass over the vocabulary")

    monkeypatch.setattr(vocabulary, "_over_vocabulary", forbidden)
    trace(tiny, short, columns=CATALOG.keys() - vocabulary.VOCABULARY)
    with pytest.raises(AssertionError, match="a pass over the vocabulary"):
        trace(tiny, short, columns=["entropy"])


def test_a_column_that_was_left_out_says_so(tiny: LoadedModel, short: Passage) -> None:
    measured = measure_passages(tiny, [short], columns=["step_length"])
    assert measured.last_step.shape == (len(measured),)
    with pytest.raises(UnmeasuredColumn, match=r"column 'entropy' was not measured: name it in columns=\[...\]"):
        _ = measured.entropy


def test_no_text_at_all_is_refused(tiny: LoadedModel) -> None:
    from pathlen.errors import InvalidText

    with pytest.raises(InvalidText, match="passages must hold at least one text, but none was given"):
        measure_passages(tiny, iter(()))


# Tables.


def test_a_table_makes_a_column_once() -> None:
    asked: list[str] = []

    def make(name: str) -> np.ndarray:
        asked.append(name)
        return np.arange(3.0)

    table = Measurement(make, passage=np.zeros(3, int))
    assert [*table.made] == ["passage"]
    assert table.entropy is table.entropy
    assert asked == ["entropy"]
    assert [*table.made] == ["passage", "entropy"]


def test_a_misspelt_column_names_the_nearest() -> None:
    table = Measurement(passage=np.zeros(3, int))
    with pytest.raises(AttributeError, match="a Measurement has no column 'last_stp'; did you mean 'last_step'?"):
        _ = table.last_stp
    with pytest.raises(AttributeError, match="a Published has no column 'entropy'"):
        _ = Published(passage=np.zeros(3, int)).entropy


def test_columns_are_not_assigned_to() -> None:
    table = Measurement(passage=np.zeros(3, int))
    with pytest.raises(AttributeError, match=r"columns can't be assigned to; use with_columns\(entropy=...\)"):
        table.entropy = np.zeros(3)


def test_a_column_made_later_is_checked_when_it_is_made() -> None:
    table = Measurement(lambda name: np.zeros(2), passage=np.zeros(3, int))
    with pytest.raises(ValueError, match="entropy must have 3 rows like passage, but has 2"):
        _ = table.entropy


def test_a_trace_with_other_columns_leaves_the_first_as_it_was(tiny: LoadedModel, short: Passage) -> None:
    first = trace(tiny, short, columns=["step_length", "next_logit"])
    other = first.with_columns(next_logit=-first.next_logit)
    assert np.array_equal(other.next_logit, -first.next_logit)
    assert np.array_equal(other.step_length, first.step_length)
    assert repr(first).startswith("Trace('short', ")


# What a claim's code names.


def helper(measured: Measurement) -> Any:
    return measured.entropy


def test_what_a_body_names_is_seen_through_properties_helpers_and_closures() -> None:
    def nested(measured: Measurement) -> Any:
        return [helper(measured), measured.last_step, [one.late_head_norm for one in (measured,)]]

    def published(as_published: Published) -> Any:
        return as_published.last_step

    assert asked_for(nested) == {"entropy", "step_length", "final_norm_step", "head_norm", "heads_norm"}
    assert asked_for(published) == {"step_length", "final_norm_step"}


def test_the_columns_that_the_universes_take_are_seen() -> None:
    found = asked_for(LAST_STEP_AND_NEXT_TOKEN.of)
    assert {"step_length", "next_logit", "next_log_probability", "next_rank", "entropy", "top_logit"} <= found
    assert not found & {"head_norm", "centroid_distance"}


# Columns of one's own.


def test_a_column_of_ones_own_streams_by(tiny: LoadedModel, short: Passage, long: Passage) -> None:
    @measures(at="step", unit="stream")
    def own_step(before: torch.Tensor, after: torch.Tensor) -> Any:
        """The step's length again."""
        return (after - before).double().norm(dim=-1)

    @measures(at="state", unit="1")
    def own_largest(state: torch.Tensor) -> Any:
        """The largest coordinate's share of the norm."""
        return state.abs().amax(dim=-1) / state.norm(dim=-1)

    @measures(at="end", unit="stream")
    def own_end(before_norm: torch.Tensor, after_norm: torch.Tensor) -> Any:
        """How long the state is after the final norm."""
        return after_norm.norm(dim=-1)

    for passage in (short, long):
        traced = trace(tiny, passage)
        np.testing.assert_allclose(traced.own_step, traced.step_length, rtol=1e-6)
        np.testing.assert_allclose(traced.own_end, traced.final_norm_length, rtol=1e-5)
        assert traced.own_largest.shape == traced.residual_norm.shape
        assert 0 < traced.own_largest.max() <= 1
    measured = measure_passages(tiny, [short], columns=["own_step"])
    assert measured.own_step.shape == (2, len(measured))
    assert column("own_step").meaning == "The step's length again."


def broken_shape(before: torch.Tensor, after: torch.Tensor) -> Any:
    """One number in all."""
    return (after - before).norm()


def broken_kind(before: torch.Tensor, after: torch.Tensor) -> Any:
    """A list."""
    return [0.0]


def broken_number(before: torch.Tensor, after: torch.Tensor) -> Any:
    """A logarithm of nothing."""
    return (before - before).sum(dim=-1).log()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (broken_shape, r"column 'broken_shape' must be one number for each token, .* but is a tensor of shape \(\)"),
        (broken_kind, r"column 'broken_kind' must be one number for each token, .* but is <class 'list'>"),
        (broken_number, r"column 'broken_number' must be finite, but holds \d+ values that are not"),
    ],
)
def test_a_column_of_ones_own_that_is_no_column_is_refused(
    tiny: LoadedModel, short: Passage, function: Callable[..., Any], message: str
) -> None:
    measures(at="step", unit="1")(function)
    with pytest.raises(InvalidColumn, match=message):
        trace(tiny, short, columns=[function.__name__])


def entropy(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Taken."""
    return after


def undocumented(state: torch.Tensor) -> torch.Tensor:
    return state


def one_state(state: torch.Tensor) -> torch.Tensor:
    """One."""
    return state


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (entropy, {"at": "step", "unit": "1"}, "column 'entropy' is measured already: name the function otherwise"),
        (one_state, {"at": "layer", "unit": "1"}, "at must be one of step, state, end, but 'layer' was given"),
        (one_state, {"at": "state", "unit": ""}, "column 'one_state' needs a unit, unit=\"1\" for a plain number"),
        (undocumented, {"at": "state", "unit": "1"}, "needs a docstring that says what it measures"),
        (
            one_state,
            {"at": "step", "unit": "1"},
            "a function at 'step' takes 2 states, but one_state takes 1 arguments",
        ),
        (
            lambda state: state,
            {"at": "state", "unit": "1"},
            "named like its function, but '<lambda>' is no name for one",
        ),
    ],
)
def test_a_column_that_is_declared_wrongly_is_refused(
    function: Callable[..., Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidColumn, match=message):
        measures(**options)(function)
    assert not CUSTOM_COLUMNS


def test_two_columns_of_one_name_are_refused() -> None:
    measures(at="state", unit="1")(one_state)
    measures(at="state", unit="1")(one_state)  # the same again, as when its file is imported twice

    def other(state: torch.Tensor) -> torch.Tensor:
        """Another."""
        return state

    other.__name__ = "one_state"
    with pytest.raises(InvalidColumn, match="column 'one_state' is declared twice, in .*test_catalog.py"):
        measures(at="state", unit="1")(other)


# Never stale.


def test_columns_on_a_golden_input_are_what_they_were(tiny: LoadedModel) -> None:
    """Numbers by hand: a network whose every weight is known, so that an engine that computes otherwise fails here.

    Blocks that add nothing (their projections are zero) leave the embedding as it is, so every step is 0 and every angle too,
    and the norm is the embedding's own.
    """
    network: Any = copy.deepcopy(tiny.network)
    for block in network.transformer.h:
        for module in (block.attn.c_proj, block.mlp.c_proj):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
    still = replace(tiny, network=network)
    text = Passage(name="golden", text="The sea rises and falls twice a day.", origin="test")
    traced = Tracer(still).trace(text)
    ids = torch.from_numpy(traced.token_ids)
    embedding = network.transformer.wte.weight[ids] + network.transformer.wpe.weight[: len(ids)]
    expected = embedding.double().norm(dim=-1).detach().numpy()
    np.testing.assert_allclose(traced.residual_norm, np.tile(expected, (3, 1)), rtol=1e-12)
    assert not traced.step_length.any()
    assert not traced.turning_angle.any()
    assert not traced.displacement.any()
    assert not traced.attention_norm.any()
    measured = from_traces([traced])
    assert len(measured) == len(ids) - 2
