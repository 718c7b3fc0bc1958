"""Looking at a measurement: labels, tables and figures."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import pathlen
from pathlen.columns.catalog import CUSTOM_COLUMNS, measures
from pathlen.columns.measurement import Measurement, from_traces
from pathlen.errors import InvalidColumn, InvalidText, ModelNotFound, UnmeasuredColumn
from pathlen.models.loading import LoadedModel
from pathlen.notebook import DERIVED, Exploration, Figure, measure
from pathlen.passages.passage import Passage
from pathlen.passages.shipped import shipped
from pathlen.traces.tracer import Tracer

COLUMNS = ("residual_norm", "step_length", "displacement", "next_logit", "head_norm")
RIVER = "The river rose in the night, and the bridge was gone by morning."


@pytest.fixture(scope="module")
def exploration(tiny: LoadedModel) -> Exploration:
    return measure(tiny, [RIVER, shipped("tides")], columns=COLUMNS)


def test_it_holds_the_columns_that_claims_measure(exploration: Exploration, tiny: LoadedModel) -> None:
    texts = [Passage(name="text 1", text=RIVER, origin="x"), shipped("tides")]
    plain = from_traces(list(Tracer(tiny).traces(texts, columns=COLUMNS)))
    assert isinstance(exploration, Measurement)
    for name in COLUMNS:
        assert np.array_equal(getattr(exploration, name), getattr(plain, name))
    assert exploration.texts == ("text 1", "tides")
    assert pathlen.measure is measure


def test_pieces_are_those_of_the_text(exploration: Exploration) -> None:
    text = "".join(exploration.pieces[exploration.passage == 0])
    assert text in RIVER
    assert len(text) > len(RIVER) / 2
    assert len(exploration.pieces) == len(exploration)


def test_a_part_of_it_keeps_its_names(exploration: Exploration) -> None:
    part = exploration.where(exploration.passage == 1)
    assert isinstance(part, Exploration)
    assert (part.title, part.texts) == (exploration.title, exploration.texts)
    assert list(part.pieces) == list(exploration.pieces[exploration.passage == 1])
    assert np.array_equal(part.step_length, exploration.step_length[:, exploration.passage == 1])
    other = exploration.with_columns(next_logit=exploration.next_logit * 2)
    assert isinstance(other, Exploration)
    assert np.array_equal(other.next_logit, 2 * exploration.next_logit)
    assert list(other.pieces) == list(exploration.pieces)


def test_it_lists_its_columns(exploration: Exploration) -> None:
    lines = repr(exploration).splitlines()
    assert lines[0].startswith("2 texts (text 1, tides) in tiny: ")
    assert "rows, one per token that has a next token" in lines[0]
    steps, rows = exploration.step_length.shape
    assert f"  step_length              {steps}×{rows}".split() == lines[2].split()[:2]
    assert lines[2].endswith("(step, row), stream")
    assert not any("entropy" in line for line in lines), "which was not measured"
    assert exploration.columns == (*COLUMNS[:3], "head_norm", "next_logit")


def test_a_notebook_shows_a_table(exploration: Exploration) -> None:
    table = ET.fromstring(f"<div>{exploration._repr_html_()}</div>")  # noqa: S314  # our own
    rows = [[cell.text for cell in row] for row in table.iter("tr")]
    assert [row[0] for row in rows[1:]] == list(exploration.columns)
    row = next(row for row in rows if row[0] == "next_logit")
    assert row[1:4] == [f"{len(exploration)} row", "logit", f"{exploration.next_logit.min():.4g}"]


def test_words_of_texts_are_escaped(tiny: LoadedModel) -> None:
    text = Passage(name="<b>&", text=RIVER, origin="x")
    exploration = measure(tiny, text, columns=["step_length"])
    assert "&lt;b&gt;&amp;" in exploration._repr_html_()
    assert "<b>" not in exploration._repr_html_()


def test_a_custom_column_is_among_them(tiny: LoadedModel) -> None:
    @measures(at="state", unit="1")
    def first_coordinate(states):  # type: ignore[no-untyped-def]
        """The first coordinate of each state."""
        return states[:, 0]

    try:
        exploration = measure(tiny, RIVER, columns=["first_coordinate"])
        assert exploration.columns == ("first_coordinate",)
        assert "(state, row), 1" in repr(exploration)
        assert exploration.to_xarray().first_coordinate.dims == ("state", "row")
    finally:
        del CUSTOM_COLUMNS["first_coordinate"]


# Tables.


def test_a_dataset_has_names_on_every_axis(exploration: Exploration) -> None:
    data = exploration.to_xarray()
    assert set(data.data_vars) == set(exploration.columns)
    assert data.step_length.dims == ("step", "row")
    assert data.head_norm.dims == ("block", "head", "row")
    assert list(data.step.values) == [1, 2]
    assert list(data.state.values) == [0, 1, 2]
    assert data.step_length.sel(step=2).values == pytest.approx(exploration.last_step)
    assert data.step_length.attrs["units"] == "stream"
    assert set(data.text.values) == {"text 1", "tides"}
    assert list(data.token.values) == list(exploration.token)
    assert data.attrs == {"model": "tiny"}


def test_a_table_has_a_line_per_row(exploration: Exploration) -> None:
    table = exploration.to_pandas("step_length", "head_norm", "straightness")
    assert list(table.columns) == [
        *("text", "token", "piece", "step_length_1", "step_length_2"),
        *("head_norm_1_0", "head_norm_1_1", "head_norm_2_0", "head_norm_2_1", "straightness"),
    ]
    assert len(table) == len(exploration)
    assert table.step_length_2.to_numpy() == pytest.approx(exploration.last_step)
    assert table.head_norm_2_1.to_numpy() == pytest.approx(exploration.head_norm[1, 1])


def test_derived_columns_have_their_documented_axes(tiny: LoadedModel) -> None:
    exploration = measure(tiny, RIVER)
    for name, axes in DERIVED.items():
        values = getattr(exploration, name)
        assert values.ndim == len(axes)
        if axes[0] == "step":
            assert len(values) == len(exploration.step_length)
    assert set(exploration.to_xarray(*DERIVED).data_vars) == set(DERIVED)


@pytest.mark.parametrize(("method", "package"), [("to_xarray", "xarray"), ("to_pandas", "pandas")])
def test_a_package_that_is_missing_is_named(
    exploration: Exploration, monkeypatch: pytest.MonkeyPatch, method: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"{method} needs {package}: pip install {package}"):
        getattr(exploration, method)()


# Figures.


def drawn(figure: Figure) -> ET.Element:
    return ET.fromstring(figure)  # noqa: S314  # our own


def test_a_column_is_drawn_over_the_blocks(exploration: Exploration, tmp_path: Path) -> None:
    figure = exploration.plot("residual_norm")
    root = drawn(figure)
    (title,) = root.iter("{http://www.w3.org/2000/svg}title")
    assert title.text == f"residual_norm in tiny: median and middle 80 % of {len(exploration)} tokens"
    (line,) = (path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("class") == "line")
    heights = [float(point.split()[1]) for point in line.attrib["d"][1:].split("L")]
    middle = np.median(exploration.residual_norm, axis=1)
    # Larger is higher up, in the same proportions.
    assert np.argsort(heights).tolist() == np.argsort(-middle).tolist()
    assert (heights[0] - heights[1]) / (heights[0] - heights[2]) == pytest.approx(
        (middle[1] - middle[0]) / (middle[2] - middle[0]), abs=0.01
    )
    assert figure.save(tmp_path / "figure.svg").read_text("utf-8") == str(figure) == figure._repr_svg_()


def test_two_columns_are_drawn_against_each_other(exploration: Exploration) -> None:
    root = drawn(exploration.plot("last_step", against="next_logit"))
    dots = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(dots) == min(1000, len(exploration))
    words = [label.text for label in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[-2:] == ["next logit (logit)", "last step"]


def test_a_figure_refers_to_nothing_outside(exploration: Exploration) -> None:
    text = exploration.plot("step_length").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|href|@import", text)


def test_a_column_that_cannot_be_drawn_is_refused_with_advice(exploration: Exploration) -> None:
    with pytest.raises(ValueError, match=r"one number per token is drawn against another, plot\('last_step', against="):
        exploration.plot("last_step")
    with pytest.raises(
        ValueError, match=r"head_norm has shape .* \(block, head, row\): one axis beside the rows can be drawn"
    ):
        exploration.plot("head_norm")
    with pytest.raises(ValueError, match="a scatter needs one number per token, but step_length has shape"):
        exploration.plot("last_step", against="step_length")
    with pytest.raises(InvalidColumn, match="there is no column 'stepp_length'; did you mean 'step_length'"):
        exploration.plot("stepp_length")
    with pytest.raises(UnmeasuredColumn, match=r"column 'entropy' was not measured: name it in columns=\[...\]"):
        exploration.to_pandas("entropy")


# Names of models and texts.


def test_models_and_texts_can_be_given_or_named(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "my text.txt").write_text(RIVER, encoding="utf-8")
    by_name = measure(str(checkpoint), str(tmp_path / "my text.txt"), columns=["step_length"])
    by_text = measure(str(checkpoint), RIVER, columns=["step_length"])
    assert np.array_equal(by_name.step_length, by_text.step_length)
    assert (by_name.texts, by_text.texts) == (("my text",), ("text 1",))
    assert measure("mini/small", "tides", columns=["step_length"]).title == "mini Small"
    assert measure(pathlen.spec("mini", "small"), ["tides", RIVER], columns=["next_logit"]).texts == ("tides", "text 2")


def test_a_missing_model_or_text_is_refused_with_advice(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFound, match="get them with: pathlen fetch small"):
        measure("gpt2/small", RIVER)
    with pytest.raises(ValueError, match="size must be one of small, medium, large, xl, but 'tiny' was given"):
        measure("mini/tiny", RIVER)
    with pytest.raises(InvalidText, match="text must be a file or one of nietzsche, "):
        measure(tiny, "nietsche")
    with pytest.raises(InvalidText, match="passages must hold at least one text, but none was given"):
        measure(tiny, [])
    assert measure(tiny, f"{RIVER} " * 100, columns=["step_length"]).texts == ("text 1",), (
        "too long to be a file's name"
    )
