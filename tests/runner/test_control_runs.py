"""Controls of claims: a perturbation is measured once for all claims, and what a control came to is kept for the next run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_run import (
    DIFFER,
    INSTRUMENT,
    NEGATIVE,
    NONE,
    OF_ONE_SIZE,
    TEXTS,
    CountingProvider,
    check_of,
    evaluator_of,
)

from pathlen import PLANTED, SHIFTED, SHUFFLED, SIZES, UNTRAINED, above, below, claim, every, mean, pearson, within
from pathlen._util.cache import Cache
from pathlen._util.fingerprint import forget_sources
from pathlen.claims.claim import TOGETHER
from pathlen.claims.controls import PLANTED_R, Effort
from pathlen.claims.verdict import Verdict
from pathlen.columns.catalog import ALIGNMENT
from pathlen.errors import ModelNotFound
from pathlen.models.checkpoint import from_directory
from pathlen.models.families import ModelSpec
from pathlen.runner.check import Check
from pathlen.runner.provider import ColumnProvider
from pathlen.stats import Statistic


def test_a_perturbation_is_measured_once_for_all_claims(specs: dict[str, ModelSpec]) -> None:
    provider = CountingProvider(TEXTS)
    evaluator = evaluator_of(specs, provider)
    evaluator.register(OF_ONE_SIZE)
    findings = [evaluator.finding(check, "small", {}) for check in OF_ONE_SIZE]
    assert len(provider.perturbations) == len(set(provider.perturbations)) == 2 + 2 + 5 + 5
    assert [[tally.control for tally in finding.controls] for finding in findings] == [
        ["shifted", "shuffled", "untrained"],
        ["untrained"],
        ["planted"],
        ["shifted"],
    ]
    assert all(tally.runs == len(tally.values) for finding in findings for tally in finding.controls)


def test_a_planted_relation_is_seen_and_the_instrument_fails_on_shifted_lengths(specs: dict[str, ModelSpec]) -> None:
    evaluator = evaluator_of(specs, ColumnProvider(TEXTS), effort="full")
    (planted,) = evaluator.finding(NONE, "small", {}).controls
    assert planted.supported == 0
    np.testing.assert_allclose(planted.values, PLANTED_R, atol=0.05)  # a trend is taken out after it was planted
    exact = evaluator.finding(INSTRUMENT, "small", {})
    assert exact.verdict is Verdict.SUPPORTED
    assert [(tally.supported, tally.runs) for tally in exact.controls] == [(0, 20)]
    assert min(exact.controls[0].values) > 0.1


def test_a_difference_uses_what_its_sizes_measured_before(specs: dict[str, ModelSpec]) -> None:
    provider = CountingProvider(TEXTS)
    evaluator = evaluator_of(specs, provider)
    evaluator.register([NEGATIVE, DIFFER])
    for size in specs:
        evaluator.finding(NEGATIVE, size, {})
    before = list(provider.perturbations)
    assert evaluator.finding(DIFFER, TOGETHER, {}).controls
    assert provider.perturbations == before


@claim(sizes=["medium"], expect=below(0.0), controls=[SHIFTED])
def beside_small(measured_small: Any, measured: Any) -> Statistic:
    """Small differs."""
    return pearson(measured_small.last_step, measured.next_logit, passage=measured.passage)


@claim(sizes=SIZES, expect=above(0.0), controls=[UNTRAINED])
def unsure(measured: Any) -> Statistic:
    """Something else of the same networks."""
    return mean(measured.entropy, passage=measured.passage)


def test_a_control_keeps_only_the_columns_that_sizes_are_compared_by(
    specs: dict[str, ModelSpec], tmp_path: Path
) -> None:
    def files_kept(effort: Effort, *checks: Check) -> int:
        cache = Cache(tmp_path / f"{effort} {len(checks)}")
        evaluator = evaluator_of(specs, ColumnProvider(TEXTS, cache=cache), effort, cache=cache)
        evaluator.register(checks)
        evaluator.finding(NEGATIVE, "small", {})
        return len(list(cache.home.glob("*/*.safetensors")))

    of_one_size = (NEGATIVE, check_of(unsure))
    unperturbed = files_kept("none", *of_one_size)
    assert files_kept("quick", *of_one_size) == unperturbed
    # Of two untrained networks, the columns that the comparison names, and those that say which token is which.
    assert files_kept("quick", *of_one_size, DIFFER) - unperturbed == 2 * len(DIFFER.columns | set(ALIGNMENT))
    assert "entropy" not in DIFFER.columns


def test_a_missing_size_leaves_the_controls_of_other_claims_alone(
    specs: dict[str, ModelSpec], empty_cache: Path
) -> None:
    without_small = {"small": replace(specs["small"], source="nowhere"), "medium": specs["medium"]}
    evaluator = evaluator_of(without_small, ColumnProvider(TEXTS), cache=Cache(empty_cache))
    evaluator.register([check_of(beside_small), NEGATIVE])
    finding = evaluator.finding(NEGATIVE, "medium", {})
    assert [(tally.control, tally.runs) for tally in finding.controls] == [
        ("shifted", 5),
        ("shuffled", 2),
        ("untrained", 2),
    ]
    with pytest.raises(ModelNotFound, match="has no config.json in 'nowhere'"):
        evaluator.finding(check_of(beside_small), "medium", {})


def test_controls_are_not_run_twice(specs: dict[str, ModelSpec], empty_cache: Path) -> None:
    cache = Cache(empty_cache)
    findings, perturbations = [], []
    for _ in range(2):
        provider = CountingProvider(TEXTS)
        evaluator = evaluator_of(specs, provider, cache=cache)
        evaluator.register([*OF_ONE_SIZE, DIFFER])
        of_one_size = [evaluator.finding(check, "small", {}) for check in OF_ONE_SIZE]
        findings.append([*of_one_size, evaluator.finding(DIFFER, TOGETHER, {})])
        perturbations.append(provider.perturbations)
    assert perturbations[0]
    assert perturbations[1] == []
    first, second = (
        [tuple(replace(tally, kept=0) for tally in finding.controls) for finding in of_run] for of_run in findings
    )
    assert first == second
    assert all(tally.kept == tally.runs for finding in findings[1] for tally in finding.controls)


@pytest.mark.parametrize("changed", ["weights", "texts", "seed"])
def test_controls_are_run_again_when_anything_changed(
    specs: dict[str, ModelSpec], empty_cache: Path, new_checkpoint: Callable[..., Path], changed: str
) -> None:
    cache = Cache(empty_cache)
    evaluator_of(specs, ColumnProvider(TEXTS), cache=cache).finding(NEGATIVE, "small", {})
    provider, seed = CountingProvider(TEXTS), 0
    if changed == "weights":
        specs = {"small": replace(from_directory(new_checkpoint("other", 7)), size="small")}
    elif changed == "texts":
        provider = CountingProvider(TEXTS[1:])
    else:
        seed = 1
    evaluator_of(specs, provider, seed=seed, cache=cache).finding(NEGATIVE, "small", {})
    controls = {perturbation.control for _, perturbation in provider.perturbations}
    # An untrained network does not depend on trained weights.
    assert controls == ({SHUFFLED, SHIFTED} if changed == "weights" else {UNTRAINED, SHUFFLED, SHIFTED})


def test_controls_are_run_again_when_anything_beside_the_claim_changed(
    specs: dict[str, ModelSpec], empty_cache: Path, tmp_path: Path
) -> None:
    from pathlen.claims.lock import imported

    home = tmp_path / "mine"
    home.mkdir()
    (home / "sign.txt").write_text("1", encoding="utf-8")
    (home / ".#test_x.py").symlink_to("nobody@nowhere.1")  # an editor's lock is no file
    (home / "test_x.py").write_text(
        "from pathlib import Path\nfrom pathlen import SHIFTED, SIZES, below, claim, mean\n\n"
        "@claim(sizes=SIZES, expect=below(0.0), controls=[SHIFTED])\ndef test_sign(measured):\n"
        '    """Reads its sign."""\n    sign = float((Path(__file__).parent / "sign.txt").read_text())\n'
        "    return mean(sign * measured.last_step, passage=measured.passage)\n",
        encoding="utf-8",
    )
    cache, supported = Cache(empty_cache), []
    for sign in ("1", "-1"):
        (home / "sign.txt").write_text(sign, encoding="utf-8")
        forget_sources()
        body = imported(home / "test_x.py").test_sign
        finding = evaluator_of(specs, ColumnProvider(TEXTS), cache=cache).finding(check_of(body), "small", {})
        supported.append(finding.controls[0].supported)
    assert supported == [0, 5]


def test_an_error_that_only_a_control_meets_is_raised(specs: dict[str, ModelSpec]) -> None:
    calls: list[object] = []

    @claim(sizes=SIZES, expect=below(9.0), controls=[SHIFTED])
    def brittle(measured: Any) -> Statistic:
        """Breaks the second time."""
        calls.append(measured)
        if len(calls) > 1:
            raise ZeroDivisionError
        return mean(measured.last_step, passage=measured.passage)

    evaluator = evaluator_of(specs, ColumnProvider(TEXTS))
    evaluator.register(OF_ONE_SIZE)
    with pytest.raises(ZeroDivisionError):
        evaluator.finding(check_of(brittle), "small", {})
    assert evaluator.finding(NEGATIVE, "small", {}).controls


def test_a_control_without_a_number_supports_nothing(specs: dict[str, ModelSpec]) -> None:
    calls: list[object] = []

    @claim(sizes=SIZES, expect=above(0.5), controls=[SHIFTED])
    def confident(measured: Any) -> Statistic:
        """About no token, except the first time."""
        calls.append(measured)
        tokens = measured.where(measured.token >= (0 if len(calls) == 1 else 10**6))
        return every(tokens.path_grows[:, :1] | tokens.path_grows)

    finding = evaluator_of(specs, ColumnProvider(TEXTS)).finding(check_of(confident), "small", {})
    assert finding.verdict is Verdict.SUPPORTED
    assert [(tally.supported, tally.defined, tally.runs, tally.values) for tally in finding.controls] == [(0, 0, 5, ())]
    assert finding.flags == ("uncontrolled",)


def test_a_planted_relation_counts_only_if_the_claim_is_about_it(specs: dict[str, ModelSpec]) -> None:
    @claim(sizes=SIZES, expect=within(-0.1, 0.1), controls=[PLANTED])
    def elsewhere(measured: Any) -> Statistic:
        """Nothing is planted into the first step."""
        return pearson(measured.step_length[0], measured.next_logit, passage=measured.passage)

    finding = evaluator_of(specs, ColumnProvider(TEXTS)).finding(check_of(elsewhere), "small", {})
    assert [(tally.supported, tally.defined) for tally in finding.controls] == [(0, 0)]


class Grouped:
    """Claims of a test class, which need its set-up."""

    @claim(sizes=SIZES, expect=below(9.0), controls=[SHIFTED])
    def test_grouped(self, measured: Any) -> Statistic:
        """Uses what was set up."""
        return mean(measured.last_step * self.scale, passage=measured.passage)  # type: ignore[attr-defined]


def test_controls_of_a_claim_in_a_class_wait_for_its_set_up(specs: dict[str, ModelSpec]) -> None:
    bare, ready = Grouped(), Grouped()
    ready.scale = 1.0  # type: ignore[attr-defined]
    evaluator = evaluator_of(specs, ColumnProvider(TEXTS))
    evaluator.register([NEGATIVE, check_of(bare.test_grouped)])
    assert evaluator.finding(NEGATIVE, "small", {}).controls
    assert evaluator.finding(check_of(ready.test_grouped), "small", {}).controls[0].runs == 5
