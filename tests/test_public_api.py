"""The public names, one by one."""

from __future__ import annotations

import pytest

import pathlen

PUBLIC = [
    "Claim",
    "Estimate",
    "Finding",
    "InvalidClaim",
    "InvalidRecord",
    "InvalidText",
    "LARGE",
    "LoadedModel",
    "MEDIUM",
    "Measurement",
    "ModelMismatch",
    "ModelNotFound",
    "ModelSpec",
    "Passage",
    "PathlenError",
    "Published",
    "Region",
    "Run",
    "SIZES",
    "SMALL",
    "Statistic",
    "Trace",
    "UndefinedEstimate",
    "Verdict",
    "XL",
    "above",
    "below",
    "claim",
    "every",
    "head_cancellation",
    "largest",
    "largest_difference",
    "largest_excess",
    "load",
    "log_slope",
    "measure",
    "pearson",
    "ratio",
    "share",
    "spearman",
    "strongest",
    "variation",
    "cliffs_delta",
    "mean",
    "partial",
    "pooled_pearson",
    "winsorised",
    "spec",
    "trace",
    "within",
]


def test_the_list_is_what_is_promised() -> None:
    assert sorted(pathlen.__all__) == sorted(PUBLIC)
    assert dir(pathlen) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_can_be_used_and_is_documented(name: str) -> None:
    found = getattr(pathlen, name)
    if callable(found):
        assert found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'paerson'"):
        pathlen.paerson  # noqa: B018
