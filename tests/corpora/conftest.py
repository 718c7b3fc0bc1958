"""What the tests of corpora share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

# Imported for types only: pytest reads this file even for `pytest --help`.
if TYPE_CHECKING:
    from pathlen.corpora.worker import Answer, Job


@pytest.fixture
def measured_shards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the shards that this process measures during the test."""
    from pathlen.corpora import dispatcher

    numbers: list[int] = []
    measure_in_process = dispatcher.measure_in_process

    def counting(job: Job) -> Answer:
        numbers.append(job.number)
        return measure_in_process(job)

    monkeypatch.setattr(dispatcher, "measure_in_process", counting)
    return numbers
