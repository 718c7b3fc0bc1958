"""The layout of the project: few modules beside ``pathlen/__init__.py``, tests that mirror folders, clean distributions."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from project import PROJECT

PACKAGE = PROJECT / "pathlen"
TESTS = PROJECT / "tests"
MOST_FLAT_MODULES = 4
FOLDERS = (
    "_util",
    "claims",
    "cli",
    "columns",
    "corpora",
    "models",
    "passages",
    "plots",
    "records",
    "report",
    "runner",
    "stats",
    "traces",
)


def missing_build_tool() -> str:
    """Return the name of a package that building without isolation needs and that is not installed, or nothing."""
    return next((name for name in ("build", "hatchling") if importlib.util.find_spec(name) is None), "")


needs_build = pytest.mark.skipif(
    bool(missing_build_tool()), reason=f"{missing_build_tool()} is not installed; pip install build hatchling"
)


def built(kind: str, folder: Path) -> Path:
    """Build a distribution, ``wheel`` or ``sdist``, and return its file."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    (path,) = folder.iterdir()
    return path


def test_few_modules_lie_beside_the_folders() -> None:
    flat = [path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    assert len(flat) <= MOST_FLAT_MODULES, flat


def test_the_folders_are_those_of_the_package() -> None:
    assert sorted(FOLDERS) == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_tests_mirror_the_folders_of_the_package(folder: str) -> None:
    assert (PACKAGE / folder / "__init__.py").is_file()
    assert any((TESTS / folder).rglob("test_*.py"))


def test_no_code_imports_tests() -> None:
    helpers = {path.stem for path in (TESTS / "support").glob("*.py")} | {"tests", "conftest"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not helpers & {name.partition(".")[0] for name in names}, path


@needs_build
def test_the_wheel_holds_the_package_alone(tmp_path: Path) -> None:
    names = zipfile.ZipFile(built("wheel", tmp_path)).namelist()
    assert "pathlen/py.typed" in names
    assert "pathlen/models/mini/small/model.safetensors" in names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"pathlen"}
    assert [name for name in names if {"tests", "docs"} & set(Path(name).parts) or "test_" in name] == []


@needs_build
def test_the_source_distribution_holds_tests_and_docs(tmp_path: Path) -> None:
    with tarfile.open(built("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pathlen/__init__.py", "tests/conftest.py", "tests/project/test_house.py", "docs/index.md"} <= names
    assert {"pyproject.toml", "claims/claims.lock", "docs/explanation/architecture.md"} <= names
