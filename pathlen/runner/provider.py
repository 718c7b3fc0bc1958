"""Provides the columns of models, measured when they are first asked for; one network at a time is in memory.

`ColumnProvider.expect` says in advance which columns will be asked for, so that one pass over the texts measures all of them and
nothing else. A column that was not expected is measured in another pass when it is asked for.

Columns of unperturbed models stay in memory for this run, and in the user's cache for the next. The cache holds each column
under a digest of the weights, the tokenizer, the configuration, the texts, the type and device, and of the code that measures.
The perturbed columns of `pathlen.claims.controls` are measured on request and belong to the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pathlen._util.cache import Cache
from pathlen._util.digests import digest
from pathlen._util.fingerprint import code_fingerprint, sources_of
from pathlen.claims.controls import (
    PLANTED,
    SHIFTED,
    SHUFFLED,
    UNTRAINED,
    Control,
    Perturbation,
    moved,
    planted,
    shifted,
)
from pathlen.columns.catalog import ALIGNMENT, CUSTOM_COLUMNS
from pathlen.columns.measurement import Measurement, Published, as_published, from_traces
from pathlen.columns.table import Trace
from pathlen.errors import PathlenError
from pathlen.models.checkpoint import Identity, identify
from pathlen.models.families import ModelSpec
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.runner.forward import ForwardPass, ForwardRunner
from pathlen.runner.kept_columns import KeptColumns
from pathlen.runner.prefetch import Prefetcher, helpers_worth_starting
from pathlen.traces.reference import last_block, loop_steps, relative_error

__all__ = ["MEASURING", "ColumnProvider", "ModelColumns", "Recorder"]

# The modules whose code, with all that they import, decides what a column holds.
MEASURING = ("models.loading", "traces.reference", "traces.tracer")

Array = NDArray[np.float64]


class ModelColumns:
    """Everything that was measured of one model, each kind of columns made when it is first asked for.

    Parameters
    ----------
    traces : sequence of Trace
        One per text.
    loops : callable
        Returns the published double loop's steps for each text. It is slow, and called once.
    published : sequence of Trace, optional
        The traces for the published reading, where a control plants another relation into them.

    """

    def __init__(
        self,
        traces: Sequence[Trace],
        loops: Callable[[], list[Array]],
        published: Sequence[Trace] | None = None,
    ) -> None:
        self.traces = traces
        self._loops = loops
        self._published = traces if published is None else published

    @cached_property
    def measured(self) -> Measurement:
        """The aligned columns, before the final norm."""
        return from_traces(self.traces)

    @cached_property
    def published(self) -> Published:
        """The same traces, paired as the published procedure did."""
        return self.with_slips(through_final_norm=True, with_last_token=True)

    def with_slips(self, *, through_final_norm: bool, with_last_token: bool) -> Published:
        """Return the published columns with some of their slips; see `pathlen.columns.measurement.as_published`."""
        return as_published(self._published, through_final_norm=through_final_norm, with_last_token=with_last_token)

    @cached_property
    def loops(self) -> list[Array]:
        """The published double loop's steps of each text, ``(steps + 1, tokens)``."""
        return self._loops()

    @cached_property
    def relative_error(self) -> Array:
        """How far every step is from the published double loop, ``(steps + 1, tokens)``."""
        return np.hstack([relative_error(trace, loop) for trace, loop in zip(self.traces, self.loops, strict=True)])


class Recorder(Protocol):
    """Records every unperturbed model that is measured; see `pathlen.runner.model_records.ModelRecorder`."""

    columns: frozenset[str]

    def record(  # noqa: D102
        self, spec: ModelSpec, identity: Identity, columns: ModelColumns, *, seconds: float, is_kept: bool
    ) -> None: ...


class ColumnProvider:
    """The columns of every model of one run, measured on the run's texts.

    Parameters
    ----------
    passages : sequence of Passage
        The texts, in order.
    device, dtype : str
        As in `pathlen.models.loading.load`.
    cache : Cache, optional
        Keeps columns for the next run.
    recorder : Recorder, optional
        Records every unperturbed model. Its columns are always expected.
    loader, identifier : callable, optional
        Used in place of `pathlen.models.loading.load` and `pathlen.models.checkpoint.identify`.

    Attributes
    ----------
    earlier : list of str
        The sizes that an earlier run had measured completely.

    """

    def __init__(
        self,
        passages: Sequence[Passage],
        *,
        device: str = "cpu",
        dtype: str = "float32",
        cache: Cache | None = None,
        recorder: Recorder | None = None,
        loader: Callable[..., LoadedModel] = load,
        identifier: Callable[[ModelSpec], Identity] = identify,
    ) -> None:
        self._passages = passages
        self._device = device
        self._dtype = dtype
        self._cache = cache
        self._recorder = recorder
        self._identify = identifier
        self._forward = ForwardRunner(passages, device=device, dtype=dtype, loader=loader)
        self._prefetcher: Prefetcher | None = None
        self._columns: dict[ModelSpec, ModelColumns | PathlenError] = {}
        self._identities: dict[ModelSpec, Identity] = {}
        self._expected: frozenset[str] = recorder.columns if recorder else frozenset()
        self.earlier: list[str] = []

    def columns(self, spec: ModelSpec) -> ModelColumns:
        """Return the columns of one model, measuring it at the first call.

        Raises
        ------
        PathlenError
            If the model can't be loaded or measured; every call raises the same error.

        """
        if spec not in self._columns:
            try:
                self._columns[spec] = self._measured(spec)
            except PathlenError as error:
                self._columns[spec] = error
        columns = self._columns[spec]
        if isinstance(columns, PathlenError):
            raise columns
        return columns

    def expect(self, columns: Iterable[str]) -> None:
        """Say which columns will be asked for, so that they are measured in one pass."""
        self._expected |= frozenset(columns)

    def control(
        self,
        spec: ModelSpec,
        perturbation: Perturbation,
        columns: Iterable[str] = (),
        *,
        keep: frozenset[str] = frozenset(),
    ) -> ModelColumns:
        """Return the columns of one model under a control's perturbation; errors as in `columns`.

        Parameters
        ----------
        spec : ModelSpec
            The model.
        perturbation : Perturbation
            The control and its seed.
        columns : iterable of str
            The columns that will be asked for. Others are measured when they are asked for.
        keep : frozenset of str
            The columns that are kept for another run, where the perturbation takes a forward pass.

        """
        if perturbation.needs_forward_pass:
            return self._forward_control(spec, perturbation, columns, keep)
        unperturbed = self.columns(spec)
        traces, seed = unperturbed.traces, perturbation.seed
        if perturbation.control is PLANTED:
            lengths = ("step_length", "final_norm_step")
            corrected, published = ([planted(trace, seed, step=step) for trace in traces] for step in lengths)
            return ModelColumns(corrected, lambda: unperturbed.loops, published)
        assert perturbation.control is SHIFTED  # noqa: S101  # there is no other
        return ModelColumns(
            [shifted(trace, seed) for trace in traces],
            lambda: [_rolled(loop, moved(trace, seed)) for trace, loop in zip(traces, unperturbed.loops, strict=True)],
        )

    def _forward_control(
        self, spec: ModelSpec, perturbation: Perturbation, columns: Iterable[str], keep: frozenset[str]
    ) -> ModelColumns:
        untrained, shuffle = _seeds(perturbation)
        run, texts = partial(self._run, spec, untrained, shuffle), len(self._passages)
        if keep and self._cache:
            identity = digest(perturbation.control, perturbation.seed, self.identity(spec, perturbation.control))
            kept = KeptColumns(run, texts, cache=self._cache, name=partial(_cache_name, identity), only=keep)
        else:
            kept = KeptColumns(run, texts)
        kept.require(columns)
        traces = self._traces(kept)
        return ModelColumns(traces, partial(self._loops, spec, untrained, traces))

    def can_share(self, spec: ModelSpec) -> bool:
        """Return whether helper processes can run passes of a model: it is small, and runs on the processor."""
        return self._device == "cpu" and not spec.is_large

    def prefetch_controls(self, needed: Iterable[tuple[ModelSpec, Perturbation, Iterable[str]]]) -> None:
        """Have helper processes measure perturbed models in this order, where that is worth starting them.

        Each entry is a model, a perturbation of it, and the columns that will be asked for. Perturbations that take no forward
        pass, and those of models that can't be shared, are measured when they are asked for.
        """
        passes = [
            ForwardPass(spec, *_seeds(perturbation), frozenset(columns).union(ALIGNMENT))
            for spec, perturbation, columns in needed
            if perturbation.needs_forward_pass and self.can_share(spec)
        ]
        helpers = helpers_worth_starting(passes, self._passages) if passes else 0
        if helpers:
            self._prefetcher = Prefetcher(self._forward, passes, helpers)

    @property
    def prefetcher(self) -> Prefetcher | None:
        """The helper processes; None if there are none."""
        return self._prefetcher

    @property
    def loaded(self) -> tuple[LoadedModel, ...]:
        """The networks in memory of this process."""
        return self._forward.loaded

    def close(self) -> None:
        """End the helper processes; what is asked for afterwards is measured in this process."""
        if self._prefetcher:
            self._prefetcher.close()
            self._prefetcher = None

    def _run(
        self, spec: ModelSpec, untrained: int | None, shuffle: int | None, columns: frozenset[str]
    ) -> Iterator[Trace]:
        """Yield the trace of each text, in one pass through a network."""
        forward_pass = ForwardPass(spec, untrained, shuffle, columns)
        runner = self._prefetcher if self._prefetcher and forward_pass.is_control else self._forward
        return runner.traces(forward_pass)

    def _traces(self, kept: KeptColumns) -> list[Trace]:
        return [
            Trace(passage=passage.name, make=partial(kept.column, text)) for text, passage in enumerate(self._passages)
        ]

    def _loops(self, spec: ModelSpec, untrained: int | None, traces: Sequence[Trace]) -> list[Array]:
        model = self._forward.model(spec, untrained)
        last = last_block(model, traces[0].token_ids)
        return [loop_steps(model, trace, last=last) for trace in traces]

    def _measured(self, spec: ModelSpec) -> ModelColumns:
        start = time.monotonic()
        identity = self._text_identity(spec, trained=True)
        kept = KeptColumns(
            partial(self._run, spec, None, None),
            len(self._passages),
            cache=self._cache,
            name=partial(_cache_name, identity),
        )
        kept.require(self._expected)
        is_kept = not kept.passes
        if is_kept:
            self.earlier.append(spec.size)
        traces = self._traces(kept)
        name = digest(code_fingerprint(*MEASURING), "loops", identity)
        columns = ModelColumns(traces, partial(self._kept_loops, spec, traces, name))
        if self._recorder:
            self._recorder.record(
                spec, self._identity(spec), columns, seconds=time.monotonic() - start, is_kept=is_kept
            )
        return columns

    def _kept_loops(self, spec: ModelSpec, traces: Sequence[Trace], name: str) -> list[Array]:
        """Return the published loop's steps from the cache, or compute and keep them."""
        arrays = self._cache.get_arrays(name) if self._cache else None
        if arrays is None:
            arrays = {f"{text:06}": steps for text, steps in enumerate(self._loops(spec, None, traces))}
            if self._cache:
                self._cache.put_arrays(name, arrays)
        return [arrays[key] for key in sorted(arrays)]

    def identity(self, spec: ModelSpec, control: Control) -> str:
        """Return a digest of all that a control's columns depend on; an untrained network depends on no trained weights."""
        return self._text_identity(spec, trained=control is not UNTRAINED)

    def _text_identity(self, spec: ModelSpec, *, trained: bool) -> str:
        identity = self._identity(spec)
        texts = [passage.sha256 for passage in self._passages]
        weights = identity.weights_sha256 if trained else "untrained"
        device = self._device.partition(":")[0]
        return digest(identity.config_sha256, identity.tokenizer_sha256, weights, self._dtype, device, *texts)

    def _identity(self, spec: ModelSpec) -> Identity:
        """Return a model's identity. Every control of every claim asks for it, so it is read from the files once."""
        if spec not in self._identities:
            self._identities[spec] = self._identify(spec)
        return self._identities[spec]


def _seeds(perturbation: Perturbation) -> tuple[int | None, int | None]:
    """Return the seed of a control's untrained network, and that of its random order of tokens."""
    return (None, perturbation.seed) if perturbation.control is SHUFFLED else (perturbation.seed, None)


def _cache_name(identity: str, column: str) -> str:
    """Return the name under which a column is kept; a custom column depends on its own source, too."""
    source = sources_of(CUSTOM_COLUMNS[column].function) if column in CUSTOM_COLUMNS else ""
    return digest(code_fingerprint(*MEASURING), "column", column, source, identity)


def _rolled(loop: Array, order: NDArray[np.intp]) -> Array:
    """Return the loop's steps as another token's; the last token, which predicts nothing, keeps its own."""
    return np.hstack([loop[:, order], loop[:, len(order) :]])
