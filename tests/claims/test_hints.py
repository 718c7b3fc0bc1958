"""Likely misuses of the API: each gets one message, at the location of the mistake, that says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pathlen.claims.claim import claim
from pathlen.claims.verdict import above, within
from pathlen.columns.catalog import CUSTOM_COLUMNS
from pathlen.errors import InvalidClaim, UndefinedEstimate, near
from pathlen.stats import mean, pearson

OPTIONS = ("--import-mode=importlib", "-p", "no:cacheprovider", "--controls", "none", "--report", "out")

HEAD = "from pathlen import *\n\n\n"
RIGHT = '''@claim(sizes=SIZES, section="1", expect=above(0.0), controls=[UNTRAINED])
def test_far(measured):
    """Tokens go far."""
    return mean(measured.last_step, passage=measured.passage)
'''


def changed(old: str, new: str) -> str:
    assert old in RIGHT
    return HEAD + RIGHT.replace(old, new)


BODY = "return mean(measured.last_step, passage=measured.passage)"

# Each misuse with its source and the expected message: at collection, or when the claim runs.
AT_COLLECTION = {
    "region swapped": (
        changed("above(0.0)", "within(0.1, -0.1)"),
        "a region needs low < high, but (0.1, -0.1) was given: write within(-0.1, 0.1)",
    ),
    "a number for a region": (
        changed("above(0.0)", "0.5"),
        (
            "claim 'far' needs a region: say expect=below(0.5) or expect=above(0.5), or a margin, within(-0.5, 0.5), "
            "but 0.5 was given"
        ),
    ),
    "two numbers for a region": (
        changed("above(0.0)", "(0.1, 0.4)"),
        "claim 'far' needs a region: say expect=within(0.1, 0.4), but (0.1, 0.4) was given",
    ),
    "no docstring": (
        changed('    """Tokens go far."""\n', ""),
        "claim 'far' needs a sentence: write it as the function's docstring",
    ),
    "decorator forgotten": (
        changed('@claim(sizes=SIZES, section="1", expect=above(0.0), controls=[UNTRAINED])\n', ""),
        "test_far asks for measured but is no claim: write @claim(sizes=[...], expect=..., controls=[...]) above it",
    ),
    "decorator bare": (
        changed('@claim(sizes=SIZES, section="1", expect=above(0.0), controls=[UNTRAINED])', "@claim"),
        (
            "claim 'test_far' is declared without saying anything: write @claim(sizes=[...], expect=..., controls=[...]), "
            "with its parentheses"
        ),
    ),
    "fixture misspelt": (
        changed("test_far(measured)", "test_far(measurd)"),
        "claim 'far' asks for 'measurd', which is no fixture; did you mean measured? A claim can ask for as_published, ",
    ),
    "asserting inside the body": (
        changed(BODY, "assert measured.last_step.mean() > 0"),
        (
            "claim 'far' asserts inside its body (line 7), where the number could be seen before the region is chosen: return "
            "the statistic, and say where the number must lie in the decorator: expect=below(...), above(...) or within(...)"
        ),
    ),
}
SPREAD = """@measures(at="state", unit="1")
def spread(states):
    "How far a token's coordinates spread."
    return states.std(dim=-1)


"""


def custom_column(old: str, new: str, column: str = "spread") -> str:
    assert old in SPREAD
    return HEAD + SPREAD.replace(old, new) + RIGHT.replace("measured.last_step,", f"measured.{column}[-1],")


AT_RUN_TIME = {
    "unknown column": (
        changed("measured.last_step", "measured.last_stp"),
        "a Measurement has no column 'last_stp'; did you mean 'last_step'?",
    ),
    "custom column without a number for each token": (
        custom_column("states.std(dim=-1)", "states.std(dim=0)"),
        "column 'spread' must be one number for each token, a tensor of shape (",
    ),
    "custom column with NaN": (
        custom_column("states.std(dim=-1)", "states.std(dim=-1) / 0 * 0"),
        "column 'spread' must be finite",
    ),
    "nothing returned": (
        changed("return mean", "mean"),
        (
            "claim 'far' must return a statistic, but returned NoneType: end the body with a statistic, as in `return "
            "mean(measured.last_step, passage=measured.passage)`"
        ),
    ),
    "a number returned": (
        changed(BODY, "return float(measured.last_step.mean())"),
        (
            "claim 'far' must return a statistic, but returned float: a bare value has no interval; give its column to a "
            "statistic, such as mean(column, passage=measured.passage)"
        ),
    ),
    "an estimate returned": (
        changed(BODY, f"{BODY}.estimate()"),
        "claim 'far' must return a statistic, but returned Estimate: return the statistic itself, without .estimate()",
    ),
    "several statistics returned": (
        changed(BODY, f"{BODY}, 2"),
        "claim 'far' must return a statistic, but returned tuple: write one claim for each number, or judge several at once",
    ),
    "a comparison returned": (
        changed(BODY, "return bool(measured.last_step.mean() > 0)"),
        "claim 'far' must return a statistic, but returned bool: don't compare in the body; return the statistic, and say",
    ),
    "compared in the body": (
        changed(BODY, f"{BODY} > 0"),
        "mean is not compared in the body: return it, and say in the decorator where it must lie, expect=below(...), ",
    ),
    "column of the wrong length": (
        changed("measured.last_step,", "measured.last_step[:-1],"),
        ": tokens are the last axis of every column, and all columns of a statistic come from one measurement",
    ),
}


@pytest.fixture(autouse=True)
def no_custom_column_remains() -> Iterator[None]:
    yield
    CUSTOM_COLUMNS.pop("spread", None)


@pytest.fixture
def text(pytester: pytest.Pytester) -> Path:
    path = pytester.path / "mine.txt"
    path.write_text("The river rose in the night. " * 60, encoding="utf-8")
    return path


def run(pytester: pytest.Pytester, source: str, checkpoint: Path, *more: str) -> tuple[pytest.RunResult, str]:
    pytester.makepyfile(test_mine=source)
    CUSTOM_COLUMNS.pop("spread", None)  # of an earlier run in this process
    result = pytester.runpytest("test_mine.py", "--model", str(checkpoint), "--text", "mine.txt", *OPTIONS, *more)
    return result, " ".join(" ".join([*result.outlines, *result.errlines]).split())


def test_the_code_that_is_misused_below_works(pytester: pytest.Pytester, checkpoint: Path, text: Path) -> None:
    for source in (HEAD + RIGHT, custom_column("spread", "spread")):
        result, _ = run(pytester, source, checkpoint)
        assert result.ret == 0


@pytest.mark.parametrize("misuse", AT_COLLECTION)
def test_a_misuse_visible_at_collection_is_refused_before_any_work(
    pytester: pytest.Pytester, checkpoint: Path, text: Path, misuse: str
) -> None:
    source, message = AT_COLLECTION[misuse]
    result, shown = run(pytester, source, checkpoint)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert message in shown
    assert shown.count(message[:40]) <= 2, "printed once, and once more in pytest's summary"
    assert "Traceback" not in shown
    assert "claim.py" not in shown, "no line of this package is shown"
    assert not (pytester.path / "out" / "tiny.json").exists()


@pytest.mark.parametrize("misuse", AT_RUN_TIME)
def test_a_misuse_at_run_time_is_an_error_that_says_what_to_write(
    pytester: pytest.Pytester, checkpoint: Path, text: Path, misuse: str
) -> None:
    source, message = AT_RUN_TIME[misuse]
    result, shown = run(pytester, source, checkpoint)
    assert result.ret == 1
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 1
    assert message in shown
    assert not re.search(r"pathlen/\w+(/\w+)?\.py:\d+", shown), "no line of this package is shown"


def test_the_message_names_the_line_of_the_misuse(pytester: pytest.Pytester, checkpoint: Path, text: Path) -> None:
    _, shown = run(pytester, AT_COLLECTION["region swapped"][0], checkpoint)
    assert re.search(r"in \S*test_mine\.py, line 4", shown)
    _, shown = run(pytester, AT_RUN_TIME["compared in the body"][0], checkpoint)
    assert "test_mine.py:7: TypeError" in shown


def test_the_full_traceback_is_shown_on_request(pytester: pytest.Pytester, checkpoint: Path, text: Path) -> None:
    for source in (AT_COLLECTION["region swapped"][0], AT_RUN_TIME["compared in the body"][0]):
        result, _ = run(pytester, source, checkpoint, "--full-trace")
        result.stdout.fnmatch_lines(["*pathlen/*.py:*"])


def test_an_ordinary_error_in_a_claim_file_keeps_its_traceback(
    pytester: pytest.Pytester, checkpoint: Path, text: Path
) -> None:
    _, shown = run(pytester, HEAD + "1 / 0\n" + RIGHT, checkpoint)
    assert "ZeroDivisionError: division by zero" in shown
    assert "test_mine.py:4" in shown


def test_a_duplicate_id_is_refused(pytester: pytest.Pytester, checkpoint: Path, text: Path) -> None:
    pytester.makepyfile(test_other=HEAD + RIGHT)
    result, shown = run(pytester, HEAD + RIGHT, checkpoint, "test_other.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert re.search(
        r"claim 'far' \(corrected\) is declared twice, in \S+::test_far and in \S+::test_far: rename one", shown
    )


def test_a_comparison_of_sizes_that_did_not_all_run_is_not_tested(pytester: pytest.Pytester, text: Path) -> None:
    pytester.makepyfile(test_mine=changed('section="1"', 'section="1", logic="differs"'))
    result = pytester.runpytest("test_mine.py", "--family", "mini", "--size", "small", "--text", "mine.txt", *OPTIONS)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(
        [
            (
                "not tested: the claim compares small, medium, large, xl, but medium, large, xl was not asked for; "
                "run it without --size, or put the records of all sizes together with: pathlen report"
            )
        ]
    )


def test_a_column_that_is_not_finite_is_refused() -> None:
    passage = np.repeat(np.arange(6), 50)
    column = np.random.default_rng(0).normal(size=300)
    column[3] = np.nan
    message = (
        r"values holds 1 values that are not finite: leave those tokens out of every column with measured.where\(...\)"
    )
    with pytest.raises(UndefinedEstimate, match=message):
        mean(column, passage=passage)


def test_a_statistic_is_not_a_number() -> None:
    passage = np.repeat(np.arange(6), 50)
    x, y = np.random.default_rng(0).normal(size=(2, 300))
    statistic, other = pearson(x, y, passage=passage), pearson(y, x, passage=passage)
    with pytest.raises(TypeError, match="a bare number has no interval, so Pearson r .* return the statistic itself"):
        float(statistic)
    with pytest.raises(TypeError, match=r"two statistics are subtracted with one\.minus\(other\)"):
        statistic - other
    for compare in (statistic.__lt__, statistic.__le__, statistic.__gt__, statistic.__ge__):
        with pytest.raises(TypeError, match=r"Pearson r .* is not compared in the body: return it"):
            compare(0.0)


def test_a_body_without_source_is_not_searched_for_assertions() -> None:
    scope: dict[str, object] = {"claim": claim, "above": above, "within": within}
    code = 'def test_x(measured):\n    """It is."""\n    assert False\n'
    exec(code, scope)  # noqa: S102  # as typed into an interpreter
    function = scope["test_x"]
    assert claim(sizes=["small"], expect=above(0.0), true_by_construction="x")(function) is function  # type: ignore[type-var]


def test_only_a_similar_name_is_suggested() -> None:
    assert near("mesured", ["measured", "as_published"]) == "; did you mean measured?"
    assert near("x", ["measured"]) == ""


def test_claim_takes_keyword_arguments_only() -> None:
    with pytest.raises(InvalidClaim, match="claim 'small' is declared without saying anything"):
        claim("small")  # type: ignore[arg-type]
