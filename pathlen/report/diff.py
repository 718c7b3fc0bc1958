"""What two records say differently: changed verdicts first, then what came or went, then the conditions."""

from __future__ import annotations

from dataclasses import dataclass

from pathlen.records.merge import SAME
from pathlen.records.schema import FindingRecord, Run
from pathlen.report.matrix import SYMBOLS

__all__ = ["Difference", "diff_lines", "diff_markdown", "difference"]

FindingKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a record differs from an earlier one.

    Attributes
    ----------
    changed : tuple of (FindingRecord, FindingRecord)
        Findings whose verdict is another now, before and after.
    gone, new : tuple of FindingRecord
        Findings that only the earlier, or only the later one has.
    same : int
        Findings whose verdict is the same.
    conditions : tuple of str
        What else differs, in words: texts, seed, weights, versions.

    """

    changed: tuple[tuple[FindingRecord, FindingRecord], ...]
    gone: tuple[FindingRecord, ...]
    new: tuple[FindingRecord, ...]
    same: int
    conditions: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether every finding is in both, with the same verdict."""
        return not (self.changed or self.gone or self.new)


def difference(before: Run, after: Run) -> Difference:
    """Return how the findings of a run differ from those of an earlier one."""
    old, now = ({_key(one): one for one in run.findings} for run in (before, after))
    both = [key for key in old if key in now]
    compared = {"family": lambda run: run.family, **SAME}
    conditions = [
        f"{what}: {of(before)} before, {of(after)} now" for what, of in compared.items() if of(before) != of(after)
    ]
    weights = {one.size: one.weights_sha256 for one in before.models}
    conditions += [
        f"weights of {one.size}: {weights[one.size][:12]} before, {one.weights_sha256[:12]} now"
        for one in after.models
        if weights.get(one.size, one.weights_sha256) != one.weights_sha256
    ]
    return Difference(
        changed=tuple((old[key], now[key]) for key in both if old[key].verdict != now[key].verdict),
        gone=tuple(one for key, one in old.items() if key not in now),
        new=tuple(one for key, one in now.items() if key not in old),
        same=sum(old[key].verdict == now[key].verdict for key in both),
        conditions=tuple(conditions),
    )


def diff_lines(found: Difference) -> list[str]:
    """Return a difference for a terminal."""
    lines = [f"{_name(one)}: {_said(one)} before, {_said(other)} now" for one, other in found.changed]
    lines += [f"{_name(one)}: gone, was {_said(one)}" for one in found.gone]
    lines += [f"{_name(one)}: new, {_said(one)}" for one in found.new]
    lines.append(f"{found.same} findings with the same verdict, {len(found.changed)} with another")
    return [*lines, *(f"made under other conditions: {text}" for text in found.conditions)]


def diff_markdown(found: Difference) -> list[str]:
    """Return a difference as Markdown, for a pull request."""
    lines = [f"**{len(found.changed)} changed verdicts**, {found.same} the same."]
    if not found.is_empty:
        lines += ["", "| claim | reading | size | before | now |", "|---|---|---|---|---|"]
        pairs: list[tuple[FindingRecord | None, FindingRecord | None]] = [*found.changed]
        pairs += [(one, None) for one in found.gone] + [(None, one) for one in found.new]
        for one, other in pairs:
            either = one or other
            assert either is not None  # noqa: S101  # a pair has at least one side
            cells = (either.claim, either.reading, either.size, _said(one), _said(other))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if found.conditions:
        lines += ["", *(f"- made under other conditions: {text}" for text in found.conditions)]
    return lines


def _key(one: FindingRecord) -> FindingKey:
    return one.claim, one.reading, one.size


def _name(one: FindingRecord) -> str:
    return f"{one.claim} ({one.reading}) on {one.size}"


def _said(one: FindingRecord | None) -> str:
    if one is None:
        return "–"
    number = f" {one.estimate.digits[0]}" if one.estimate else ""
    return f"{SYMBOLS[one.verdict]} {one.verdict}{number}"
