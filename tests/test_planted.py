"""Every claim can come out either way: a planted effect supports it, its opposite refutes it, at known rates.

Measurements are made up, of tokens that depend on their neighbours, so that the truth is known; the claims are those of
``claims/``, bodies and regions as they stand.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.signal import lfilter

from pathlen.claims import declared, evaluate
from pathlen.measurements import Measurement
from pathlen.verdicts import Verdict

CLAIMS = Path(__file__).parents[1] / "claims"
PASSAGES, TOKENS, BLOCKS = 12, 340, 6
SEEDS = 10


def module(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"claims_{name}", CLAIMS / f"test_{name}.py")
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


FILES = {name: module(name) for name in ("definition", "growth", "last_step", "views")}


def noise(draw: np.random.Generator, *shape: int) -> np.ndarray:
    """AR(1) with 0.3 inside passages, standard margins."""
    white = draw.normal(size=(*shape, PASSAGES, TOKENS))
    white[..., 1:] *= np.sqrt(1 - 0.09)
    made: np.ndarray = lfilter([1.0], [1.0, -0.3], white, axis=-1).reshape(*shape, -1)
    return made


def made_up(
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
) -> Measurement:
    """A measurement with what the arguments say in it and nothing else."""
    draw = np.random.default_rng(seed)
    logit, confidence = noise(draw), noise(draw)
    shape = noise(draw, BLOCKS)
    for block, r in ((2, r_third), (BLOCKS - 1, r_last)):
        shape[block] = r * logit + np.sqrt(1 - r**2) * shape[block]
    shape[-1] -= by_confidence * confidence
    level = np.where(np.arange(BLOCKS) < BLOCKS // 2, 1.0, late)[:, None] * np.ones((BLOCKS, 1))
    level[-1] *= last
    steps = level * np.exp(0.05 * shape + apart * noise(draw))
    states = np.arange(BLOCKS + 1)[:, None]
    angle = np.exp(0.1 * (turning * shape + (1 - turning) * noise(draw, BLOCKS)))
    rows = PASSAGES * TOKENS
    return Measurement(
        passage=np.repeat(np.arange(PASSAGES), TOKENS),
        token_id=draw.integers(50, size=rows),
        token=np.tile(np.arange(TOKENS), PASSAGES),
        position=np.tile(np.arange(TOKENS), PASSAGES),
        window=np.zeros(rows, int),
        residual_norm=np.exp(growth * states + 0.1 * noise(draw, BLOCKS + 1)),
        step_length=steps,
        displacement=np.arange(1, BLOCKS + 1)[:, None] + wandering * noise(draw, BLOCKS) + 10,
        turning_angle=angle,
        centroid_distance=np.exp(spreading * states + 0.1 * noise(draw, BLOCKS + 1)),
        next_logit=logit,
        next_log_probability=-np.exp(-confidence),
    )


Body = Callable[[int], tuple[object, ...]]


def of(**effects: float) -> Body:
    return lambda seed: (made_up(seed, **effects),)


def pair(small: dict[str, float], other: dict[str, float]) -> Body:
    return lambda seed: (made_up(seed, **small), made_up(seed + 100, **other))


def error(size: float) -> Body:
    return lambda seed: (size * np.random.default_rng(seed).uniform(size=(4, 99)),)


PLANTED: list[tuple[str, str, Body, Body]] = [
    ("definition", "definition", error(1e-7), error(1e-3)),
    ("growth", "grows", of(wandering=0.2), of(wandering=5.0)),
    ("growth", "linear", of(late=1.1), of(late=1.5)),
    ("growth", "energy", of(growth=0.03), of(growth=-0.03)),
    ("growth", "uniform", of(apart=0.1), of(apart=0.4)),
    ("growth", "no_centre", of(spreading=0.03), of(spreading=-0.03)),
    ("last_step", "small_negative", of(r_last=-0.2), of(r_last=0.2)),
    ("last_step", "small_negative_rank", of(r_last=-0.2), of(r_last=0.2)),
    ("last_step", "larger_zero", of(), of(r_last=-0.25)),
    ("last_step", "small_differs", pair({"r_last": -0.4}, {}), pair({}, {"r_last": -0.4})),
    ("last_step", "stillness", of(last=0.8), of(last=1.3)),
    ("last_step", "confident_shorter", of(by_confidence=0.5), of(by_confidence=-0.5)),
    ("last_step", "last_step_special", of(r_last=-0.4, apart=0.0), of(r_third=-0.4, apart=0.0)),
    ("views", "complementary", of(turning=0.2, apart=0.0), of(turning=0.95, apart=0.0)),
]


def test_every_claim_that_could_be_false_is_planted() -> None:
    bodies = {
        (name, attribute.removeprefix("test_"))
        for name, file in FILES.items()
        for attribute, body in vars(file).items()
        if (claim := declared(body)) and not claim.true_by_construction and claim.reading == "corrected"
    }
    assert bodies == {(name, body) for name, body, *_ in PLANTED}


@pytest.mark.parametrize(("file", "name", "holds", "fails"), PLANTED, ids=[name for _, name, *_ in PLANTED])
def test_a_planted_effect_supports_and_its_opposite_refutes(file: str, name: str, holds: Body, fails: Body) -> None:
    """At least nine in ten each: these effects are several standard errors from every edge."""
    body = getattr(FILES[file], f"test_{name}")
    claim = declared(body)
    assert claim is not None
    for planted, verdict in ((holds, Verdict.SUPPORTED), (fails, Verdict.REFUTED)):
        found = [evaluate(claim, claim.sizes[0], partial(body, *planted(seed)), seed=seed) for seed in range(SEEDS)]
        assert sum(one.verdict is verdict for one in found) >= 0.9 * SEEDS, [str(one) for one in found[:3]]


def test_where_no_token_is_confident_there_is_nothing_to_say() -> None:
    unsure = made_up(0)
    columns = {name: getattr(unsure, name) for name in Measurement.__dataclass_fields__}
    columns["next_log_probability"] = columns["next_log_probability"] - 2
    body = FILES["last_step"].test_stillness
    claim = declared(body)
    assert claim is not None
    finding = evaluate(claim, "small", lambda: body(Measurement(**columns)), seed=0)
    assert finding.verdict is Verdict.INVALID
    assert "none of the 4,080 tokens is of the kind that the claim speaks about" in finding.reason
