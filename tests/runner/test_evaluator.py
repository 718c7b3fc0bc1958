"""From a body to its finding: controls that are shared and kept, corrections that add up, universes beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pathlen import (
    LAST_STEP_AND_NEXT_TOKEN,
    PLANTED,
    SHIFTED,
    SHUFFLED,
    SIZES,
    UNTRAINED,
    above,
    below,
    claim,
    every,
    largest,
    mean,
    pearson,
    within,
)
from pathlen._util.cache import Cache
from pathlen._util.fingerprint import forget_sources
from pathlen.claims.claim import TOGETHER, declared
from pathlen.claims.controls import PLANTED_R, Perturbation
from pathlen.claims.multiverse import curve
from pathlen.claims.verdict import Verdict
from pathlen.columns.catalog import ALIGNMENT, CATALOG
from pathlen.columns.measurement import Measurement
from pathlen.errors import InvalidClaim, ModelNotFound
from pathlen.models.checkpoint import from_directory
from pathlen.models.families import ModelSpec
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import shipped
from pathlen.runner.check import Check
from pathlen.runner.corrections import CORRECTIONS
from pathlen.runner.evaluator import Evaluator
from pathlen.runner.provider import ColumnProvider
from pathlen.stats import Statistic

TEXTS = tuple(shipped(name) for name in ("tides", "bees", "zero", "tea", "kant", "darwin"))


def check(body: Callable[..., Statistic]) -> Check:
    found = declared(body)
    assert found is not None
    return Check(found, body)


@claim(sizes=SIZES, expect=below(0.0), controls=[UNTRAINED, SHUFFLED, SHIFTED], universes=LAST_STEP_AND_NEXT_TOKEN)
def negative(measured: Any) -> Statistic:
    """A relation."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


@claim(sizes=SIZES, expect=below(0.0), controls=[UNTRAINED])
def negative_as_published(as_published: Any) -> Statistic:
    """A relation."""
    return pearson(as_published.last_step, as_published.next_logit, passage=as_published.passage, trend=0)


@claim(sizes=SIZES, expect=within(-0.1, 0.1), controls=[PLANTED])
def none(measured: Any) -> Statistic:
    """No relation."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


@claim(sizes=SIZES, expect=below(1e-5), controls=[SHIFTED])
def instrument(relative_error: Any) -> Statistic:
    """Our lengths are the loop's."""
    return largest(relative_error)


@claim(sizes=["small", "medium"], expect=above(0.1), logic="differs", controls=[SHIFTED, UNTRAINED])
def apart(measured: Any) -> Statistic:
    """Sizes differ."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


NEGATIVE, PUBLISHED, NONE, INSTRUMENT, APART = map(check, (negative, negative_as_published, none, instrument, apart))
ALL = (NEGATIVE, PUBLISHED, NONE, INSTRUMENT)


@pytest.fixture
def specs(new_checkpoint: Callable[..., Path]) -> dict[str, ModelSpec]:
    """A family of two tiny networks."""
    made = {size: from_directory(new_checkpoint(size, seed)) for seed, size in enumerate(("small", "medium"))}
    return {size: replace(spec, size=size) for size, spec in made.items()}


class Counting(ColumnProvider):
    """A workbench that counts what it measures for controls."""

    def __init__(self, passages: tuple[Passage, ...]) -> None:
        super().__init__(passages)
        self.perturbations: list[tuple[str, Perturbation]] = []

    def control(self, spec: ModelSpec, world: Perturbation, columns: Iterable[str] = (), **more: Any) -> Any:
        self.perturbations.append((spec.size, world))
        return super().control(spec, world, columns, **more)


def evaluator(
    specs: dict[str, ModelSpec], bench: ColumnProvider, effort: Any = "quick", kept: Cache | None = None
) -> Evaluator:
    return Evaluator(bench, specs.__getitem__, effort=effort, seed=0, cache=kept)


def test_one_world_serves_every_claim(specs: dict[str, ModelSpec]) -> None:
    bench = Counting(TEXTS)
    made = evaluator(specs, bench)
    made.register(ALL)
    found = [made.finding(one, "small", {}) for one in ALL]
    assert len(bench.perturbations) == len(set(bench.perturbations)) == 2 + 2 + 5 + 5
    assert [[tally.control for tally in one.controls] for one in found] == [
        ["shifted", "shuffled", "untrained"],
        ["untrained"],
        ["planted"],
        ["shifted"],
    ]
    assert all(tally.runs == len(tally.values) for one in found for tally in one.controls)


def test_where_a_relation_is_planted_there_is_one_and_the_instrument_fails_where_it_is_shifted(
    specs: dict[str, ModelSpec],
) -> None:
    made = evaluator(specs, ColumnProvider(TEXTS), effort="full")
    (planted,) = made.finding(NONE, "small", {}).controls
    assert planted.supported == 0
    np.testing.assert_allclose(planted.values, PLANTED_R, atol=0.05)  # a trend is taken out after it was planted
    exact = made.finding(INSTRUMENT, "small", {})
    assert exact.verdict is Verdict.SUPPORTED
    assert [(tally.supported, tally.runs) for tally in exact.controls] == [(0, 20)]
    assert min(exact.controls[0].values) > 0.1


def test_corrections_lead_from_the_published_number_to_the_corrected_one(specs: dict[str, ModelSpec]) -> None:
    made = evaluator(specs, ColumnProvider(TEXTS), effort="none")
    made.register(ALL)
    corrected, published = (made.finding(one, "small", {}) for one in (NEGATIVE, PUBLISHED))
    found = corrected.attribution
    assert found is not None
    assert corrected.estimate is not None
    assert published.estimate is not None
    assert found.published == pytest.approx(published.estimate.value, abs=1e-12)
    assert found.corrected == pytest.approx(corrected.estimate.value, abs=1e-12)
    assert tuple(name for name, _ in found.changes) == CORRECTIONS
    assert found.published + sum(change for _, change in found.changes) == pytest.approx(found.corrected, abs=1e-12)
    assert any(abs(change) > 1e-3 for _, change in found.changes)
    assert published.attribution is None


def test_universes_stand_beside_and_agree_with_the_claims_own(specs: dict[str, ModelSpec]) -> None:
    found = evaluator(specs, ColumnProvider(TEXTS), effort="none").finding(NEGATIVE, "small", {})
    assert found.universes is not None
    assert found.estimate is not None
    assert found.universes.values[0] == round(found.estimate.value, 4)
    assert found.universes.verdict == found.verdict.value


def test_a_difference_is_the_largest_between_its_sizes(specs: dict[str, ModelSpec]) -> None:
    bench = Counting(TEXTS)
    made = evaluator(specs, bench)
    found = made.finding(APART, TOGETHER, {})
    z = []
    for size in ("small", "medium"):
        columns: Measurement = bench.columns(specs[size]).measured
        z.append(np.arctanh(apart(columns).value))
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(abs(z[0] - z[1]))
    assert {size for size, _ in bench.perturbations} == {"small", "medium"}
    assert [(one.control, one.runs) for one in found.controls] == [("shifted", 5), ("untrained", 2)]


def test_what_the_sizes_gave_is_not_measured_again_for_their_difference(specs: dict[str, ModelSpec]) -> None:
    bench = Counting(TEXTS)
    made = evaluator(specs, bench)
    made.register([NEGATIVE, APART])
    for size in specs:
        made.finding(NEGATIVE, size, {})
    before = list(bench.perturbations)
    assert made.finding(APART, TOGETHER, {}).controls
    assert bench.perturbations == before


@claim(sizes=["medium"], expect=below(0.0), controls=[SHIFTED])
def beside_small(measured_small: Any, measured: Any) -> Statistic:
    """Small differs."""
    return pearson(measured_small.last_step, measured.next_logit, passage=measured.passage)


@claim(sizes=SIZES, expect=above(0.0), controls=[UNTRAINED])
def unsure(measured: Any) -> Statistic:
    """Something else of the same networks."""
    return mean(measured.entropy, passage=measured.passage)


def test_of_a_control_only_what_sizes_are_compared_by_is_kept(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    def kept(effort: str, *checks: Check) -> int:
        cache = Cache(tmp_path / f"{effort} {len(checks)}")
        made = evaluator(specs, ColumnProvider(TEXTS, kept=cache), effort, cache)
        made.register(checks)
        made.finding(NEGATIVE, "small", {})
        return len(list(cache.home.glob("*/*.safetensors")))

    own = (NEGATIVE, check(unsure))
    real = kept("none", *own)
    assert kept("quick", *own) == real
    # Of two untrained networks, the columns that the comparison names, and those that say which token is which.
    assert kept("quick", *own, APART) - real == 2 * len(APART.columns | set(ALIGNMENT))
    assert "entropy" not in APART.columns


def test_a_size_that_is_not_here_keeps_no_other_claim_from_its_controls(
    specs: dict[str, ModelSpec], empty_cache: Path
) -> None:
    gone = {"small": replace(specs["small"], source="nowhere"), "medium": specs["medium"]}
    made = evaluator(gone, ColumnProvider(TEXTS), cache=Cache(empty_cache))
    made.register([check(beside_small), NEGATIVE])
    found = made.finding(NEGATIVE, "medium", {})
    assert [(one.control, one.runs) for one in found.controls] == [("shifted", 5), ("shuffled", 2), ("untrained", 2)]
    with pytest.raises(ModelNotFound, match="has no config.json in 'nowhere'"):
        made.finding(check(beside_small), "medium", {})


def test_controls_are_not_run_twice(specs: dict[str, ModelSpec], empty_cache: Path) -> None:
    kept = Cache(empty_cache)
    found, perturbations = [], []
    for _ in range(2):
        bench = Counting(TEXTS)
        made = evaluator(specs, bench, cache=kept)
        made.register([*ALL, APART])
        found.append([made.finding(one, "small", {}) for one in ALL] + [made.finding(APART, TOGETHER, {})])
        perturbations.append(bench.perturbations)
    assert perturbations[0]
    assert perturbations[1] == []
    first, second = (
        [tuple(replace(tally, kept=0) for tally in one.controls) for one in findings] for findings in found
    )
    assert first == second
    assert all(tally.kept == tally.runs for one in found[1] for tally in one.controls)


@pytest.mark.parametrize("changed", ["weights", "texts", "seed"])
def test_controls_are_run_again_when_anything_changed(
    specs: dict[str, ModelSpec], empty_cache: Path, new_checkpoint: Callable[..., Path], changed: str
) -> None:
    kept = Cache(empty_cache)
    evaluator(specs, ColumnProvider(TEXTS), cache=kept).finding(NEGATIVE, "small", {})
    bench, seed = Counting(TEXTS), 0
    if changed == "weights":
        specs = {"small": replace(from_directory(new_checkpoint("other", 7)), size="small")}
    elif changed == "texts":
        bench = Counting(TEXTS[1:])
    else:
        seed = 1
    Evaluator(bench, specs.__getitem__, effort="quick", seed=seed, cache=kept).finding(NEGATIVE, "small", {})
    controls = {world.control for _, world in bench.perturbations}
    # An untrained network does not depend on what was trained.
    assert controls == ({SHUFFLED, SHIFTED} if changed == "weights" else {UNTRAINED, SHUFFLED, SHIFTED})


def test_a_bug_that_only_a_control_meets_is_not_swallowed(specs: dict[str, ModelSpec]) -> None:
    seen: list[object] = []

    @claim(sizes=SIZES, expect=below(9.0), controls=[SHIFTED])
    def brittle(measured: Any) -> Statistic:
        """Breaks the second time."""
        seen.append(measured)
        if len(seen) > 1:
            raise ZeroDivisionError
        return mean(measured.last_step, passage=measured.passage)

    made = evaluator(specs, ColumnProvider(TEXTS))
    made.register(ALL)
    with pytest.raises(ZeroDivisionError):
        made.finding(check(brittle), "small", {})
    assert made.finding(NEGATIVE, "small", {}).controls


def test_a_control_without_a_number_supports_nothing(specs: dict[str, ModelSpec]) -> None:
    seen: list[object] = []

    @claim(sizes=SIZES, expect=above(0.5), controls=[SHIFTED])
    def confident(measured: Any) -> Statistic:
        """About nobody, but for the first time."""
        seen.append(measured)
        some = measured.where(measured.token >= (0 if len(seen) == 1 else 10**6))
        return every(some.path_grows[:, :1] | some.path_grows)

    found = evaluator(specs, ColumnProvider(TEXTS)).finding(check(confident), "small", {})
    assert found.verdict is Verdict.SUPPORTED
    assert [(one.supported, one.defined, one.runs, one.values) for one in found.controls] == [(0, 0, 5, ())]
    assert found.flags == ("uncontrolled",)


def test_a_plant_counts_only_where_the_claim_meets_it(specs: dict[str, ModelSpec]) -> None:
    @claim(sizes=SIZES, expect=within(-0.1, 0.1), controls=[PLANTED])
    def elsewhere(measured: Any) -> Statistic:
        """Nothing is planted into the first step."""
        return pearson(measured.step_length[0], measured.next_logit, passage=measured.passage)

    found = evaluator(specs, ColumnProvider(TEXTS)).finding(check(elsewhere), "small", {})
    assert [(one.supported, one.defined) for one in found.controls] == [(0, 0)]


def test_a_corrected_body_may_ask_for_what_the_published_procedure_had_not(specs: dict[str, ModelSpec]) -> None:
    @claim(sizes=SIZES, expect=below(0.0), controls=[SHIFTED])
    def negative(measured: Any) -> Statistic:
        """A relation of another column."""
        return pearson(measured.last_step, measured.next_log_probability, passage=measured.passage)

    made = evaluator(specs, ColumnProvider(TEXTS), effort="none")
    made.register([PUBLISHED])
    found = made.finding(check(negative), "small", {})
    assert found.estimate is not None
    assert found.attribution is None


def test_a_published_reading_that_is_not_run_is_compared_with_all_the_same(specs: dict[str, ModelSpec]) -> None:
    made = evaluator(specs, ColumnProvider(TEXTS), effort="none")
    assert made.finding(NEGATIVE, "small", {}).attribution is None
    made.add_readings([PUBLISHED])
    assert made.finding(NEGATIVE, "small", {}).attribution is not None


def test_universes_of_something_else_are_refused(specs: dict[str, ModelSpec]) -> None:
    @claim(sizes=SIZES, expect=below(0.0), controls=[SHIFTED], universes=LAST_STEP_AND_NEXT_TOKEN)
    def other(measured: Any) -> Statistic:
        """Not about the last step."""
        return pearson(measured.step_length[0], measured.next_logit, passage=measured.passage)

    with pytest.raises(
        InvalidClaim, match="declares the universes of last step and next token, but its number .* is none"
    ):
        evaluator(specs, ColumnProvider(TEXTS), effort="none").finding(check(other), "small", {})


class Grouped:
    """Claims of a test class, which need its set-up."""

    @claim(sizes=SIZES, expect=below(9.0), controls=[SHIFTED])
    def test_grouped(self, measured: Any) -> Statistic:
        """Uses what was set up."""
        return mean(measured.last_step * self.scale, passage=measured.passage)  # type: ignore[attr-defined]


def test_a_claim_of_a_class_is_left_to_its_own_turn(specs: dict[str, ModelSpec]) -> None:
    bare, ready = Grouped(), Grouped()
    ready.scale = 1.0  # type: ignore[attr-defined]
    made = evaluator(specs, ColumnProvider(TEXTS))
    made.register([NEGATIVE, check(bare.test_grouped)])
    assert made.finding(NEGATIVE, "small", {}).controls
    assert made.finding(check(ready.test_grouped), "small", {}).controls[0].runs == 5


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
    kept, supported = Cache(empty_cache), []
    for sign in ("1", "-1"):
        (home / "sign.txt").write_text(sign, encoding="utf-8")
        forget_sources()
        body = imported(home / "test_x.py").test_sign
        found = evaluator(specs, ColumnProvider(TEXTS), cache=kept).finding(check(body), "small", {})
        supported.append(found.controls[0].supported)
    assert supported == [0, 5]


def test_what_was_measured_is_kept_for_the_next_run(specs: dict[str, ModelSpec], empty_cache: Path) -> None:
    kept = Cache(empty_cache)
    found = []
    for _ in range(2):
        bench = ColumnProvider(TEXTS, cache=kept)
        found.append((bench.columns(specs["small"]), bench))
    (first, fresh), (second, again) = found
    assert (fresh.earlier, again.earlier) == ([], ["small"])
    assert again.loaded == ()  # no network was loaded
    for name in ("token", "token_id", *CATALOG.keys() - {"token_ids"}):
        assert np.array_equal(getattr(first.measured, name), getattr(second.measured, name)), name
    assert np.array_equal(first.relative_error, second.relative_error)
    assert np.array_equal(
        ColumnProvider(TEXTS, cache=kept).columns(specs["small"]).relative_error, first.relative_error
    )


@pytest.mark.parametrize("changed", ["weights", "texts", "type", "damage"])
def test_what_was_measured_is_measured_again_when_anything_changed(
    specs: dict[str, ModelSpec], empty_cache: Path, new_checkpoint: Callable[..., Path], changed: str
) -> None:
    kept = Cache(empty_cache)
    ColumnProvider(TEXTS, cache=kept).columns(specs["small"])
    spec, texts, dtype = specs["small"], TEXTS, "float32"
    if changed == "weights":
        spec = replace(from_directory(new_checkpoint("other", 7)), size="small")
    elif changed == "texts":
        texts = TEXTS[1:]
    elif changed == "type":
        dtype = "float64"
    else:
        for path in empty_cache.glob("*/*.safetensors"):
            path.write_bytes(path.read_bytes()[:-8])
    bench = ColumnProvider(texts, cache=kept, dtype=dtype)
    assert len(bench.columns(spec).traces) == len(texts)
    assert bench.earlier == []


def test_a_curve_of_universes_is_kept_for_the_next_run(
    specs: dict[str, ModelSpec], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @claim(sizes=SIZES, expect=below(0.99), controls=[SHIFTED], universes=LAST_STEP_AND_NEXT_TOKEN)
    def test_related(measured: Any) -> Statistic:
        """They are related."""
        return pearson(measured.last_step, measured.next_logit, passage=measured.passage)

    calls: list[object] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return curve(*arguments, **options)

    monkeypatch.setattr("pathlen.runner.evaluator.curve", counted)
    kept = Cache(empty_cache)

    def found(seed: int = 0) -> Any:
        made = Evaluator(ColumnProvider(TEXTS, cache=kept), specs.__getitem__, effort="none", seed=seed, cache=kept)
        return made.finding(check(test_related), "small", {}).universes

    first, second = found(), found()
    assert first is not None
    assert first == second
    assert len(calls) == 1
    found(seed=1)
    assert len(calls) == 2
