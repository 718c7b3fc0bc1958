"""Any causal language model: parts found by running it, and refused where they don't explain its logits."""

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
from pathlen.models import LoadedModel, from_directory, load
from pathlen.original import loop_steps, relative_error
from pathlen.passages import Passage
from pathlen.traces import trace

Tokenized = Callable[[Path], Path]

SHAPE = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
GROUPED = {**SHAPE, "num_key_value_heads": 2}
GPT = {"vocab_size": 4096, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
OPT = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "ffn_dim": 64,
    "max_position_embeddings": 64,
}

CONFIGURATIONS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: hf.GPT2Config(**GPT),
    "gpt_neo": lambda: hf.GPTNeoConfig(
        vocab_size=4096,
        hidden_size=32,
        num_layers=4,
        num_heads=4,
        attention_types=[[["global", "local"], 2]],
        max_position_embeddings=64,
    ),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**SHAPE),
    "gpt_neox, one after the other": lambda: hf.GPTNeoXConfig(**SHAPE, use_parallel_residual=False),
    "gptj, a bias on its head": lambda: hf.GPTJConfig(**GPT, rotary_dim=4),
    "opt": lambda: hf.OPTConfig(**OPT, word_embed_proj_dim=32),
    "opt, no final norm": lambda: hf.OPTConfig(**OPT, word_embed_proj_dim=32, do_layer_norm_before=False),
    "llama": lambda: hf.LlamaConfig(**GROUPED),
    "mistral": lambda: hf.MistralConfig(**GROUPED),
    "mixtral": lambda: hf.MixtralConfig(**GROUPED, num_local_experts=2),
    "qwen2": lambda: hf.Qwen2Config(**GROUPED),
    "qwen3, heads wider than the model": lambda: hf.Qwen3Config(**GROUPED, head_dim=16),
    "gemma, scaled embedding": lambda: hf.GemmaConfig(**GROUPED, head_dim=8),
    "gemma3": lambda: hf.Gemma3TextConfig(**GROUPED, head_dim=8),
    "phi": lambda: hf.PhiConfig(**SHAPE),
    "phi3": lambda: hf.Phi3Config(**SHAPE, pad_token_id=0),
    "stablelm": lambda: hf.StableLmConfig(**GROUPED),
    "falcon": lambda: hf.FalconConfig(
        vocab_size=4096, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=64
    ),
    "bloom, no positions": lambda: hf.BloomConfig(vocab_size=4096, hidden_size=32, n_layer=3, n_head=4),
    "mpt": lambda: hf.MptConfig(vocab_size=4096, d_model=32, n_layers=3, n_heads=4, max_seq_len=64),
    "olmo2": lambda: hf.Olmo2Config(**SHAPE),
}

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a projection to another width": (
        lambda: hf.OPTConfig(**OPT, word_embed_proj_dim=16, do_layer_norm_before=False),
        "unembedding of .* must be a matrix from the width of its blocks, 32",
    ),
    "capped logits": (lambda: hf.Gemma2Config(**GROUPED, head_dim=8), "must give the model's own logits to 0.0001"),
    "scaled logits": (lambda: hf.CohereConfig(**SHAPE), "must give the model's own logits to 0.0001"),
    "no attention": (
        lambda: hf.MambaConfig(vocab_size=4096, hidden_size=32, num_hidden_layers=3, num_attention_heads=4),
        "must have an attention, but one has none: MambaBlock",
    ),
}


def save(folder: Path, config: Any) -> Path:
    """Write a random network whose norms have gains, so that no norm can pass for another."""
    torch.manual_seed(3)
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


@pytest.fixture(params=CONFIGURATIONS)
def model(request: pytest.FixtureRequest, tmp_path: Path, tokenized: Tokenized) -> LoadedModel:
    return load(from_directory(tokenized(save(tmp_path / "net", CONFIGURATIONS[request.param]()))))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_a_trace_is_of_the_models_own_states_and_logits(model: LoadedModel, short: Passage) -> None:
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
@pytest.mark.parametrize("name", REFUSED)
def test_a_model_whose_logits_are_something_else_is_refused(
    name: str, tmp_path: Path, short: Passage, tokenized: Tokenized
) -> None:
    configuration, message = REFUSED[name]
    loaded = load(from_directory(tokenized(save(tmp_path / "net", configuration()))))
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
def test_what_is_no_causal_language_model_is_refused_before_it_is_loaded(
    new_checkpoint: Callable[..., Path], changes: dict[str, object], message: str
) -> None:
    folder = new_checkpoint()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    with pytest.raises(ModelMismatch, match=message):
        from_directory(folder)
