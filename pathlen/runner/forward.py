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
        Seed of an untrained network in the place of the spec's own.
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
        """Whether it is of no real network reading real texts."""
        return self.untrained is not None or self.shuffle is not None

    def work(self, passages: Sequence[Passage]) -> float:
        """About how many parameters times tokens it goes through."""
        return self.spec.parameters * _tokens(passages)

    def size(self, passages: Sequence[Passage]) -> float:
        """About how many bytes its columns have, a number of each token at every state."""
        return 8.0 * len(self.columns) * (self.spec.n_layer + 1) * _tokens(passages)

    def covers(self, other: ForwardPass) -> bool:
        """Whether its columns are those of the other and perhaps more."""
        mine, others = ((one.spec, one.untrained, one.shuffle) for one in (self, other))
        return mine == others and self.columns >= other.columns


def _tokens(passages: Sequence[Passage]) -> float:
    return TOKENS_PER_CHARACTER * sum(len(one.text) for one in passages)


class ForwardRunner:
    """Runs passes in this process, with one network at a time in memory, or beside a small one what its training made of it.

    Parameters
    ----------
    passages : sequence of Passage
        The texts, in order.
    device, dtype : str
        As in `pathlen.models.loading.load`.
    loader : callable
        What loads a model, in place of `pathlen.models.loading.load`.

    """

    def __init__(
        self, passages: Sequence[Passage], *, device: str, dtype: str, loader: Callable[..., LoadedModel] = load
    ) -> None:
        self.passages = passages
        self.device, self.dtype = device, dtype
        self._load = loader
        self._held: dict[tuple[ModelSpec, int | None], LoadedModel] = {}
        self._places: dict[
            ModelSpec, ArchitecturePaths
        ] = {}  # an untrained network's parts are where they are in the trained one

    def model(self, spec: ModelSpec, untrained: int | None = None) -> LoadedModel:
        """Return a model, loading it if it is not held; errors as in `pathlen.models.loading.load`."""
        if (spec, untrained) not in self._held:
            self._let_go(spec)  # before another is loaded: two XL are twice 6 GB
            model = self._load(spec, untrained=untrained, device=self.device, dtype=self.dtype)
            self._held[spec, untrained] = model
        return self._held[spec, untrained]

    def _let_go(self, coming: ModelSpec) -> None:
        """Let go of networks, but for a small one that was trained and whose untrained one is coming."""
        for spec, untrained in list(self._held):
            if spec == coming and untrained is None and not spec.is_large:
                continue
            del self._held[spec, untrained]
            if spec.is_large:
                # The first load of a process imports much of transformers. Errors that are caught on the way hold the frames
                # that led there, and these the network, until cycles are looked for.
                give_back()

    def traces(self, one: ForwardPass) -> Iterator[Trace]:
        """Yield the trace of each text; errors as in `pathlen.traces.tracer.trace`."""
        # A control only needs its verdict; what is reported is of the very states that transformers computes.
        model = self.model(one.spec, one.untrained)
        tracer = Tracer(model, fast=one.is_control, places=self._places.get(one.spec))
        yield from tracer.traces(self.passages, columns=one.columns, shuffle=one.shuffle)
        if tracer.places:
            self._places[one.spec] = tracer.places
