"""What a session knows of the project that its claims lie in: its lock, its paper, its table of false alarms."""

from __future__ import annotations

from dataclasses import dataclass, field

from pathlen.claims.paper import Paper
from pathlen.records.schema import Severity

__all__ = ["CLAIMS", "Project"]

CLAIMS = "claims"


@dataclass(slots=True, kw_only=True)
class Project:
    """What a session knows of the project that its claims lie in.

    On a run spread over processes only those that collect claims find it out; they send it to the one that writes.

    Attributes
    ----------
    top : str
        The project's folder; empty before claims were collected.
    lock, lock_sha256 : str or None
        The lock's file as a reader names it, and the digest of what it holds.
    declared : int or None
        How many claims it declares.
    deviations : list of (id, reading, text)
        Of each claim, how it differs from the lock; empty where it doesn't.
    gone : list of str
        Claims of the lock that are not there any more.
    severity : Severity or None
        The table beside the lock.
    paper : Paper or None
        The document that the claims are about.
    folder : str
        Where inside of the folder of reports the paper has its own; empty if it has none.

    """

    top: str = ""
    lock: str | None = None
    lock_sha256: str | None = None
    declared: int | None = None
    deviations: list[tuple[str, str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    severity: Severity | None = None
    paper: Paper | None = None
    folder: str = ""

    def deviation(self, id: str, reading: str) -> str:
        """Return how a claim differs from the lock; empty where it doesn't, or there is none."""
        return next((text for *key, text in self.deviations if key == [id, reading]), "")
