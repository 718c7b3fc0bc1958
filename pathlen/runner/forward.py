"""Forward passes of one run: each through one network, trained or not, over all of its texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pathlen._util.memory import give_back
from pathlen.columns.table import Trace
from pathlen.models.architecture import ArchitecturePaths
from pathlen.models.families import ModelSpec
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.traces.tracer import Tracer

__all__ = ["ForwardPass", "ForwardRunner"]

TOKENS_PER_CHARACTER = 0.25


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """One pass of all texts through a network.

    Attributes
    ----------
    spec : ModelSpec
    untrained : int or None
        Seed of an untrained network of the same shape, to be used instead.
    shuffle : int or None
        Seed of a random order of each text's tokens.
    columns : frozenset of str
        What to measure.

    """

    spec: ModelSpec
    untrained: int | None
    shuffle: int | None
    columns: frozenset[str]

    @property
    def is_control(self) -> bool:
        """Whether the network or the order of tokens is not the real one."""
        return self.untrained is not None or self.shuffle is not None

    def work(self, passages: Sequence[Passage]) -> float:
        """Return the approximate work of the pass, in parameters times tokens."""
        return self.spec.parameters * _approximate_tokens(passages)

    def size(self, passages: Sequence[Passage]) -> float:
        """Return the approximate size of its columns in bytes, with a number for each token at every state."""
        return 8.0 * len(self.columns) * (self.spec.n_layer + 1) * _approximate_tokens(passages)

    def covers(self, other: ForwardPass) -> bool:
        """Return whether this pass gives all columns of the other, of the same network and texts."""
        mine, others = (
            (forward_pass.spec, forward_pass.untrained, forward_pass.shuffle) for forward_pass in (self, other)
        )
        return mine == others and self.columns >= other.columns


def _approximate_tokens(passages: Sequence[Passage]) -> float:
    return TOKENS_PER_CHARACTER * sum(len(passage.text) for passage in passages)


class ForwardRunner:
    """Runs passes in this process.

    One network at a time is in memory. A small one stays while its untrained counterparts are used.

    Parameters
    ----------
    passages : sequence of Passage
        The texts, in order.
    device, dtype : str
        As in `pathlen.models.loading.load`.
    loader : callable
        Used in place of `pathlen.models.loading.load`.

    """

    def __init__(
        self, passages: Sequence[Passage], *, device: str, dtype: str, loader: Callable[..., LoadedModel] = load
    ) -> None:
        self.passages = passages
        self.device, self.dtype = device, dtype
        self._load = loader
        self._models: dict[tuple[ModelSpec, int | None], LoadedModel] = {}
        # An untrained network's parts are where they are in the trained one.
        self._paths: dict[ModelSpec, ArchitecturePaths] = {}

    @property
    def loaded(self) -> tuple[LoadedModel, ...]:
        """The networks in memory."""
        return tuple(self._models.values())

    def model(self, spec: ModelSpec, untrained: int | None = None) -> LoadedModel:
        """Return a model, loading it if it is not in memory; errors as in `pathlen.models.loading.load`."""
        if (spec, untrained) not in self._models:
            self._release(spec)  # before another is loaded: two XL are twice 6 GB
            model = self._load(spec, untrained=untrained, device=self.device, dtype=self.dtype)
            self._models[spec, untrained] = model
        return self._models[spec, untrained]

    def _release(self, coming: ModelSpec) -> None:
        """Let go of networks, except of a small trained one whose untrained counterpart is coming."""
        for spec, untrained in list(self._models):
            if spec == coming and untrained is None and not spec.is_large:
                continue
            del self._models[spec, untrained]
            if spec.is_large:
                # The first load of a process imports much of transformers. The errors caught on the way hold frames, and these
                # hold the network until cycles are collected.
                give_back()

    def traces(self, forward_pass: ForwardPass) -> Iterator[Trace]:
        """Yield the trace of each text; errors as in `pathlen.traces.tracer.trace`."""
        spec = forward_pass.spec
        model = self.model(spec, forward_pass.untrained)
        # A control only needs its verdict, so it may be fast; what is reported is of the very states transformers computes.
        tracer = Tracer(model, fast=forward_pass.is_control, places=self._paths.get(spec))
        yield from tracer.traces(self.passages, columns=forward_pass.columns, shuffle=forward_pass.shuffle)
        if tracer.places:
            self._paths[spec] = tracer.places
