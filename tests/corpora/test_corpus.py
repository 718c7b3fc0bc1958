"""Corpora on disk: they hold what was measured, can be resumed and extended, and are never mixed up."""

from __future__ import annotations

import errno
import json
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathlen import mean, pearson
from pathlen._util.files import write_bytes
from pathlen.columns.catalog import CUSTOM_COLUMNS, measures
from pathlen.columns.measurement import LEFT_OUT, from_traces
from pathlen.columns.table import Trace
from pathlen.corpora import corpus as corpus_module
from pathlen.corpora import measure as measure_module
from pathlen.corpora import writer
from pathlen.corpora.corpus import MANIFEST, Corpus, open_corpus, row_mask
from pathlen.corpora.measure import FREE, Progress, measure_corpus
from pathlen.corpora.shard import Shard
from pathlen.errors import CorpusFailed, InvalidColumn, InvalidCorpus, InvalidText, ModelNotFound, UnmeasuredColumn
from pathlen.models.checkpoint import from_directory
from pathlen.models.families import ModelSpec
from pathlen.models.loading import LoadedModel
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import NAMES, shipped
from pathlen.traces.tracer import Tracer, measure_passages

COLUMNS = ("step_length", "residual_norm", "next_logit", "next_rank")
SENTENCES = [sentence for name in NAMES for sentence in shipped(name).text.split(". ")]


def some_texts(count: int, seed: int = 0) -> list[Passage]:
    generator = random.Random(seed)  # noqa: S311
    return [
        Passage(name=f"t{number}", text=". ".join(generator.sample(SENTENCES, 2)), origin="test")
        for number in range(count)
    ]


@pytest.fixture
def spec(tiny: LoadedModel) -> ModelSpec:
    return tiny.spec


@pytest.fixture
def corpus(spec: ModelSpec, tmp_path: Path) -> Corpus:
    return measure_corpus(spec, some_texts(12), tmp_path / "out", columns=COLUMNS, shard_tokens=150)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("shards/*/*") if path.is_file()}


def test_a_corpus_holds_what_a_tracer_measures_shard_by_shard(corpus: Corpus, tiny: LoadedModel) -> None:
    tracer, texts = Tracer(tiny), iter(some_texts(12))
    traces: list[Trace] = []
    for entry in corpus.manifest.shards:
        traces += tracer.traces([next(texts) for _ in range(entry.texts)], columns=COLUMNS)
    expected, stored = from_traces(traces), corpus.measured
    assert len(corpus.manifest.shards) > 2
    for name in (*COLUMNS, "token_id", "token", "position", "window", "passage"):
        assert np.array_equal(getattr(stored, name), getattr(expected, name)), name
        assert getattr(stored, name).dtype == getattr(expected, name).dtype, name
    assert len(stored) == len(expected)


def test_a_fast_corpus_is_what_a_fast_tracer_measures(spec: ModelSpec, tiny: LoadedModel, tmp_path: Path) -> None:
    texts = some_texts(6)
    corpus = measure_corpus(spec, texts, tmp_path, columns=COLUMNS, fast=True)
    expected = from_traces(list(Tracer(tiny, fast=True).traces(texts, columns=COLUMNS)))
    assert np.array_equal(corpus.measured.step_length, expected.step_length)


def test_a_text_is_measured_as_if_alone(spec: ModelSpec, tiny: LoadedModel, tmp_path: Path) -> None:
    """Unless a corpus is fast, no last digit of a text depends on the texts beside it."""
    corpus = measure_corpus(spec, some_texts(6), tmp_path, columns=COLUMNS)
    for trace, text in zip(corpus.traces(), some_texts(6), strict=True):
        assert np.array_equal(trace.step_length, Tracer(tiny).trace(text, columns=COLUMNS).step_length)


def test_traces_can_be_read_back(corpus: Corpus) -> None:
    again = from_traces(list(corpus.traces()))
    for name in COLUMNS:
        assert np.array_equal(getattr(again, name), getattr(corpus.measured, name)), name
    first = next(corpus.traces())
    assert first.passage == "t0"
    assert first.next_logit.shape[-1] == len(first.token_ids) - 1


def test_estimators_take_a_corpus_as_a_measurement(spec: ModelSpec, tiny: LoadedModel, tmp_path: Path) -> None:
    texts = some_texts(12)
    corpus = measure_corpus(spec, texts, tmp_path / "out", columns=COLUMNS)
    assert len(corpus.manifest.shards) == 1
    stored, expected = corpus.measured, measure_passages(tiny, texts, columns=COLUMNS)
    of_stored, of_expected = (
        (
            pearson(measured.last_step, measured.next_logit, passage=measured.passage).estimates(),
            mean(measured.total_length, passage=measured.passage).estimates(),
        )
        for measured in (stored, expected)
    )
    assert of_stored == of_expected
    assert np.array_equal(stored.where(stored.next_rank == 1).passage, expected.where(expected.next_rank == 1).passage)


@given(st.lists(st.integers(4, 30), min_size=1, max_size=20))
def test_rows_are_those_of_each_text_alone(lengths: list[int]) -> None:
    """All of a text's tokens but the first and the last; all of its next tokens, which are one fewer, but the first."""
    tokens = [np.arange(length) for length in lengths]
    for columns, end in ((tokens, -1), ([column[:-1] for column in tokens], None)):
        joined = np.concatenate(columns)
        expected = np.concatenate([column[LEFT_OUT:end] for column in columns])
        assert np.array_equal(joined[row_mask(np.array(lengths), len(joined))], expected)


def test_a_corpus_describes_itself(corpus: Corpus, tiny: LoadedModel, tmp_path: Path) -> None:
    texts = some_texts(12)
    tokens = sum(len(tiny.token_ids(text.text)) for text in texts)
    assert len(corpus) == 12
    assert corpus.tokens == tokens
    assert list(corpus.texts()) == texts
    assert corpus.columns == tuple(sorted(COLUMNS))
    shards = len(corpus.manifest.shards)
    assert repr(corpus) == (
        f"Corpus({str(tmp_path / 'out')!r}, tiny, 12 texts, {tokens:,} tokens in {shards} shards, columns next_logit, "
        "next_rank, residual_norm, step_length)"
    )
    assert (
        (tmp_path / "out" / "CACHEDIR.TAG").read_text("utf-8").startswith("Signature: 8a477f597d28d172789f06886806bc55")
    )
    again = open_corpus(str(tmp_path / "out"))
    assert again.manifest == corpus.manifest
    assert np.array_equal(again.measured.last_step, corpus.measured.last_step)


def test_a_column_is_mapped_and_leaves_no_file_behind(corpus: Corpus) -> None:
    before = sorted(corpus.folder.rglob("*"))
    column = corpus.measured.step_length
    assert isinstance(column.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        column[0, 0] = 1.0
    assert sorted(corpus.folder.rglob("*")) == before


def test_a_read_only_folder_can_be_read(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary_file = tempfile.TemporaryFile

    def nowhere_but_default(dir: object = None) -> Any:
        if dir is not None:
            raise PermissionError(errno.EACCES, "Permission denied")
        return temporary_file()

    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere_but_default)
    assert corpus.measured.step_length.shape[-1] == len(corpus.measured)


def test_a_disk_too_full_for_a_column_is_an_error_and_no_crash(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, begin: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"column 'step_length' needs 0\.0 MB of disk while it is used: No space left"):
        corpus.measured.step_length  # noqa: B018


def test_a_file_system_that_cannot_preallocate_still_works(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(handle: int, begin: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    expected = corpus.measured.step_length
    monkeypatch.setattr(os, "posix_fallocate", unable)
    assert np.array_equal(open_corpus(corpus.folder).measured.step_length, expected)


def test_an_unmeasured_column_is_an_error(corpus: Corpus) -> None:
    with pytest.raises(UnmeasuredColumn, match=r"column 'entropy' was not measured: name it in columns=.*next_rank"):
        corpus.measured.entropy  # noqa: B018


def test_columns_of_almost_no_cost_are_the_default(spec: ModelSpec, tmp_path: Path) -> None:
    corpus = measure_corpus(spec, some_texts(2), tmp_path)
    assert corpus.columns == FREE
    assert {"step_length", "turning_angle", "next_logit"} <= set(FREE)
    assert not {"entropy", "head_norm", "mlp_norm", "token_ids"} & set(FREE)


def test_all_columns_can_be_measured(spec: ModelSpec, tiny: LoadedModel, tmp_path: Path) -> None:
    corpus = measure_corpus(spec, some_texts(2), tmp_path, columns="all")
    expected = measure_passages(tiny, some_texts(2))
    assert np.array_equal(corpus.measured.head_norm, expected.head_norm)
    assert np.array_equal(corpus.measured.mlp_norm, expected.mlp_norm)


# What exists is not measured again


def test_a_second_call_measures_nothing(corpus: Corpus, spec: ModelSpec, measured_shards: list[int]) -> None:
    measured_shards.clear()  # of the first call
    told: list[Progress] = []
    before = files(corpus.folder)
    again = measure_corpus(spec, some_texts(12), corpus.folder, columns=COLUMNS, shard_tokens=150, progress=told.append)
    assert measured_shards == []
    assert files(corpus.folder) == before
    assert again.manifest.shards == corpus.manifest.shards
    assert told[-1].tokens == told[-1].earlier_tokens == corpus.tokens
    assert told[-1].tokens_per_second == 0


def test_progress_counts_what_was_measured_now(spec: ModelSpec, tmp_path: Path) -> None:
    told: list[Progress] = []
    corpus = measure_corpus(spec, some_texts(12), tmp_path, shard_tokens=150, progress=told.append)
    assert [state.shards for state in told] == list(range(1, len(corpus.manifest.shards) + 1))
    assert told[-1].texts == 12
    assert told[-1].bytes == sum(len(text.text.encode()) for text in some_texts(12))
    assert told[-1].tokens_per_second == pytest.approx(corpus.tokens / told[-1].seconds)


class Stopped(Exception):
    """Interrupts a run."""


def stopping(texts: list[Passage]) -> Iterator[Passage]:
    yield from texts
    raise Stopped


def test_an_interrupted_corpus_is_resumed(
    spec: ModelSpec, corpus: Corpus, tmp_path: Path, measured_shards: list[int]
) -> None:
    folder, texts = tmp_path / "other", some_texts(12)
    with pytest.raises(Stopped):
        measure_corpus(spec, stopping(texts[:9]), folder, columns=COLUMNS, shard_tokens=150)
    done = len(files(folder))
    assert 0 < done < len(corpus.manifest.shards)
    with pytest.raises(InvalidCorpus, match=f"is not complete \\({done} shards are there\\)"):
        open_corpus(folder)
    part = open_corpus(folder, partial=True)
    assert np.array_equal(part.measured.last_step, corpus.measured.last_step[: len(part.measured)])
    assert repr(part).endswith(", not complete)")
    measured_shards.clear()
    (folder / "shards" / "00").mkdir(exist_ok=True)
    half = folder / "shards" / "00" / ".00-00.safetensors.abc"  # left behind by a run that was killed while writing
    half.write_bytes(b"half")
    (folder / MANIFEST).unlink()  # as if it had been killed before it wrote one
    again = measure_corpus(spec, texts, folder, columns=COLUMNS, shard_tokens=150)
    assert measured_shards == list(range(done, len(corpus.manifest.shards)))
    assert files(folder) == files(corpus.folder)
    assert again.manifest.is_complete
    assert not half.exists()


def test_texts_can_be_added_at_the_end(
    spec: ModelSpec, corpus: Corpus, tmp_path: Path, measured_shards: list[int]
) -> None:
    measured_shards.clear()
    grown = measure_corpus(spec, some_texts(20), corpus.folder, columns=COLUMNS, shard_tokens=150)
    assert measured_shards[0] >= len(corpus.manifest.shards) - 1
    at_once = measure_corpus(spec, some_texts(20), tmp_path / "at once", columns=COLUMNS, shard_tokens=150)
    assert grown.manifest.shards == at_once.manifest.shards
    assert files(grown.folder) == files(at_once.folder)


def test_a_failed_second_call_leaves_a_complete_corpus_complete(spec: ModelSpec, corpus: Corpus) -> None:
    before = (corpus.folder / MANIFEST).read_bytes()
    with pytest.raises(Stopped):
        measure_corpus(spec, stopping(some_texts(9)), corpus.folder, columns=COLUMNS, shard_tokens=150)
    with pytest.raises(InvalidCorpus, match="holds a corpus of more texts than the 5 that were given"):
        measure_corpus(spec, some_texts(5), corpus.folder, columns=COLUMNS, shard_tokens=150)
    assert (corpus.folder / MANIFEST).read_bytes() == before
    assert len(open_corpus(corpus.folder)) == 12


@pytest.mark.parametrize("position", [20, 2000, -1])
def test_only_a_damaged_shard_is_measured_again(
    spec: ModelSpec, corpus: Corpus, position: int, measured_shards: list[int]
) -> None:
    before = files(corpus.folder)
    path = sorted(corpus.folder.glob("shards/*/*.safetensors"))[1]
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
    damaged = open_corpus(corpus.folder)
    with pytest.raises(InvalidCorpus, match=f"shard .*{path.name} is damaged or gone; measure the same texts"):
        damaged.measured.step_length  # noqa: B018
    measured_shards.clear()
    measure_corpus(spec, some_texts(12), corpus.folder, columns=COLUMNS, shard_tokens=150)
    assert len(measured_shards) == 1
    assert files(corpus.folder) == before


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_opening_detects_a_missing_or_truncated_shard(corpus: Corpus, damage: Callable[[Path], object]) -> None:
    damage(min(corpus.folder.glob("shards/*/*.safetensors")))
    with pytest.raises(InvalidCorpus, match="is damaged or gone"):
        open_corpus(corpus.folder)


def test_a_key_depends_on_everything_the_numbers_depend_on(
    spec: ModelSpec, new_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(number: int, model: ModelSpec = spec, texts: list[Passage] | None = None, **options: Any) -> str:
        folder = tmp_path / str(number)
        corpus = measure_corpus(model, texts or some_texts(1), folder, **{"columns": COLUMNS} | options)
        return corpus.manifest.shards[0].key

    first = key(0)
    assert key(1) == first
    assert key(2, shard_tokens=7) == first
    others = {
        key(3, model=from_directory(new_checkpoint("other", seed=1))),
        key(4, texts=some_texts(1, seed=1)),
        key(5, texts=[replace(some_texts(1)[0], name="renamed")]),
        key(6, columns=COLUMNS[:2]),
        key(7, dtype="float64"),
        key(9, fast=True),
    }
    for module in ("measure", "shard"):
        monkeypatch.setattr(f"pathlen.corpora.{module}.code_fingerprint", lambda *roots: "another version")
    others.add(key(8))
    assert len(others) == 7
    assert first not in others


def test_custom_columns_are_measured_and_identified_by_their_source(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @measures(at="end", unit="stream")
    def widest_coordinate(last: Any, final: Any) -> Any:
        """The largest coordinate."""
        return last.amax(dim=-1)

    try:
        corpus = measure_corpus(spec, some_texts(3), tmp_path, columns=["widest_coordinate"])
        assert corpus.measured.widest_coordinate.shape == (len(corpus.measured),)
        assert list(corpus.manifest.recipe.own) == ["widest_coordinate"]
        monkeypatch.setattr(corpus_module, "is_unchanged", lambda recorded, function: False)
        with pytest.raises(
            InvalidCorpus, match="column 'widest_coordinate' of .* was measured with another function of"
        ):
            open_corpus(tmp_path).measured.widest_coordinate  # noqa: B018
    finally:
        del CUSTOM_COLUMNS["widest_coordinate"]


def test_two_concurrent_runs_do_the_work_once(
    spec: ModelSpec, corpus: Corpus, tmp_path: Path, measured_shards: list[int]
) -> None:
    measured_shards.clear()
    folder, texts = tmp_path / "both", some_texts(12)
    is_begun, may_go_on = threading.Event(), threading.Event()
    told: list[Progress] = []

    def slow() -> Iterator[Passage]:
        yield from texts[:6]
        is_begun.set()
        may_go_on.wait(60)
        yield from texts[6:]

    def tell(state: Progress) -> None:
        told.append(state)
        may_go_on.set()

    options: dict[str, Any] = {"columns": COLUMNS, "shard_tokens": 150}
    first = threading.Thread(target=measure_corpus, args=(spec, slow(), folder), kwargs=options)
    first.start()
    assert is_begun.wait(60)
    second = measure_corpus(spec, texts, folder, progress=tell, **options)
    first.join()
    assert told[0].is_waiting
    assert sorted(measured_shards) == list(range(len(corpus.manifest.shards)))
    assert second.manifest.shards == corpus.manifest.shards


def test_only_shards_in_flight_are_in_memory(spec: ModelSpec, tmp_path: Path) -> None:
    """Texts are read one by one, and let go when their shard is written."""
    import weakref

    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Watched(str):
        pass

    def watched() -> Iterator[Passage]:
        nonlocal most
        for passage in some_texts(40):
            text = Watched(passage.text)
            alive.add(text)
            yield replace(passage, text=text)
            del text
            most = max(most, len(alive))

    corpus = measure_corpus(spec, watched(), tmp_path, columns=["step_length"], shard_tokens=150)
    largest = max(entry.texts for entry in corpus.manifest.shards)
    assert largest < 8
    assert most <= 2 * largest + 2


# Bad input


def test_without_a_text_nothing_is_written(spec: ModelSpec, tmp_path: Path) -> None:
    with pytest.raises(InvalidText, match="passages must hold at least one text, but none was given"):
        measure_corpus(spec, iter([]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def truncated(tiny: LoadedModel, tokens: int, name: str = "truncated") -> Passage:
    text = str(tiny.tokenizer.decode(tiny.token_ids(shipped("tides").text)[:tokens]))
    assert len(tiny.token_ids(text)) == tokens
    return Passage(name=name, text=text, origin="test")


@pytest.mark.parametrize("tokens", [1, 3])
def test_a_text_of_too_few_tokens_is_named_before_its_shard_is_measured(
    spec: ModelSpec, tiny: LoadedModel, tmp_path: Path, tokens: int, measured_shards: list[int]
) -> None:
    short = truncated(tiny, tokens, "shorty")
    message = (
        f"at least 4 tokens, but 'shorty' has {tokens}; leave_out_short=True .--leave-out-short. leaves such texts out"
    )
    with pytest.raises(InvalidText, match=message):
        measure_corpus(spec, [*some_texts(2), short], tmp_path / "a")
    assert measured_shards == []
    corpus = measure_corpus(spec, [short, *some_texts(2), short], tmp_path / "b", leave_out_short=True)
    assert [text.name for text in corpus.manifest.left_out] == ["shorty", "shorty"]
    assert corpus.manifest.left_out[0].tokens == tokens
    assert list(corpus.texts()) == some_texts(2)


def test_a_text_without_tokens_is_too_short(spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_module, "tokenizing", lambda spec: lambda text: [])
    with pytest.raises(InvalidText, match="a text needs at least 4 tokens, but 't0' has 0"):
        measure_corpus(spec, some_texts(2), tmp_path)


def test_a_corpus_cannot_consist_of_short_texts_only(spec: ModelSpec, tiny: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(InvalidText, match="at least 4 tokens, but each of the 2 that were given has fewer"):
        measure_corpus(spec, [truncated(tiny, 1), truncated(tiny, 2)], tmp_path, leave_out_short=True)


@pytest.mark.parametrize("more", [-1, 0, 1, 500])
def test_texts_around_and_beyond_the_context_length(
    spec: ModelSpec, tiny: LoadedModel, tmp_path: Path, more: int
) -> None:
    text = truncated(tiny, tiny.context + more) if more < 500 else replace(shipped("tides"), name="long")
    corpus = measure_corpus(spec, [text], tmp_path, columns=COLUMNS)
    expected = measure_passages(tiny, [text], columns=COLUMNS)
    assert np.array_equal(corpus.measured.window, expected.window)
    assert np.array_equal(corpus.measured.step_length, expected.step_length)
    (trace,) = corpus.traces()
    assert trace.window[-1] == (0 if more < 1 else 1 if more == 1 else expected.window[-1])
    assert len(trace.token_ids) == corpus.tokens == len(tiny.token_ids(text.text))


def test_copies_are_counted(spec: ModelSpec, tmp_path: Path) -> None:
    texts = some_texts(4)
    corpus = measure_corpus(spec, [*texts, *(replace(text, name="again") for text in texts[:2])], tmp_path)
    assert corpus.copies() == 2


@pytest.mark.parametrize("name", ["threads", "shard_tokens", "ahead"])
def test_counts_are_at_least_one(spec: ModelSpec, tmp_path: Path, name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, but 0 was given"):
        measure_corpus(spec, some_texts(1), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_arguments_are_checked_before_anything_is_written(spec: ModelSpec, tiny: LoadedModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    model: Any = tiny
    with pytest.raises(
        TypeError, match="model must be a ModelSpec, from pathlen.spec or LoadedModel.spec, but a LoadedModel"
    ):
        measure_corpus(model, some_texts(1), out)
    with pytest.raises(InvalidColumn, match="there is no column 'step_lenght'; did you mean 'step_length'"):
        measure_corpus(spec, some_texts(1), out, columns=["step_lenght"])
    with pytest.raises(ValueError, match="columns must name at least one column, but none was given"):
        measure_corpus(spec, some_texts(1), out, columns=[])
    with pytest.raises(ValueError, match="dtype must be one of"):
        measure_corpus(spec, some_texts(1), out, dtype="float8")
    with pytest.raises(ValueError, match="device must be cpu, cuda or mps, but 'tpu' was given"):
        measure_corpus(spec, some_texts(1), out, device="tpu")
    executor: Any = 3
    with pytest.raises(
        TypeError, match="executor must be a concurrent.futures.Executor or a function that makes one, but a int"
    ):
        measure_corpus(spec, some_texts(1), out, executor=executor)
    with pytest.raises(ValueError, match="workers must be at least 1, but 0 was given"):
        measure_module.processes(0)
    with pytest.raises(ModelNotFound, match="has no config.json"):
        measure_corpus(replace(spec, source=str(tmp_path)), some_texts(1), out)
    assert not out.exists()


def test_a_folder_with_other_files_is_left_alone(spec: ModelSpec, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidCorpus, match="folder must be empty or hold a corpus, but .* holds something else"):
        measure_corpus(spec, some_texts(1), tmp_path)
    with pytest.raises(InvalidCorpus, match="folder must be a folder, but .*thesis.txt' is a file"):
        measure_corpus(spec, some_texts(1), tmp_path / "thesis.txt")
    (tmp_path / "CACHEDIR.TAG").write_text(
        "Signature: 8a477f597d28d172789f06886806bc55\n# of another", encoding="utf-8"
    )
    with pytest.raises(InvalidCorpus, match="holds something else"):
        measure_corpus(spec, some_texts(1), tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"thesis.txt", "CACHEDIR.TAG"}


def test_two_corpora_are_not_mixed(spec: ModelSpec, corpus: Corpus) -> None:
    before = files(corpus.folder), (corpus.folder / MANIFEST).read_bytes()
    with pytest.raises(
        InvalidCorpus, match="measured otherwise: shard_tokens was 150, and is 151 now; give another folder"
    ):
        measure_corpus(spec, some_texts(12), corpus.folder, columns=COLUMNS, shard_tokens=151)
    with pytest.raises(
        InvalidCorpus, match="measured otherwise: columns was next_logit, next_rank, .* is next_logit now"
    ):
        measure_corpus(spec, some_texts(12), corpus.folder, columns=["next_logit"], shard_tokens=150)
    with pytest.raises(InvalidCorpus, match="measured otherwise: dtype was float32, and is float64 now"):
        measure_corpus(spec, some_texts(12), corpus.folder, columns=COLUMNS, shard_tokens=150, dtype="float64")
    with pytest.raises(InvalidCorpus, match="holds a corpus of other texts: they differ between 't0' and 't"):
        measure_corpus(spec, some_texts(12, seed=1), corpus.folder, columns=COLUMNS, shard_tokens=150)
    assert (files(corpus.folder), (corpus.folder / MANIFEST).read_bytes()) == before


def test_an_invalid_manifest_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InvalidCorpus, match="holds no corpus: it has no manifest.json"):
        open_corpus(tmp_path / "nothing")
    manifest = corpus.folder / MANIFEST
    fields = json.loads(manifest.read_bytes())
    for content, message in (
        (b"{", "is no manifest of a corpus"),
        (b"\xff", "is no manifest of a corpus"),
        (json.dumps(fields | {"schema_version": 99}).encode(), "schema_version must be 1, but .* has 99"),
        (
            json.dumps({name: field for name, field in fields.items() if name != "recipe"}).encode(),
            "is no manifest of a corpus.*recipe",
        ),
        (json.dumps(fields | {"shards": [], "is_complete": True}).encode(), "has no shard yet"),
    ):
        manifest.write_bytes(content)
        with pytest.raises(InvalidCorpus, match=message):
            open_corpus(corpus.folder)
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(InvalidCorpus, match="can't be read: Is a directory"):
        open_corpus(corpus.folder)


def test_a_full_disk_leaves_only_complete_shards(
    spec: ModelSpec, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def full(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write_bytes(path, content)

    folder = tmp_path / "full"
    monkeypatch.setattr(writer, "write_bytes", full)
    with pytest.raises(
        CorpusFailed,
        match=r"shard 2 can't be written to .*: no space is left \(\d+\.\d MB are needed, .* MB are free\); 2 whole shards "
        r"\(\d+ tokens\) are kept, and the same call goes on from there",
    ):
        measure_corpus(spec, some_texts(12), folder, columns=COLUMNS, shard_tokens=150)
    assert len(files(folder)) == 2
    assert all(Shard(path).proven() for path in folder.glob("shards/*/*"))
    monkeypatch.undo()
    measure_corpus(spec, some_texts(12), folder, columns=COLUMNS, shard_tokens=150)
    assert files(folder) == files(corpus.folder)


def test_other_disk_errors_are_reported_verbatim(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, content: bytes) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(writer, "write_bytes", broken)
    with pytest.raises(CorpusFailed, match="shard 0 can't be written to .*: Input/output error .*; 0 whole shards"):
        measure_corpus(spec, some_texts(1), tmp_path)
