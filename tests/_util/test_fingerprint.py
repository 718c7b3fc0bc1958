"""A fingerprint changes when a number may change, and only then."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pathlen
from pathlen._util import fingerprint
from pathlen._util.digests import digest
from pathlen._util.fingerprint import (
    code_fingerprint,
    forget_sources,
    is_unchanged,
    modules_behind,
    source_fingerprint,
    sources_of,
)
from pathlen._util.shape import shape_of

HOME = Path(pathlen.__file__).parent

BEFORE = '''
"""A module."""
from __future__ import annotations
SCALE = 2.0
def stretched(column: list[float], *, twice: bool = False) -> list[float]:
    """Stretch a column."""
    factor: float = SCALE * (1 + twice)
    if not column:
        raise ValueError(f"column must not be empty, but {column} was given")
    def one(number):
        return factor * number
    return [one(value) for value in column]
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 2.0  # chosen by hand"),
        ("SCALE = 2.0", "\n\nSCALE = (\n    2.0\n)"),
        ('"""Stretch a column."""', '"""Stretch it."""'),
        ('    """Stretch a column."""\n', ""),
        ('"""A module."""', ""),
        ("factor", "stretch"),
        ("one(", "stretched_number("),
        ("value", "entry"),
        ("factor: float = ", "factor = "),
        ("column: list[float]", "column"),
        (" -> list[float]", ""),
        ("column must not be empty", "there must be a column"),
        ("SCALE = 2.0", "from typing import TYPE_CHECKING\nSCALE = 2.0"),
    ],
)
def test_what_cannot_change_a_number_leaves_the_shape(old: str, new: str) -> None:
    if "TYPE_CHECKING" in new:
        start = BEFORE.replace(old, new)
        assert shape_of(start) == shape_of(start + "\nif TYPE_CHECKING:\n    from collections.abc import Sequence\n")
        return
    assert old in BEFORE
    assert shape_of(BEFORE.replace(old, new)) == shape_of(BEFORE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 2.5"),
        ("1 + twice", "1 - twice"),
        ("twice: bool = False", "twice: bool = True"),
        ("factor * number", "factor * number.real"),
        ("column", "values"),  # a parameter: whoever names it in a call would fail
        ("return factor * number", "return number"),
        ("ValueError", "TypeError"),
        ("for value in column", "for value in column if value"),
        ("def stretched", "def shrunk"),
        ("SCALE", "FACTOR"),
    ],
)
def test_what_can_change_a_number_changes_the_shape(old: str, new: str) -> None:
    assert old in BEFORE
    assert shape_of(BEFORE.replace(old, new)) != shape_of(BEFORE)


def test_two_locals_that_change_places_change_the_shape() -> None:
    assert shape_of("def f():\n    a, b = 1, 2\n    return a") != shape_of("def f():\n    a, b = 1, 2\n    return b")


def test_two_parameters_that_change_names_change_the_shape() -> None:
    """Whoever calls it by keyword gets another number."""
    assert shape_of("def f(a, b):\n    return a - b") != shape_of("def f(b, a):\n    return b - a")


def test_a_comprehension_over_a_parameter_of_the_same_name_is_told_apart() -> None:
    assert shape_of("def f(x, y):\n    return [x for x in x]") != shape_of("def f(x, y):\n    return [y for y in y]")


def test_a_local_is_renamed_wherever_a_function_may_bind_one() -> None:
    source = """
def f(rows):
    import numpy as N
    global TOTAL
    with open(rows) as A, open(rows) as B:
        pass
    try:
        C = A
    except OSError as D:
        raise RuntimeError from D
    for E, (F, *G) in rows:
        E += 1
    while (H := C):
        del H
    match rows:
        case [I, *J] | {"j": I, **J}:
            pass
    K = lambda x: N.sum(x) + A + (L := 1)
    def M(x, y=C):
        nonlocal E
        E = [P for P in x if (Q := P)]
        return K(x) + B
    class R:
        pass
    return M, F, G, I, J, {S: H for S in rows}, R
"""
    renamed = re.sub(r"\b([A-S])\b", lambda found: f"name_{found[1].lower()}", source)
    assert shape_of(source) == shape_of(renamed)
    assert shape_of(source) != shape_of(re.sub(r"\bQ\b", "P", source))


def test_a_class_field_keeps_its_type_and_its_name() -> None:
    field = "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n"
    assert shape_of(field) != shape_of(field.replace("x:", "y:"))
    assert shape_of(field) != shape_of(field.replace("int", "float"))


# The package's own code.


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's code."""
    return Path(
        shutil.copytree(
            HOME, tmp_path / "pathlen", ignore=lambda _, names: [n for n in names if "." in n and not n.endswith(".py")]
        )
    )


MEASURING = ("models.loading", "traces.reference", "traces.tracer")
JUDGING = ("runner.evaluator",)
SHARDING = ("corpora.worker",)

# A module of each kind, and the roots that depend on it.
KINDS = [
    ("models/architecture", (MEASURING, JUDGING, SHARDING)),
    ("models/loading", (MEASURING, JUDGING, SHARDING)),
    ("passages/passage", (MEASURING, JUDGING, SHARDING)),
    ("columns/catalog", (MEASURING, JUDGING, SHARDING)),
    ("columns/measurement", (MEASURING, JUDGING, SHARDING)),
    ("traces/tracer", (MEASURING, JUDGING, SHARDING)),
    ("traces/kernels/matmul", (MEASURING, JUDGING, SHARDING)),
    ("stats/correlation", (JUDGING,)),
    ("claims/controls", (JUDGING,)),
    ("runner/evaluator", (JUDGING,)),
    ("corpora/worker", (SHARDING,)),
    ("report/page", ()),
    ("plots/svg", ()),
    ("cli/machine", ()),
    ("plugin", ()),
]


def fingerprints(home: Path) -> dict[tuple[str, ...], str]:
    code_fingerprint.cache_clear()
    return {roots: code_fingerprint(*roots, home=home) for roots in (MEASURING, JUDGING, SHARDING)}


class _RenamedLocal(ast.NodeTransformer):
    """Renames the first local of the first function that has one."""

    def __init__(self) -> None:
        self.renamed = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        parameters = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        stored = [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
        inner = any(
            isinstance(one, (ast.Nonlocal, ast.Global, ast.FunctionDef, ast.Lambda))
            for part in node.body
            for one in ast.walk(part)
        )
        free = [name for name in stored if name not in parameters]
        if self.renamed or not free or inner:
            return node
        self.renamed = free[0]
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and one.id == self.renamed:
                one.id = "quite_another_name"
        return node


@pytest.mark.parametrize(("module", "dependent"), KINDS)
def test_a_comment_and_a_local_change_nothing_and_a_constant_all(
    package: Path, module: str, dependent: tuple[tuple[str, ...], ...]
) -> None:
    """What depends on the module is made anew if a constant in it changes, and for nothing less."""
    before = fingerprints(package)
    path = package / f"{module}.py"
    source = path.read_text("utf-8")
    path.write_text(source.replace("\n\n\n", "\n\n\n# A remark.\n", 1), encoding="utf-8")
    assert fingerprints(package) == before
    rename = _RenamedLocal()
    path.write_text(ast.unparse(rename.visit(ast.parse(source))), encoding="utf-8")
    assert rename.renamed
    assert fingerprints(package) == before
    path.write_text(f"{source}\nA_CONSTANT = 1\n", encoding="utf-8")
    first = fingerprints(package)
    path.write_text(f"{source}\nA_CONSTANT = 2\n", encoding="utf-8")
    second = fingerprints(package)
    for roots, known in before.items():
        assert len({known, first[roots], second[roots]}) == (3 if roots in dependent else 1)


def test_what_computes_nothing_does_not_count(package: Path) -> None:
    before = fingerprints(package)
    for module in ("_util/cache", "_util/memory", "errors"):
        path = package / f"{module}.py"
        path.write_text(path.read_text("utf-8") + "\nA_CONSTANT = 1\n", encoding="utf-8")
    assert fingerprints(package) == before


def test_a_root_that_is_no_module_is_refused() -> None:
    with pytest.raises(ValueError, match="roots must be modules of the package, but 'tracers' was given"):
        modules_behind(["tracers"])


def test_another_numerics_version_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_fingerprint("traces.geometry")
    code_fingerprint.cache_clear()
    monkeypatch.setattr(fingerprint, "NUMERICS", fingerprint.NUMERICS + 1)
    assert code_fingerprint("traces.geometry") != before
    code_fingerprint.cache_clear()


def test_another_version_of_what_computes_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_fingerprint("traces.geometry")
    code_fingerprint.cache_clear()
    monkeypatch.setattr(fingerprint, "version", lambda package: "0.0")
    assert code_fingerprint("traces.geometry") != before
    code_fingerprint.cache_clear()


# A user's code.


def imported(path: Path) -> Callable[..., object]:
    scope: dict[str, Callable[..., object]] = {}
    exec(compile(path.read_text("utf-8"), str(path), "exec"), scope)  # noqa: S102  # our own source, written below
    return scope["test_it"]


def test_a_comment_in_a_file_of_claims_changes_nothing_and_a_constant_does(tmp_path: Path) -> None:
    path = tmp_path / "test_claims.py"
    source = 'def test_it(measured):\n    "A claim."\n    column = measured.last_step\n    return 2 * column\n'
    known = []
    for text in (
        source,
        "# Why.\n" + source,
        source.replace("A claim.", "The claim in better words."),
        source.replace("column", "last_step"),
        source.replace("2 *", "3 *"),
    ):
        path.write_text(text, encoding="utf-8")
        forget_sources()
        known.append(sources_of(imported(path)))
    assert known[0] == known[1] == known[2] == known[3] != known[4]


def test_a_file_that_is_no_python_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "test_claims.py"
    path.write_text("def test_it():\n    pass\n", encoding="utf-8")
    known = []
    for text in ("print 1", "print 1  # no comment"):
        (tmp_path / "old.py").write_text(text, encoding="utf-8")
        forget_sources()
        known.append(sources_of(imported(path)))
    assert known[0] != known[1]


def test_a_function_recorded_by_its_text_is_known_still() -> None:
    function = test_a_function_recorded_by_its_text_is_known_still
    assert is_unchanged(digest(inspect.getsource(sys.modules[__name__])), function)
    assert is_unchanged(source_fingerprint(function), function)
    assert not is_unchanged(digest("another"), function)


def test_data_beside_claims_is_known_by_what_it_holds_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "SMALL_DATA", 16)
    claims = tmp_path / "one" / "claims"
    claims.mkdir(parents=True)
    (claims / "test_a.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    (claims / "table.csv").write_text("a,b\n", encoding="utf-8")

    def known(place: str) -> str:
        forget_sources()
        return sources_of(imported(tmp_path / place / "claims" / "test_a.py"))

    shutil.copytree(tmp_path / "one", tmp_path / "other")
    os.utime(tmp_path / "other" / "claims" / "table.csv", (1, 1))
    assert known("one") == known("other")
    (tmp_path / "other" / "claims" / "table.csv").write_text("a,c\n", encoding="utf-8")
    assert known("one") != known("other")
    for place in ("one", "other"):  # what is large is not read for it
        (tmp_path / place / "claims" / "table.csv").write_text("a,b\n" * 10, encoding="utf-8")
        os.utime(tmp_path / place / "claims" / "table.csv", (7, 7))
    assert known("one") == known("other")
    os.utime(tmp_path / "other" / "claims" / "table.csv", (8, 8))
    assert known("one") != known("other")


def test_parts_do_not_run_into_each_other() -> None:
    assert digest("ab", "c") != digest("a", "bc")
