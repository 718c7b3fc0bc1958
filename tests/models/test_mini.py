"""The embedded family: the checkpoints that ship, and training on a toy books."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pathlen import SIZES
from pathlen.models import mini
from pathlen.models.mini import export, train
from pathlen.models.mini.books import bigram_loss, byte_level_bpe, read_books, windows


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two books of made-up sentences with a little grammar."""
    folder = tmp_path_factory.mktemp("books")
    draw = np.random.default_rng(0)
    who, does, what = ("king queen child dog", "saw found lost held", "river crown stone song")
    for name in ("one", "two"):
        lines = [
            " ".join(
                f"The {draw.choice(who.split())} {draw.choice(does.split())} the {draw.choice(what.split())}."
                for _ in range(8)
            )
            for _ in range(200)
        ]
        (folder / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


# What ships.


def test_the_four_sizes_take_at_most_20_mib() -> None:
    assert tuple(mini.SHAPES) == SIZES
    total = sum((mini.checkpoint(size) / "model.safetensors").stat().st_size for size in SIZES)
    assert total <= 20 * 2**20


@pytest.mark.parametrize("size", SIZES)
def test_weights_ship_as_float16_with_a_shared_tokenizer(size: str) -> None:
    from safetensors import safe_open

    with safe_open(mini.checkpoint(size) / "model.safetensors", framework="pt") as tensors:
        assert {tensors.get_tensor(name).dtype for name in tensors.keys()} == {torch.float16}  # noqa: SIM118
    assert (mini.checkpoint(size) / "tokenizer.json").read_bytes() == (
        mini.checkpoint("small") / "tokenizer.json"
    ).read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_held_out_loss_is_clearly_below_the_bigram_models_and_in_the_model_card(size: str) -> None:
    summary = json.loads((mini.checkpoint(size) / "training.json").read_text("utf-8"))
    assert summary["held_out_loss"] < summary["bigram_loss"] - export.CLEARLY
    assert f"**{summary['held_out_loss']:.3f}**" in (mini.HOME / "MODEL_CARD.md").read_text("utf-8")
    assert f"{summary['tokens_seen']:,}" in (mini.HOME / "MODEL_CARD.md").read_text("utf-8")


@pytest.mark.parametrize("size", SIZES)
def test_a_trained_network_predicts_prose_far_better_than_chance(size: str) -> None:
    """Passages differ in style from the books; a uniform guess has a loss of ``log 4096 = 8.32``."""
    from pathlen.models.families import spec
    from pathlen.models.loading import load
    from pathlen.passages.shipped import shipped
    from pathlen.traces.tracer import measure_passages

    measured = measure_passages(load(spec("mini", size)), [shipped("darwin")])
    assert -measured.next_log_probability.mean() < 6.8


# The corpus and the baseline.


def test_the_tail_of_every_book_is_held_out(books: Path) -> None:
    split = read_books(books)
    text = (books / "one.txt").read_text("utf-8")
    assert split.names == ("one.txt", "two.txt")
    assert split.training[0] + "\n" + split.held_out[0] == text
    assert len(split.held_out[0].splitlines()) == 10


@pytest.mark.parametrize(("content", "message"), [(None, "holds none"), ("a\nb", "at least 20 paragraphs")])
def test_a_folder_without_books_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content:
        (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_books(tmp_path)


def test_any_text_survives_a_round_trip_through_the_tokenizer(books: Path) -> None:
    tokenizer = byte_level_bpe(read_books(books).training, 300)
    text = "Ünïcode \u2603 and \U0001f600, tabs\tand\nlines"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_bigram_probabilities_sum_to_one() -> None:
    training = np.random.default_rng(1).integers(0, 6, 500)
    vocabulary = 7  # the last id never occurs
    for left in range(vocabulary):
        losses = [bigram_loss(training, np.array([[left, right]]), vocabulary) for right in range(vocabulary)]
        assert np.exp(-np.array(losses)).sum() == pytest.approx(1.0, abs=1e-12)


def test_bigram_loss_by_hand() -> None:
    """Three distinct pairs: 01 twice, 10 twice, 00 once; D = 1 / (1 + 2 * 2) = 0.2."""
    training = np.array([0, 1, 0, 1, 0, 0])
    unigram = (2 + 1) / (3 + 2)  # two of three distinct pairs end in 0; plus one, for two ids
    expected = (1 - 0.2) / 3 + 0.2 * 2 / 3 * unigram
    assert bigram_loss(training, np.array([[0, 0]]), 2) == pytest.approx(-np.log(expected))


def test_a_stream_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 8 tokens, but 5 were given"):
        windows(np.arange(5), 8)


# Training.


def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mini.SHAPES, "small", mini.Shape(n_layer=1, n_head=1, d_model=8))
    stream = np.random.default_rng(2).integers(0, 50, 4000)
    held_out = windows(stream, mini.CONTEXT)
    plan = train.Plan(size="small", seed=3, steps=4, held_out_every=2)
    uninterrupted = train.train(plan, stream, held_out, tmp_path / "uninterrupted").state_dict()

    batches = train.batches

    def interrupted(*arguments: object) -> object:
        for step, batch in enumerate(batches(*arguments)):  # type: ignore[arg-type]
            if step == 3:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(train, "batches", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train.train(plan, stream, held_out, tmp_path / "parts")
    resumed = train.train(plan, stream, held_out, tmp_path / "parts").state_dict()
    assert all(torch.equal(uninterrupted[name], resumed[name]) for name in uninterrupted)
    curves = [(tmp_path / run / "loss.csv").read_text() for run in ("parts", "uninterrupted")]
    assert curves[0] == curves[1]


def test_training_does_not_resume_from_another_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mini.SHAPES, "small", mini.Shape(n_layer=1, n_head=1, d_model=8))
    stream = np.random.default_rng(2).integers(0, 50, 4000)
    held_out = windows(stream, mini.CONTEXT)
    train.train(train.Plan(size="small", seed=3, steps=1), stream, held_out, tmp_path)
    assert (tmp_path / "state.pt").exists()
    with pytest.raises(SystemExit, match="belongs to another plan"):
        train.train(train.Plan(size="small", seed=4, steps=1), stream, held_out, tmp_path)


def test_every_window_is_read_once_before_any_is_read_again_and_offsets_alternate() -> None:
    stream = np.arange(20 * 256 + 1)
    plan = train.Plan(size="small", seed=0, steps=6)
    seen = list(train.batches(stream, plan))
    assert [rows.shape for rows, _ in seen] == [(4, 257)] * 4 + [(2, 513)] * 2
    assert [offset for _, offset in seen] == [0, 256, 0, 256, 0, 0]
    starts = np.concatenate([rows[:, 0] for rows, _ in seen[:4]])
    assert len(set(starts)) == 16
    continued = list(train.batches(stream, plan, start=3))
    assert all(np.array_equal(rows, same) for (rows, _), (same, _) in zip(seen[3:], continued, strict=True))


def test_the_command_trains_and_the_result_loads_and_exports(
    books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlen.models.checkpoint import from_directory
    from pathlen.models.loading import load

    for size in SIZES:
        monkeypatch.setitem(mini.SHAPES, size, mini.Shape(n_layer=1, n_head=1, d_model=8))
    monkeypatch.setattr(train, "CONTEXT", 64)
    monkeypatch.setattr(train, "VOCABULARY", 512)  # the corpus is too small for 4,096 tokens
    work, home = tmp_path / "work", tmp_path / "home"
    home.mkdir()
    train.main(["--books", str(books), "--work", str(work), "--steps", "2"])
    model = load(from_directory(work / "xl" / "checkpoint"))
    assert model.network.config.n_embd == 8
    with pytest.raises(ValueError, match=r"must be 0\.1 nats below the bigram model's"):
        export.export(work, home)
    for size in SIZES:
        path = work / size / "training.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"held_out_loss": 0.25}), encoding="utf-8")
    export.export(work, home)
    assert "**0.250**" in (home / "MODEL_CARD.md").read_text("utf-8")
    assert load(from_directory(home / "small")).weights_sha256
    (work / "large" / "training.json").unlink()
    with pytest.raises(ValueError, match="size large is not trained to its end"):
        export.export(work, home)


def test_an_unknown_size_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        train.main(["--books", str(tmp_path), "--work", str(tmp_path), "--size", "tiny"])
    assert "'tiny' is not one of small, medium, large, xl" in capsys.readouterr().err
