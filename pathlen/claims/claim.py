"""Claims as data, and the decorator that declares them.

A claim is a function whose docstring is the sentence, whose decorator says where the sentence should hold and in
which region the number must lie, and whose body returns the statistic::

    @claim(sizes=[SMALL], section="3.2", expect=below(0.0), controls=[UNTRAINED, SHIFTED])
    def test_small_negative(measured):
        \"\"\"In Small, the shorter the last step, the larger the next token's logit.\"\"\"
        return pearson(measured.last_step, measured.next_logit, passage=measured.passage)

The id is the function's name: ``test_small_negative`` is the claim ``small-negative``. A function whose name ends in
``_as_published`` is the published reading of the same claim, and every report shows both side by side. The region is
fixed before anything is measured, and the body never sees it. Controls say where the claim must *not* come out supported
(`pathlen.claims.controls`). Without one, support could mean nothing, so every claim has to name at least one.

`pathlen.claims.finding` turns a claim and the statistic of its body into a finding.
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

__all__ = ["TOGETHER", "Claim", "Reading", "claim", "declared", "refuse_duplicates"]

AS_PUBLISHED = "_as_published"
TOGETHER = "together"  # the size of a finding about all sizes at once
ARGUMENTS_OF_SMALL = frozenset(
    {"measured_small", "as_published_small"}
)  # columns of Small, to compare another size with
Reading = Literal["corrected", "as published"]
CONTROL_NAMES = ", ".join(control.name for control in Control)
Function = TypeVar("Function", bound=Callable[..., Statistic])


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A checkable sentence, declared before anything is measured.

    Attributes
    ----------
    id : str
        Unique together with ``reading``.
    reading : str
        ``"corrected"``, or ``"as published"`` for the published procedure, mistakes included.
    sentence : str
        The claim in plain words.
    section : str
        Section of the document that makes the claim.
    sizes : tuple of str
        Model sizes the claim is about. It says nothing about other sizes.
    expect : Region
        Where the number must lie for the sentence to hold.
    logic : str
        ``"each"``: every size is judged separately. ``"all"``: the claim must hold on every size. ``"differs"``: the
        number is the largest difference between any two sizes on the same tokens.
    controls : tuple of Control
        Settings in which the claim must not come out supported; see `pathlen.claims.controls`.
    unit : str or None
        Resampling unit: ``"passages"``, ``"blocks"`` or ``"tokens"``. By default passages; fewer than five texts are treated
        as a time series.
    universes : Multiverse or None
        The analysis choices behind the number, and how to compute it for every combination of them.
    needs : tuple of str
        Arguments of the body.
    true_by_construction : str
        Why no data could refute the claim; support is then vacuous. Empty if data could refute it.
    not_shown : str
        What a supported verdict would still leave open.
    exploratory : bool
        Whether the document only suggests the claim.
    negligible : Region or None
        Values too small to matter. Support is flagged if its 90 % interval lies in this region: with enough tokens a
        number can be both below zero and practically zero.

    Raises
    ------
    InvalidClaim
        If the sentence, region, sizes or controls are missing or invalid.

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
        self._check_sentence_and_region()
        self._check_sizes()
        self._check_unit()
        self._check_controls()
        self._check_negligible()

    def _check_sentence_and_region(self) -> None:
        if not self.sentence:
            raise InvalidClaim(f"claim {self.id!r} needs a sentence: write it as the function's docstring")
        if not isinstance(self.expect, Region):
            raise InvalidClaim(
                f"claim {self.id!r} needs a region: say {where_it_must_lie(self.expect)}, but {self.expect!r} was given"
            )

    def _check_sizes(self) -> None:
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

    def _check_unit(self) -> None:
        if self.unit not in (None, "passages", "blocks", "tokens"):
            raise InvalidClaim(
                f"claim {self.id!r}: unit must be 'passages', 'blocks' or 'tokens', but {self.unit!r} was given"
            )

    def _check_controls(self) -> None:
        for control in self.controls:
            if not isinstance(control, Control):
                raise InvalidClaim(
                    f"claim {self.id!r}: controls must be out of {CONTROL_NAMES}, but {control!r} was given"
                )
        if not self.controls and not self.true_by_construction:
            raise InvalidClaim(
                f"claim {self.id!r} names no control, so nothing would tell support from what any network would give: say "
                f"where it must not be supported, controls=[...] out of {CONTROL_NAMES}; or, if no network could refute it, "
                'true_by_construction="why"'
            )

    def _check_negligible(self) -> None:
        if self.negligible is not None and (self.expect.is_equivalence or not self.negligible.is_equivalence):
            raise InvalidClaim(
                f"claim {self.id!r}: negligible says which numbers too small to matter a direction may still hold for, so it "
                f"needs within(...) beside below(...) or above(...), but {self.negligible} was given beside {self.expect}"
            )

    def speaks_about(self, size: str) -> bool:
        """Whether the claim is about a size. A claim about every size is also about any other model."""
        if size == TOGETHER or self.logic == "differs":
            return size == TOGETHER and self.logic == "differs"
        return size in self.sizes or set(self.sizes) == set(SIZES)

    @property
    def compares_sizes(self) -> bool:
        """Whether the claim compares sizes, i.e. its number or verdict depends on more than one network."""
        return self.logic != "each" or not ARGUMENTS_OF_SMALL.isdisjoint(self.needs)


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
    """Declare a function as a claim. The module's docstring shows how; `Claim` describes the arguments.

    Raises
    ------
    InvalidClaim
        If the claim could not be checked. Raised as soon as the function is defined.

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
        sentence = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        declaration = Claim(
            id=name.removesuffix(AS_PUBLISHED).replace("_", "-"),
            reading="as published" if name.endswith(AS_PUBLISHED) else "corrected",
            sentence=sentence,
            section=section,
            sizes=tuple(sizes),
            expect=expect,  # type: ignore[arg-type]  # Claim checks it
            logic=logic,
            true_by_construction=true_by_construction,
            not_shown=not_shown,
            exploratory=exploratory,
            negligible=negligible,
            controls=tuple(controls),
            unit=unit,
            universes=universes,
            needs=tuple(argument for argument in inspect.signature(function).parameters if argument != "self"),
        )
        function.__pathlen_claim__ = declaration  # type: ignore[attr-defined]
        return function

    return declare


def declared(function: object) -> Claim | None:
    """Return the claim that a function declares, or None."""
    declaration = getattr(function, "__pathlen_claim__", None)
    return declaration if isinstance(declaration, Claim) else None


def refuse_duplicates(claims: Sequence[tuple[Claim, str]]) -> None:
    """Raise `InvalidClaim` if two functions declare the same claim and reading.

    The second entry of each pair says where the claim is declared.
    """
    first_locations: dict[tuple[str, str], str] = {}
    for declaration, location in claims:
        first = first_locations.setdefault((declaration.id, declaration.reading), location)
        if first != location:
            raise InvalidClaim(
                f"claim {declaration.id!r} ({declaration.reading}) is declared twice, in {first} and in {location}: "
                "rename one of the functions"
            )
