"""Loading: the table of families, local checkpoints, and every checkpoint that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pathlen import SIZES
from pathlen.errors import ModelMismatch, ModelNotFound, ModelTooLarge
from pathlen.models import checkpoint, loading, mini
from pathlen.models.checkpoint import find, from_directory, from_name, suggestion
from pathlen.models.families import FAMILIES, spec
from pathlen.models.loading import load

NewCheckpoint = Callable[..., Path]


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_the_four_depths(family: str) -> None:
    assert [FAMILIES[family][size].n_layer for size in SIZES] == [12, 24, 36, 48]


def test_the_table_of_gpt2_is_the_published_one() -> None:
    assert [(spec.n_head, spec.d_model) for spec in FAMILIES["gpt2"].values()] == [
        (12, 768),
        (16, 1024),
        (20, 1280),
        (25, 1600),
    ]


def test_an_unknown_family_or_size_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="family must be one of gpt2, mini, but 'gpt3' was given"):
        spec("gpt3", "small")
    with pytest.raises(ValueError, match="size must be one of small, medium, large, xl, but 'tiny' was given"):
        spec("mini", "tiny")


@pytest.mark.parametrize("size", SIZES)
def test_an_embedded_checkpoint_loads_like_any_other(size: str) -> None:
    model = load(spec("mini", size))
    assert model.network.dtype == torch.float32
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert model.context == mini.CONTEXT
    assert len(model.weights_sha256) == len(model.tokenizer_sha256) == 64


def test_only_embedded_checkpoints_are_shipped(checkpoint: Path, tmp_path: Path) -> None:
    assert all(spec("mini", size).is_shipped for size in SIZES)
    assert {spec("mini", size).origin for size in SIZES} == {"shipped with pathlen"}
    others = [
        *FAMILIES["gpt2"].values(),
        from_directory(checkpoint),
        replace(spec("mini", "small"), source="elsewhere"),
    ]
    assert not any(other.is_shipped for other in others)
    assert [other.origin for other in others] == [other.source for other in others]


def test_a_checkpoint_in_a_directory_is_named_after_it(checkpoint: Path) -> None:
    tiny = from_directory(checkpoint)
    assert (tiny.family, tiny.size, tiny.n_layer, tiny.d_model) == ("tiny", "model", 2, 16)


def test_no_special_token_is_added(checkpoint: Path) -> None:
    model = load(from_directory(checkpoint))
    ids = model.token_ids("A word.")
    assert 0 not in ids
    assert model.tokenizer.decode(ids) == "A word."


def test_missing_weights_are_reported_with_the_command_that_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelNotFound, match="weights of GPT-2 XL are not on this machine; get them with: pathlen fetch xl"
    ) as caught:
        find(spec("gpt2", "xl"))
    assert caught.value.remedy == "pathlen fetch xl"


def test_a_checkpoint_in_the_local_cache_of_the_hub_is_found(
    new_checkpoint: NewCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    wanted = spec("gpt2", "small")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    new_checkpoint(f"models--openai-community--gpt2/snapshots/{wanted.revision}")
    assert find(wanted).name == wanted.revision
    with pytest.raises(ModelMismatch, match="GPT-2 Small must have n_layer = 12, but .* says 2"):
        load(wanted)


def test_a_missing_directory_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="is not a directory"):
        from_directory(tmp_path / "nowhere")


def test_a_directory_without_configuration_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"needs a config\.json"):
        from_directory(tmp_path)


def test_a_damaged_configuration_is_refused(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelMismatch, match="is not JSON"):
        from_directory(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("n_layer", "two", "is no configuration that can be read: .*n_layer"),
        ("n_layer", 0, "must give n_layer as a whole number above 0, but says 0"),
        ("n_positions", -1, "must give context as a whole number above 0, but says -1"),
    ],
)
def test_an_invalid_shape_is_refused(new_checkpoint: NewCheckpoint, key: str, value: str, message: str) -> None:
    folder = new_checkpoint()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {key: value}), encoding="utf-8")
    with pytest.raises(ModelMismatch, match=message):
        from_directory(folder)


def test_a_missing_tensor_is_named(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    change_tensors(folder, lambda tensors: tensors.__delitem__("transformer.h.1.mlp.c_fc.weight"))
    with pytest.raises(ModelMismatch, match=r"missing keys .*h\.1\.mlp\.c_fc\.weight"):
        load(from_directory(folder))


def test_a_reshaped_tensor_is_refused(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()

    def reshape(tensors: dict[str, torch.Tensor]) -> None:
        tensors["transformer.h.0.mlp.c_fc.weight"] = tensors["transformer.h.0.mlp.c_fc.weight"].T.contiguous()

    change_tensors(folder, reshape)
    with pytest.raises(ModelMismatch, match=r"don't fit tiny"):
        load(from_directory(folder))


def test_an_unexpected_tensor_is_refused(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    change_tensors(folder, lambda tensors: tensors.update({"transformer.h.7.ln_1.weight": torch.ones(16)}))
    with pytest.raises(ModelMismatch, match=r"unexpected keys .*h\.7"):
        load(from_directory(folder))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(new_checkpoint: NewCheckpoint, value: float) -> None:
    folder = new_checkpoint()
    change_tensors(folder, lambda tensors: tensors["transformer.wpe.weight"].__setitem__((3, 1), value))
    with pytest.raises(ModelMismatch, match=r"tensor transformer\.wpe\.weight .* not finite"):
        load(from_directory(folder))


def test_a_truncated_file_is_refused(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelMismatch, match="is damaged or incomplete"):
        load(from_directory(folder))


def test_a_pickle_is_never_read(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelMismatch, match=r"holds only pytorch_model\.bin: a pickle runs code"):
        load(from_directory(folder))


def test_a_checkpoint_without_weights_is_not_found(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match=r"no model\.safetensors"):
        load(from_directory(folder))


def test_a_missing_tokenizer_is_not_found(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFound, match=r"no tokenizer\.json"):
        load(from_directory(folder))


def test_the_layout_without_prefix_and_with_masks_loads_the_same_network(new_checkpoint: NewCheckpoint) -> None:
    """In the Hub's files of GPT-2, names have no prefix ``transformer.``, and causal masks are stored."""
    folder = new_checkpoint()
    before = load(from_directory(folder)).network.state_dict()

    def as_on_the_hub(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        for block in range(2):
            tensors[f"h.{block}.attn.bias"] = torch.ones(64, 64).tril()[None, None]

    change_tensors(folder, as_on_the_hub)
    after = load(from_directory(folder)).network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


# Untrained networks.


def weights_of(folder: Path, untrained: int | None = None) -> dict[str, torch.Tensor]:
    return load(from_directory(folder), untrained=untrained).network.state_dict()


def test_an_untrained_network_has_the_shape_of_its_checkpoint_and_none_of_its_weights(checkpoint: Path) -> None:
    trained, untrained = weights_of(checkpoint), weights_of(checkpoint, 1)  # the checkpoint was drawn with seed 0
    assert {name: tensor.shape for name, tensor in trained.items()} == {
        name: tensor.shape for name, tensor in untrained.items()
    }
    for name, tensor in trained.items():
        if "ln_" not in name and "bias" not in name:  # gains and biases start at one and zero for every seed
            assert torch.isclose(tensor, untrained[name]).float().mean() < 0.01, name
    assert torch.equal(untrained["transformer.ln_f.weight"], torch.ones(16))
    assert not torch.equal(trained["transformer.ln_f.weight"], torch.ones(16))


def test_an_untrained_network_is_drawn_with_the_spread_in_its_configuration(new_checkpoint: NewCheckpoint) -> None:
    """Normal with standard deviation ``initializer_range``, which 65,536 draws estimate to within 1 %."""
    for width in (0.02, 0.2):
        drawn = weights_of(new_checkpoint(f"wide{width}", initializer_range=width), 0)["transformer.wte.weight"]
        assert drawn.std().item() == pytest.approx(width, rel=0.02)
        assert drawn.mean().item() == pytest.approx(0, abs=0.02 * width)


def test_an_untrained_network_depends_on_its_seed_alone_bit_for_bit(checkpoint: Path) -> None:
    first, same, other = (weights_of(checkpoint, seed) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["transformer.wte.weight"], other["transformer.wte.weight"])
    assert not torch.equal(first["transformer.h.1.mlp.c_fc.weight"], other["transformer.h.1.mlp.c_fc.weight"])


def test_drawing_an_untrained_network_leaves_the_random_state_alone(checkpoint: Path) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    load(from_directory(checkpoint), untrained=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    first = weights_of(checkpoint, 5)
    torch.manual_seed(12)
    assert torch.equal(weights_of(checkpoint, 5)["lm_head.weight"], first["lm_head.weight"])


def test_the_weights_of_a_checkpoint_are_not_read_for_an_untrained_network(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    before = weights_of(folder, 1)
    (folder / "model.safetensors").unlink()
    model = load(from_directory(folder), untrained=1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    assert (model.weights_sha256, len(model.tokenizer_sha256)) == ("", 64)
    with pytest.raises(ModelNotFound, match=r"no model\.safetensors"):
        load(from_directory(folder))


def test_an_untrained_network_is_ready_to_be_measured(checkpoint: Path) -> None:
    trained, untrained = load(from_directory(checkpoint)), load(from_directory(checkpoint), untrained=0)
    assert untrained.network.dtype == torch.float32
    assert not untrained.network.training
    assert not any(parameter.requires_grad for parameter in untrained.network.parameters())
    assert untrained.token_ids("A word.") == trained.token_ids("A word.")
    assert (untrained.spec, untrained.context) == (trained.spec, trained.context)
    network = untrained.network
    head, embedding = network.get_output_embeddings(), network.get_input_embeddings()
    assert head.weight is embedding.weight


def test_an_untrained_network_is_refused_if_its_checkpoint_has_another_shape(new_checkpoint: NewCheckpoint) -> None:
    wanted = from_directory(new_checkpoint("one"))
    other = new_checkpoint("other", n_layer=3)
    with pytest.raises(ModelMismatch, match="must have n_layer = 2, but .* says 3"):
        load(replace(wanted, source=str(other)), untrained=0)


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("tpu", "float32", "device must be cpu, cuda or mps, but 'tpu' was given"),
        ("mps", "float32", "device 'mps' is not on this machine, or torch was built without it"),
        ("cpu", "int8", "dtype must be one of float64, float32, bfloat16, float16, but 'int8' was given"),
    ],
)
def test_an_unavailable_device_or_unknown_type_is_refused(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, device: str, dtype: str, message: str
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        load(from_directory(checkpoint), device=device, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_the_type_is_float32_unless_another_is_requested(checkpoint: Path, dtype: str) -> None:
    assert load(from_directory(checkpoint)).network.dtype == torch.float32
    assert load(from_directory(checkpoint), dtype=dtype).network.dtype == getattr(torch, dtype)
    assert load(from_directory(checkpoint), dtype=dtype, untrained=1).network.dtype == getattr(torch, dtype)


def test_a_model_that_does_not_fit_into_memory_is_refused_with_numbers(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "available", lambda: 900_000_000)
    with pytest.raises(
        ModelTooLarge,
        match=r"tiny needs about 1\.0 GB of memory \(0 million parameters in float32 and 1 GB to work with\), but 0\.9 GB are free$",
    ):
        load(from_directory(checkpoint))
    monkeypatch.setattr(loading, "available", lambda: None)
    assert load(from_directory(checkpoint)).context == 64


def hollow_xl(folder: Path) -> None:
    """Write a checkpoint of GPT-2 XL's shape whose 6.2 GB of weights are a hole in a sparse file."""
    from transformers import GPT2Config, GPT2LMHeadModel

    xl = spec("gpt2", "xl")
    config = GPT2Config(n_layer=xl.n_layer, n_head=xl.n_head, n_embd=xl.d_model, architectures=["GPT2LMHeadModel"])
    config.save_pretrained(folder)
    with torch.device("meta"):
        network = GPT2LMHeadModel(config)
    header: dict[str, object] = {}
    end = 0
    for name, tensor in network.named_parameters():
        start, end = end, end + 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def test_xl_is_not_tested_if_memory_is_too_small_and_the_message_says_what_helps(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenized: Callable[..., Path]
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    xl = spec("gpt2", "xl")
    folder = tmp_path / "models--openai-community--gpt2-xl" / "snapshots" / xl.revision
    hollow_xl(folder)
    tokenized(folder, 50257)
    assert (folder / "model.safetensors").stat().st_blocks < 4096
    message = (
        "needs about 7.2 GB of memory (1,558 million parameters in float32 and 1 GB to work with), but 5.0 GB are free"
    )
    monkeypatch.setattr(loading, "available", lambda: 5_000_000_000)
    monkeypatch.setattr(checkpoint, "digest_of_files", lambda files: pytest.fail("6 GB were read before the refusal"))
    with pytest.raises(ModelTooLarge) as caught:
        load(xl)
    assert str(caught.value) == f"GPT-2 XL {message}; --dtype bfloat16 needs 4.1 GB, and is less exact"
    monkeypatch.setattr(checkpoint, "digest_of_files", lambda files: "0" * 64)
    (pytester.path / "claims").mkdir()
    (pytester.path / "claims" / "test_any.py").write_text(
        "from pathlen import SHIFTED, SIZES, above, claim, share\n\n\n@claim(sizes=SIZES, expect=above(0.5), controls=[SHIFTED])\n"
        'def test_any(measured):\n    """It grows."""\n    return share(measured.path_grows, passage=measured.passage)\n',
        encoding="utf-8",
    )
    options = ("--family", "gpt2", "--size", "xl", "--text", "tides", "--report", "out", "-p", "no:cacheprovider")
    result = pytester.runpytest("claims", *options, "--import-mode=importlib")
    result.stdout.fnmatch_lines(
        [f"not tested: GPT-2 XL needs about 7.2 GB*{message[-20:]}; --dtype bfloat16 needs 4.1 GB*"]
    )
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(("tokens", "known"), [(4097, "4,097"), (2047, "2,047")])
def test_a_tokenizer_of_another_vocabulary_is_refused(
    new_checkpoint: NewCheckpoint, tokenized: Callable[..., Path], tokens: int, known: str
) -> None:
    folder = new_checkpoint()
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary = content["model"]["vocab"]
    if tokens > len(vocabulary):
        tokenized(folder, tokens)
    else:
        content["model"]["vocab"] = {name: number for name, number in vocabulary.items() if number < tokens}
        content["model"]["merges"] = []
        (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        ModelMismatch,
        match=f"the tokenizer of tiny must have as many tokens as the network's vocabulary, or a few less, but has {known} and "
        "the network 4,096: they belong to different models",
    ):
        load(from_directory(folder))


def test_an_added_token_beyond_the_vocabulary_is_refused_when_it_occurs(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    model = load(from_directory(folder))
    model.tokenizer.add_tokens(["zyzzyva"])
    assert max(model.token_ids("A word.")) < 4096
    with pytest.raises(
        ModelMismatch, match="must give tokens below 4,096, the network's vocabulary, but a text has 4,096"
    ):
        model.token_ids("A zyzzyva.")


def replace_by_links(folder: Path, home: Path) -> None:
    """Move a checkpoint's files to where the Hub's client stores them, and leave links to them."""
    blobs = home / "blobs"
    blobs.mkdir()
    for path in list(folder.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(Path("../../blobs") / path.name)


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_broken_link_in_the_cache_is_named(
    new_checkpoint: NewCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    wanted = spec("gpt2", "small")
    home = tmp_path / "models--openai-community--gpt2"
    folder = new_checkpoint(f"{home.name}/snapshots/{wanted.revision}")
    replace_by_links(folder, home)
    assert find(wanted) == folder
    (home / "blobs" / lost).unlink()
    with pytest.raises(ModelNotFound) as caught:
        find(wanted)
    assert str(caught.value) == (
        f"{lost} of GPT-2 Small is a broken link: {folder / lost} points to ../../blobs/{lost}, which is gone; "
        "get them with: pathlen fetch small"
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("openai-comunity/gpt2-xl", "'openai-community/gpt2-xl'"),
        ("openai-community/gpt2-meduim", "'openai-community/gpt2-medium'"),
        ("gpt2-large@main", "'openai-community/gpt2-large'"),
        ("someone/nett", "'someone/net'"),
        ("nobody/nothing", ""),
    ],
)
def test_a_name_similar_to_a_known_one_gets_a_suggestion(
    name: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--someone--net").mkdir()
    assert suggestion(name) == (f"; did you mean {meant}?" if meant else "")
    kind = "neither a directory nor a model on this machine" if "/" in name else "is not a directory"
    with pytest.raises(ModelNotFound) as caught:
        from_name(name)
    assert f"{kind}{suggestion(name)}" in str(caught.value)


def test_heads_must_divide_the_width(new_checkpoint: NewCheckpoint) -> None:
    folder = new_checkpoint()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"n_head": 3}), encoding="utf-8")
    with pytest.raises(ModelMismatch, match="don't fit tiny: .*divisible"):
        load(from_directory(folder))


def test_a_repository_in_the_cache_is_named_as_on_the_hub(
    new_checkpoint: NewCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    home = "models--someone--net"
    new_checkpoint(f"{home}/snapshots/{'a' * 40}")
    (tmp_path / home / "refs").mkdir()
    (tmp_path / home / "refs" / "main").write_text("a" * 40, encoding="utf-8")
    net = from_name("someone/net")
    assert (net.family, net.source, net.revision) == ("net", "someone/net", "a" * 40)
    assert load(net).context == 64
    assert from_name(f"someone/net@{'a' * 40}") == net
    with pytest.raises(
        ModelNotFound, match="'someone/other' is neither a directory nor a model on this machine"
    ) as caught:
        from_name("someone/other")
    assert caught.value.remedy == "pathlen fetch someone/other"


def test_a_repository_of_somebody_else_called_gpt2_is_fetched_by_its_own_name() -> None:
    """The name alone does not make it one of the table's."""
    small = spec("gpt2", "small")
    other = replace(small, size="model", source="someone/gpt2")
    assert small.remedy == "pathlen fetch small"
    assert other.remedy == f"pathlen fetch someone/gpt2@{small.revision}"
