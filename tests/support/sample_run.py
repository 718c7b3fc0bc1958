"""What tests of runs share: texts, a few claims, and a provider that notes which perturbations it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pathlen import (
    LAST_STEP_AND_NEXT_TOKEN,
    PLANTED,
    SHIFTED,
    SHUFFLED,
    SIZES,
    UNTRAINED,
    above,
    below,
    claim,
    largest,
    pearson,
    within,
)
from pathlen._util.cache import Cache
from pathlen.claims.claim import declared
from pathlen.claims.controls import Effort, Perturbation
from pathlen.models.families import ModelSpec
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import shipped
from pathlen.runner.check import Check
from pathlen.runner.evaluator import Evaluator
from pathlen.runner.model_records import ModelRecorder
from pathlen.runner.provider import ColumnProvider, ModelColumns
from pathlen.stats import Statistic

TEXTS = tuple(shipped(name) for name in ("tides", "bees", "zero", "tea", "kant", "darwin"))
SHORT_TEXTS = tuple(
    Passage(name=name, text=shipped(name).text[:300], origin="test") for name in ("tides", "nietzsche", "bees")
)


def check_of(body: Callable[..., Statistic]) -> Check:
    declaration = declared(body)
    assert declaration is not None
    return Check(declaration, body)


@claim(sizes=SIZES, expect=below(0.0), controls=[UNTRAINED, SHUFFLED, SHIFTED], universes=LAST_STEP_AND_NEXT_TOKEN)
def negative(measured: Any) -> Statistic:
    """A relation."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


@claim(sizes=SIZES, expect=below(0.0), controls=[UNTRAINED])
def negative_as_published(as_published: Any) -> Statistic:
    """A relation."""
    return pearson(as_published.last_step, as_published.next_logit, passage=as_published.passage, trend=0)


@claim(sizes=SIZES, expect=within(-0.1, 0.1), controls=[PLANTED])
def none(measured: Any) -> Statistic:
    """No relation."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


@claim(sizes=SIZES, expect=below(1e-5), controls=[SHIFTED])
def instrument(relative_error: Any) -> Statistic:
    """Our lengths are the loop's."""
    return largest(relative_error)


@claim(sizes=["small", "medium"], expect=above(0.1), logic="differs", controls=[SHIFTED, UNTRAINED])
def differ(measured: Any) -> Statistic:
    """Sizes differ."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


NEGATIVE, PUBLISHED, NONE, INSTRUMENT, DIFFER = map(
    check_of, (negative, negative_as_published, none, instrument, differ)
)
OF_ONE_SIZE = (NEGATIVE, PUBLISHED, NONE, INSTRUMENT)


class CountingProvider(ColumnProvider):
    """A provider that notes which perturbations of which sizes it is asked for."""

    def __init__(self, passages: tuple[Passage, ...]) -> None:
        super().__init__(passages)
        self.perturbations: list[tuple[str, Perturbation]] = []

    def control(
        self,
        spec: ModelSpec,
        perturbation: Perturbation,
        columns: Iterable[str] = (),
        *,
        keep: frozenset[str] = frozenset(),
    ) -> ModelColumns:
        self.perturbations.append((spec.size, perturbation))
        return super().control(spec, perturbation, columns, keep=keep)


def recording_provider(
    texts: tuple[Passage, ...], cache: Cache | None = None, dtype: str = "float32"
) -> ColumnProvider:
    """Return a provider that also measures what records are made of, as that of a session does."""
    return ColumnProvider(texts, cache=cache, dtype=dtype, recorder=ModelRecorder(texts, seed=0, dtype=dtype))


def evaluator_of(
    specs: dict[str, ModelSpec],
    provider: ColumnProvider,
    effort: Effort = "quick",
    *,
    seed: int = 0,
    cache: Cache | None = None,
) -> Evaluator:
    return Evaluator(provider, specs.__getitem__, effort=effort, seed=seed, cache=cache)
