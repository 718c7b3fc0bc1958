"""Excerpts: tokens as bytes, written without loss, and limited in number."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathlen.models.families import spec
from pathlen.models.loading import LoadedModel, tokenizer_of
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import shipped
from pathlen.records.excerpts import LIMIT, SHORTEST, excerpts, pieces, rounded, surprise, written
from pathlen.traces.tracer import measure_passages

TOKENIZER = tokenizer_of(spec("mini", "small"))


def read_back(piece: str) -> bytes:
    """Turn a written piece back into bytes, as the docstring of `Excerpt` says is possible."""
    parts = re.split(r"(\\\\|\\x[0-9a-f]{2})", piece)
    return b"".join(
        b"\\" if part == "\\\\" else bytes.fromhex(part[2:]) if part.startswith("\\x") else part.encode()
        for part in parts
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_pieces_of_a_text_join_to_its_bytes(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert b"".join(pieces(TOKENIZER, ids)) == text.encode()


@given(st.binary())
def test_a_written_piece_can_be_turned_back_into_bytes(piece: bytes) -> None:
    assert read_back(written(piece)) == piece


class Llama:
    """A tokenizer whose vocabulary marks spaces with a bar."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [["\u2581The", "<0xE2>", "<0x80>", "s", "\u2581"][token] for token in ids]

    def __len__(self) -> int:
        return 5


def test_bars_are_spaces_and_named_bytes_are_bytes() -> None:
    assert pieces(Llama(), range(5)) == [b" The", b"\xe2", b"\x80", b"s", b" "]


def test_an_added_token_outside_the_byte_alphabet_is_its_name() -> None:
    class Added:
        backend_tokenizer = type("Backend", (), {"decoder": "ByteLevel()"})()

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return ["\u0120a", "\u3010tool\u3011"]

        def __len__(self) -> int:
            return 2

    assert pieces(Added(), [0, 1]) == [b" a", "\u3010tool\u3011".encode()]


def test_an_excerpt_holds_the_measurements(tiny: LoadedModel, long: Passage, short: Passage) -> None:
    measured = measure_passages(tiny, [long, short])
    ids = [np.array(tiny.token_ids(passage.text)) for passage in (long, short)]
    first, second = excerpts(measured, ids, ["long", "short"], tiny.tokenizer)
    assert (first.text, first.left_out, second.text) == ("long", 1, "short")
    assert second.measured == np.count_nonzero(measured.passage == 1)
    assert "".join(second.pieces) == short.text
    rows = np.flatnonzero(measured.passage == 1)
    assert np.allclose(second.steps, measured.step_length[:, rows], rtol=0.006)
    assert np.allclose(second.next_logit, measured.next_logit[rows], rtol=0.0006)
    assert np.allclose(second.next_log_probability, measured.next_log_probability[rows], rtol=0.0006)
    assert np.allclose(second.final_norm_step, measured.final_norm_step[rows], rtol=0.0006)


@pytest.mark.parametrize("texts", [1, 3, 60])
def test_the_number_of_tokens_is_limited(tiny: LoadedModel, texts: int) -> None:
    passage = shipped("tides")
    measured = measure_passages(tiny, [passage])
    rows = np.tile(np.arange(len(measured.passage)), texts)
    ids = [np.array(tiny.token_ids(passage.text))] * texts

    class Repeated:
        passage = np.repeat(np.arange(texts), len(measured.passage))
        token, step_length = measured.token[rows], measured.step_length[:, rows]
        final_norm_step, next_logit = measured.final_norm_step[rows], measured.next_logit[rows]
        next_log_probability = measured.next_log_probability[rows]

    names = [f"text {number}" for number in range(texts)]
    beginnings = excerpts(Repeated(), ids, names, tiny.tokenizer)  # type: ignore[arg-type]
    total = sum(excerpt.measured for excerpt in beginnings)
    assert total <= max(LIMIT, len(measured.passage))
    assert total > min(LIMIT, texts * len(measured.passage)) * 0.9 or texts == 1
    assert min(excerpt.measured for excerpt in beginnings) >= SHORTEST


def test_surprise_is_the_mean_in_nats() -> None:
    assert surprise(np.log([0.5, 0.25])) == pytest.approx(1.5 * np.log(2))


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_rounded_numbers_are_close_and_never_minus_zero(values: list[float]) -> None:
    for value, rounded_value in zip(values, rounded(np.array(values), 3), strict=True):
        assert rounded_value == pytest.approx(value, rel=0.005)
        assert str(rounded_value) != "-0.0"
