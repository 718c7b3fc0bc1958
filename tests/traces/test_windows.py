"""Windows over texts and the batches they are read in, by hand."""

from __future__ import annotations

import pytest
import torch

from pathlen.traces.windows import Window, batches, right_padded, windows


@pytest.mark.parametrize(
    ("tokens", "context", "expected"),
    [
        (5, 8, [(0, 0, 5)]),
        (8, 8, [(0, 0, 8)]),
        (9, 8, [(0, 0, 8), (4, 8, 9)]),
        (20, 8, [(0, 0, 8), (4, 8, 12), (8, 12, 16), (12, 16, 20)]),
    ],
)
def test_windows_overlap_by_half_a_context(tokens: int, context: int, expected: list[tuple[int, int, int]]) -> None:
    assert list(windows(tokens, context)) == expected


def test_a_window_measures_from_its_first_token_and_leaves_the_texts_first_out_of_its_centroid() -> None:
    first, second = Window(0, 0, 0, 0, 8), Window(0, 1, 4, 8, 12)
    assert (first.measured, first.central) == (slice(0, 8), slice(1, 8))
    assert (second.measured, second.central) == (slice(4, 8), slice(4, 8))


def test_batches_are_sorted_by_length_and_count_padding() -> None:
    pieces = [Window(text, 0, 0, 0, length) for text, length in enumerate((5, 2, 9, 2, 3))]
    lengths = [[len(window) for window in batch] for batch in batches(pieces, 8)]
    assert lengths == [[2, 2], [3], [5], [9]]  # 2, 2 and 3 would take 9 tokens with padding


def test_rows_are_padded_with_their_last_token() -> None:
    padded = right_padded([torch.tensor([1, 2, 3]), torch.tensor([4])])
    assert padded.tolist() == [[1, 2, 3], [4, 4, 4]]
