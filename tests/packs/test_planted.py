"""Every claim can come out either way: a planted effect supports it, its opposite refutes it, at known rates.

Measurements are synthetic, with autocorrelated tokens, so the truth is known. The claims are those of ``claims/``, with
their own bodies and regions. Each body is also broken on purpose, and these tests have to notice.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from functools import partial
from types import ModuleType

import numpy as np
import pytest
from project import CLAIMS
from scipy.signal import lfilter

from pathlen.claims.claim import Claim, declared
from pathlen.claims.finding import evaluate
from pathlen.claims.verdict import Verdict
from pathlen.columns.measurement import Measurement
from pathlen.stats import Statistic, largest_difference

PASSAGES, TOKENS, BLOCKS, HEADS = 12, 340, 6, 4
SEEDS = 10


def load_module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"claims_{name}", CLAIMS / f"test_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES = {name: load_module(name) for name in ("definition", "growth", "heads", "last_step", "views")}


def noise(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Return AR(1) noise with coefficient 0.3 within passages and unit variance."""
    white = generator.normal(size=(*shape, PASSAGES, TOKENS))
    white[..., 1:] *= np.sqrt(1 - 0.09)
    series: np.ndarray = lfilter([1.0], [1.0, -0.3], white, axis=-1).reshape(*shape, -1)
    return series


def synthetic(
    seed: int,
    *,
    r_last: float = 0.0,
    r_third: float = 0.0,
    late: float = 1.0,
    last: float = 1.0,
    apart: float = 0.05,
    growth: float = 0.05,
    spreading: float = 0.05,
    wandering: float = 0.0,
    by_confidence: float = 0.0,
    turning: float = 0.0,
    crooked: float = 0.0,
    together: float = 1.0,
) -> Measurement:
    """Return a synthetic measurement that holds the effects named by the arguments and no others."""
    generator = np.random.default_rng(seed)
    logit, confidence = noise(generator), noise(generator)
    shape = noise(generator, BLOCKS)
    for block, r in ((2, r_third), (BLOCKS - 1, r_last)):
        shape[block] = r * logit + np.sqrt(1 - r**2) * shape[block]
    shape[-1] -= by_confidence * confidence
    level = np.where(np.arange(BLOCKS) < BLOCKS // 2, 1.0, late)[:, None] * np.ones((BLOCKS, 1))
    level[-1] *= last
    level[: BLOCKS // 2] *= 1 - crooked
    steps = level * np.exp(0.05 * shape + apart * noise(generator))
    states = np.arange(BLOCKS + 1)[:, None]
    angle = np.exp(0.1 * (turning * shape + (1 - turning) * noise(generator, BLOCKS)))
    rows = PASSAGES * TOKENS
    heads = np.exp(0.2 * noise(generator, BLOCKS, HEADS))
    return Measurement(
        passage=np.repeat(np.arange(PASSAGES), TOKENS),
        token_id=generator.integers(50, size=rows),
        token=np.tile(np.arange(TOKENS), PASSAGES),
        position=np.tile(np.arange(TOKENS), PASSAGES),
        window=np.zeros(rows, int),
        residual_norm=np.exp(growth * states + 0.1 * noise(generator, BLOCKS + 1)),
        step_length=steps,
        displacement=np.arange(1, BLOCKS + 1)[:, None] + wandering * noise(generator, BLOCKS) + 10,
        turning_angle=angle,
        centroid_distance=np.exp(spreading * states + 0.1 * noise(generator, BLOCKS + 1)),
        final_norm_step=np.exp(0.1 * noise(generator)),
        head_norm=heads,
        heads_norm=together * np.sqrt(np.sum(heads**2, axis=1)) * np.exp(0.1 * noise(generator, BLOCKS)),
        entropy=np.exp(noise(generator)),
        top_logit=noise(generator),
        next_logit=logit,
        next_log_probability=-np.exp(-confidence),
        next_rank=generator.integers(1, 4096, size=rows),
    )


Planted = Callable[[int], tuple[object, ...]]


def of(**effects: float) -> Planted:
    return lambda seed: (synthetic(seed, **effects),)


def pair(small: dict[str, float], other: dict[str, float]) -> Planted:
    return lambda seed: (synthetic(seed, **small), synthetic(seed + 100, **other))


def sizes(*r_last: float) -> Planted:
    """Return one measurement per size; sizes share their tokens, and so most of the noise."""
    return lambda seed: tuple(synthetic(seed, r_last=r, apart=0.05 + 0.01 * size) for size, r in enumerate(r_last))


def error(size: float) -> Planted:
    return lambda seed: (size * np.random.default_rng(seed).uniform(size=(4, 99)),)


# File, claim, effects that support it, effects that refute it, and a change to the body's source that must be noticed.
PLANTED: list[tuple[str, str, Planted, Planted, tuple[str, str]]] = [
    ("definition", "definition", error(1e-7), error(1e-3), ("largest(relative_error)", "largest(relative_error**2)")),
    ("growth", "path_straight", of(), of(crooked=0.95), ("path_straightness", "path_straightness**0.01")),
    ("growth", "grows", of(wandering=0.2), of(wandering=5.0), ("displacement_grows", "path_grows")),
    ("growth", "linear", of(late=1.1), of(late=1.5), ("measured.late_steps", "measured.early_steps")),
    ("growth", "energy", of(growth=0.03), of(growth=-0.03), ("residual_norm", "residual_norm[::-1]")),
    ("growth", "uniform", of(apart=0.1), of(apart=0.4), ("measured.total_length", "measured.next_probability + 1")),
    ("growth", "no_centre", of(spreading=0.03), of(spreading=-0.03), ("centroid_distance", "residual_norm")),
    ("last_step", "small_negative", of(r_last=-0.2), of(r_last=0.2), ("last_step", "step_length[0]")),
    ("last_step", "small_negative_rank", of(r_last=-0.2), of(r_last=0.2), ("next_logit", "next_log_probability")),
    ("last_step", "larger_zero", of(), of(r_last=-0.25), ("measured.last_step", "measured.step_length[-2]")),
    (
        "last_step",
        "small_differs",
        pair({"r_last": -0.4}, {}),
        pair({}, {"r_last": -0.4}),
        ("small.minus(larger)", "larger.minus(small)"),
    ),
    ("last_step", "stillness", of(last=0.8), of(last=1.3), ("sure.last_step", "sure.step_length[0]")),
    (
        "last_step",
        "confident_shorter",
        of(by_confidence=0.5),
        of(by_confidence=-0.5),
        ("measured.last_step", "measured.step_length[0]"),
    ),
    (
        "last_step",
        "last_step_special",
        of(r_last=-0.4, apart=0.0),
        of(r_third=-0.4, apart=0.0),
        ("[earlier]", "[earlier, last]"),
    ),
    (
        "views",
        "complementary",
        of(turning=0.2, apart=0.0),
        of(turning=0.95, apart=0.0),
        ("measured.turning_angle", "measured.turning_angle[::-1]"),
    ),
    ("views", "sizes_differ", sizes(-0.4, 0, 0, 0), sizes(-0.2, -0.2, -0.2, -0.2), ("last_step", "early_steps")),
    ("heads", "heads_cancel", of(together=0.9), of(together=1.1), ("late_heads_norm", "late_head_norm.sum(axis=1)")),
    (
        "heads",
        "heads_cancel_more",
        pair({"together": 1.1}, {"together": 0.9}),
        pair({"together": 0.9}, {"together": 1.1}),
        ("larger.minus(small)", "small.minus(larger)"),
    ),
]
NAMES = [name for _, name, *_ in PLANTED]


def test_every_claim_that_could_be_false_has_a_planted_effect() -> None:
    bodies = {
        (file, attribute.removeprefix("test_"))
        for file, module in FILES.items()
        for attribute, body in vars(module).items()
        if (claim := declared(body)) and not claim.true_by_construction and claim.reading == "corrected"
    }
    assert bodies == {(name, body) for name, body, *_ in PLANTED}


def rates(claim: Claim, body: Callable[..., Statistic], holds: Planted, fails: Planted) -> tuple[float, float]:
    """Return how often the supporting effect supports a claim and the refuting one refutes it."""

    def statistic(measurements: tuple[object, ...]) -> Statistic:
        if claim.logic == "differs":
            return largest_difference([body(measured) for measured in measurements])
        return body(*measurements)

    shares = []
    for planted, verdict in ((holds, Verdict.SUPPORTED), (fails, Verdict.REFUTED)):
        verdicts = [
            evaluate(claim, claim.sizes[0], partial(statistic, planted(seed)), seed=seed).verdict
            for seed in range(SEEDS)
        ]
        shares.append(verdicts.count(verdict) / SEEDS)
    return shares[0], shares[1]


def claim_of(file: str, name: str) -> tuple[Claim, Callable[..., Statistic]]:
    body = getattr(FILES[file], f"test_{name}")
    claim = declared(body)
    assert claim is not None
    return claim, body


@pytest.mark.parametrize(("file", "name", "holds", "fails", "mutation"), PLANTED, ids=NAMES)
def test_a_planted_effect_supports_and_its_opposite_refutes(
    file: str, name: str, holds: Planted, fails: Planted, mutation: tuple[str, str]
) -> None:
    """Each verdict is right in at least nine of ten runs: the effects are several standard errors from every edge."""
    assert min(rates(*claim_of(file, name), holds, fails)) >= 0.9


@pytest.mark.parametrize(("file", "name", "holds", "fails", "mutation"), PLANTED, ids=NAMES)
def test_a_broken_check_is_noticed(
    file: str, name: str, holds: Planted, fails: Planted, mutation: tuple[str, str]
) -> None:
    claim, body = claim_of(file, name)
    source = inspect.getsource(body)
    assert mutation[0] in source
    scope = dict(vars(FILES[file]))
    exec(source[source.index("def ") :].replace(*mutation), scope)  # noqa: S102  # our own source, changed above
    assert min(rates(claim, scope[body.__name__], holds, fails)) < 0.9


def test_a_claim_about_confident_tokens_is_invalid_without_any() -> None:
    unsure = synthetic(0)
    unsure = unsure.with_columns(next_log_probability=unsure.next_log_probability - 2)
    body = FILES["last_step"].test_stillness
    claim = declared(body)
    assert claim is not None
    finding = evaluate(claim, "small", lambda: body(unsure), seed=0)
    assert finding.verdict is Verdict.INVALID
    assert "none of the 4,080 tokens is of the kind that the claim speaks about" in finding.reason
