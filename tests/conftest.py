"""Shared fixtures: a tiny random GPT-2 with the embedded family's tokenizer, texts, and a record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

# torch is imported inside fixtures, because pytest imports this file even for `pytest --help`.
if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

    from pathlen.models.loading import LoadedModel
    from pathlen.passages.passage import Passage
    from pathlen.records.schema import Run

# No deadline: on a shared machine the time that an example takes says nothing about the example.
settings.register_profile("pathlen", deadline=None)
settings.load_profile("pathlen")

BLOCKS, HEADS, WIDTH, CONTEXT = 2, 2, 16, 64


def pytest_configure(config: pytest.Config) -> None:
    """Make every warning an error in tests; not in pyproject.toml, which also applies to runs of the claims."""
    config.addinivalue_line("filterwarnings", "error")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Use one thread, on which tiny networks are faster than on two.

    GPT-2's module is imported here as well: a pytest run inside a test forgets the modules that it was the first to
    import, but torch can't register what it defines twice.
    """
    import torch
    import transformers.models.gpt2.modeling_gpt2  # noqa: F401

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for each test, so that tests and earlier runs don't affect each other."""
    monkeypatch.setenv("PATHLEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def random_network(seed: int = 0, **changes: Any) -> GPT2LMHeadModel:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=4096, n_positions=CONTEXT, n_embd=WIDTH, n_layer=BLOCKS, n_head=HEADS, initializer_range=0.2
    )
    for name, value in {"bos_token_id": 0, "eos_token_id": 0, **changes}.items():
        setattr(config, name, value)
    torch.manual_seed(seed)
    network = GPT2LMHeadModel(config)
    # Gains other than one, or states before and after the final norm would be too similar to tell apart.
    torch.nn.init.normal_(network.transformer.ln_f.weight, 1.0, 0.3)
    return network


def write_checkpoint(folder: Path, network: GPT2LMHeadModel) -> Path:
    network.save_pretrained(folder)
    return with_tokenizer(folder)


def with_tokenizer(folder: Path, tokens: int = 4096) -> Path:
    """Give a checkpoint the embedded family's tokenizer, padded from 4,096 to ``tokens`` with ones that never occur."""
    from pathlen.models import mini

    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(mini.checkpoint("small") / name, folder / name)
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary = content["model"]["vocab"]
    vocabulary |= {f"no merge leads here {number}": number for number in range(len(vocabulary), tokens)}
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def new_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a random checkpoint; arguments change its configuration."""

    def write(name: str = "tiny", seed: int = 0, **changes: Any) -> Path:
        return write_checkpoint(tmp_path / name, random_network(seed, **changes))

    return write


@pytest.fixture(scope="session")
def tokenized() -> Callable[..., Path]:
    """The function that gives a checkpoint a tokenizer."""
    return with_tokenizer


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint; tests must not change it."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", random_network())


@pytest.fixture(scope="session")
def tiny(checkpoint: Path) -> LoadedModel:
    """The tiny checkpoint, loaded."""
    from pathlen.models.checkpoint import from_directory
    from pathlen.models.loading import load

    model = load(from_directory(checkpoint))
    assert model.network.config.num_hidden_layers == BLOCKS
    assert sum(parameter.numel() for parameter in model.network.parameters()) < 100_000
    assert model.context == CONTEXT
    return model


@pytest.fixture(scope="session")
def short() -> Passage:
    """A text that is shorter than the tiny model's context."""
    from pathlen.passages.passage import Passage
    from pathlen.passages.shipped import shipped

    return Passage(name="short", text=shipped("tides").text[:150], origin="test")


@pytest.fixture(scope="session")
def long() -> Passage:
    """A text several times as long as the tiny model's context."""
    from pathlen.passages.shipped import shipped

    return shipped("tides")


@pytest.fixture(scope="session")
def run() -> Run:
    """A small record, written by hand, that contains every verdict; its estimates are computed from random columns."""
    import numpy as np

    from pathlen._util.provenance import Revision
    from pathlen.claims.claim import Claim
    from pathlen.claims.controls import SHIFTED, UNTRAINED, Tally
    from pathlen.claims.finding import Finding, decided, evaluate
    from pathlen.claims.multiverse import EXTENSION, SLIP, Choice, Curve, Option
    from pathlen.claims.shapley import Attribution
    from pathlen.claims.verdict import Verdict, above, below, within
    from pathlen.records.schema import (
        ClaimRecord,
        Excerpt,
        FindingRecord,
        ModelRecord,
        Run,
        Severity,
        SeverityLine,
        TextRecord,
    )
    from pathlen.stats import every, pearson

    x, noise = np.random.default_rng(5).normal(size=(2, 480))
    passage = np.repeat(np.arange(8), 60)
    falls = Claim(
        id="falls",
        reading="corrected",
        sentence='It falls, <b>markedly</b> & "soon".',
        section="3.2",
        sizes=("small", "medium"),
        expect=below(0.0),
        logic="all",
        controls=(UNTRAINED, SHIFTED),
    )
    zero = Claim(
        id="zero",
        reading="corrected",
        sentence="About 0.",
        section="1",
        sizes=("medium",),
        expect=within(-0.1, 0.1),
        controls=(UNTRAINED,),
    )
    sums = Claim(
        id="sums",
        reading="as published",
        sentence="Sums grow.",
        section="3.1",
        sizes=("small", "medium"),
        expect=above(0.99),
        true_by_construction="sums of lengths grow",
    )
    tallies = [
        Tally(control="untrained", runs=10, supported=1, values=(0.02, -0.01, -0.2), seconds=1.5),
        Tally(control="shifted", runs=20, supported=0, values=(0.01, 0.0), seconds=0.5),
    ]
    first = decided(evaluate(falls, "small", lambda: pearson(x, noise - x, passage=passage), seed=0), tallies)
    changes = (("state before the final norm", first.estimate.value - 0.25), ("last token dropped", 0.0))  # type: ignore[union-attr]
    choices = (
        Choice("correlation", (Option("Pearson"), Option("Spearman"))),
        Choice("state", (Option("before the norm"), Option("after it", SLIP), Option("relative", EXTENSION))),
    )
    universes = Curve(
        choices=choices,
        values=(first.estimate.value, -0.4, 0.3, -0.6, -0.5, -0.2),  # type: ignore[union-attr]
        verdicts="ssrisr",
        verdict="supported",
        published=0.25,
        p_value=0.0005,
    )
    findings = [
        replace(
            first,
            universes=universes,
            attribution=Attribution(published=0.25, corrected=first.estimate.value, changes=changes),  # type: ignore[union-attr]
        ),
        evaluate(falls, "medium", lambda: pearson(x, noise + x, passage=passage), seed=0),
        evaluate(zero, "medium", lambda: pearson(x, noise, passage=passage), seed=0),
        evaluate(sums, "small", lambda: every(x < 99), seed=0),
        Finding(claim=sums, size="medium", verdict=Verdict.NOT_TESTED, reason="no weights; get them with: x"),
    ]
    model = ModelRecord(
        size="small",
        title="mini Small",
        source="mini/small",
        revision="",
        n_layer=2,
        n_head=2,
        d_model=16,
        context=64,
        weights_sha256="a" * 64,
        tokenizer_sha256="b" * 64,
        device="cpu",
        dtype="float32",
        tokens=496,
        rows=480,
        windows=8,
        seconds=0.5,
        is_kept=False,
        step_autocorrelation=0.25,
        logit_autocorrelation=None,
        points=tuple(zip(x[:40].tolist(), noise[:40].tolist(), strict=True)),
        published_points=tuple(zip(x[:40].tolist(), noise[:40].tolist(), strict=True)),
        spurious_points=((0.5, 0.0),),
        vocabulary=4096,
        surprise=4.5,
        excerpts=(
            Excerpt(
                text="one",
                left_out=1,
                pieces=(
                    "It",
                    " falls",
                    " \\xe2",
                    "\\x80\\x94",
                    "</script>",
                    "<|endoftext|>",
                    "\u202e",
                    "\u0301e",
                    "\u2028",
                    ".",
                ),
                steps=((1.5, 2.25, 3.0, 0.5, 1.0, 4.0, 2.0, 1.75), (1.0, 2.0, 0.25, 3.5, 1.25, 0.75, 2.5, 2.75)),
                final_norm_step=(2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5),
                next_logit=(1.5, -0.5, 2.0, 0.25, 3.75, -1.0, 0.5, 2.5),
                next_log_probability=(-0.5, -3.0, -0.25, -2.0, -0.125, -5.0, -1.0, -0.75),
            ),
        ),
    )
    return Run(
        schema_version=4,
        family="mini",
        sizes=("small", "medium"),
        selection="--family mini",
        started="2026-01-02T03:04:05+00:00",
        seconds=1.25,
        seed=0,
        left_out=1,
        controls="full",
        lock=None,
        deviations=(),
        severity=Severity(
            lock="d" * 64,
            families=20,
            like="mini",
            lines=(
                SeverityLine(
                    claim="falls",
                    reading="corrected",
                    size="small",
                    counts=True,
                    verdicts={"supported": 1, "refuted": 19},
                ),
                SeverityLine(claim="falls", reading="corrected", size="medium", counts=True, verdicts={"vacuous": 20}),
                SeverityLine(
                    claim="sums", reading="as published", size="small", counts=False, verdicts={"vacuous": 20}
                ),
            ),
        ),
        texts=(TextRecord(name="one", origin="test", licence="CC0", attribution="nobody", sha256="c" * 64),),
        models=(model,),
        claims=tuple(ClaimRecord.of(claim, f"claims/test_x.py::test_{claim.id}") for claim in (falls, zero, sums)),
        findings=tuple(FindingRecord.of(finding) for finding in findings),
        environment={"pathlen": version("pathlen")},
        lock_sha256=None,
        declared=None,
        revision=Revision(commit="1" * 40, is_dirty=False),
    )
