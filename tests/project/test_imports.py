"""Modules import one way only, and importing the package is cheap."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import PROJECT

import pathlen

HOME = Path(pathlen.__file__).parent
HEAVY = ("torch", "transformers", "scipy", "numpy", "huggingface_hub", "jinja2")


def broken_contracts(project: Path) -> str:
    """Return what import-linter says of the contracts in pyproject.toml that code breaks; nothing where it breaks none."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts: " in done.stdout, done.stderr
    return done.stdout.partition("Broken contracts")[2] if done.returncode else ""


def test_modules_import_one_way_only() -> None:
    assert broken_contracts(PROJECT) == ""


@pytest.mark.parametrize(
    ("module", "line", "message"),
    [
        ("stats/power", "from pathlen.runner.session import Session", "pathlen.stats.power -> pathlen.runner.session"),
        ("stats/power", "if TYPE_CHECKING:\n    from pathlen.claims.claim import Claim", "pathlen.claims.claim"),
        ("runner/forward", "from pathlen.runner import prefetch", "No cycles are allowed in pathlen.runner"),
        ("claims/hints", "def f():\n    import torch", "pathlen.claims.hints -> torch"),
    ],
)
def test_the_check_of_layers_can_fail(tmp_path: Path, module: str, line: str, message: str) -> None:
    shutil.copytree(HOME, tmp_path / "pathlen", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    path = tmp_path / "pathlen" / f"{module}.py"
    path.write_text(f"{path.read_text('utf-8')}\n{line}\n", encoding="utf-8")
    assert message in broken_contracts(tmp_path)


def test_a_folder_without_code_of_its_own_stays_one() -> None:
    """Fingerprints leave a folder's ``__init__`` out unless something is taken from it."""
    for path in HOME.rglob("*/__init__.py"):
        if path.parent.relative_to(HOME).as_posix() not in ("cli", "models/mini"):
            body = ast.parse(path.read_text("utf-8")).body
            named = {
                target.id
                for statement in body
                if isinstance(statement, ast.Assign)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
            assert named <= {"__all__"}, path
            assert all(
                isinstance(statement, (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign)) for statement in body
            ), path


def loaded_by(program: str) -> list[str]:
    code = f"import sys\n{program}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import pathlen, pathlen.plugin, pathlen.cli") == []


def test_measuring_loads_no_report_and_no_record() -> None:
    code = "import sys\nfrom pathlen import measure\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {".".join(name.split(".")[:2]) for name in done.stdout.split()}
    assert "pathlen.notebook" in loaded
    assert not loaded & {"jinja2", "pathlen.report", "pathlen.records", "pathlen.runner", "pathlen.claims"}


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
