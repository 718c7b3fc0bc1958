"""Modules import one way only, and importing the package is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pathlen

HOME = Path(pathlen.__file__).parent
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "files": set(),
    "verdicts": set(),
    "geometry": set(),
    "depth": set(),
    "anatomy": {"errors"},
    "attention": set(),
    "products": set(),
    "mini": {"files"},
    "cache": {"files"},
    "paper": {"cache", "errors", "files"},
    "wikipedia": {"cache", "errors"},
    "passages": {"errors", "wikipedia"},
    "stats": {"errors", "files"},
    "memory": set(),
    "models": {"cache", "errors", "memory", "mini"},
    "fetch": {"errors", "files", "models"},
    "columns": {"errors"},
    "traces": {"anatomy", "attention", "columns", "errors", "geometry", "models", "passages", "products"},
    "original": {"anatomy", "models", "passages", "traces"},
    "measurements": {"columns", "errors", "models", "passages", "traces"},
    "attribution": set(),
    "controls": {"columns", "models", "stats"},
    "universes": {"errors", "measurements", "stats", "verdicts"},
    "misuse": {"errors", "stats"},
    "claims": {"attribution", "controls", "errors", "misuse", "stats", "universes", "verdicts"},
    "lock": {"claims", "errors", "files", "paper", "stats", "verdicts"},
    "records": {"attribution", "claims", "controls", "errors", "files", "paper", "stats", "universes", "verdicts"},
    "tokens": {"measurements", "records"},
    "merge": {"errors", "records", "verdicts"},
    "report": {"attribution", "claims", "controls", "errors", "merge", "records", "stats", "universes", "verdicts"},
    "shards": {"cache", "columns", "errors", "passages"},
    "workers": {"cache", "columns", "errors", "memory", "models", "passages", "shards", "traces"},
    "corpora": {"columns", "errors", "files", "measurements", "passages", "shards"},
    "hands": {"workers"},
    "ledger": {"corpora", "errors", "files", "passages", "records", "shards", "workers"},
    "fleet": {
        "cache",
        "columns",
        "corpora",
        "errors",
        "files",
        "hands",
        "ledger",
        "models",
        "passages",
        "shards",
        "traces",
        "workers",
    },
    "streams": {"errors", "passages"},
    "passes": {"anatomy", "cache", "columns", "memory", "models", "passages", "traces"},
    "workbench": {
        "cache",
        "columns",
        "controls",
        "errors",
        "measurements",
        "models",
        "original",
        "passages",
        "passes",
        "records",
        "stats",
        "tokens",
    },
    "evaluation": {
        "attribution",
        "cache",
        "claims",
        "controls",
        "errors",
        "lock",
        "measurements",
        "models",
        "records",
        "stats",
        "universes",
        "verdicts",
        "workbench",
    },
    "comparisons": {
        "cache",
        "claims",
        "errors",
        "evaluation",
        "lock",
        "merge",
        "models",
        "passages",
        "records",
        "verdicts",
        "workbench",
    },
    "severity": {
        "cache",
        "claims",
        "controls",
        "errors",
        "evaluation",
        "files",
        "lock",
        "models",
        "passages",
        "records",
        "workbench",
    },
    "sessions": {
        "cache",
        "files",
        "claims",
        "controls",
        "errors",
        "evaluation",
        "fetch",
        "lock",
        "measurements",
        "models",
        "paper",
        "passages",
        "records",
        "report",
        "verdicts",
        "workbench",
    },
    "plugin": {"claims", "errors", "evaluation", "lock", "misuse", "report", "sessions", "verdicts"},
    "scaffold": {"cache", "errors", "files", "paper"},
    "doctor": {"cache", "errors", "memory", "models", "original", "passages", "traces"},
    "explore": {"columns", "errors", "files", "measurements", "models", "passages", "report", "traces"},
    "cli": {
        "cache",
        "claims",
        "comparisons",
        "corpora",
        "doctor",
        "errors",
        "fetch",
        "files",
        "fleet",
        "lock",
        "merge",
        "models",
        "passages",
        "records",
        "report",
        "scaffold",
        "streams",
    },
}
MAY_IMPORT["docs"] = {"cli", "columns"}  # how the documentation is built; nothing imports it
KNOW_TORCH = {
    "anatomy",
    "attention",
    "geometry",
    "mini",
    "models",
    "original",
    "passes",
    "products",
    "traces",
    "workers",
}
HEAVY = ("torch", "transformers", "scipy", "numpy", "huggingface_hub", "jinja2")


def room(path: Path) -> str:
    return path.relative_to(HOME).parts[0].removesuffix(".py")


def imported_by(source: str) -> set[str]:
    """Every module a source imports, at its top, inside functions and for type checkers alike."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_imported(source: str) -> set[str]:
    parts = [name.split(".") for name in imported_by(source) if name.startswith("pathlen.")]
    return {part[1] for part in parts if part[1] in MAY_IMPORT}


def sources(name: str) -> list[Path]:
    return [
        path for path in HOME.rglob("*.py") if path.name != "__init__.py" or path.parent != HOME if room(path) == name
    ]


def test_every_module_has_its_place() -> None:
    assert {room(path) for path in HOME.rglob("*.py")} - {"__init__"} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_module_imports_only_what_lies_before_it(name: str) -> None:
    for path in sources(name):
        assert rooms_imported(path.read_text("utf-8")) - {name} <= MAY_IMPORT[name], path


def test_the_rule_has_no_circles() -> None:
    seen: set[str] = set()
    for name, allowed in MAY_IMPORT.items():
        assert allowed <= seen, name
        seen.add(name)


@pytest.mark.parametrize("name", sorted(set(MAY_IMPORT) - KNOW_TORCH))
def test_torch_ends_at_measurements(name: str) -> None:
    for path in sources(name):
        known = {module.split(".")[0] for module in imported_by(path.read_text("utf-8"))}
        assert not known & {"torch", "transformers"}, path


def test_the_check_can_fail() -> None:
    assert rooms_imported("def f():\n    from pathlen.cli import main\n") == {"cli"}
    assert rooms_imported("import pathlen.plugin") == {"plugin"}


def loaded_by(program: str) -> list[str]:
    code = f"import sys\n{program}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import pathlen, pathlen.plugin, pathlen.cli") == []


def test_help_of_the_command_loads_nothing_heavy() -> None:
    call = "import pathlen.cli\ntry:\n    pathlen.cli.main(['--help'])\nexcept SystemExit:\n    pass"
    assert loaded_by(call) == []


def test_help_of_pytest_loads_neither_torch_nor_transformers(tmp_path: Path) -> None:
    call = f"import pytest\npytest.main(['--help', '--rootdir', {str(tmp_path)!r}, '-p', 'no:hypothesispytest'])"
    found = loaded_by(call)
    assert "torch" not in found
    assert "transformers" not in found


def test_the_check_of_heavy_imports_can_fail() -> None:
    assert "numpy" in loaded_by("import numpy")
