"""Declaring claims, and turning their statistics into findings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pathlen import SHIFTED, SIZES, UNTRAINED, above, below, claim, every, pearson, ratio, within
from pathlen.claims.claim import TOGETHER, Claim, declared, refuse_duplicates
from pathlen.claims.controls import Tally
from pathlen.claims.finding import decided, evaluate
from pathlen.claims.verdict import Verdict
from pathlen.errors import InvalidClaim, ModelMismatch, UndefinedEstimate
from pathlen.stats import Statistic

PASSAGE = np.repeat(np.arange(12), 60)


def columns(rho: float) -> tuple[np.ndarray, np.ndarray]:
    x, noise = np.random.default_rng(11).normal(size=(2, 720))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def planted(rho: float) -> Callable[[], Statistic]:
    """Return a body whose true correlation is ``rho``."""
    x, y = columns(rho)
    return lambda: pearson(x, y, passage=PASSAGE)


def make(**changes: object) -> Claim:
    defaults = {
        "id": "planted",
        "reading": "corrected",
        "sentence": "A sentence.",
        "section": "1",
        "sizes": SIZES,
        "expect": below(0.0),
        "controls": (UNTRAINED,),
    }
    return Claim(**(defaults | changes))  # type: ignore[arg-type]


def test_a_function_becomes_a_claim() -> None:
    @claim(sizes=["small"], section="3.2", expect=below(0.0), not_shown="much", controls=[SHIFTED])
    def test_small_negative(measured: object) -> Statistic:
        """In Small, the shorter the step,
        the larger the logit.

        More about it.
        """
        return planted(-0.5)()

    assert declared(test_small_negative) == make(
        id="small-negative",
        sentence="In Small, the shorter the step, the larger the logit.",
        section="3.2",
        sizes=("small",),
        not_shown="much",
        controls=(SHIFTED,),
        needs=("measured",),
    )


def test_a_suffix_names_the_published_reading() -> None:
    @claim(sizes=SIZES, expect=below(0.0), controls=[UNTRAINED])
    def test_linear_as_published(as_published: object) -> Statistic:
        """Steady."""
        return planted(0.0)()

    declaration = declared(test_linear_as_published)
    assert declaration is not None
    assert (declaration.id, declaration.reading) == ("linear", "as published")


def test_an_ordinary_function_is_not_a_claim() -> None:
    assert declared(planted) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sentence": ""}, "needs a sentence: write it as the function's docstring"),
        ({"expect": None}, "needs a region: say expect=below"),
        ({"expect": (-0.1, 0.1)}, r"needs a region.*but \(-0.1, 0.1\) was given"),
        ({"sizes": ()}, "needs at least one size out of small, medium, large, xl"),
        ({"sizes": ("tiny",)}, "size must be one of small, medium, large, xl, but 'tiny' was given"),
        ({"logic": "any"}, "logic must be 'each', 'all' or 'differs', but 'any' was given"),
        ({"logic": "differs", "sizes": ("small",)}, "'differs' compares sizes, but only small was given"),
        ({"unit": "words"}, "unit must be 'passages', 'blocks' or 'tokens', but 'words' was given"),
        ({"controls": ()}, r"names no control.*controls=\[\.\.\.\] out of UNTRAINED, SHUFFLED, SHIFTED, PLANTED; or"),
        (
            {"controls": ("untrained",)},
            "controls must be out of UNTRAINED, SHUFFLED, SHIFTED, PLANTED, but 'untrained'",
        ),
    ],
)
def test_a_claim_that_cannot_be_checked_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidClaim, match=message):
        make(**changes)


def test_duplicate_claims_are_refused_but_two_readings_are_not() -> None:
    corrected, published = make(), make(reading="as published")
    refuse_duplicates(
        [(corrected, "a.py::test_x"), (published, "a.py::test_x_as_published"), (corrected, "a.py::test_x")]
    )
    with pytest.raises(
        InvalidClaim, match=r"'planted' \(corrected\) is declared twice, in a.py::test_x and in b.py::test_x"
    ):
        refuse_duplicates([(corrected, "a.py::test_x"), (corrected, "b.py::test_x")])


@pytest.mark.parametrize(
    ("rho", "region", "verdict"),
    [
        (-0.5, below(0.0), Verdict.SUPPORTED),
        (0.5, below(0.0), Verdict.REFUTED),
        (0.5, above(0.0), Verdict.SUPPORTED),
        (0.5, within(-0.1, 0.1), Verdict.REFUTED),
        (0.0, within(-0.2, 0.2), Verdict.SUPPORTED),
        (0.0, below(0.0), Verdict.INCONCLUSIVE),
    ],
)
def test_a_planted_effect_gets_the_right_verdict(rho: float, region: object, verdict: Verdict) -> None:
    finding = evaluate(make(expect=region), "small", planted(rho), seed=0)
    assert finding.verdict is verdict
    assert finding.estimate is not None
    assert finding.estimate.level == (0.90 if region == within(-0.1, 0.1) or region == within(-0.2, 0.2) else 0.95)


def test_a_claim_true_by_construction_is_vacuous_and_says_why() -> None:
    construction = make(expect=above(0.5), true_by_construction="sums grow")
    finding = evaluate(construction, "small", lambda: every(PASSAGE >= 0), seed=0)
    assert (finding.verdict, finding.reason) == (Verdict.VACUOUS, "sums grow")


def test_a_claim_true_by_construction_can_still_be_refuted() -> None:
    construction = make(expect=above(0.5), true_by_construction="sums grow")
    assert evaluate(construction, "small", lambda: every(PASSAGE > 99), seed=0).verdict is Verdict.REFUTED


def test_an_inconclusive_finding_names_the_crossed_edge_and_what_would_settle_it() -> None:
    finding = evaluate(make(), "small", planted(-0.01), seed=0)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason.startswith("the interval crosses 0; 720 tokens like these find an r of -0.")
    assert "would decide" in finding.reason


@pytest.mark.parametrize("error", [UndefinedEstimate("constant"), ModelMismatch("logits differ")])
def test_a_missing_estimate_is_invalid_and_never_a_verdict_on_the_claim(error: Exception) -> None:
    def body() -> Statistic:
        raise error

    finding = evaluate(make(), "small", body, seed=0)
    assert (finding.verdict, finding.estimate, finding.reason) == (Verdict.INVALID, None, str(error))


def test_a_constant_column_is_invalid() -> None:
    finding = evaluate(make(), "small", lambda: pearson(columns(0)[0], np.ones(720), passage=PASSAGE), seed=0)
    assert finding.verdict is Verdict.INVALID
    assert "nothing but a trend" in finding.reason


def test_a_bug_in_a_body_is_raised_to_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        evaluate(make(), "small", lambda: 1 / 0, seed=0)  # type: ignore[arg-type, return-value]


def test_a_body_must_return_a_statistic() -> None:
    with pytest.raises(InvalidClaim, match="must return a statistic, but returned float"):
        evaluate(make(), "small", lambda: 0.3, seed=0)  # type: ignore[arg-type, return-value]


def test_a_claim_about_every_size_is_also_about_any_other_model() -> None:
    assert make().speaks_about("model")
    assert not make(sizes=("small",)).speaks_about("model")


def test_a_finding_prints_verdict_claim_and_measurement() -> None:
    lines = str(evaluate(make(), "small", planted(0.5), seed=0)).splitlines()
    assert lines[0] == "refuted: A sentence."
    assert lines[1] == "  claimed   Pearson r within passages, trend removed: below 0  (section 1, corrected)"
    assert lines[2].startswith("  measured  0.")
    assert lines[2].endswith("(720 tokens in 12 passages), 95% interval")


def tally(supported: int, runs: int, control: str = "untrained") -> Tally:
    return Tally(control=control, runs=runs, supported=supported, values=(), seconds=0.0)


def test_support_that_controls_show_too_is_vacuous_and_says_so() -> None:
    finding = evaluate(make(), "small", planted(-0.5), seed=0)
    assert decided(finding, [tally(2, 10), tally(0, 20, "shifted")]).verdict is Verdict.SUPPORTED
    vacuous = decided(finding, [tally(3, 10), tally(0, 20, "shifted")])
    assert vacuous.verdict is Verdict.VACUOUS
    assert vacuous.reason == (
        "its controls give it as well: supported in 3 of 10 untrained networks of the same shape (at least 9% of the time)"
    )


@pytest.mark.parametrize("rho", [0.5, 0.0])
def test_controls_only_change_a_supported_verdict(rho: float) -> None:
    before = evaluate(make(), "small", planted(rho), seed=0)
    after = decided(before, [tally(10, 10)])
    assert after.verdict is before.verdict
    assert after.reason.startswith(before.reason)
    assert ("support would be vacuous" in after.reason) == (after.verdict is Verdict.INCONCLUSIVE)
    assert "supported in 10 of 10 untrained networks" in str(after)


@pytest.mark.parametrize(
    ("region", "body"),
    [
        (above(0.0), lambda: ratio(np.ones(720) + PASSAGE, np.ones(720), passage=PASSAGE)),
        (within(-1.0, 1.0), planted(0.1)),
        (below(1.0), lambda: every(PASSAGE > 3)),
    ],
)
def test_a_claim_that_no_number_could_refute_is_refused(region: object, body: Callable[[], Statistic]) -> None:
    with pytest.raises(InvalidClaim, match=r"could never be refuted: its .* lies from"):
        evaluate(make(expect=region), "small", body, seed=0)


def test_an_explicit_passage_unit_is_not_replaced_by_a_series() -> None:
    x, y = columns(-0.5)
    four_passages = PASSAGE // 3
    by_default, by_passages = (
        evaluate(make(unit=unit), "small", lambda: pearson(x, y, passage=four_passages), seed=0)
        for unit in (None, "passages")
    )
    assert by_default.verdict is Verdict.SUPPORTED
    assert (by_passages.verdict, by_passages.estimate) == (Verdict.INVALID, None)
    assert by_passages.reason == "resampling passages needs at least 5, but 4 were given"


def test_a_claim_about_differences_is_only_about_all_sizes_together() -> None:
    differs = make(logic="differs")
    assert differs.speaks_about(TOGETHER)
    assert not differs.speaks_about("small")
    assert not make().speaks_about(TOGETHER)


def test_a_claim_that_compares_sizes_says_so() -> None:
    assert make(logic="all").compares_sizes
    assert make(needs=("measured_small", "measured")).compares_sizes
    assert not make(needs=("measured",)).compares_sizes
    comparing, separate = (
        str(evaluate(make(logic=logic), "small", planted(-0.5), seed=0)) for logic in ("all", "each")
    )
    assert "there is one network of each size" in comparing
    assert "there is one network" not in separate


def test_controls_without_a_number_are_flagged_as_uncontrolled() -> None:
    finding = evaluate(make(), "small", planted(-0.5), seed=0)
    undefined = Tally(control="untrained", runs=10, supported=0, values=(), seconds=0.0, undefined=10)
    after = decided(finding, [undefined])
    assert (after.verdict, after.flags) == (Verdict.SUPPORTED, ("uncontrolled",))
    assert undefined.bounds == (0.0, 1.0)
    assert "no number in any of 10 untrained networks of the same shape" in str(after)
    assert decided(finding, [undefined, tally(0, 20, "shifted")]).flags == ()
