"""The claim packs about other documents: each claim can come out either way, and uses public names only."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from project import CLAIMS, SAMPLES

import pathlen
from pathlen.claims.claim import declared
from pathlen.claims.finding import evaluate
from pathlen.claims.lock import lock_of, read_lock
from pathlen.claims.paper import read_paper
from pathlen.claims.verdict import Verdict
from pathlen.columns.catalog import CUSTOM_COLUMNS
from pathlen.columns.layers import PARTS, at_depth
from pathlen.columns.measurement import Measurement
from pathlen.records.files import read

PACKS = ("rotation", "decomposition")
PASSAGES, TOKENS, BLOCKS = 12, 100, 8
SEEDS = 10


def load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"pack_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES = {path.stem: load_module(path) for pack in PACKS for path in sorted((CLAIMS / pack).glob("test_*.py"))}
# Importing a pack registers its columns. They are taken out again so that other tests don't see them.
COLUMNS = {name: CUSTOM_COLUMNS.pop(name) for name in ("angle_to_others", "first_over_own")}


@pytest.fixture(autouse=True)
def no_column_stays_registered() -> Iterator[None]:
    yield
    for name in COLUMNS:
        CUSTOM_COLUMNS.pop(name, None)


def synthetic(
    seed: int,
    *,
    first: float = 85.0,
    middle: float = 10.0,
    late: float = 20.0,
    pairs: float = 75.0,
    outlier: float = 5.0,
    cosine: float = 0.0,
    mlp: float = 0.5,
    attention: float = 0.0,
) -> Measurement:
    """Return a synthetic measurement that holds the effects named by the arguments and no others."""
    generator = np.random.default_rng(seed)
    rows = PASSAGES * TOKENS

    def noise(*shape: int) -> np.ndarray:
        per_passage = np.repeat(generator.normal(size=(*shape, PASSAGES)), TOKENS, axis=-1)
        return 0.3 * per_passage + generator.normal(size=(*shape, rows))

    angle = np.full((BLOCKS, 1), middle)
    angle[0], angle[-2:] = first, late
    log_length = noise()
    step = np.exp(0.1 * log_length) * np.ones((BLOCKS, 1))
    correlations = {"mlp": mlp, "attention": attention}
    norms = {
        part: np.exp(0.1 * (r * log_length + np.sqrt(1 - r**2) * noise())) * np.ones((BLOCKS, 1))
        for part, r in correlations.items()
    }
    columns: dict[str, Any] = {
        "turning_angle": np.radians(angle * np.exp(0.05 * noise(BLOCKS))),
        "angle_to_others": np.radians(pairs + noise(BLOCKS + 1)),
        "first_over_own": outlier * np.exp(0.1 * noise(BLOCKS + 1)),
        "attention_mlp_cosine": np.clip(cosine + 0.1 * noise(BLOCKS), -1, 1),
        "step_length": step,
        "mlp_norm": norms["mlp"],
        "attention_norm": norms["attention"],
    }
    return Measurement(passage=np.repeat(np.arange(PASSAGES), TOKENS), **columns)


# Claim -> effects that support it, effects that refute it.
PLANTED: dict[tuple[str, str], tuple[dict[str, float], dict[str, float]]] = {
    ("test_angles", "first_block_turns_square"): ({}, {"first": 60.0}),
    ("test_angles", "middle_turns_little"): ({"middle": 30.0}, {"middle": 60.0}),
    ("test_angles", "exit_turns_more"): ({}, {"late": 8.0}),
    ("test_pairs", "pairs_sit_wide"): ({}, {"pairs": 85.0}),
    ("test_pairs", "first_is_an_outlier"): ({}, {"outlier": 1.5}),
    ("test_contributions", "orthogonal_on_average"): ({}, {"cosine": 0.2}),
    ("test_contributions", "orthogonal_each"): ({}, {"cosine": 0.4}),
    ("test_contributions", "mlp_sets_the_way"): ({}, {"mlp": 0.0, "attention": 0.5}),
}


def test_every_claim_of_the_packs_has_a_planted_effect() -> None:
    bodies = {
        (file, attribute.removeprefix("test_"))
        for file, module in FILES.items()
        for attribute, body in vars(module).items()
        if declared(body)
    }
    assert bodies == set(PLANTED)


@pytest.mark.parametrize(("file", "name"), PLANTED)
def test_a_planted_effect_supports_and_its_opposite_refutes(file: str, name: str) -> None:
    body: Callable[..., Any] = getattr(FILES[file], f"test_{name}")
    claim = declared(body)
    assert claim is not None
    for effects, verdict in zip(PLANTED[file, name], (Verdict.SUPPORTED, Verdict.REFUTED), strict=True):
        verdicts = [
            evaluate(claim, "small", partial(body, synthetic(seed, **effects)), seed=seed, replicates=999).verdict
            for seed in range(SEEDS)
        ]
        assert verdicts.count(verdict) >= 0.9 * SEEDS


def test_the_packs_use_public_names_only() -> None:
    for pack in PACKS:
        for path in (CLAIMS / pack).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    assert node.module in ("pathlen", "numpy")
                    assert node.module == "numpy" or {alias.name for alias in node.names} <= set(pathlen.__all__)


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_names_its_document_and_matches_its_lock(pack: str) -> None:
    assert read_paper(CLAIMS / pack / "paper.toml").title
    assert read_lock(CLAIMS / pack / "claims.lock").deviations(lock_of(CLAIMS / pack).declarations) == []


@pytest.mark.parametrize("pack", PACKS)
def test_the_sample_record_of_a_pack_holds_the_locked_claims(pack: str) -> None:
    record = read(SAMPLES / pack / "mini.json")
    assert record.paper == read_paper(CLAIMS / pack / "paper.toml")
    assert record.deviations == ()
    locked = read_lock(CLAIMS / pack / "claims.lock").declarations
    assert {(claim.id, claim.reading) for claim in record.claims} == set(locked)
    assert {finding.size for finding in record.findings} == {"small", "medium", "large", "xl"}


def test_the_packs_run_only_when_named() -> None:
    settings = (CLAIMS.parent / "pyproject.toml").read_text("utf-8")
    excluded = re.search(r"norecursedirs = \[(.*)\]", settings)
    assert excluded is not None
    assert all(f'"{pack}"' in excluded.group(1) for pack in PACKS)


# The packs' own columns, checked against arithmetic by hand.


def test_the_angle_to_others_is_the_mean_over_pairs() -> None:
    states = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]], dtype=torch.float64)
    quarter, half = np.pi / 2, np.pi
    expected = [(quarter + half) / 2, quarter, (quarter + half) / 2]
    assert COLUMNS["angle_to_others"].function(states).numpy() == pytest.approx(expected)
    assert COLUMNS["angle_to_others"].function(states[:1]).numpy() == pytest.approx([0.0])


def test_the_first_token_is_compared_with_every_token() -> None:
    states = torch.tensor([[3.0, 4.0], [0.0, 2.0], [10.0, 0.0]])
    assert COLUMNS["first_over_own"].function(states).numpy() == pytest.approx([1.0, 2.5, 0.5])


# Parts of the network's depth.


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("first", [0]),
        ("first half", [0, 1, 2, 3, 4, 5]),
        ("middle half", [3, 4, 5, 6, 7, 8]),
        ("second half", [6, 7, 8, 9, 10, 11]),
        ("last quarter", [9, 10, 11]),
        ("last", [11]),
    ],
)
def test_parts_of_twelve_blocks(part: str, expected: list[int]) -> None:
    column = np.arange(12.0)[:, None] * np.ones((1, 3))
    assert at_depth(column, part).tolist() == [np.mean(expected)] * 3


@pytest.mark.parametrize("depth", range(1, 50))
def test_no_part_of_any_depth_is_empty(depth: int) -> None:
    for part in PARTS:
        assert np.isfinite(at_depth(np.ones((depth, 2)), part)).all()


def test_a_column_without_depth_and_an_unknown_part_are_refused() -> None:
    with pytest.raises(ValueError, match="part must be one of 'first', .*, 'last', but 'middle' was given"):
        at_depth(np.ones((2, 2)), "middle")
    with pytest.raises(
        ValueError, match=r"column must have an axis of depth before its tokens, but its shape is \(3,\)"
    ):
        at_depth(np.ones(3), "last")
