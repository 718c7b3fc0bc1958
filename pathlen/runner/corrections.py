"""From the published reading of a claim to the corrected one: what each correction changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pathlen.claims.shapley import Attribution, attribution
from pathlen.columns.measurement import Published
from pathlen.errors import UndefinedEstimate
from pathlen.runner.check import Check, ColumnSource, statistic_of
from pathlen.runner.provider import ModelColumns

__all__ = ["CORRECTIONS", "attribution_between"]

BEFORE_NORM, LAST_DROPPED, ANALYSIS = CORRECTIONS = (
    "state before the final norm",
    "last token dropped",
    "corrected analysis",
)


@dataclass(frozen=True, slots=True)
class _PartlyCorrected:
    """Columns with some of the published slips, which a body of either reading can ask for."""

    published: Published

    @property
    def measured(self) -> Published:
        return self.published


def attribution_between(
    published: Check, corrected: Check, size: str, columns: Callable[[str], ModelColumns]
) -> Attribution | None:
    """Return what each correction contributes to the difference between a claim's two readings.

    Parameters
    ----------
    published, corrected : Check
        The two readings; both ask for columns only.
    size : str
        A size, or `TOGETHER`.
    columns : callable
        Returns the columns of a size.

    Returns
    -------
    Attribution or None
        None if there is no number on the way from one reading to the other, or if the corrected body asks for a column that
        the published procedure did not have.

    """

    def value(applied: frozenset[str]) -> float:
        def partly_corrected(name: str) -> ColumnSource:
            return _PartlyCorrected(
                columns(name).with_slips(
                    through_final_norm=BEFORE_NORM not in applied, with_last_token=LAST_DROPPED not in applied
                )
            )

        return statistic_of(corrected if ANALYSIS in applied else published, size, partly_corrected, {}).value

    try:
        return attribution(CORRECTIONS, value)
    except UndefinedEstimate:
        return None
    except AttributeError as error:
        if isinstance(error.obj, Published):
            return None
        raise
