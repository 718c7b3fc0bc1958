"""The catalog, what is written from it, and custom columns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from project import DOCS

from pathlen.columns.catalog import ALIGNMENT, CATALOG, CUSTOM_COLUMNS, column, columns_named, measures
from pathlen.columns.measurement import Measurement
from pathlen.columns.table import Table, Trace
from pathlen.errors import InvalidColumn
from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.traces.tracer import measure_passages, trace


@pytest.fixture(autouse=True)
def remove_custom_columns() -> Iterator[None]:
    before = dict(CUSTOM_COLUMNS)
    yield
    CUSTOM_COLUMNS.clear()
    CUSTOM_COLUMNS.update(before)


# The catalog.


def test_every_column_has_the_axes_and_type_that_the_catalog_says(tiny: LoadedModel, short: Passage) -> None:
    traced = trace(tiny, short)
    tokens, blocks, heads = len(traced.token_ids), 2, 2
    sizes = {"token": tokens, "next": tokens - 1, "step": blocks, "block": blocks, "state": blocks + 1, "head": heads}
    assert sorted(traced.made) == sorted(CATALOG)
    for name, description in CATALOG.items():
        values = getattr(traced, name)
        assert values.shape == tuple(sizes[axis] for axis in description.axes), name
        assert values.dtype == (np.int64 if description.is_integer else np.float64), name


@pytest.mark.parametrize(
    ("table", "left_out", "last_axis"),
    [
        (Trace, set(), {"token": "tokens", "next": "tokens - 1"}),
        (Measurement, {"token_ids"}, {"token": "rows", "next": "rows"}),
    ],
)
def test_docstrings_list_every_column_with_its_shape(
    table: type[Table], left_out: set[str], last_axis: dict[str, str]
) -> None:
    documentation = (table.__doc__ or "").split("Attributes\n----------\n")[1]
    lines = [line for line in documentation.splitlines() if not line.startswith(" ")]
    for name, description in CATALOG.items():
        sizes = [last_axis.get(axis, f"{axis}s") for axis in description.axes]
        shape = f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
        kind = "ndarray of int" if description.is_integer else "ndarray"
        assert (f"{name} : {kind}, shape {shape}" in lines) is (name not in left_out), name
        assert (description.meaning in " ".join(documentation.split())) is (name not in left_out), name


ADD_A_COLUMN = """
import json, sys
from pathlen.columns.catalog import CATALOG, Column
CATALOG["loop_count"] = Column(
    name="loop_count", axes=("step", "head", "next"), unit="loops", part="path", meaning="How often a token turns back."
)
from pathlen.columns.measurement import Measurement
from pathlen.columns.table import Trace
sys.path.insert(0, sys.argv[1])
import conf
print(json.dumps([Trace.__doc__, Measurement.__doc__, conf.columns()]))
"""


def test_a_column_added_to_the_catalog_is_in_the_docstrings_and_the_documentation() -> None:
    """In a new interpreter, because docstrings are written when the tables are imported."""
    output = subprocess.run(
        [sys.executable, "-c", ADD_A_COLUMN, str(DOCS)], capture_output=True, text=True, check=True
    ).stdout
    of_trace, of_measurement, of_documentation = json.loads(output)
    text = "    How often a token turns back. Unit: loops.\n"
    assert f"\nloop_count : ndarray, shape (steps, heads, tokens - 1)\n{text}" in of_trace
    assert f"\nloop_count : ndarray, shape (steps, heads, rows)\n{text}" in of_measurement
    assert "| `loop_count` | step, head, next | loops | path | How often a token turns back. |\n" in of_documentation


def test_an_unknown_column_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidColumn, match="there is no column 'step_lenght'; did you mean 'step_length'?"):
        column("step_lenght")
    with pytest.raises(InvalidColumn, match="there is no column 'zzz'$"):
        columns_named(["zzz"])
    assert columns_named("entropy") == {"entropy"}
    assert columns_named("all") == CATALOG.keys()


def test_alignment_is_a_part_of_its_own() -> None:
    assert {name for name, description in CATALOG.items() if description.part == "alignment"} == set(ALIGNMENT)


# Custom columns.


def test_custom_columns_are_measured_during_the_pass(tiny: LoadedModel, short: Passage, long: Passage) -> None:
    @measures(at="step", unit="stream")
    def step_again(before: torch.Tensor, after: torch.Tensor) -> Any:
        """The step's length again."""
        return (after - before).double().norm(dim=-1)

    @measures(at="state", unit="1")
    def largest_share(state: torch.Tensor) -> Any:
        """The largest coordinate's share of the norm."""
        return state.abs().amax(dim=-1) / state.norm(dim=-1)

    @measures(at="end", unit="stream")
    def end_norm(before_norm: torch.Tensor, after_norm: torch.Tensor) -> Any:
        """How long the state is after the final norm."""
        return after_norm.norm(dim=-1)

    for passage in (short, long):
        traced = trace(tiny, passage)
        np.testing.assert_allclose(traced.step_again, traced.step_length, rtol=1e-6)
        np.testing.assert_allclose(traced.end_norm, traced.final_norm_length, rtol=1e-5)
        assert traced.largest_share.shape == traced.residual_norm.shape
        assert 0 < traced.largest_share.max() <= 1
    measured = measure_passages(tiny, [short], columns=["step_again"])
    assert measured.step_again.shape == (2, len(measured))
    assert column("step_again").meaning == "The step's length again."


def broken_shape(before: torch.Tensor, after: torch.Tensor) -> Any:
    """One number for all tokens."""
    return (after - before).norm()


def broken_type(before: torch.Tensor, after: torch.Tensor) -> Any:
    """A list."""
    return [0.0]


def broken_number(before: torch.Tensor, after: torch.Tensor) -> Any:
    """A logarithm of zero."""
    return (before - before).sum(dim=-1).log()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (broken_shape, r"column 'broken_shape' must be one number for each token, .* but is a tensor of shape \(\)"),
        (broken_type, r"column 'broken_type' must be one number for each token, .* but is <class 'list'>"),
        (broken_number, r"column 'broken_number' must be finite, but holds \d+ values that are not"),
    ],
)
def test_a_custom_column_that_returns_no_column_is_refused(
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


def identity(state: torch.Tensor) -> torch.Tensor:
    """The state."""
    return state


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (entropy, {"at": "step", "unit": "1"}, "column 'entropy' is measured already: name the function otherwise"),
        (identity, {"at": "layer", "unit": "1"}, "at must be one of step, state, end, but 'layer' was given"),
        (identity, {"at": "state", "unit": ""}, "column 'identity' needs a unit, unit=\"1\" for a plain number"),
        (undocumented, {"at": "state", "unit": "1"}, "needs a docstring that says what it measures"),
        (identity, {"at": "step", "unit": "1"}, "a function at 'step' takes 2 states, but identity takes 1 arguments"),
        (
            lambda state: state,
            {"at": "state", "unit": "1"},
            "named like its function, but '<lambda>' is no name for one",
        ),
    ],
)
def test_an_invalid_declaration_of_a_custom_column_is_refused(
    function: Callable[..., Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidColumn, match=message):
        measures(**options)(function)
    assert not CUSTOM_COLUMNS


def test_two_custom_columns_of_the_same_name_are_refused() -> None:
    measures(at="state", unit="1")(identity)
    measures(at="state", unit="1")(identity)  # the same function again, as when its file is imported twice

    def other(state: torch.Tensor) -> torch.Tensor:
        """Another."""
        return state

    other.__name__ = "identity"
    with pytest.raises(InvalidColumn, match="column 'identity' is declared twice, in .*test_catalog.py"):
        measures(at="state", unit="1")(other)
