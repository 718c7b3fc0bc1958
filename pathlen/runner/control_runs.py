"""Negative controls of claims: run, counted, and kept for the next run.

Controls go perturbation by perturbation. One forward pass serves all claims on a size and is then let go, so memory holds the
columns of one perturbation at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from pathlen._util.cache import Cache
from pathlen._util.digests import digest
from pathlen._util.fingerprint import code_fingerprint
from pathlen.claims.claim import TOGETHER
from pathlen.claims.controls import (
    PLANTED,
    PLANTED_R,
    PLANTED_WITHIN,
    Control,
    Effort,
    Perturbation,
    Tally,
    perturbations,
)
from pathlen.claims.finding import evaluate
from pathlen.claims.verdict import Verdict
from pathlen.errors import PathlenError
from pathlen.models.families import ModelSpec
from pathlen.runner.check import SMALLEST, Check, ClaimKey, columns_named_by, sizes_involved, statistic_of
from pathlen.runner.provider import ColumnProvider, ModelColumns
from pathlen.stats.multiplicity import largest_difference
from pathlen.stats.statistic import Statistic

__all__ = ["CONTROL_REPLICATES", "JUDGING", "ControlRuns"]

CONTROL_REPLICATES = 1999  # a control only needs its verdict
JUDGING = "runner.control_runs"  # the module whose code, with all that it imports, decides what a control comes to

RunKey = tuple[ClaimKey, str, Perturbation]  # a claim on a size under a perturbation


@dataclass(slots=True)
class _Outcome:
    """What a claim came to in one run of one of its controls; without a value, it had no number that counts."""

    value: float | None
    is_supported: bool
    seconds: float
    is_kept: bool = False  # from an earlier run


class ControlRuns:
    """Runs the controls of a run's checks, each once.

    Parameters
    ----------
    provider : ColumnProvider
        Measures models, perturbed or not.
    spec : callable
        From the name of a size to its spec.
    effort : str
        How many runs of each control: ``"none"``, ``"quick"`` or ``"full"``.
    seed : int
        Of every resample.
    cache : Cache, optional
        Keeps what controls came to, for the next run.

    """

    def __init__(
        self,
        provider: ColumnProvider,
        spec: Callable[[str], ModelSpec],
        *,
        effort: Effort,
        seed: int,
        cache: Cache | None = None,
    ) -> None:
        self._provider = provider
        self._spec = spec
        self._effort = effort
        self._seed = seed
        self._cache = cache
        self._checks: dict[ClaimKey, Check] = {}
        self._outcomes: dict[RunKey, _Outcome | Exception] = {}
        # What each size of a claim between sizes came to, until the last of them was its turn.
        self._statistics: dict[RunKey, Statistic | Exception] = {}
        self._smallest: dict[Perturbation, ModelColumns] = {}

    def register(self, checks: Iterable[Check]) -> None:
        """Make checks known before they are run, so that a perturbation serves all of them at once."""
        self._checks |= {check.key: check for check in checks}

    def prefetch(self, sizes: Iterable[str]) -> None:
        """Have helpers measure what the controls of all known checks will need on these sizes, in this order."""
        needed: list[tuple[ModelSpec, Perturbation, Iterable[str]]] = []
        for size in sizes:
            checks = self._plain_checks(size)
            # Looking for kept outcomes reads all weights of a model, which takes long for a large one.
            if checks and self._provider.can_share(self._spec(size)):
                for perturbation, asking in self._missing(checks, size).items():
                    columns = columns_named_by(asking) | self._compared_columns(size, perturbation)
                    needed.append((self._spec(size), perturbation, columns))
        self._provider.prefetch_controls(needed)

    def tallies(self, check: Check, size: str, given: Mapping[str, Any]) -> list[Tally]:
        """Return what a check came to in each of its controls, running those that have not been run.

        Parameters
        ----------
        check : Check
            The claim and its body.
        size : str
            A size, or `TOGETHER`.
        given : mapping
            The arguments that the body asks for besides columns.

        """
        wanted = self._perturbations(check, size)
        if any((check.key, size, perturbation) not in self._outcomes for perturbation in wanted):
            self._run(self._plain_checks(size) if check.is_plain else [check], size, given)
        return [
            self._tally(control, [self._outcomes[check.key, size, run] for run in wanted if run.control is control])
            for control in dict.fromkeys(perturbation.control for perturbation in wanted)
        ]

    def _tally(self, control: Control, results: Sequence[_Outcome | Exception]) -> Tally:
        for result in results:
            if isinstance(result, Exception):
                raise result
        outcomes = [result for result in results if isinstance(result, _Outcome)]
        return Tally(
            control=control.value,
            runs=len(outcomes),
            supported=sum(outcome.is_supported for outcome in outcomes),
            values=tuple(outcome.value for outcome in outcomes if outcome.value is not None),
            undefined=sum(outcome.value is None for outcome in outcomes),
            seconds=sum(outcome.seconds for outcome in outcomes),
            kept=sum(outcome.is_kept for outcome in outcomes),
        )

    def measure_share(self, check: Check, size: str, share: str) -> None:
        """Measure one size's part of the controls of a claim about ``size``, so that it is kept; errors as in `ColumnProvider`."""
        for perturbation in self._perturbations(check, size):
            if perturbation.needs_forward_pass:
                self._columns(share, perturbation, check.columns)

    # Which runs there are.

    def _plain_checks(self, size: str) -> list[Check]:
        """Return the known checks that need nothing but a size's columns."""
        return [check for check in self._checks.values() if check.is_plain and check.uses_columns_of(size)]

    def _perturbations(self, check: Check, size: str) -> list[Perturbation]:
        sizes = check.claim.sizes if size == TOGETHER else (size,)
        parameters = max(self._spec(member).parameters for member in sizes)
        return perturbations(check.claim.controls, self._effort, parameters)

    def _missing(self, checks: Iterable[Check], size: str) -> dict[Perturbation, list[Check]]:
        """Return the perturbations of a size in which checks have not been run, each with those checks."""
        missing: dict[Perturbation, list[Check]] = {}
        for check in checks:
            with suppress(PathlenError):  # a size is not on this machine; its own claims report that
                for perturbation in self._not_yet_run(check, size):
                    missing.setdefault(perturbation, []).append(check)
        return missing

    def _not_yet_run(self, check: Check, size: str) -> list[Perturbation]:
        """Return the perturbations in which a check has no outcome, after looking for those of an earlier run."""

        def without_outcome() -> list[Perturbation]:
            return [run for run in self._perturbations(check, size) if (check.key, size, run) not in self._outcomes]

        if check.is_compared and size != TOGETHER:
            try:  # a size's share is needed only where the comparison itself has no outcome yet
                return self._not_yet_run(check, TOGETHER)
            except PathlenError:
                return []  # a size is missing, so there will be no comparison
        for control in dict.fromkeys(run.control for run in without_outcome()):
            for seed, outcome in self._read_outcomes(check, size, control).items():
                self._outcomes[check.key, size, Perturbation(control, seed)] = outcome
        return without_outcome()

    # Running them.

    def _run(self, checks: Sequence[Check], size: str, given: Mapping[str, Any]) -> None:
        """Run these checks in every perturbation of a size that has no outcome, one perturbation after the other."""
        missing = self._missing(checks, size)
        for perturbation, asking in missing.items():
            self._run_perturbation(perturbation, asking, size, given)
        for check in {check.key: check for asking in missing.values() for check in asking}.values():
            self._keep_outcomes(check, size)

    def _run_perturbation(
        self, perturbation: Perturbation, checks: Sequence[Check], size: str, given: Mapping[str, Any]
    ) -> None:
        measured: dict[str, ModelColumns] = {}
        wanted = columns_named_by(checks)

        def columns(name: str) -> ModelColumns:
            if name not in measured:
                measured[name] = self._columns(name, perturbation, wanted)
            return measured[name]

        start = time.perf_counter()
        with suppress(PathlenError):  # every check that needs the columns raises it again
            if size != TOGETHER:
                columns(size)
        share = (time.perf_counter() - start) / len(checks)
        for check in checks:
            key = check.key, size, perturbation
            if check.is_compared and size != TOGETHER:
                self._statistics[key] = _statistic_or_error(check, size, columns, given)
            else:
                self._outcomes[key] = self._outcome(check, size, perturbation, columns, given, share)

    def _outcome(
        self,
        check: Check,
        size: str,
        perturbation: Perturbation,
        columns: Callable[[str], ModelColumns],
        given: Mapping[str, Any],
        share: float,
    ) -> _Outcome | Exception:
        start = time.perf_counter()

        def body() -> Statistic:
            if size != TOGETHER:
                return statistic_of(check, size, columns, given)
            statistics = [self._share(check, member, perturbation, columns, given) for member in check.claim.sizes]
            return largest_difference(statistics)

        try:
            finding = evaluate(check.claim, size, body, seed=self._seed, replicates=CONTROL_REPLICATES)
        except Exception as error:  # noqa: BLE001  # of one claim's body; the others' controls go on
            return error
        value = finding.estimate.value if finding.estimate else None
        if perturbation.control is PLANTED and value is not None and abs(value - PLANTED_R) > PLANTED_WITHIN:
            value = None  # the claim's number is not of the pair of columns that was related
        return _Outcome(
            value=value,
            is_supported=value is not None and finding.verdict is Verdict.SUPPORTED,
            seconds=share + time.perf_counter() - start,
        )

    def _share(
        self,
        check: Check,
        size: str,
        perturbation: Perturbation,
        columns: Callable[[str], ModelColumns],
        given: Mapping[str, Any],
    ) -> Statistic:
        """Return the statistic that a size contributes to a comparison, computed now unless that size had its turn."""
        statistic = self._statistics.get((check.key, size, perturbation)) or statistic_of(check, size, columns, given)
        if isinstance(statistic, Exception):
            raise statistic
        return statistic

    def _columns(self, size: str, perturbation: Perturbation, wanted: frozenset[str]) -> ModelColumns:
        """Return a perturbed size's columns; the smallest size's stay in memory while a claim compares with it."""
        if perturbation in self._smallest and size == SMALLEST:
            return self._smallest[perturbation]
        compared = self._compared_columns(size, perturbation)
        columns = self._provider.control(self._spec(size), perturbation, wanted | compared, keep=compared)
        if size == SMALLEST and any(check.needs_small for check in self._checks.values()):
            self._smallest[perturbation] = columns
        return columns

    def _compared_columns(self, size: str, perturbation: Perturbation) -> frozenset[str]:
        """Return the columns of a perturbed size that claims compare with another size's."""
        return columns_named_by(
            check
            for check in self._checks.values()
            if (check.needs_small or check.is_compared)
            and size in (SMALLEST, *check.claim.sizes)
            and perturbation.control in check.claim.controls
        )

    # Keeping what they came to.

    def cache_name(self, check: Check, size: str, control: Control) -> str | None:
        """Return the name under which a control's outcomes are kept; None where they can't be."""
        if self._cache is None or not check.is_plain:
            return None
        models = [self._provider.identity(self._spec(member), control) for member in sizes_involved(check, size)]
        return digest(code_fingerprint(JUDGING), check.source, *check.key, size, self._seed, control, *models)

    def _read_outcomes(self, check: Check, size: str, control: Control) -> dict[int, _Outcome]:
        """Return the outcomes that an earlier run kept, by the seed of the perturbation."""
        name = self.cache_name(check, size, control)
        text = self._cache.get(name) if self._cache and name else None
        outcomes = {} if text is None else msgspec.json.decode(text, type=dict[int, _Outcome])
        return {seed: replace(outcome, is_kept=True) for seed, outcome in outcomes.items()}

    def _keep_outcomes(self, check: Check, size: str) -> None:
        for control in check.claim.controls:
            outcomes = {
                perturbation.seed: outcome
                for (key, other_size, perturbation), outcome in self._outcomes.items()
                if (key, other_size, perturbation.control) == (check.key, size, control)
                and isinstance(outcome, _Outcome)
            }
            if outcomes and self._cache and (name := self.cache_name(check, size, control)):
                self._cache.put(name, msgspec.json.encode(outcomes).decode("utf-8"))


def _statistic_or_error(
    check: Check, size: str, columns: Callable[[str], ModelColumns], given: Mapping[str, Any]
) -> Statistic | Exception:
    try:
        return statistic_of(check, size, columns, given)
    except Exception as error:  # noqa: BLE001  # raised again where the statistic is used
        return error
