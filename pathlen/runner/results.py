"""What the items of a session found, gathered in one process wherever they ran."""

from __future__ import annotations

import msgspec

from pathlen.claims.verdict import Verdict
from pathlen.records.schema import ClaimRecord, FindingRecord, ModelRecord
from pathlen.runner.settings import FindingKey

__all__ = ["Results", "message_of"]

Message = tuple[ClaimRecord, FindingRecord, tuple[ModelRecord, ...]]


def message_of(claim: ClaimRecord, finding: FindingRecord, models: tuple[ModelRecord, ...]) -> str:
    """Return what one item found as JSON, with the records of models that no message before it held."""
    message: Message = (claim, finding, models)
    return msgspec.json.encode(message).decode("utf-8")


class Results:
    """The findings of a session, with the claims and models that they are of.

    Attributes
    ----------
    claims : dict of (id, reading) to ClaimRecord
    findings : dict of (claim, reading, size) to FindingRecord
    models : dict of size to ModelRecord

    """

    def __init__(self) -> None:
        self.claims: dict[tuple[str, str], ClaimRecord] = {}
        self.findings: dict[FindingKey, FindingRecord] = {}
        self.models: dict[str, ModelRecord] = {}

    def receive(self, message: str) -> None:
        """Take in what one item found; see `message_of`."""
        claim, finding, models = msgspec.json.decode(message, type=Message)
        self.claims[claim.id, claim.reading] = claim
        self.findings[finding.claim, finding.reading, finding.size] = finding
        for model in models:
            self.models[model.size] = model

    @property
    def is_untested(self) -> bool:
        """Whether no claim was tested: none speaks about the sizes, or their weights are missing."""
        return {finding.verdict for finding in self.findings.values()} <= {Verdict.NOT_TESTED.value}
