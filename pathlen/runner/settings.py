"""What a session is asked to do: the options of a command line, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pathlen.claims.controls import EFFORTS, Effort
from pathlen.claims.finding import Finding
from pathlen.claims.verdict import Verdict
from pathlen.errors import ModelNotFound
from pathlen.models.checkpoint import find, from_name
from pathlen.models.families import FAMILIES, SIZES, ModelSpec, spec
from pathlen.models.loading import refuse_device
from pathlen.passages.choose import chosen
from pathlen.passages.passage import Passage
from pathlen.records.files import read

__all__ = ["Settings", "is_on_this_machine", "settings_of"]

FindingKey = tuple[str, str, str]  # a claim, its reading, and the size


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a session was asked to do.

    Attributes
    ----------
    family : str
    specs : dict of str to ModelSpec
        The sizes to run on, in order.
    selection : str
        The options that choose these models, for a command that runs them again.
    why : str
        Why this family, if the user didn't name one.
    passages : tuple of Passage
    seed : int
    report : Path
        Folder for the record and the page.
    fail_on : frozenset of str
        Verdicts that fail.
    controls : str
        How many runs of each control: ``"none"``, ``"quick"`` or ``"full"``.
    device, dtype : str
        Where and in which type networks run.
    expected : dict or None
        The verdict of every (claim, reading, size) in the record that this session must equal.

    """

    family: str
    specs: dict[str, ModelSpec]
    selection: str
    why: str
    passages: tuple[Passage, ...]
    seed: int
    report: Path
    fail_on: frozenset[str]
    controls: Effort
    device: str
    dtype: str
    expected: dict[FindingKey, str] | None

    @property
    def is_family(self) -> bool:
        """Whether the models are sizes of a family rather than a single checkpoint."""
        return self.family in FAMILIES

    def spec(self, size: str) -> ModelSpec:
        """Return the spec of a size of the family, which the session runs on or only compares with."""
        if size in self.specs:
            return self.specs[size]
        if not self.is_family:
            raise ModelNotFound(f"there is no {size} beside {self.family}, which is a checkpoint of its own")
        return spec(self.family, size)

    def fails(self, finding: Finding) -> bool:
        """Return whether a finding fails: by its verdict, or by differing from the record that was expected."""
        if self.expected is None:
            return finding.verdict.value in self.fail_on
        return self.expected_verdict(finding) != finding.verdict.value

    def expected_verdict(self, finding: Finding) -> str | None:
        """Return the verdict that the expected record has for a finding, or None."""
        key = (finding.claim.id, finding.claim.reading, finding.size)
        return None if self.expected is None else self.expected.get(key, "no finding at all")


def settings_of(
    *,
    family: str | None,
    sizes: str | None,
    directory: str | None,
    texts: Sequence[str],
    seed: int,
    report: Path,
    fail_on: str,
    expect: Path | None,
    controls: str,
    device: str = "cpu",
    dtype: str = "float32",
) -> Settings:
    """Check the options of a command line and return them as settings.

    Raises
    ------
    ValueError, PathlenError
        If an option is wrong; the message names it, the rule and the value.

    """
    for text in texts:
        if text.endswith(".py") or "::" in text:
            raise ValueError(
                f"--text takes every path up to the next option, but {text!r} is no text: name tests before it"
            )
    name, specs, why = _models(family, sizes, directory)
    if seed < 0:
        raise ValueError(f"--seed must not be negative, but {seed} was given")
    effort = next((known for known in EFFORTS if known == controls), None)
    if effort is None:
        raise ValueError(f"--controls must be {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}, but {controls!r} was given")
    refuse_device(device, dtype)
    return Settings(
        family=name,
        specs=specs,
        selection=f"--family {name}"
        if directory is None
        else " ".join(["--model", directory, *(["--family", name, "--size", *specs] if sizes else [])]),
        why=why,
        passages=tuple(chosen(list(texts))),
        seed=seed,
        report=report,
        fail_on=_verdict_names(fail_on),
        controls=effort,
        device=device,
        dtype=dtype,
        expected=read(expect).verdicts if expect else None,
    )


def _verdict_names(given: str) -> frozenset[str]:
    known = {verdict.value.replace(" ", "-"): verdict.value for verdict in Verdict}
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ValueError(f"--fail-on must name verdicts out of {', '.join(known)}, but {name!r} was given")
    return frozenset(known[name] for name in names)


def _models(family: str | None, sizes: str | None, directory: str | None) -> tuple[str, dict[str, ModelSpec], str]:
    """Return the family's name, the spec of each size asked for, and why these."""
    if directory is not None and sizes is None:
        if family is not None:
            raise ValueError(f"--model stands for a family of its own, but --family {family} was given without --size")
        checkpoint = from_name(directory)
        return checkpoint.family, {checkpoint.size: checkpoint}, f"--model {directory}"
    why = ""
    if family is None:
        family, why = ("gpt2", "") if directory is not None else _family_on_this_machine()
    # An unknown family is refused by its first size.
    asked = [size.strip() for size in sizes.split(",")] if sizes else list(FAMILIES.get(family, SIZES))
    specs = {size: spec(family, size) for size in asked}
    if directory is None:
        return family, specs, why
    if len(asked) != 1:
        raise ValueError(f"--model takes one --size, but {len(asked)} were given: {sizes}")
    from_name(directory)
    size = asked[0]
    stand_in = replace(specs[size], source=directory, revision="", title=f"{specs[size].title} from {directory}")
    return family, {size: stand_in}, f"--model {directory} as {size}"


def _family_on_this_machine() -> tuple[str, str]:
    if any(is_on_this_machine(member) for member in FAMILIES["gpt2"].values()):
        return "gpt2", "weights found on this machine"
    return "mini", "no GPT-2 weights on this machine, so the embedded demonstration family runs"


def is_on_this_machine(spec: ModelSpec) -> bool:
    """Return whether a model's weights are on this machine."""
    try:
        find(spec)
    except ModelNotFound:
        return False
    return True
