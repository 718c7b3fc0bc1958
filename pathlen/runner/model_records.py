"""What a record says of every model that was measured: its identity, its tokens, points to draw, excerpts to explore."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pathlen.columns.measurement import Measurement, Published
from pathlen.models.checkpoint import Identity
from pathlen.models.families import ModelSpec
from pathlen.models.loading import tokenizer_of
from pathlen.passages.passage import Passage
from pathlen.records.excerpts import Tokenizer, excerpts, rounded, surprise
from pathlen.records.schema import ModelRecord, Point
from pathlen.runner.provider import ModelColumns
from pathlen.stats.autocorrelation import lag_one

__all__ = ["RECORDED", "ModelRecorder"]

POINTS = 300
# The log-probability tells a trained network from a random one.
RECORDED = frozenset({"step_length", "final_norm_step", "next_logit", "next_log_probability"})


class ModelRecorder:
    """Makes the record of each model that a run measures.

    Parameters
    ----------
    passages : sequence of Passage
        The texts, in order.
    seed : int
        Decides which points a scatter shows.
    device, dtype : str
        Where and in which type the models ran.
    tokenizer : callable
        Returns a model's tokenizer, in place of `pathlen.models.loading.tokenizer_of`.

    Attributes
    ----------
    columns : frozenset of str
        The columns that a record is made of.

    """

    columns = RECORDED

    def __init__(
        self,
        passages: Sequence[Passage],
        *,
        seed: int,
        device: str = "cpu",
        dtype: str = "float32",
        tokenizer: Callable[[ModelSpec], Tokenizer] = tokenizer_of,
    ) -> None:
        self._passages = passages
        self._seed = seed
        self._device = device
        self._dtype = dtype
        self._tokenizer = tokenizer
        self._records: dict[ModelSpec, ModelRecord] = {}

    @property
    def records(self) -> tuple[ModelRecord, ...]:
        """The records of the models measured so far, in the order they were measured."""
        return tuple(self._records.values())

    def record(
        self, spec: ModelSpec, identity: Identity, columns: ModelColumns, *, seconds: float, is_kept: bool
    ) -> None:
        """Make the record of a model.

        Parameters
        ----------
        spec : ModelSpec
            The model.
        identity : Identity
            Its context and the digests of its files.
        columns : ModelColumns
            What was measured of it.
        seconds : float
            How long loading and measuring took, or reading what was kept.
        is_kept : bool
            Whether an earlier run had measured all of it.

        """
        random = np.random.default_rng(self._seed)
        measured, published = columns.measured, columns.published
        is_last = np.diff(published.passage, append=-1) != 0
        tokenizer = self._tokenizer(spec)
        token_ids = [trace.token_ids for trace in columns.traces]
        names = [passage.name for passage in self._passages]
        self._records[spec] = ModelRecord(
            size=spec.size,
            title=spec.title,
            source=spec.origin,
            revision=spec.revision,
            n_layer=spec.n_layer,
            n_head=spec.n_head,
            d_model=spec.d_model,
            context=identity.context,
            weights_sha256=identity.weights_sha256,
            tokenizer_sha256=identity.tokenizer_sha256,
            config_sha256=identity.config_sha256,
            device=self._device,
            dtype=self._dtype,
            tokens=sum(map(len, token_ids)),
            rows=len(measured.passage),
            windows=sum(int(trace.window[-1]) + 1 for trace in columns.traces),
            seconds=seconds,
            is_kept=is_kept,
            step_autocorrelation=lag_one(measured.last_step, passage=measured.passage),
            logit_autocorrelation=lag_one(measured.next_logit, passage=measured.passage),
            points=_points(measured, _sample(random, np.arange(len(measured.passage)))),
            published_points=_points(published, _sample(random, np.flatnonzero(~is_last))),
            spurious_points=_points(published, np.flatnonzero(is_last)),
            vocabulary=len(tokenizer),
            surprise=surprise(measured.next_log_probability),
            excerpts=excerpts(measured, token_ids, names, tokenizer),
        )


def _sample(random: np.random.Generator, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.sort(random.choice(rows, size=min(len(rows), POINTS), replace=False))


def _points(columns: Measurement | Published, rows: NDArray[np.intp]) -> tuple[Point, ...]:
    """Return points to four significant digits: they are for drawing, and no verdict rests on them."""
    return tuple(zip(rounded(columns.last_step[rows], 4), rounded(columns.next_logit[rows], 4), strict=True))
