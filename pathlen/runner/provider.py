"""Measures models when their columns are first asked for; one network at a time is in memory.

Which columns those will be is said before, by `ColumnProvider.expect`, so that one pass over the texts gives them all and nothing
else; one that nobody foresaw is measured when it is asked for, in another pass.

What was really measured is kept, the network is not: in memory for this run, and in the user's cache for the next, column by
column, under a digest of the weights, the tokenizer, the configuration, the texts, the type and device, and of the source of
what measures. The perturbations of `pathlen.claims.controls` are measured on request and belong to whoever asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

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
from pathlen.models.loading import LoadedModel, load, tokenizer_of
from pathlen.passages.passage import Passage
from pathlen.records.excerpts import Tokenizer, excerpts, rounded, surprise
from pathlen.records.schema import ModelRecord, Point
from pathlen.runner.forward import ForwardPass, ForwardRunner
from pathlen.runner.prefetch import Prefetcher, helpers_worth_starting
from pathlen.stats.autocorrelation import lag_one
from pathlen.traces.reference import last_block, loop_steps, relative_error

__all__ = ["ColumnProvider", "Columns"]

POINTS = 300
MEASURING = ("models.loading", "traces.reference", "traces.tracer")  # whose code decides what a column holds
# What a record shows of every model; the log-probability tells a trained network from a random one.
RECORDED = frozenset({"step_length", "final_norm_step", "next_logit", "next_log_probability"})

Array = NDArray[np.float64]


class Columns:
    """Everything that was measured on one model, each kind of columns made when it is first asked for.

    Parameters
    ----------
    traces : sequence of Trace
        One per text.
    loops : callable
        Returns the published double loop's steps for each text; slow, and run once.
    published : sequence of Trace, optional
        The traces as the published reading sees them, where a control plants something else into them.

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

    def keep_loops(self, kept: Cache | None, name: str) -> None:
        """Take the loop's steps from a cache, and put them there when they are first computed."""
        if kept is None:
            return
        compute = self._loops

        def earlier() -> list[Array]:
            found = kept.get_arrays(name)
            if found is None:
                found = {f"{place:06}": one for place, one in enumerate(compute())}
                kept.put_arrays(name, found)
            return [found[key] for key in sorted(found)]

        self._loops = earlier

    @cached_property
    def relative_error(self) -> Array:
        """How far every step is from the published double loop, ``(steps + 1, tokens)``."""
        return np.hstack([relative_error(one, loop) for one, loop in zip(self.traces, self.loops, strict=True)])


class ColumnProvider:
    """The texts of one run, and the columns of every model they were measured on.

    Parameters
    ----------
    passages : sequence of Passage
        The texts, in order.
    seed : int
        Decides which points a scatter shows.
    device, dtype : str
        As in `pathlen.models.loading.load`.
    kept : Cache, optional
        Keeps traces for the next run.
    loader, identifier, tokenizers : callable, optional
        What loads a model, says which it is, and gives its tokenizer, in place of `pathlen.models.loading.load`, `identify` and
        `tokenizer_of`. Without a tokenizer, None, records hold no tokens.

    """

    def __init__(
        self,
        passages: Sequence[Passage],
        *,
        seed: int,
        device: str = "cpu",
        dtype: str = "float32",
        kept: Cache | None = None,
        loader: Callable[..., LoadedModel] = load,
        identifier: Callable[[ModelSpec], Identity] = identify,
        tokenizers: Callable[[ModelSpec], Tokenizer] | None = tokenizer_of,
    ) -> None:
        self._kept = kept
        self._identify, self._tokenizers = identifier, tokenizers
        self._where = {"device": device, "dtype": dtype}
        self._passes = ForwardRunner(passages, device=device, dtype=dtype, loader=loader)
        self._ahead: Prefetcher | None = None
        self._passages = passages
        self._seed = seed
        self._done: dict[ModelSpec, Columns | PathlenError] = {}
        self._own: dict[ModelSpec, Identity] = {}
        self._records: dict[ModelSpec, ModelRecord] = {}
        self.earlier: list[str] = []  # sizes whose traces an earlier run had kept
        self._wanted: frozenset[str] = frozenset()

    @property
    def records(self) -> tuple[ModelRecord, ...]:
        """The records of the models measured so far, in the order they were measured."""
        return tuple(self._records.values())

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

    def expect(self, columns: Iterable[str]) -> None:
        """Say which columns will be asked for, so that they are measured in one pass."""
        self._wanted |= frozenset(columns)

    def control(
        self, spec: ModelSpec, world: Perturbation, columns: Iterable[str] = (), *, keep: frozenset[str] = frozenset()
    ) -> Columns:
        """Return the columns of one model in a control's world; errors as in `columns`.

        ``columns`` are those that will be asked for; others are measured when they are. Nothing is kept for another run but the
        columns in ``keep``, of a world that took a forward pass.
        """
        if world.needs_forward_pass:
            untrained, shuffle = _seeds(world)
            run, texts = partial(self._run, spec, untrained, shuffle), len(self._passages)
            if keep and self._kept:
                identity = digest(world.control, world.seed, self.identity(spec, world.control))
                measured = _Measured(run, texts, kept=self._kept, name=partial(_name, identity), only=keep)
            else:
                measured = _Measured(run, texts)
            measured.foresee(columns)
            return self._columns_of(spec, untrained, measured)
        real = self.columns(spec)
        if world.control is PLANTED:
            lengths = ("step_length", "final_norm_step")
            own, published = ([planted(one, world.seed, step=step) for one in real.traces] for step in lengths)
            return Columns(own, lambda: real.loops, published)
        assert world.control is SHIFTED  # noqa: S101  # the last there is
        return Columns(
            [shifted(one, world.seed) for one in real.traces],
            lambda: [_rolled(loop, moved(one, world.seed)) for one, loop in zip(real.traces, real.loops, strict=True)],
        )

    def can_share(self, spec: ModelSpec) -> bool:
        """Whether other processes can run passes of a model: of a small network, on the processor."""
        return self._where["device"] == "cpu" and not spec.is_large

    def foresee_controls(self, asked: Iterable[tuple[ModelSpec, Perturbation, Iterable[str]]]) -> None:
        """Have the perturbations of controls measured by processes beside this one, in this order, where that is worth it.

        Each is a model, a control's world on it, and the columns that will be asked for; those that take no forward
        pass, and those of a model that can't be shared, are measured when they are asked for.
        """
        passes = [
            ForwardPass(spec, *_seeds(world), frozenset(columns).union(ALIGNMENT))
            for spec, world, columns in asked
            if world.needs_forward_pass and self.can_share(spec)
        ]
        helpers = helpers_worth_starting(passes, self._passages) if passes else 0
        if helpers:
            self._ahead = Prefetcher(self._passes, passes, helpers)

    def close(self) -> None:
        """End the processes beside this one; what is measured afterwards is measured here."""
        if self._ahead:
            self._ahead.close()
            self._ahead = None

    def _run(
        self, spec: ModelSpec, untrained: int | None, shuffle: int | None, columns: frozenset[str]
    ) -> Iterator[Trace]:
        """Yield the trace of each text, in one pass through a network."""
        one = ForwardPass(spec, untrained, shuffle, columns)
        return (self._ahead if self._ahead and one.is_control else self._passes).traces(one)

    def _columns_of(self, spec: ModelSpec, untrained: int | None, measured: _Measured) -> Columns:
        traces = [
            Trace(passage=one.name, make=partial(measured.column, place)) for place, one in enumerate(self._passages)
        ]
        return Columns(traces, partial(self._loops, spec, untrained, traces))

    def _loops(self, spec: ModelSpec, untrained: int | None, traces: Sequence[Trace]) -> list[Array]:
        model = self._passes.model(spec, untrained)
        last = last_block(model, traces[0].token_ids)
        return [loop_steps(model, one, last=last) for one in traces]

    def _measured(self, spec: ModelSpec) -> Columns:
        start = time.monotonic()
        identity = self._identity(spec, trained=True)
        measured = _Measured(
            partial(self._run, spec, None, None), len(self._passages), kept=self._kept, name=partial(_name, identity)
        )
        measured.foresee(self._wanted | RECORDED)
        if not measured.passes:
            self.earlier.append(spec.size)
        found = self._columns_of(spec, None, measured)
        found.keep_loops(self._kept, digest(code_fingerprint(*MEASURING), "loops", identity))
        self._records[spec] = self._record(spec, found, time.monotonic() - start)
        return found

    def identity(self, spec: ModelSpec, control: Control) -> str:
        """Return a digest of all that a control's columns depend on: of an untrained network, no trained weights."""
        return self._identity(spec, trained=control is not UNTRAINED)

    def _identity(self, spec: ModelSpec, *, trained: bool) -> str:
        own = self._identified(spec)
        texts = [text.sha256 for text in self._passages]
        weights = own.weights_sha256 if trained else "untrained"
        device = self._where["device"].partition(":")[0]
        return digest(own.config_sha256, own.tokenizer_sha256, weights, self._where["dtype"], device, *texts)

    def _identified(self, spec: ModelSpec) -> Identity:
        """Return a model's identity, asked for by every control of every claim and read from its files once."""
        if spec not in self._own:
            self._own[spec] = self._identify(spec)
        return self._own[spec]

    def _record(self, spec: ModelSpec, columns: Columns, seconds: float) -> ModelRecord:
        own = self._identified(spec)
        draw = np.random.default_rng(self._seed)
        measured, published = columns.measured, columns.published
        is_last = np.diff(published.passage, append=-1) != 0
        tokenizer = self._tokenizers(spec) if self._tokenizers else None
        return ModelRecord(
            size=spec.size,
            title=spec.title,
            source=spec.origin,
            revision=spec.revision,
            n_layer=spec.n_layer,
            n_head=spec.n_head,
            d_model=spec.d_model,
            context=own.context,
            weights_sha256=own.weights_sha256,
            tokenizer_sha256=own.tokenizer_sha256,
            config_sha256=own.config_sha256,
            **self._where,
            tokens=sum(len(one.token_ids) for one in columns.traces),
            rows=len(measured.passage),
            windows=sum(int(one.window[-1]) + 1 for one in columns.traces),
            seconds=seconds,
            is_kept=spec.size in self.earlier,
            step_autocorrelation=lag_one(measured.last_step, passage=measured.passage),
            logit_autocorrelation=lag_one(measured.next_logit, passage=measured.passage),
            points=_points(measured, _some(draw, np.arange(len(measured.passage)))),
            published_points=_points(published, _some(draw, np.flatnonzero(~is_last))),
            spurious_points=_points(published, np.flatnonzero(is_last)),
            vocabulary=None if tokenizer is None else len(tokenizer),
            surprise=surprise(measured.next_log_probability),
            excerpts=()
            if tokenizer is None
            else excerpts(
                measured, [one.token_ids for one in columns.traces], [one.name for one in self._passages], tokenizer
            ),
        )


class _Measured:
    """The columns of all texts in one network, from this run's passes over the texts or from what an earlier run kept.

    Parameters
    ----------
    run : callable
        ForwardRunner over the texts and yields the trace of each, with the columns that are asked for.
    texts : int
        How many texts there are.
    kept : Cache, optional
        Keeps columns for the next run.
    name : callable, optional
        The name under which a column is kept.
    only : frozenset of str, optional
        The columns that are kept, with those that say which token is which; all unless given.

    """

    def __init__(
        self,
        run: Callable[[frozenset[str]], Iterator[Trace]],
        texts: int,
        *,
        kept: Cache | None = None,
        name: Callable[[str], str] = str,
        only: frozenset[str] | None = None,
    ) -> None:
        self._only = None if only is None else only.union(ALIGNMENT)
        self._run = run
        self._texts = texts
        self._kept = kept
        self._name = name
        self._found: dict[str, list[NDArray[Any]]] = {}
        self.passes = 0

    def foresee(self, columns: Iterable[str]) -> None:
        """Measure columns in one pass, but for those that are there or were kept."""
        missing = frozenset(name for name in (*columns, *ALIGNMENT) if not self._is_there(name))
        if not missing:
            return
        self.passes += 1
        found: dict[str, list[NDArray[Any]]] = {}
        for trace in self._run(missing):
            for name in trace.made:
                found.setdefault(name, []).append(getattr(trace, name))
        self._found |= found
        if self._kept:
            for name, parts in found.items():
                if self._only is not None and name not in self._only:
                    continue
                arrays = {f"{place:06}": one for place, one in enumerate(parts)}
                self._kept.put_arrays(self._name(name), arrays)

    def _is_there(self, name: str) -> bool:
        if name not in self._found and self._kept:
            arrays = self._kept.get_arrays(self._name(name))
            if arrays is not None and len(arrays) == self._texts:
                self._found[name] = [arrays[key] for key in sorted(arrays)]
        return name in self._found

    def column(self, place: int, name: str) -> NDArray[Any]:
        """Return a column of one text, measuring it if nobody foresaw it."""
        self.foresee([name])
        return self._found[name][place]


def _seeds(world: Perturbation) -> tuple[int | None, int | None]:
    """Return the seed of a control's untrained network, and that of its random order of tokens."""
    return (None, world.seed) if world.control is SHUFFLED else (world.seed, None)


def _name(identity: str, column: str) -> str:
    """Return the name under which a column is kept; one's own depends on its own source, too."""
    own = sources_of(CUSTOM_COLUMNS[column].function) if column in CUSTOM_COLUMNS else ""
    return digest(code_fingerprint(*MEASURING), "column", column, own, identity)


def _rolled(loop: Array, order: NDArray[np.intp]) -> Array:
    """Return the loop's steps as another token's; the last token, which predicts nothing, keeps its own."""
    return np.hstack([loop[:, order], loop[:, len(order) :]])


def _some(draw: np.random.Generator, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.sort(draw.choice(rows, size=min(len(rows), POINTS), replace=False))


def _points(columns: Measurement | Published, rows: NDArray[np.intp]) -> tuple[Point, ...]:
    """Return points to four significant digits: they are for drawing, and no verdict rests on them."""
    return tuple(zip(rounded(columns.last_step[rows], 4), rounded(columns.next_logit[rows], 4), strict=True))
