"""The public names, one by one."""

from __future__ import annotations

import pytest

import pathlen
import pathlen.stats
from pathlen.stats.registry import public_names

PUBLIC = [
    "Choice",
    "Claim",
    "Control",
    "Corpus",
    "CorpusFailed",
    "DownloadFailed",
    "Estimate",
    "Exploration",
    "Finding",
    "InvalidClaim",
    "InvalidColumn",
    "InvalidCorpus",
    "InvalidLock",
    "InvalidPaper",
    "InvalidRecord",
    "InvalidText",
    "LARGE",
    "LAST_STEP_AND_NEXT_TOKEN",
    "LoadedModel",
    "MEDIUM",
    "Measurement",
    "ModelMismatch",
    "ModelNotFound",
    "ModelTooLarge",
    "ModelSpec",
    "Multiverse",
    "Option",
    "PLANTED",
    "Passage",
    "PathlenError",
    "Published",
    "Region",
    "Run",
    "SHIFTED",
    "SHUFFLED",
    "SIZES",
    "SMALL",
    "Statistic",
    "Trace",
    "UNTRAINED",
    "UndefinedEstimate",
    "UnmeasuredColumn",
    "Verdict",
    "XL",
    "above",
    "at_depth",
    "below",
    "claim",
    "detrended",
    "load",
    "measure",
    "measure_corpus",
    "measures",
    "open_corpus",
    "processes",
    "spec",
    "trace",
    "within",
    *public_names(),
]


def test_exactly_these_names_are_public() -> None:
    assert sorted(pathlen.__all__) == sorted(PUBLIC)
    assert dir(pathlen) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_can_be_imported_and_has_a_docstring(name: str) -> None:
    attribute = getattr(pathlen, name)
    if callable(attribute):
        assert attribute.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'paerson'"):
        pathlen.paerson  # noqa: B018
