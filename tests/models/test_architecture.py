"""Architectures: parts are found by running the model, which is refused if they don't explain its logits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from pathlen.errors import ModelMismatch
from pathlen.models.architecture import ArchitecturePaths, find_architecture
from pathlen.models.checkpoint import from_directory
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.traces.kernels import matmul
from pathlen.traces.reference import loop_steps, relative_error
from pathlen.traces.tracer import Tracer, trace

Tokenized = Callable[[Path], Path]

SHAPE: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
GROUPED = SHAPE | {"num_key_value_heads": 2}
GPT: dict[str, Any] = {"vocab_size": 4096, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
OPT: dict[str, Any] = {"ffn_dim": 64, "word_embed_proj_dim": 32} | {
    name: value for name, value in SHAPE.items() if name != "intermediate_size"
}
NEO = {
    "num_layers": 4,
    "num_heads": 4,
    "attention_types": [[["global", "local"], 2]],
    "max_position_embeddings": 64,
    "vocab_size": 4096,
    "hidden_size": 32,
}
FALCON = {name: value for name, value in SHAPE.items() if name != "intermediate_size"}

# What is special about it, its model type, and its configuration.
CONFIGURATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("", "gpt2", GPT),
    ("", "gpt_neo", NEO),
    ("attention and MLP side by side", "gpt_neox", SHAPE),
    ("one after the other", "gpt_neox", SHAPE | {"use_parallel_residual": False}),
    ("a bias on its head", "gptj", GPT | {"rotary_dim": 4}),
    ("", "opt", OPT),
    ("no final norm", "opt", OPT | {"do_layer_norm_before": False}),
    ("", "llama", GROUPED),
    ("", "mistral", GROUPED),
    ("experts", "mixtral", GROUPED | {"num_local_experts": 2}),
    ("", "qwen2", GROUPED),
    ("heads wider than the model", "qwen3", GROUPED | {"head_dim": 16}),
    ("scaled embedding", "gemma", GROUPED | {"head_dim": 8}),
    ("no cap on logits", "gemma2", GROUPED | {"head_dim": 8, "final_logit_softcapping": None}),
    ("norms behind the attention", "gemma3_text", GROUPED | {"head_dim": 8}),
    ("", "phi", SHAPE),
    ("", "phi3", SHAPE | {"pad_token_id": 0}),
    ("", "stablelm", GROUPED),
    ("attention and MLP side by side", "stablelm", GROUPED | {"use_parallel_residual": True}),
    ("one key for all heads, side by side", "falcon", FALCON),
    ("one after the other, no positions", "falcon", FALCON | {"parallel_attn": False, "alibi": True, "bias": True}),
    ("of 40B and more", "falcon", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    ("no positions", "bloom", {"vocab_size": 4096, "hidden_size": 32, "n_layer": 3, "n_head": 4}),
    ("", "mpt", {"vocab_size": 4096, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64}),
    ("", "olmo2", SHAPE),
]

# The families that users expect, each measured in at least one variant.
POPULAR = {
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "opt",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
} | {"phi", "phi3", "stablelm", "falcon", "bloom"}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "opt",
        OPT | {"word_embed_proj_dim": 16, "do_layer_norm_before": False},
        "unembedding of .* must be a matrix from the width of its blocks, 32",
    ),
    ("gemma2", GROUPED | {"head_dim": 8}, "must give the model's own logits to 1e-05"),
    ("cohere", SHAPE, "must give the model's own logits to 1e-05"),
    (
        "mamba",
        {"vocab_size": 4096, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4},
        "must have an attention, but one has none: MambaBlock",
    ),
]


def save(folder: Path, kind: str, shape: dict[str, Any]) -> Path:
    """Write a random network whose norms have random gains, so that no two norms give the same output."""
    torch.manual_seed(3)
    config = hf.AutoConfig.for_model(kind, **shape)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, 0)
    network = hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for name, parameter in network.named_parameters():
        if "norm" in name or "ln" in name:
            torch.nn.init.normal_(parameter, 1.0, 0.3)
        else:
            torch.nn.init.normal_(parameter, 0.0, 0.2)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(params=CONFIGURATIONS, ids=lambda configuration: ", ".join(filter(None, configuration[1::-1])))
def model(request: pytest.FixtureRequest, tmp_path: Path, tokenized: Tokenized) -> LoadedModel:
    _, kind, shape = request.param
    return load(from_directory(tokenized(save(tmp_path / "net", kind, shape))))


def test_every_popular_family_is_tested() -> None:
    assert {kind for _, kind, _ in CONFIGURATIONS} >= POPULAR


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_a_fast_trace_differs_by_rounding_only(
    model: LoadedModel, short: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = trace(model, short)
    if matmul._is_right():  # oneDNN can be used
        monkeypatch.setattr(matmul, "_is_half_used", lambda: True)
        monkeypatch.setattr(matmul, "WORTH", 1)
    fast = Tracer(model, fast=True).trace(short)
    for name in ("step_length", "turning_angle", "final_norm_step", "entropy"):
        np.testing.assert_allclose(getattr(fast, name), getattr(exact, name), rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_a_trace_matches_the_states_and_logits_of_the_model(model: LoadedModel, short: Passage) -> None:
    traced = trace(model, short)
    with torch.no_grad():
        result = model.network(torch.from_numpy(traced.token_ids)[None], output_hidden_states=True, use_cache=False)
    logits = result.logits[0].double()
    following = torch.from_numpy(traced.token_ids[1:])
    rows = torch.arange(len(following))
    scale = logits.abs().max().item()
    np.testing.assert_allclose(traced.next_logit, logits[rows, following], atol=1e-5 * scale)
    expected = torch.log_softmax(logits, dim=-1)[rows, following]
    np.testing.assert_allclose(traced.next_log_probability, expected, atol=1e-5 * scale)
    states = torch.stack([state[0].double() for state in result.hidden_states[:-1]])
    np.testing.assert_allclose(traced.residual_norm[:-1], states.norm(dim=-1), rtol=1e-5)
    np.testing.assert_allclose(traced.step_length[:-1], (states[1:] - states[:-1]).norm(dim=-1), rtol=1e-4)
    np.testing.assert_allclose(traced.final_norm_length, result.hidden_states[-1][0].double().norm(dim=-1), rtol=1e-5)
    assert relative_error(traced, loop_steps(model, traced)).max() < 1e-4
    assert traced.head_norm.shape[1] == 4
    assert (traced.heads_norm <= traced.head_norm.sum(axis=1) * (1 + 1e-5)).all()
    assert traced.head_norm.min() > 0


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("kind", "shape", "message"), REFUSED)
def test_a_model_whose_states_do_not_give_its_logits_is_refused(
    kind: str, shape: dict[str, Any], message: str, tmp_path: Path, short: Passage, tokenized: Tokenized
) -> None:
    loaded = load(from_directory(tokenized(save(tmp_path / "net", kind, shape))))
    with pytest.raises(ModelMismatch, match=message):
        trace(loaded, short)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "says 'bert' with BertForMaskedLM"),
        ({"model_type": "t5", "is_encoder_decoder": True}, r"is of an encoder with a decoder \(t5\)"),
        ({"model_type": "vit", "architectures": ["ViTModel"]}, "says 'vit' with ViTModel"),
        ({"model_type": "no-such-thing", "architectures": None}, "says 'no-such-thing' with no architecture"),
        ({"auto_map": {"AutoModelForCausalLM": "mine.Net"}}, "asks for code of its own, which is never run"),
    ],
)
def test_a_configuration_of_another_kind_of_model_is_refused_before_loading(
    new_checkpoint: Callable[..., Path], changes: dict[str, object], message: str
) -> None:
    folder = new_checkpoint()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    with pytest.raises(ModelMismatch, match=message):
        from_directory(folder)


def test_paths_resolve_to_the_parts_of_another_network_of_the_configuration(tiny: LoadedModel) -> None:
    ids = torch.arange(8)
    paths = ArchitecturePaths.of(find_architecture(tiny.network, ids, "tiny"), tiny.network)
    other = load(tiny.spec, untrained=3)
    searched, resolved = find_architecture(other.network, ids, "other"), paths.parts(other.network)
    assert searched.blocks == resolved.blocks
    assert (searched.base, searched.projections, searched.added, searched.heads) == (
        resolved.base,
        resolved.projections,
        resolved.added,
        resolved.heads,
    )
    assert resolved.unembedding is searched.unembedding
    assert resolved.offset is searched.offset
    assert resolved.blocks[0] is not paths.parts(tiny.network).blocks[0]
