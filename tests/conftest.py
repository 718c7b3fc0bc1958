"""What tests share: a tiny random GPT-2 with the embedded family's tokenizer, as a checkpoint and loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

# torch is imported inside fixtures: pytest reads this file even for `pytest --help`.
if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

    from pathlen.models import LoadedModel
    from pathlen.passages import Passage

# A shared machine pauses now and then; how long an example takes says nothing about it.
settings.register_profile("pathlen", deadline=None)
settings.load_profile("pathlen")

BLOCKS, HEADS, WIDTH, CONTEXT = 2, 2, 16, 64


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny networks are slower on two threads than on one."""
    import torch

    torch.set_num_threads(1)


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
    # A gain other than one, else the final norm would be too plain to tell its two sides apart.
    torch.nn.init.normal_(network.transformer.ln_f.weight, 1.0, 0.3)
    return network


def write_checkpoint(folder: Path, network: GPT2LMHeadModel) -> Path:
    from pathlen import mini

    network.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(mini.checkpoint("small") / name, folder / name)
    return folder


@pytest.fixture
def new_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Write a random checkpoint; arguments change its configuration."""

    def write(name: str = "tiny", seed: int = 0, **changes: Any) -> Path:
        return write_checkpoint(tmp_path / name, random_network(seed, **changes))

    return write


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that no test may change."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", random_network())


@pytest.fixture(scope="session")
def tiny(checkpoint: Path) -> LoadedModel:
    """The same, loaded; it is as small as it says."""
    from pathlen.models import from_directory, load

    model = load(from_directory(checkpoint))
    assert len(model.network.transformer.h) == BLOCKS
    assert sum(p.numel() for p in model.network.parameters()) < 100_000
    assert model.context == CONTEXT
    return model


@pytest.fixture(scope="session")
def short() -> Passage:
    """A text shorter than the tiny model's context."""
    from pathlen.passages import Passage, shipped

    return Passage(name="short", text=shipped("tides").text[:150], origin="test")


@pytest.fixture(scope="session")
def long() -> Passage:
    """A text of several of the tiny model's contexts."""
    from pathlen.passages import shipped

    return shipped("tides")
