"""A finding is written to JUnit's XML as properties that other tools can read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

CLAIMS = '''
from pathlen import SHIFTED, SIZES, below, claim, pearson


@claim(sizes=SIZES, section="1", expect=below(0.0), controls=[SHIFTED])
def test_related(measured):
    """They are related."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)
'''


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["here", "xdist"])
def test_findings_are_properties_of_their_test_cases(
    pytester: pytest.Pytester, checkpoint: Path, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_mine=CLAIMS)
    options = ("--import-mode=importlib", "-p", "no:cacheprovider", "--report", "out", "--controls", "none")
    result = pytester.runpytest_subprocess(
        *options, "--model", str(checkpoint), "--text", "tides", "--junitxml", "junit.xml", *workers, "test_mine.py"
    )
    assert result.ret in (0, 1)  # whatever the verdict is
    cases = {
        case.get("name", ""): {entry.get("name", ""): entry.get("value", "") for entry in case.iter("property")}
        for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase")  # noqa: S314  # our own file
    }
    (related,) = (properties for name, properties in cases.items() if name.startswith("test_related"))
    assert related["pathlen.claim"] == "related"
    assert related["pathlen.reading"] == "corrected"
    assert related["pathlen.size"] == "model"
    assert related["pathlen.region"] == "below 0"
    assert related["pathlen.verdict"] in ("supported", "refuted", "inconclusive")
    low, value, high = (float(related[f"pathlen.{name}"]) for name in ("low", "estimate", "high"))
    assert low <= value <= high
    assert related["pathlen.level"] == "0.95"
    assert int(related["pathlen.tokens"]) > 100
