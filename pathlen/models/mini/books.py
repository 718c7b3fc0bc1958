"""From a folder of books to token arrays, and the bigram baseline that a network has to beat.

A book is a UTF-8 text file with one paragraph per line. The last twentieth of every book is held out: a contiguous
tail, not a random sample of lines, so that no held-out sentence has its neighbours in training. The tokenizer is
trained on the training part alone.

The baseline is an interpolated Kneser-Ney bigram model, a strong one of its kind, counted on exactly the tokens that
the networks are trained on and scored on exactly the held-out tokens that they are scored on.

References
----------
Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995; the interpolated form and
the discount ``n1 / (n1 + 2 n2)`` are those of Chen and Goodman, Computer Speech and Language 13 (1999), 359-394.

"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT = "<|endoftext|>"
HELD_OUT_SHARE = 0.05
VOCABULARY = 4096

Tokens = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The books, split into a training and a held-out part.

    Attributes
    ----------
    names : tuple of str
        File names, sorted; the two tuples below are in the same order.
    training, held_out : tuple of str
        The first 95 % and the last 5 % of each book's paragraphs.
    sha256 : str
        Digest of the books' bytes, in the order of ``names``.

    """

    names: tuple[str, ...]
    training: tuple[str, ...]
    held_out: tuple[str, ...]
    sha256: str


def read_books(folder: Path) -> Books:
    """Return the books of a folder (``*.txt``), each split into its training part and its held-out tail.

    Raises
    ------
    ValueError
        If the folder has no ``.txt`` file, or one of fewer than twenty paragraphs.

    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise ValueError(f"books must be a folder with .txt files, but {str(folder)!r} holds none")
    digest = hashlib.sha256()
    training, held_out = [], []
    for file in files:
        raw = file.read_bytes()
        digest.update(raw)
        paragraphs = raw.decode("utf-8").splitlines()
        tail = int(len(paragraphs) * HELD_OUT_SHARE)
        if tail < 1:
            raise ValueError(
                f"a book needs at least 20 paragraphs to hold some out, but {file.name} has {len(paragraphs)}"
            )
        training.append("\n".join(paragraphs[:-tail]))
        held_out.append("\n".join(paragraphs[-tail:]))
    return Books(
        names=tuple(file.name for file in files),
        training=tuple(training),
        held_out=tuple(held_out),
        sha256=digest.hexdigest(),
    )


def byte_level_bpe(texts: tuple[str, ...], vocabulary: int = VOCABULARY) -> Tokenizer:
    """Return a byte-level BPE tokenizer like GPT-2's, trained on ``texts``; it has a token for every byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_stream(tokenizer: Any, texts: tuple[str, ...]) -> Tokens:
    """Return the ids of all texts joined, of shape ``(tokens,)``; the end-of-text id follows each text."""
    end = tokenizer.token_to_id(END_OF_TEXT)
    streams = [np.append(np.asarray(tokenizer.encode(text).ids, dtype=np.int64), end) for text in texts]
    return np.concatenate(streams)


def windows(stream: Tokens, length: int) -> Tokens:
    """Return a stream as rows of ``length + 1`` tokens; a remainder too short for a row is dropped.

    Row ``i`` holds tokens ``i * length`` to ``(i + 1) * length``, so neighbouring rows share one token: the target at
    the end of a row is the first input of the next. Every token but the first is predicted exactly once.

    Examples
    --------
    >>> windows(np.arange(8), 3)
    array([[0, 1, 2, 3],
           [3, 4, 5, 6]])

    """
    rows = (len(stream) - 1) // length
    if rows < 1:
        raise ValueError(f"a stream must hold more than {length} tokens, but {len(stream)} were given")
    starts = np.arange(rows)[:, None] * length
    overlapping: Tokens = stream[starts + np.arange(length + 1)]
    return overlapping


def bigram_loss(training: Tokens, held_out: Tokens, vocabulary: int = VOCABULARY) -> float:
    """Return the mean negative log-likelihood of a Kneser-Ney bigram model, in nats per token.

    ``p(w | v) = max(c(v w) - D, 0) / c(v) + D N(v .) / c(v) * p0(w)`` with
    ``p0(w) = (N(. w) + 1) / (N(. .) + V)``; adding one gives tokens that never occur in training a probability.

    Parameters
    ----------
    training : ndarray of int, shape (tokens,)
        The stream whose pairs are counted.
    held_out : ndarray of int, shape (rows, length + 1)
        As `windows` returns them; every token but the first of a row is predicted from the one before it.
    vocabulary : int
        Number of token ids ``V``.

    """
    pairs, counts = np.unique(training[:-1] * vocabulary + training[1:], return_counts=True)
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    discount = once / (once + 2 * twice) if once else 0.5  # the formula is undefined without pairs seen once
    before, after = np.divmod(pairs, vocabulary)
    seen_before = np.bincount(before, weights=counts, minlength=vocabulary)
    followers = np.bincount(before, minlength=vocabulary)
    unigram = (np.bincount(after, minlength=vocabulary) + 1) / (len(pairs) + vocabulary)

    left, right = held_out[:, :-1].ravel(), held_out[:, 1:].ravel()
    scored = left * vocabulary + right
    index = np.minimum(np.searchsorted(pairs, scored), len(pairs) - 1)
    count = np.where(pairs[index] == scored, counts[index], 0)
    total = seen_before[left]
    known = total > 0
    total = np.where(known, total, 1)
    direct = np.maximum(count - discount, 0.0) / total
    backed_off = np.where(known, discount * followers[left] / total, 1.0) * unigram[right]
    return float(-np.log(direct + backed_off).mean())
