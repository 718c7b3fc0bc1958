"""From a claim's body to its finding: the estimate, its controls, what each correction changes, and its other universes.

A body asks for columns by name. Here those names get their meaning, on the model as it is and under every control's
perturbation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from pathlen._util.cache import Cache
from pathlen._util.digests import digest
from pathlen._util.fingerprint import code_fingerprint
from pathlen.claims.controls import SHIFTED, Effort
from pathlen.claims.finding import Finding, decided, evaluate
from pathlen.claims.multiverse import Curve, curve
from pathlen.claims.shapley import Attribution
from pathlen.claims.verdict import Verdict
from pathlen.columns.measurement import Measurement, Published
from pathlen.errors import UndefinedEstimate
from pathlen.models.families import ModelSpec
from pathlen.runner.check import COLUMNS, SMALLEST, Check, ClaimKey, sizes_involved, statistic_of
from pathlen.runner.control_runs import ControlRuns
from pathlen.runner.corrections import attribution_between
from pathlen.runner.provider import ColumnProvider, ModelColumns
from pathlen.stats.statistic import Statistic

__all__ = ["Evaluator"]

SELF = "runner.evaluator"  # this module, for the fingerprint of the code that makes a curve of universes


class Evaluator:
    """Judges the checks of one run.

    Parameters
    ----------
    provider : ColumnProvider
        Measures models.
    spec : callable
        From the name of a size to its spec.
    effort : str
        How many runs of each control: ``"none"``, ``"quick"`` or ``"full"``.
    seed : int
        Of every resample.
    cache : Cache, optional
        Keeps what controls and universes came to, for the next run.

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
        self._seed = seed
        self._cache = cache
        self._controls = ControlRuns(provider, spec, effort=effort, seed=seed, cache=cache)
        # Published readings: of checks that are run, and of others.
        self._published: dict[ClaimKey, Check] = {}
        self._readings: dict[ClaimKey, Check] = {}

    def register(self, checks: Iterable[Check]) -> None:
        """Make checks known before they are run, so that one pass measures what all of them need."""
        checks = list(checks)
        self._controls.register(checks)
        self._published |= _published(checks)
        self._provider.expect(name for check in checks for name in check.all_columns)

    def add_readings(self, checks: Iterable[Check]) -> None:
        """Make claims known that need not be run themselves, so that a corrected reading finds its published one."""
        self._readings |= _published(checks)

    def prefetch(self, sizes: Iterable[str]) -> None:
        """Have what the controls of all known checks need on these sizes measured by helpers, in this order."""
        self._controls.prefetch(sizes)

    def argument(self, name: str, size: str) -> Any:
        """Return the argument that a body asks for by the name of its columns; errors as in `ColumnProvider.columns`."""
        attribute, is_of_smallest = COLUMNS[name]
        return getattr(self._columns(SMALLEST if is_of_smallest else size), attribute)

    def _columns(self, size: str) -> ModelColumns:
        return self._provider.columns(self._spec(size))

    def finding(self, check: Check, size: str, given: Mapping[str, Any]) -> Finding:
        """Return what a claim comes to on one size, or on all of its sizes `TOGETHER`.

        Parameters
        ----------
        check : Check
            The claim and its body.
        size : str
            One of the family's, or `TOGETHER` for a claim about the difference between sizes.
        given : mapping
            The arguments that the body asks for besides columns.

        Raises
        ------
        PathlenError
            If columns can't be measured, or something is wrong with the claim.

        """
        self.register([check])

        def body() -> Statistic:
            return statistic_of(check, size, self._columns, given)

        finding = evaluate(check.claim, size, body, seed=self._seed)
        if finding.estimate is None:
            return finding
        return replace(
            decided(finding, self._controls.tallies(check, size, given)),
            attribution=self._attribution(check, size),
            universes=self._universes(check, size, finding),
        )

    def measure_share(self, check: Check, size: str, share: str) -> None:
        """Measure one size's share of a comparison, so that it is kept for a run that has the others.

        Parameters
        ----------
        check : Check
            A claim about `size`, or about several sizes `TOGETHER`.
        size : str
            What the claim is about.
        share : str
            The size to measure, unperturbed and under the claim's controls. Errors as in `ColumnProvider.columns`.

        """
        self.register([check])
        self._columns(share)
        self._controls.measure_share(check, size, share)

    def _attribution(self, check: Check, size: str) -> Attribution | None:
        """Return what each correction changes, where both readings of a claim are there and need columns only."""
        published = (self._readings | self._published).get((check.claim.id, "as published"))
        if check.claim.reading != "corrected" or published is None or not (check.is_plain and published.is_plain):
            return None
        return attribution_between(published, check, size, self._columns)

    def _universes(self, check: Check, size: str, finding: Finding) -> Curve | None:
        multiverse, estimate = check.claim.universes, finding.estimate
        if multiverse is None or estimate is None or finding.verdict is Verdict.VACUOUS:
            return None
        name = self._controls.cache_name(check, size, SHIFTED)  # like a curve, it depends on the trained networks
        name = name and digest(code_fingerprint(SELF), "universes", finding.verdict, repr(estimate.value), name)
        text = self._cache.get(name) if self._cache and name else None
        if text is not None:
            return msgspec.json.decode(text, type=Curve | None)
        columns: list[tuple[Measurement, Published]] = [
            (columns.measured, columns.published) for columns in map(self._columns, sizes_involved(check, size))
        ]
        universes: Curve | None
        try:
            universes = curve(
                multiverse, columns, check.claim.expect, finding.verdict, seed=self._seed, own=estimate.value
            )
        except UndefinedEstimate:
            universes = None
        if self._cache and name:
            self._cache.put(name, msgspec.json.encode(universes).decode("utf-8"))
        return universes


def _published(checks: Iterable[Check]) -> dict[ClaimKey, Check]:
    return {check.key: check for check in checks if check.claim.reading == "as published"}
