"""How two records differ: changed verdicts first, then findings that came or went, then the conditions."""

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
        Findings whose verdict changed, before and after.
    gone, new : tuple of FindingRecord
        Findings that only the earlier record has, or only the later one.
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
    old, now = ({_key(finding): finding for finding in run.findings} for run in (before, after))
    both = [key for key in old if key in now]
    compared = {"family": lambda run: run.family, **SAME}
    conditions = [
        f"{name}: {condition(before)} before, {condition(after)} now"
        for name, condition in compared.items()
        if condition(before) != condition(after)
    ]
    weights = {model.size: model.weights_sha256 for model in before.models}
    conditions += [
        f"weights of {model.size}: {weights[model.size][:12]} before, {model.weights_sha256[:12]} now"
        for model in after.models
        if weights.get(model.size, model.weights_sha256) != model.weights_sha256
    ]
    return Difference(
        changed=tuple((old[key], now[key]) for key in both if old[key].verdict != now[key].verdict),
        gone=tuple(finding for key, finding in old.items() if key not in now),
        new=tuple(finding for key, finding in now.items() if key not in old),
        same=sum(old[key].verdict == now[key].verdict for key in both),
        conditions=tuple(conditions),
    )


def diff_lines(differing: Difference) -> list[str]:
    """Return a difference for a terminal."""
    lines = [f"{_name(earlier)}: {_said(earlier)} before, {_said(later)} now" for earlier, later in differing.changed]
    lines += [f"{_name(finding)}: gone, was {_said(finding)}" for finding in differing.gone]
    lines += [f"{_name(finding)}: new, {_said(finding)}" for finding in differing.new]
    lines.append(f"{differing.same} findings with the same verdict, {len(differing.changed)} with another")
    return [*lines, *(f"made under other conditions: {text}" for text in differing.conditions)]


def diff_markdown(differing: Difference) -> list[str]:
    """Return a difference as Markdown, for a pull request."""
    lines = [f"**{len(differing.changed)} changed verdicts**, {differing.same} the same."]
    if not differing.is_empty:
        lines += ["", "| claim | reading | size | before | now |", "|---|---|---|---|---|"]
        pairs: list[tuple[FindingRecord | None, FindingRecord | None]] = [*differing.changed]
        pairs += [(finding, None) for finding in differing.gone] + [(None, finding) for finding in differing.new]
        for earlier, later in pairs:
            either = earlier or later
            assert either is not None  # noqa: S101  # a pair has at least one side
            cells = (either.claim, either.reading, either.size, _said(earlier), _said(later))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if differing.conditions:
        lines += ["", *(f"- made under other conditions: {text}" for text in differing.conditions)]
    return lines


def _key(finding: FindingRecord) -> FindingKey:
    return finding.claim, finding.reading, finding.size


def _name(finding: FindingRecord) -> str:
    return f"{finding.claim} ({finding.reading}) on {finding.size}"


def _said(finding: FindingRecord | None) -> str:
    if finding is None:
        return "–"
    number = f" {finding.estimate.digits[0]}" if finding.estimate else ""
    return f"{SYMBOLS[finding.verdict]} {finding.verdict}{number}"
