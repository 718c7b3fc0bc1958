"""Tables make columns when they are first read."""

from __future__ import annotations

import numpy as np
import pytest

from pathlen.columns.measurement import Measurement, Published
from pathlen.columns.table import Trace
from pathlen.errors import UnmeasuredColumn


def test_a_column_is_made_once() -> None:
    asked: list[str] = []

    def make(name: str) -> np.ndarray:
        asked.append(name)
        return np.arange(3.0)

    table = Measurement(make, passage=np.zeros(3, int))
    assert [*table.made] == ["passage"]
    assert table.entropy is table.entropy
    assert asked == ["entropy"]
    assert [*table.made] == ["passage", "entropy"]


def test_a_column_that_was_not_measured_says_so() -> None:
    trace = Trace(passage="tides", step_length=np.zeros((2, 3)), token_ids=np.zeros(3, int))
    with pytest.raises(UnmeasuredColumn, match=r"column 'entropy' was not measured: .* step_length, token_ids\)"):
        _ = trace.entropy


def test_a_misspelt_column_names_the_nearest() -> None:
    table = Measurement(passage=np.zeros(3, int))
    with pytest.raises(AttributeError, match="a Measurement has no column 'last_stp'; did you mean 'last_step'?"):
        _ = table.last_stp
    with pytest.raises(AttributeError, match="a Published has no column 'entropy'"):
        _ = Published(passage=np.zeros(3, int)).entropy


def test_columns_can_not_be_assigned_to() -> None:
    table = Measurement(passage=np.zeros(3, int))
    with pytest.raises(AttributeError, match=r"columns can't be assigned to; use with_columns\(entropy=...\)"):
        table.entropy = np.zeros(3)


def test_a_column_is_checked_when_it_is_made() -> None:
    table = Measurement(lambda name: np.zeros(2), passage=np.zeros(3, int))
    with pytest.raises(ValueError, match="entropy must have 3 rows like passage, but has 2"):
        _ = table.entropy


def test_replacing_columns_leaves_the_original_trace_alone() -> None:
    logits = np.arange(3.0)
    original = Trace(passage="tides", next_logit=logits, step_length=np.ones((2, 4)), token_ids=np.zeros(4, int))
    changed = original.with_columns(next_logit=-original.next_logit)
    assert np.array_equal(changed.next_logit, -logits)
    assert np.array_equal(original.next_logit, logits)
    assert changed.step_length is original.step_length
    assert repr(original) == "Trace('tides', 4 tokens, next_logit, step_length, token_ids)"
