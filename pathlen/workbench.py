"""Measures each model once, when its columns are first asked for, and keeps the columns but not the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathlen.errors import PathlenError
from pathlen.measurements import Measurement, Published, as_published, from_traces
from pathlen.models import LoadedModel, ModelSpec, load
from pathlen.original import relative_error
from pathlen.passages import Passage
from pathlen.records import ModelRecord, Point
from pathlen.stats.serial import lag_one
from pathlen.traces import Trace, trace

__all__ = ["Columns", "Workbench"]

POINTS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Everything that was measured on one model.

    Attributes
    ----------
    measured : Measurement
        The aligned columns, before the final norm.
    published : Published
        The same traces, paired as the published procedure did.
    relative_error : ndarray, shape (steps + 1, tokens), or None
        Distance of every step from the published double loop; None if nobody asked for it.
    record : ModelRecord
        Provenance.

    """

    measured: Measurement
    published: Published
    relative_error: NDArray[np.float64] | None
    record: ModelRecord


class Workbench:
    """The texts of one run, and the columns of every model they were measured on.

    Parameters
    ----------
    passages : sequence of Passage
        The texts, in order.
    with_original : bool
        Whether the published double loop is run beside the measurement, to compare with.
    seed : int
        Decides which points a scatter shows.

    """

    def __init__(self, passages: Sequence[Passage], *, with_original: bool, seed: int) -> None:
        self._passages = passages
        self._with_original = with_original
        self._seed = seed
        self._done: dict[ModelSpec, Columns | PathlenError] = {}

    @property
    def records(self) -> tuple[ModelRecord, ...]:
        """The records of the models measured so far, in the order they were measured."""
        return tuple(done.record for done in self._done.values() if isinstance(done, Columns))

    def columns(self, spec: ModelSpec) -> Columns:
        """Return the columns of one model, measuring it if that was not done yet.

        Raises
        ------
        PathlenError
            Whatever kept the model from being loaded or measured; the same error again at every call.

        """
        if spec not in self._done:
            try:
                self._done[spec] = self._measured(spec)
            except PathlenError as error:
                self._done[spec] = error
        found = self._done[spec]
        if isinstance(found, PathlenError):
            raise found
        return found

    def _measured(self, spec: ModelSpec) -> Columns:
        start = time.monotonic()
        model = load(spec)
        traces = [trace(model, passage) for passage in self._passages]
        measured, published = from_traces(traces), as_published(traces)
        seconds = time.monotonic() - start
        errors = None
        if self._with_original:
            errors = np.hstack([relative_error(model, one) for one in traces])
        return Columns(
            measured=measured,
            published=published,
            relative_error=errors,
            record=self._record(model, traces, measured, published, seconds),
        )

    def _record(
        self,
        model: LoadedModel,
        traces: Sequence[Trace],
        measured: Measurement,
        published: Published,
        seconds: float,
    ) -> ModelRecord:
        draw = np.random.default_rng(self._seed)
        is_last = np.diff(published.passage, append=-1) != 0
        spec = model.spec
        return ModelRecord(
            size=spec.size,
            title=spec.title,
            source=spec.origin,
            revision=spec.revision,
            n_layer=spec.n_layer,
            n_head=spec.n_head,
            d_model=spec.d_model,
            context=model.context,
            weights_sha256=model.weights_sha256,
            tokenizer_sha256=model.tokenizer_sha256,
            dtype="float32",
            tokens=sum(len(one.token_ids) for one in traces),
            rows=len(measured.passage),
            windows=sum(int(one.window[-1]) + 1 for one in traces),
            seconds=seconds,
            step_autocorrelation=lag_one(measured.last_step, passage=measured.passage),
            logit_autocorrelation=lag_one(measured.next_logit, passage=measured.passage),
            points=_points(measured, _some(draw, np.arange(len(measured.passage)))),
            published_points=_points(published, _some(draw, np.flatnonzero(~is_last))),
            spurious_points=_points(published, np.flatnonzero(is_last)),
        )


def _some(draw: np.random.Generator, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.sort(draw.choice(rows, size=min(len(rows), POINTS), replace=False))


def _points(columns: Measurement | Published, rows: NDArray[np.intp]) -> tuple[Point, ...]:
    return tuple(zip(columns.last_step[rows].tolist(), columns.next_logit[rows].tolist(), strict=True))
