"""Corpora from version 0.1.0, measured before the modules moved into folders: they open, and can be continued.

`data/before_folders` was written by that version: two short texts, measured with the smallest network of the embedded family.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pathlen
from pathlen._util.digests import digest
from pathlen._util.fingerprint import COMPUTE, versions
from pathlen._util.provenance import environment
from pathlen.columns.catalog import CUSTOM_COLUMNS
from pathlen.corpora.corpus import open_corpus, read_manifest, write_manifest
from pathlen.corpora.measure import measure_corpus
from pathlen.corpora.shard import EARLIER, Shard, file_name, key_of
from pathlen.errors import InvalidCorpus
from pathlen.models.families import spec
from pathlen.models.loading import LoadedModel, load
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import shipped
from pathlen.traces.tracer import measure_passages

BEFORE_FOLDERS = Path(__file__).parent / "data" / "before_folders"
COLUMNS = ("next_logit", "residual_norm", "step_length")
SOURCES = (Path(pathlen.__file__).parent / "corpora" / EARLIER).read_text("utf-8").split()
SUMMED, AVERAGED = (
    f'''"""A column."""

from pathlen import measures


@measures(at="end", unit="stream")
def coordinates(last, final):
    """All coordinates."""
    return last.{operation}(dim=-1)
'''
    for operation in ("sum", "mean")
)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy of the corpus that version 0.1.0 wrote."""
    folder = tmp_path / "earlier"
    shutil.copytree(BEFORE_FOLDERS, folder)
    return folder


def rewrite(folder: Path, **changes: Any) -> None:
    """Change fields of a corpus's recipe, as if it had been measured that way, and rename its shards to the new keys."""
    manifest = read_manifest(folder)
    assert manifest is not None
    recipe = replace(manifest.recipe, **changes)
    entries = []
    for entry in manifest.shards:
        path = folder / file_name(entry.key, entry.sha256)
        key = key_of(recipe, list(Shard(path).passages()))
        target = folder / file_name(key, entry.sha256)
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
        entries.append(replace(entry, key=key))
    write_manifest(folder, replace(manifest, recipe=recipe, shards=tuple(entries)))


def test_it_opens_and_holds_what_is_measured_today(earlier: Path) -> None:
    """To the last bit with the same torch on the same platform; elsewhere kernels may round differently."""
    corpus = open_corpus(earlier)
    assert corpus.columns == COLUMNS
    texts = list(corpus.texts())
    assert (len(texts), corpus.tokens) == (2, 49)
    expected = measure_passages(load(spec("mini", "small")), texts, columns=COLUMNS)
    recorded, installed = corpus.manifest.environment, environment()
    differences = [name for name in (*COMPUTE, "machine", "platform") if recorded[name] != installed[name]]
    for name in (*COLUMNS, "token_id", "token", "position", "window", "passage"):
        stored, measured = getattr(corpus.measured, name), getattr(expected, name)
        assert stored.dtype == measured.dtype, name
        if differences:
            largest = np.abs(measured).max()
            np.testing.assert_allclose(
                stored, measured, rtol=1e-6, atol=1e-6 * largest, err_msg=f"{name}; different here: {differences}"
            )
        else:
            np.testing.assert_array_equal(stored, measured, err_msg=name)


def test_its_fingerprint_is_that_of_the_listed_sources(earlier: Path) -> None:
    manifest = open_corpus(earlier).manifest
    assert manifest.recipe.engine == digest(*SOURCES, *(manifest.environment[name] for name in COMPUTE))


@pytest.fixture
def measured_with_these_packages(earlier: Path) -> str:
    """Make the corpus one that version 0.1.0 measured with the packages installed here; return its fingerprint.

    Its only shard is closed with its last text, so that a further text goes into a new one.
    """
    engine = digest(*SOURCES, *versions())
    rewrite(earlier, engine=engine, shard_tokens=49)
    return engine


def test_only_a_new_text_is_measured(
    earlier: Path, measured_with_these_packages: str, measured_shards: list[int]
) -> None:
    before = open_corpus(earlier)
    (path,) = earlier.glob("shards/*/*.safetensors")
    content = path.read_bytes()
    texts = [*before.texts(), shipped("tides")]
    grown = measure_corpus(spec("mini", "small"), texts, earlier, columns=COLUMNS, shard_tokens=49)
    assert measured_shards == [1]
    assert [entry.texts for entry in grown.manifest.shards] == [2, 1]
    assert grown.manifest.shards[0] == before.manifest.shards[0]
    assert path.read_bytes() == content
    assert grown.manifest.recipe.engine == measured_with_these_packages
    assert list(open_corpus(earlier).texts()) == texts
    new = open_corpus(earlier).measured.where(grown.measured.passage == 2)
    expected = measure_passages(load(spec("mini", "small")), texts[2:], columns=COLUMNS)
    assert np.array_equal(new.last_step, expected.last_step)


@pytest.mark.usefixtures("measured_with_these_packages")
def test_it_is_not_continued_once_numbers_are_computed_otherwise(
    earlier: Path, measured_shards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pathlen.corpora.shard.NUMERICS", 2)
    texts = [*open_corpus(earlier).texts(), shipped("tides")]
    with pytest.raises(InvalidCorpus, match="measured otherwise: engine was [0-9a-f]{12}, and is [0-9a-f]{12} now"):
        measure_corpus(spec("mini", "small"), texts, earlier, columns=COLUMNS, shard_tokens=49)
    assert measured_shards == []


def test_it_is_not_continued_with_other_packages(earlier: Path, measured_shards: list[int]) -> None:
    rewrite(earlier, engine=digest(*SOURCES, "another version", *versions()[1:]))
    texts = list(open_corpus(earlier).texts())
    with pytest.raises(InvalidCorpus, match="measured otherwise: engine was [0-9a-f]{12}, and is [0-9a-f]{12} now"):
        measure_corpus(spec("mini", "small"), texts, earlier, columns=COLUMNS)
    assert measured_shards == []


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Declare the custom column in a module with the given name and source, instead of any earlier one."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules: list[str] = []

    def declare(module: str, source: str) -> None:
        CUSTOM_COLUMNS.pop("coordinates", None)
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        modules.append(module)
        importlib.import_module(module)

    yield declare
    CUSTOM_COLUMNS.pop("coordinates", None)
    for module in modules:
        del sys.modules[module]


def test_a_custom_column_that_was_recorded_by_its_text_still_opens(
    tiny: LoadedModel,
    short: Passage,
    declare: Callable[[str, str], None],
    measured_shards: list[int],
    tmp_path: Path,
) -> None:
    """Version 0.1.0 recorded a digest of the text of the module that declares the column."""
    folder = tmp_path / "custom"
    declare("summed_coordinates", SUMMED)
    expected = measure_corpus(tiny.spec, [short], folder, columns=["coordinates"]).measured.coordinates
    recorded = {"coordinates": digest(SUMMED)}
    assert open_corpus(folder).manifest.recipe.own != recorded
    rewrite(folder, own=recorded)
    assert np.array_equal(open_corpus(folder).measured.coordinates, expected)
    measured_shards.clear()
    again = measure_corpus(tiny.spec, [short], folder, columns=["coordinates"])
    assert measured_shards == []
    assert again.manifest.recipe.own == recorded
    declare("averaged_coordinates", AVERAGED)
    with pytest.raises(InvalidCorpus, match="column 'coordinates' of .* was measured with another function of"):
        open_corpus(folder).measured.coordinates  # noqa: B018
    with pytest.raises(InvalidCorpus, match="holds a corpus that was measured otherwise: own was "):
        measure_corpus(tiny.spec, [short], folder, columns=["coordinates"])
    assert measured_shards == []
