"""Claims as data, and the step from a claim and a statistic to a finding.

A claim is a function whose docstring is the sentence, whose decorator says where the sentence should hold and in
which region the number must lie, and whose body returns the statistic::

    @claim(sizes=[SMALL], section="3.2", expect=below(0.0), controls=[UNTRAINED, SHIFTED])
    def test_small_negative(measured):
        \"\"\"In Small, the shorter the last step, the larger the next token's logit.\"\"\"
        return pearson(measured.last_step, measured.next_logit, passage=measured.passage)

The id is the function's name: ``test_small_negative`` is the claim ``small-negative``. A function whose name ends
in ``_as_published`` is the published reading of the same claim; both stand side by side in every report. The
body never sees the region, and the region stands before anything is measured. Controls say where the claim must *not*
come out supported (`pathlen.claims.controls`); without one, support could mean nothing, so a claim has to name some.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pathlen.claims.controls import Control
from pathlen.claims.hints import refuse_assertions, where_it_must_lie
from pathlen.claims.multiverse import Multiverse
from pathlen.claims.verdict import Logic, Region
from pathlen.errors import InvalidClaim
from pathlen.models.families import SIZES
from pathlen.stats.clusters import By
from pathlen.stats.statistic import Statistic

__all__ = ["NEGLIGIBLE", "TOGETHER", "Claim", "Reading", "claim", "declared", "refuse_duplicates"]

AS_PUBLISHED = "_as_published"
TOGETHER = "together"  # the size of a finding about all sizes at once
NEGLIGIBLE = "negligible"
Reading = Literal["corrected", "as published"]
CONTROLS = ", ".join(control.name for control in Control)
Function = TypeVar("Function", bound=Callable[..., Statistic])


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence that can be checked, declared before anything is measured.

    Attributes
    ----------
    id : str
        Unique, together with ``reading``.
    reading : str
        ``"corrected"``, or ``"as published"`` for the published procedure with its slips.
    sentence : str
        The claim in plain words.
    section : str
        Where the document says it.
    sizes : tuple of str
        The sizes it speaks about; on any other it is not claimed.
    expect : Region
        Where the number must lie for the sentence to be true.
    logic : str
        ``"each"`` size for itself; ``"all"`` of them together; or ``"differs"``: the number is the largest difference
        between any two of them, on the same tokens.
    controls : tuple of Control
        Where the claim must not come out supported; see `pathlen.claims.controls`.
    unit : str or None
        What is resampled: ``"passages"``, ``"blocks"`` or ``"tokens"``. Unless said, passages, and fewer than five texts are
        read as a series.
    universes : Multiverse or None
        The choices behind the number, and its value for each way to make them.
    needs : tuple of str
        What the body asks for.
    true_by_construction : str
        Why the number could not have come out otherwise; empty if it could. Support is then vacuous.
    not_shown : str
        What a supported verdict would still not show.
    exploratory : bool
        Whether the document only suggests it.
    negligible : Region or None
        Numbers that would be too small to matter. Support whose 90 % interval lies in it is flagged: with enough tokens
        a number can be both below zero and about zero.

    Raises
    ------
    InvalidClaim
        If the sentence, the sizes, the region or the controls are missing, or a size is unknown.

    """

    id: str
    reading: Reading
    sentence: str
    section: str
    sizes: tuple[str, ...]
    expect: Region
    logic: Logic = "each"
    true_by_construction: str = ""
    not_shown: str = ""
    exploratory: bool = False
    negligible: Region | None = None
    controls: tuple[Control, ...] = ()
    unit: By | None = None
    universes: Multiverse | None = None
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sentence:
            raise InvalidClaim(f"claim {self.id!r} needs a sentence: write it as the function's docstring")
        if not isinstance(self.expect, Region):
            raise InvalidClaim(
                f"claim {self.id!r} needs a region: say {where_it_must_lie(self.expect)}, but {self.expect!r} was given"
            )
        if not self.sizes:
            raise InvalidClaim(f"claim {self.id!r} needs at least one size out of {', '.join(SIZES)}")
        for size in self.sizes:
            if size not in SIZES:
                raise InvalidClaim(f"claim {self.id!r}: size must be one of {', '.join(SIZES)}, but {size!r} was given")
        if self.logic not in ("each", "all", "differs"):
            raise InvalidClaim(
                f"claim {self.id!r}: logic must be 'each', 'all' or 'differs', but {self.logic!r} was given"
            )
        if self.logic == "differs" and len(self.sizes) < 2:
            raise InvalidClaim(
                f"claim {self.id!r}: 'differs' compares sizes, but only {', '.join(self.sizes)} was given"
            )
        if self.unit not in (None, "passages", "blocks", "tokens"):
            raise InvalidClaim(
                f"claim {self.id!r}: unit must be 'passages', 'blocks' or 'tokens', but {self.unit!r} was given"
            )
        for control in self.controls:
            if not isinstance(control, Control):
                raise InvalidClaim(f"claim {self.id!r}: controls must be out of {CONTROLS}, but {control!r} was given")
        if not self.controls and not self.true_by_construction:
            raise InvalidClaim(
                f"claim {self.id!r} names no control, so nothing would tell support from what any network would give: say "
                f"where it must not be supported, controls=[...] out of {CONTROLS}; or, if no network could refute it, "
                'true_by_construction="why"'
            )
        if self.negligible is not None and (self.expect.is_equivalence or not self.negligible.is_equivalence):
            raise InvalidClaim(
                f"claim {self.id!r}: negligible says which numbers too small to matter a direction may still hold for, so it "
                f"needs within(...) beside below(...) or above(...), but {self.negligible} was given beside {self.expect}"
            )

    def speaks_about(self, size: str) -> bool:
        """Whether the claim is made about a size; one made about every size is made about any other model too."""
        if size == TOGETHER or self.logic == "differs":
            return size == TOGETHER and self.logic == "differs"
        return size in self.sizes or set(self.sizes) == set(SIZES)

    @property
    def compares_sizes(self) -> bool:
        """Whether the claim is about size: more than one network goes into what is said."""
        return self.logic != "each" or any(name.endswith("_small") for name in self.needs)


def claim(
    bare: Callable[..., object] | None = None,
    /,
    *,
    sizes: Iterable[str] = (),
    section: str = "",
    expect: Region | None = None,
    logic: Logic = "each",
    true_by_construction: str = "",
    not_shown: str = "",
    exploratory: bool = False,
    negligible: Region | None = None,
    controls: Iterable[Control] = (),
    unit: By | None = None,
    universes: Multiverse | None = None,
) -> Callable[[Function], Function]:
    """Declare a function to be a claim; see the module's docstring and `Claim` for the arguments.

    Raises
    ------
    InvalidClaim
        As soon as the function is defined, if the claim could not be checked.

    """
    if bare is not None:
        raise InvalidClaim(
            f"claim {getattr(bare, '__name__', bare)!r} is declared without saying anything: write "
            "@claim(sizes=[...], expect=..., controls=[...]), with its parentheses"
        )

    def declare(function: Function) -> Function:
        name = function.__name__.removeprefix("test_")
        refuse_assertions(name.replace("_", "-"), function)
        if isinstance(sizes, str):
            raise InvalidClaim(
                f"claim {name!r}: sizes must be a list of sizes, but {sizes!r} was given: write [{sizes!r}]"
            )
        published = name.endswith(AS_PUBLISHED)
        sentence = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        declaration = Claim(
            id=name.removesuffix(AS_PUBLISHED).replace("_", "-"),
            reading="as published" if published else "corrected",
            sentence=sentence,
            section=section,
            sizes=tuple(sizes),
            expect=expect,  # type: ignore[arg-type]  # Claim itself says what is missing
            logic=logic,
            true_by_construction=true_by_construction,
            not_shown=not_shown,
            exploratory=exploratory,
            negligible=negligible,
            controls=tuple(controls),
            unit=unit,
            universes=universes,
            needs=tuple(name for name in inspect.signature(function).parameters if name != "self"),
        )
        function.__pathlen_claim__ = declaration  # type: ignore[attr-defined]
        return function

    return declare


def declared(function: object) -> Claim | None:
    """Return the claim that a function was declared to be, or None."""
    found = getattr(function, "__pathlen_claim__", None)
    return found if isinstance(found, Claim) else None


def refuse_duplicates(claims: Sequence[tuple[Claim, str]]) -> None:
    """Raise `InvalidClaim` if two functions, named by the second entries, declare the same claim and reading."""
    homes: dict[tuple[str, str], str] = {}
    for one, home in claims:
        first = homes.setdefault((one.id, one.reading), home)
        if first != home:
            raise InvalidClaim(
                f"claim {one.id!r} ({one.reading}) is declared twice, in {first} and in {home}: rename one of the functions"
            )
