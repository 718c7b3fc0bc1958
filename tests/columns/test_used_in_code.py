"""Which columns a claim's code names."""

from __future__ import annotations

from typing import Any

from pathlen.claims.last_step_multiverse import LAST_STEP_AND_NEXT_TOKEN
from pathlen.columns.measurement import Measurement, Published
from pathlen.columns.used_in_code import asked_for


def helper(measured: Measurement) -> Any:
    return measured.entropy


def test_columns_are_seen_through_properties_helpers_and_closures() -> None:
    def nested(measured: Measurement) -> Any:
        return [helper(measured), measured.last_step, [table.late_head_norm for table in (measured,)]]

    def published(as_published: Published) -> Any:
        return as_published.last_step

    assert asked_for(nested) == {"entropy", "step_length", "final_norm_step", "head_norm", "heads_norm"}
    assert asked_for(published) == {"step_length", "final_norm_step"}


def test_columns_are_seen_through_wrappers_and_bound_methods() -> None:
    from functools import wraps

    @wraps(helper)
    def wrapper(measured: Measurement) -> Any:
        return helper(measured)

    class Holder:
        def body(self, measured: Measurement) -> Any:
            return measured.top_logit

    assert asked_for(wrapper) == {"entropy"}
    assert asked_for(Holder().body) == {"top_logit"}


def test_the_columns_that_the_universes_take_are_seen() -> None:
    columns = asked_for(LAST_STEP_AND_NEXT_TOKEN.of)
    assert {"step_length", "next_logit", "next_log_probability", "next_rank", "entropy", "top_logit"} <= columns
    assert not columns & {"head_norm", "centroid_distance"}
