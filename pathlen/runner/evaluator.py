"""From a claim's body to its finding: the estimate, its controls, what each correction changes, and other universes.

A body asks for columns by name; here those names get their meaning, in the world as it is and in every control's. Controls
go world by world: what one forward pass gives is used by all claims on that size and then let go, so that memory
holds one world at a time.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import msgspec

from pathlen._util.cache import Cache
from pathlen._util.digests import digest
from pathlen._util.fingerprint import code_fingerprint, sources_of
from pathlen.claims.claim import TOGETHER, Claim
from pathlen.claims.controls import (
    PLANTED,
    PLANTED_R,
    PLANTED_WITHIN,
    SHIFTED,
    Control,
    Effort,
    Perturbation,
    Tally,
    perturbations,
)
from pathlen.claims.finding import Finding, decided, evaluate
from pathlen.claims.lock import LOCK
from pathlen.claims.multiverse import Curve, curve
from pathlen.claims.shapley import Attribution, attribution
from pathlen.claims.verdict import Verdict
from pathlen.columns.measurement import Measurement, Published
from pathlen.columns.named import asked_for
from pathlen.errors import PathlenError, UndefinedEstimate
from pathlen.models.families import ModelSpec
from pathlen.records.files import SEVERITY
from pathlen.runner.provider import ColumnProvider, Columns
from pathlen.stats.multiplicity import largest_difference
from pathlen.stats.statistic import Statistic

__all__ = ["COLUMNS", "CONTROL_REPLICATES", "Check", "Evaluator"]

CONTROL_REPLICATES = 1999  # a control only needs its verdict
BEFORE_NORM, LAST_DROPPED, ANALYSIS = CORRECTIONS = (
    "state before the final norm",
    "last token dropped",
    "corrected analysis",
)

# What a body can ask for: which of a size's columns, and whether of Small instead of the size at hand.
COLUMNS = {
    "measured": ("measured", False),
    "measured_small": ("measured", True),
    "as_published": ("published", False),
    "as_published_small": ("published", True),
    "relative_error": ("relative_error", False),
}
SMALLEST = "small"

ClaimKey = tuple[str, str]


class _Sources(Protocol):
    """Where a body's arguments come from: the real columns, a control's, or those with some slips only."""

    @property
    def measured(self) -> Any: ...
    @property
    def published(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Slipped:
    """Columns with some slips, whichever reading asks."""

    published: Published

    @property
    def measured(self) -> Published:
        return self.published


@dataclass(frozen=True)
class Check:
    """A claim and the function that returns its statistic."""

    claim: Claim
    body: Callable[..., Statistic]

    @property
    def key(self) -> ClaimKey:
        """What names the claim: its id and its reading."""
        return self.claim.id, self.claim.reading

    @property
    def is_plain(self) -> bool:
        """Whether the body asks for nothing but columns, so that it can be run without its test's fixtures or set-up."""
        return set(self.claim.needs) <= COLUMNS.keys() and not inspect.ismethod(self.body)

    @property
    def source(self) -> str:
        """A digest of all that the body may be made of."""
        return sources_of(self.body, (LOCK, SEVERITY))

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns that the body names, which is all that a control needs."""
        return asked_for(self.body)

    @cached_property
    def all_columns(self) -> frozenset[str]:
        """The columns that the body and its universes name."""
        universes = self.claim.universes
        return self.columns | (asked_for(universes.of) if universes else frozenset())

    @property
    def needs_small(self) -> bool:
        """Whether the body compares with Small."""
        return any(COLUMNS[name][1] for name in self.claim.needs if name in COLUMNS)


@dataclass(slots=True)
class _Outcome:
    value: float | None
    is_supported: bool
    seconds: float
    is_kept: bool = False  # from an earlier run


class Evaluator:
    """Checks of one run.

    Parameters
    ----------
    bench : ColumnProvider
        Measures.
    spec : callable
        From the name of a size to its spec.
    effort : str
        How many runs of each control: ``"none"``, ``"quick"`` or ``"full"``.
    seed : int
        Of every resample.
    kept : Cache, optional
        Keeps what controls came to, for the next run.

    """

    def __init__(
        self,
        bench: ColumnProvider,
        spec: Callable[[str], ModelSpec],
        *,
        effort: Effort,
        seed: int,
        kept: Cache | None = None,
    ) -> None:
        self._cache = kept
        self._bench = bench
        self._spec = spec
        self._effort = effort
        self._seed = seed
        self._checks: dict[ClaimKey, Check] = {}
        self._others: dict[ClaimKey, Check] = {}
        self._outcomes: dict[tuple[ClaimKey, str, Perturbation], _Outcome | Exception] = {}
        self._statistics: dict[tuple[ClaimKey, str, Perturbation], Statistic | Exception] = {}
        self._small: dict[Perturbation, Columns] = {}

    def register(self, checks: Iterable[Check]) -> None:
        """Make checks known before they are run, so that a control's world serves all of them at once."""
        new = {check.key: check for check in checks}
        self._checks |= new
        self._bench.expect(name for check in new.values() for name in check.all_columns)

    def know(self, others: Iterable[Check]) -> None:
        """Make claims known that are not run themselves, for the published reading of one that is."""
        self._others |= {check.key: check for check in others}

    def foresee(self, sizes: Iterable[str]) -> None:
        """Have what the controls of all known checks will measure on these sizes, in this order, measured beside all else."""
        asked: list[tuple[ModelSpec, Perturbation, Iterable[str]]] = []
        for size in sizes:
            plain = self._plain(size)
            # Of a large network all weights would be read now, only to look for what is kept.
            if plain and self._bench.can_share(self._spec(size)):
                for world, here in self._asked(plain, size).items():
                    asked.append((self._spec(size), world, _named(here) | self._compared(size, world)))
        self._bench.foresee_controls(asked)

    def argument(self, name: str, size: str) -> Any:
        """Return what a body that asks for columns by name gets; errors as in `ColumnProvider.columns`."""
        attribute, of_small = COLUMNS[name]
        return getattr(self._real(SMALLEST if of_small else size), attribute)

    def _real(self, size: str) -> Columns:
        return self._bench.columns(self._spec(size))

    def finding(self, check: Check, size: str, given: Mapping[str, Any]) -> Finding:
        """Return what a claim comes to on one size, or on all of its sizes `TOGETHER`.

        Parameters
        ----------
        check : Check
            The claim and its body.
        size : str
            One of the family's, or `TOGETHER` for a claim about the difference between sizes.
        given : mapping
            What the body asks for besides columns.

        Raises
        ------
        PathlenError
            Whatever kept columns from being measured, or is wrong with the claim.

        """
        self.register([check])

        def body() -> Statistic:
            return self._statistic(check, size, self._real, given)

        found = evaluate(check.claim, size, body, seed=self._seed)
        if found.estimate is None:
            return found
        return replace(
            decided(found, self._tallies(check, size, given)),
            attribution=self._attribution(check, size),
            universes=self._universes(check, size, found),
        )

    def _statistic(
        self, check: Check, size: str, columns: Callable[[str], _Sources], given: Mapping[str, Any]
    ) -> Statistic:
        """Run a body on columns that are named by size."""
        if size == TOGETHER:
            return largest_difference([self._statistic(check, one, columns, given) for one in check.claim.sizes])
        arguments = {name: given[name] for name in check.claim.needs if name not in COLUMNS}
        for name in check.claim.needs:
            if name in COLUMNS:
                attribute, of_small = COLUMNS[name]
                arguments[name] = getattr(columns(SMALLEST if of_small else size), attribute)
        return check.body(**arguments)

    def keep(self, check: Check, size: str, share: str) -> None:
        """Measure one size's share of a comparison, for whoever has the others'.

        Parameters
        ----------
        check : Check
            A claim about `size`, or about several sizes `TOGETHER`.
        size : str
            What it is about.
        share : str
            The size to measure, itself and in the perturbations of the claim's controls. Errors as in `ColumnProvider.columns`.

        """
        self.register([check])
        self._real(share)
        for world in self._worlds(check, size):
            if world.needs_forward_pass:
                self._control(share, world, check.columns)

    # Controls.

    def _tallies(self, check: Check, size: str, given: Mapping[str, Any]) -> list[Tally]:
        asked = self._worlds(check, size)
        if any((check.key, size, world) not in self._outcomes for world in asked):
            self._run_controls(self._plain(size) if check.is_plain else [check], size, given)
        tallies = []
        for control in dict.fromkeys(world.control for world in asked):
            outcomes = [self._outcomes[check.key, size, world] for world in asked if world.control is control]
            for one in outcomes:
                if isinstance(one, Exception):
                    raise one
            found = [one for one in outcomes if isinstance(one, _Outcome)]
            tallies.append(
                Tally(
                    control=control.value,
                    runs=len(found),
                    supported=sum(one.is_supported for one in found),
                    values=tuple(one.value for one in found if one.value is not None),
                    undefined=sum(one.value is None for one in found),
                    seconds=sum(one.seconds for one in found),
                    kept=sum(one.is_kept for one in found),
                )
            )
        return tallies

    def _plain(self, size: str) -> list[Check]:
        """Return the checks that one size's columns are all that is needed for."""
        return [one for one in self._checks.values() if one.is_plain and self._is_about(one.claim, size)]

    def _is_about(self, claim: Claim, size: str) -> bool:
        """Whether a control's columns of a size serve a claim, be it for the comparison with other sizes."""
        return claim.speaks_about(size) or (claim.logic == "differs" and size in claim.sizes)

    def _worlds(self, check: Check, size: str) -> list[Perturbation]:
        sizes = check.claim.sizes if size == TOGETHER else (size,)
        parameters = max(self._spec(one).parameters for one in sizes)
        return perturbations(check.claim.controls, self._effort, parameters)

    def _run_controls(self, checks: Sequence[Check], size: str, given: Mapping[str, Any]) -> None:
        """Run every control of these checks on one size that no earlier run did, world by world."""
        asked = self._asked(checks, size)
        for world, here in asked.items():
            measured: dict[str, Columns] = {}
            wanted = _named(here)
            start = time.perf_counter()

            def columns(
                name: str,
                world: Perturbation = world,
                measured: dict[str, Columns] = measured,
                wanted: frozenset[str] = wanted,
            ) -> Columns:
                if name not in measured:
                    measured[name] = self._control(name, world, wanted)
                return measured[name]

            try:
                if size != TOGETHER:
                    columns(size)
            except PathlenError:
                pass  # every check that asks for them meets it again
            share = (time.perf_counter() - start) / len(here)
            for check in here:
                if check.claim.logic == "differs" and size != TOGETHER:
                    self._statistics[check.key, size, world] = self._tried(check, size, columns, given)
                else:
                    self._outcomes[check.key, size, world] = self._outcome(check, size, world, columns, given, share)

        for check in {check.key: check for here in asked.values() for check in here}.values():
            self._keep(check, size)

    def _asked(self, checks: Iterable[Check], size: str) -> dict[Perturbation, list[Check]]:
        """Return the perturbations that controls of these checks have not been run in, on one size, and which checks ask for each."""
        asked: dict[Perturbation, list[Check]] = {}
        for check in checks:
            with suppress(PathlenError):  # of a size that is not here; a claim that compares with it meets it again
                for world in self._not_yet_run(check, size):
                    asked.setdefault(world, []).append(check)
        return asked

    def _not_yet_run(self, check: Check, size: str) -> list[Perturbation]:
        """Return the perturbations of a check's controls that have no outcome, after looking for those of an earlier run."""
        asked = [world for world in self._worlds(check, size) if (check.key, size, world) not in self._outcomes]
        if check.claim.logic == "differs" and size != TOGETHER:
            try:  # what its sizes come to is only wanted where the whole is not known yet
                return self._not_yet_run(check, TOGETHER)
            except PathlenError:
                return []  # nor is it without one of them
        for control in dict.fromkeys(world.control for world in asked):
            kept = self._kept_outcomes(check, size, control)
            self._outcomes |= {(check.key, size, Perturbation(control, seed)): one for seed, one in kept.items()}
        return [world for world in asked if (check.key, size, world) not in self._outcomes]

    def _name(self, check: Check, size: str, control: Control) -> str | None:
        """Return the name of a control's outcomes in the cache; None where they can't be kept."""
        if self._cache is None or not check.is_plain:
            return None
        models = [self._bench.identity(self._spec(one), control) for one in _involved(check, size)]
        return digest(
            code_fingerprint("runner.evaluator"), check.source, *check.key, size, self._seed, control, *models
        )

    def _kept_outcomes(self, check: Check, size: str, control: Control) -> dict[int, _Outcome]:
        name = self._name(check, size, control)
        kept = self._cache.get(name) if self._cache and name else None
        outcomes = {} if kept is None else msgspec.json.decode(kept, type=dict[int, _Outcome])
        return {seed: replace(one, is_kept=True) for seed, one in outcomes.items()}

    def _keep(self, check: Check, size: str) -> None:
        for control in check.claim.controls:
            found = {
                world.seed: one
                for (key, where, world), one in self._outcomes.items()
                if (key, where, world.control) == (check.key, size, control) and isinstance(one, _Outcome)
            }
            if found and self._cache and (name := self._name(check, size, control)):
                self._cache.put(name, msgspec.json.encode(found).decode("utf-8"))

    def _compared(self, size: str, world: Perturbation) -> frozenset[str]:
        """Return the columns of a size in a control's world that claims compare with another size's."""
        checks = (one for one in self._checks.values() if one.needs_small or one.claim.logic == "differs")
        return _named(
            one for one in checks if size in (SMALLEST, *one.claim.sizes) and world.control in one.claim.controls
        )

    def _control(self, size: str, world: Perturbation, wanted: frozenset[str]) -> Columns:
        """Return a control's columns; those of Small are kept while a claim compares with it."""
        if world in self._small and size == SMALLEST:
            return self._small[world]
        keep = self._compared(size, world)
        found = self._bench.control(self._spec(size), world, wanted | keep, keep=keep)
        if size == SMALLEST and any(check.needs_small for check in self._checks.values()):
            self._small[world] = found
        return found

    def _outcome(
        self,
        check: Check,
        size: str,
        world: Perturbation,
        columns: Callable[[str], Columns],
        given: Mapping[str, Any],
        share: float,
    ) -> _Outcome | Exception:
        start = time.perf_counter()

        def body() -> Statistic:
            if size == TOGETHER:
                kept = [self._kept(check, one, world, columns, given) for one in check.claim.sizes]
                return largest_difference(kept)
            return self._statistic(check, size, columns, given)

        try:
            found = evaluate(check.claim, size, body, seed=self._seed, replicates=CONTROL_REPLICATES)
        except Exception as error:  # noqa: BLE001  # of one claim's body; the others' controls go on
            return error
        value = found.estimate.value if found.estimate else None
        if world.control is PLANTED and value is not None and abs(value - PLANTED_R) > PLANTED_WITHIN:
            value = None  # the claim's number is not of what was related
        return _Outcome(
            value=value,
            is_supported=value is not None and found.verdict is Verdict.SUPPORTED,
            seconds=share + time.perf_counter() - start,
        )

    def _tried(
        self, check: Check, size: str, columns: Callable[[str], Columns], given: Mapping[str, Any]
    ) -> Statistic | Exception:
        try:
            return self._statistic(check, size, columns, given)
        except Exception as error:  # noqa: BLE001  # raised again where the statistic is used
            return error

    def _kept(
        self, check: Check, size: str, world: Perturbation, columns: Callable[[str], Columns], given: Mapping[str, Any]
    ) -> Statistic:
        """Return a size's statistic in a control's world, from when that size's turn was where it was."""
        found = self._statistics.get((check.key, size, world)) or self._statistic(check, size, columns, given)
        if isinstance(found, Exception):
            raise found
        return found

    # As published against corrected.

    def _attribution(self, check: Check, size: str) -> Attribution | None:
        """Return what each correction changes, where both readings of a claim are there and need columns only."""
        twin = (self._others | self._checks).get((check.claim.id, "as published"))
        if check.claim.reading != "corrected" or twin is None or not (check.is_plain and twin.is_plain):
            return None

        def value(made: frozenset[str]) -> float:
            def columns(name: str) -> _Sources:
                found = self._real(name)
                return _Slipped(
                    found.with_slips(
                        through_final_norm=BEFORE_NORM not in made, with_last_token=LAST_DROPPED not in made
                    )
                )

            return self._statistic(check if ANALYSIS in made else twin, size, columns, {}).value

        try:
            return attribution(CORRECTIONS, value)
        except UndefinedEstimate:
            return None  # on the way from one to the other there is no number
        except AttributeError as error:
            if isinstance(error.obj, Published):
                return None  # the corrected body asks for what the published procedure did not have
            raise

    # Universes.

    def _universes(self, check: Check, size: str, found: Finding) -> Curve | None:
        multiverse, estimate = check.claim.universes, found.estimate
        if multiverse is None or estimate is None or found.verdict is Verdict.VACUOUS:
            return None
        name = self._name(check, size, SHIFTED)  # like a curve, it depends on the trained networks
        name = name and digest("universes", found.verdict, repr(estimate.value), name)
        kept = self._cache.get(name) if self._cache and name else None
        if kept is not None:
            return msgspec.json.decode(kept, type=Curve | None)
        columns: list[tuple[Measurement, Published]] = [
            (columns.measured, columns.published) for columns in map(self._real, _involved(check, size))
        ]
        try:
            made = curve(multiverse, columns, check.claim.expect, found.verdict, seed=self._seed, own=estimate.value)
        except UndefinedEstimate:
            made = None
        if self._cache and name:
            self._cache.put(name, msgspec.json.encode(made).decode("utf-8"))
        return made


def _named(checks: Iterable[Check]) -> frozenset[str]:
    """Return the columns that checks name."""
    return frozenset(name for check in checks for name in check.columns)


def _involved(check: Check, size: str) -> tuple[str, ...]:
    """Return the sizes whose columns a claim's number on one size, or on all together, is made of."""
    if size == TOGETHER:
        return check.claim.sizes
    return (SMALLEST, size) if check.needs_small else (size,)
