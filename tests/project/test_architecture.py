"""The page on architecture matches the code: its drawing, its table of floors, and every file that it names."""

from __future__ import annotations

import importlib
import re
from itertools import combinations
from types import ModuleType
from xml.etree import ElementTree

import pytest
from project import DOCS, PROJECT

PAGE = (DOCS / "explanation" / "architecture.md").read_text("utf-8")
PACKAGE = PROJECT / "pathlen"
SVG = "{http://www.w3.org/2000/svg}"
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


@pytest.fixture(scope="module")
def architecture_drawing() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        return importlib.import_module("architecture_drawing")


@pytest.fixture(scope="module")
def drawing(architecture_drawing: ModuleType) -> ElementTree.Element:
    return ElementTree.fromstring(architecture_drawing.layers_svg())  # noqa: S314  # made by our own code


def arrows(drawing: ElementTree.Element) -> set[tuple[str, str]]:
    titles = [path.findtext(f"{SVG}title") for path in drawing.iter(f"{SVG}path")]
    return {(importer, imported) for title in titles if title for importer, _, imported in [title.split()]}


def closure(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the pairs that are connected by a path of the given ones."""
    longer = pairs | {(start, end) for start, middle in pairs for other, end in pairs if middle == other}
    return pairs if longer == pairs else closure(longer)


def test_every_file_that_the_page_names_exists() -> None:
    paths = re.findall(r"`([\w./-]+/[\w.-]*|pyproject\.toml)`", PAGE)
    assert len(paths) > 60
    assert [path for path in paths if "/" in path.rstrip("/") and not (PROJECT / path).exists()] == []


def test_the_table_names_a_file_and_a_test_for_each_change() -> None:
    table = PAGE.partition("| to change | open first | guarded by |\n|---|---|---|\n")[2]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert len(rows) >= 25
    assert len({change for change, _, _ in rows}) == len(rows)
    for change, file, test in rows:
        assert (PROJECT / file).is_file(), change
        assert (PROJECT / test).is_file(), change
        assert "def test_" in (PROJECT / test).read_text("utf-8"), change


def test_drawing_and_table_are_up_to_date(architecture_drawing: ModuleType) -> None:
    remedy = "run python docs/architecture_drawing.py"
    assert (DOCS / "explanation" / "layers.svg").read_text("utf-8") == architecture_drawing.layers_svg(), remedy
    assert f"<!-- layers -->\n\n{architecture_drawing.layers_markdown()}\n<!-- /layers -->" in PAGE, remedy


def test_the_drawing_has_a_box_for_every_folder_and_module(drawing: ElementTree.Element) -> None:
    labels = [text.text or "" for text in drawing.iter(f"{SVG}text")]
    boxes = [label for label in labels if label.endswith(("/", ".py"))]
    assert sorted(boxes) == sorted([*(f"{folder}/" for folder in FOLDERS), *(f"{module}.py" for module in MODULES)])


def test_the_table_has_a_sentence_for_every_folder_and_module(architecture_drawing: ModuleType) -> None:
    rows = [line.split(" | ") for line in architecture_drawing.layers_markdown().splitlines()[2:]]
    assert len(rows) == len(FOLDERS) + len(MODULES)
    assert all(len(cells) == 4 and cells[2].endswith(".") for cells in rows)


def test_imports_are_those_that_grimp_finds(architecture_drawing: ModuleType) -> None:
    grimp = pytest.importorskip("grimp", reason="grimp comes with import-linter, of pathlen[test]")
    graph = grimp.build_graph("pathlen", include_external_packages=False, cache_dir=None)
    names = [*FOLDERS, *MODULES]
    expected = {
        (importer, imported)
        for importer in names
        for imported in names
        if importer != imported
        and graph.direct_import_exists(importer=f"pathlen.{importer}", imported=f"pathlen.{imported}", as_packages=True)
    }
    assert {
        (name, target) for name, targets in architecture_drawing.imports().items() for target in targets
    } == expected


def test_arrows_imply_every_import_above_the_lowest_floor(
    architecture_drawing: ModuleType, drawing: ElementTree.Element
) -> None:
    floor_of = {name: number for number, names in enumerate(architecture_drawing.floors()) for name in names}
    imports = {(name, target) for name, targets in architecture_drawing.imports().items() for target in targets}
    drawn = arrows(drawing)
    assert drawn <= imports
    assert all(floor_of[importer] > floor_of[imported] > 0 for importer, imported in drawn)
    assert closure(drawn) == closure({pair for pair in imports if floor_of[pair[1]] > 0})


def test_the_lowest_floor_is_imported_from_every_other(architecture_drawing: ModuleType) -> None:
    """The note below the lowest boxes says so."""
    lowest, *others = architecture_drawing.floors()
    imports = architecture_drawing.imports()
    assert all(any(imports[name] & set(lowest) for name in floor) for floor in others)


def test_boxes_lie_inside_the_drawing_and_apart(drawing: ElementTree.Element) -> None:
    width, height = float(drawing.attrib["width"]), float(drawing.attrib["height"])
    assert width <= 900
    boxes = [
        (float(box.attrib["x"]), float(box.attrib["y"]), float(box.attrib["width"]), float(box.attrib["height"]))
        for box in drawing.iter(f"{SVG}rect")
        if "rx" in box.attrib
    ]
    assert len(boxes) == len(FOLDERS) + len(MODULES)
    assert all(x >= 0 and y >= 0 and x + across <= width and y + down <= height for x, y, across, down in boxes)
    for (x, y, across, _), (other_x, other_y, _, _) in combinations(sorted(boxes, key=lambda box: box[1::-1]), 2):
        assert y != other_y or x + across < other_x
