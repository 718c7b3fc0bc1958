"""A fingerprint changes when a number may change, and only then."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import pathlen
from pathlen._util import fingerprint
from pathlen._util.cache import Cache
from pathlen._util.code_shape import shape_of
from pathlen._util.digests import digest
from pathlen._util.fingerprint import (
    code_fingerprint,
    forget_sources,
    is_unchanged,
    modules_behind,
    source_fingerprint,
    sources_of,
)
from pathlen.corpora.shard import SHARDING
from pathlen.runner.control_runs import JUDGING as ROOT_OF_JUDGING
from pathlen.runner.provider import MEASURING

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
        ("SCALE = 2.0", "SCALE: float = 2.0"),
        ("SCALE = 2.0", "SCALE: float\nSCALE = 2.0"),
        ("SCALE = 2.0", 'SCALE = 2.0\n"""What a column is multiplied with."""'),
        ('"""Stretch a column."""', '"""Stretch it."""'),
        ('    """Stretch a column."""\n', ""),
        ('"""Stretch a column."""', "pass"),
        ('"""A module."""', ""),
        ("factor", "stretch"),
        ("one(", "stretched_number("),
        ("value", "entry"),
        ("factor: float = ", "factor = "),
        ("    factor: float = ", "    factor: float\n    factor = "),
        ("column: list[float]", "column"),
        (" -> list[float]", ""),
        ("column must not be empty", "there must be a column"),
        ('f"column must not be empty, but {column} was given"', '"there must be a column"'),
    ],
)
def test_what_cannot_change_a_number_leaves_the_shape(old: str, new: str) -> None:
    assert old in BEFORE
    assert shape_of(BEFORE.replace(old, new)) == shape_of(BEFORE)


IMPORT_FOR_TYPE_CHECKERS = "if TYPE_CHECKING:\n    from collections.abc import Sequence\n"


def test_an_import_for_type_checkers_leaves_the_shape() -> None:
    source = f"from typing import TYPE_CHECKING\n{BEFORE}"
    assert shape_of(source) == shape_of(source + IMPORT_FOR_TYPE_CHECKERS)


@pytest.mark.parametrize(
    "source",
    [
        "TYPE_CHECKING = True\n",
        "from settings import TYPE_CHECKING\n",
        "from typing import TYPE_CHECKING\nTYPE_CHECKING = True\n",
        "from typing import Any as TYPE_CHECKING\n",
    ],
)
def test_a_constant_that_only_shares_the_name_of_typings_counts(source: str) -> None:
    assert shape_of(source) != shape_of(source + IMPORT_FOR_TYPE_CHECKERS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 2.5"),
        ("SCALE = 2.0", "SCALE = 2"),
        ("1 + twice", "1 - twice"),
        ("twice: bool = False", "twice: bool = True"),
        ("factor * number", "factor * number.real"),
        ("column", "values"),  # a parameter: a call that names it would fail
        ("return factor * number", "return number"),
        ("ValueError", "TypeError"),
        ("for value in column", "for value in column if value"),
        ("def stretched", "def shrunk"),
        ("SCALE", "FACTOR"),
        ("one(value)", "value"),
        ("if not column", "if column"),
        ("*, twice", "twice"),
    ],
)
def test_what_can_change_a_number_changes_the_shape(old: str, new: str) -> None:
    assert old in BEFORE
    assert shape_of(BEFORE.replace(old, new)) != shape_of(BEFORE)


def test_two_locals_that_change_places_change_the_shape() -> None:
    assert shape_of("def f():\n    a, b = 1, 2\n    return a") != shape_of("def f():\n    a, b = 1, 2\n    return b")


def test_two_parameters_that_change_names_change_the_shape() -> None:
    """A call by keyword gets another number."""
    assert shape_of("def f(a, b):\n    return a - b") != shape_of("def f(b, a):\n    return b - a")


def test_a_comprehension_over_a_parameter_of_the_same_name_is_told_apart() -> None:
    assert shape_of("def f(x, y):\n    return [x for x in x]") != shape_of("def f(x, y):\n    return [y for y in y]")


@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        # The new name is another variable: a global one, an inherited attribute, one of the function around.
        ("def f():\n    x = 1\n    def g():\n        global x\n        return x\n    return g", "x", "y"),
        ("def f():\n    x = 1\n    class A(B):\n        x = 2\n    return A.z", "x", "z"),
        ("def f():\n    x = 1\n    class A(B):\n        def x(self): ...\n    return A.z", "x", "z"),
        ("def f():\n    class A(B):\n        x: int = 1\n    return A", "int", "float"),
        ("def f():\n    q = 1\n    def g(h=lambda q: q):\n        return q\n    return g", "q = 1", "w = 1"),
        ("def f():\n    g = [(lambda: (y := 1))() for _ in r]\n    return y", "return y", "return z"),
        (
            "def f():\n    x = 1\n    class A:\n        x = 2\n        def g(self):\n            return x",
            "x = 1",
            "y = 1",
        ),
        ("def f():\n    x = 1\n    return [x for x in r] + [x]", "[x]", "[y]"),
        # Names that something looks up at run time.
        ("def f():\n    x = 1\n    return locals()", "x", "y"),
        ("def f():\n    x = 1\n    return eval('x')", "x =", "y ="),
        ("def f(table):\n    x = 1\n    return table.query('a > @x')", "x =", "y ="),
        ("def f(r):\n    return [eval('x') for x in r]", "for x", "for y"),
        ("def f():\n    @column\n    def x(states): ...\n    return 1", "x", "y"),
        ("def f():\n    @dataclass\n    class X: ...\n    return X", "X", "Y"),
        # Imports that bind another module.
        ("def f():\n    import os.path\n    return os.name", "os.path", "os.path as os"),
        ("def f():\n    import a\n    return a", "import a", "import b as a"),
        ("def f():\n    from a import b\n    return b", "import b", "import c as b"),
        # Annotations that are read.
        ("@f.register\ndef _(x: int): ...", "int", "float"),
        ("@f.register()\ndef _(x: int): ...", "int", "float"),
        # Texts of an error that a handler may compare, or that choose which error is raised.
        ("raise Stop('above')", "above", "below"),
        ("raise Stop(f'{x}')", "{x}", "{y}"),
        ("raise ERRORS['out of memory']('It is full.')", "out of", "no"),
        ("raise Stop(CODES['out of memory'])", "out of", "no"),
        # Texts that are no docstring, to the last space.
        ("def f():\n    return 'a text'", "a text", "another text"),
        ("    def f(self):\n        return '''a\n        b\tc'''\n", "        b", "    b"),
        ("    def f(self):\n        return '''a\n        b\tc'''\n", "\t", "    "),
    ],
)
def test_another_meaning_is_another_shape(source: str, old: str, new: str) -> None:
    assert old in source
    assert shape_of(source.replace(old, new)) != shape_of(source)


@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        ("def f(network):\n    x = network.eval()\n    return x", "x", "y"),  # which takes no expression
        ("def f(row):\n    assert row, 'must be a row'", "must be", "needs"),
        ("raise Stop('out of ' + name)", "out of", "no"),
        ("def f(self):\n    self.x: int = 1", ": int", ""),
        ("def f():\n    x: int\n    return 1", "    x: int\n", ""),
        ("def f():\n    import numpy\n    return numpy.pi", "import numpy", "import numpy as numpy"),
        ("def f():\n    import numpy as np\n    return np.pi", "np", "n"),
        ("def f():\n    class A:\n        x = 2\n    y = A\n    return y", "y", "x_of_a"),
        ("class A:\n    x = 1\n    def f(self):\n        y = self.x\n        return y", "y", "attribute"),
        ("    def f(self):\n        x = '''a\n  b'''\n        return x\n", "x", "text"),  # taken out of a class
    ],
)
def test_another_name_or_wording_is_the_same_shape(source: str, old: str, new: str) -> None:
    replaced = re.sub(rf"\b{old}\b", new, source) if old.isalpha() else source.replace(old, new)
    assert replaced != source
    assert shape_of(replaced) == shape_of(source)


@pytest.mark.parametrize("source", ["print 1", b"  print 1", "    return = 1"])
def test_what_is_no_python_has_no_shape(source: str | bytes) -> None:
    with pytest.raises(SyntaxError):
        shape_of(source)


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
    renamed = re.sub(r"\b([A-S])\b", lambda letter: f"name_{letter[1].lower()}", source)
    assert shape_of(source) == shape_of(renamed)
    assert shape_of(source) != shape_of(re.sub(r"\bQ\b", "P", source))


def test_a_class_field_keeps_its_type_and_its_name() -> None:
    field = "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n"
    assert shape_of(field) != shape_of(field.replace("x:", "y:"))
    assert shape_of(field) != shape_of(field.replace("int", "float"))


# The package's own code.


def copied_package(folder: Path) -> Path:
    """Return a copy of the package's code, without weights and texts."""

    def left_out(_: str, names: list[str]) -> list[str]:
        return [name for name in names if "." in name and not name.endswith(".py")]

    return Path(shutil.copytree(HOME, folder / "pathlen", ignore=left_out))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return copied_package(tmp_path)


JUDGING = (ROOT_OF_JUDGING,)

# A module of each kind, and the roots that depend on it.
KINDS = [
    ("models/architecture", (MEASURING, JUDGING, SHARDING)),
    ("models/loading", (MEASURING, JUDGING, SHARDING)),
    ("passages/passage", (MEASURING, JUDGING, SHARDING)),
    ("columns/catalog", (MEASURING, JUDGING, SHARDING)),
    ("columns/measurement", (MEASURING, JUDGING, SHARDING)),
    ("traces/tracer", (MEASURING, JUDGING, SHARDING)),
    ("traces/kernels/matmul", (MEASURING, JUDGING, SHARDING)),
    ("stats/statistic", (JUDGING,)),
    ("stats/correlation", ()),  # a claim that uses it has it in its own digest
    ("claims/controls", (JUDGING,)),
    ("runner/control_runs", (JUDGING,)),
    ("runner/evaluator", ()),
    ("corpora/worker", (SHARDING,)),
    ("report/page", ()),
    ("plots/svg", ()),
    ("cli/doctor", ()),
    ("plugin", ()),
]


def fingerprint_of(home: Path, *roots: str) -> str:
    """Return a fingerprint that is taken from the files as they are now."""
    code_fingerprint.cache_clear()
    return code_fingerprint(*roots, home=home)


def fingerprints(home: Path) -> dict[tuple[str, ...], str]:
    return {roots: fingerprint_of(home, *roots) for roots in (MEASURING, JUDGING, SHARDING)}


class _RenamedLocal(ast.NodeTransformer):
    """Renames the first local of the first function that has one."""

    def __init__(self) -> None:
        self.renamed = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        parameters = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
        names = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
        free = [name.id for name in names if isinstance(name.ctx, ast.Store) and name.id not in parameters]
        has_inner_scope = any(
            isinstance(inner, (ast.Nonlocal, ast.Global, ast.FunctionDef, ast.Lambda))
            for statement in node.body
            for inner in ast.walk(statement)
        )
        if self.renamed or not free or has_inner_scope:
            return node
        self.renamed = free[0]
        for name in names:
            if name.id == self.renamed:
                name.id = "quite_another_name"
        return node


@pytest.mark.parametrize(("module", "dependent"), KINDS)
def test_a_comment_or_a_renamed_local_changes_no_fingerprint_and_a_constant_changes_all_that_depend_on_it(
    package: Path, module: str, dependent: tuple[tuple[str, ...], ...]
) -> None:
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
    for roots, original in before.items():
        assert len({original, first[roots], second[roots]}) == (3 if roots in dependent else 1)


def test_what_computes_nothing_does_not_count(package: Path) -> None:
    before = fingerprints(package)
    for module in ("_util/cache", "_util/memory", "errors"):
        path = package / f"{module}.py"
        path.write_text(path.read_text("utf-8") + "\nA_CONSTANT = 1\n", encoding="utf-8")
    assert fingerprints(package) == before


@pytest.mark.parametrize("root", ["tracers", "", "traces.nothing"])
def test_a_root_that_is_no_module_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match=f"roots must be modules of the package, but {root!r} was given"):
        modules_behind([root])


@pytest.fixture
def small_package(tmp_path: Path) -> Path:
    """A package of four modules: ``start`` imports nothing yet, and ``far`` is behind ``near``."""
    home = tmp_path / "small"
    (home / "parts").mkdir(parents=True)
    (home / "__init__.py").write_text("from small.parts.far import number\n", encoding="utf-8")
    (home / "start.py").write_text("", encoding="utf-8")
    (home / "parts" / "__init__.py").write_text("from small.parts.near import number\n", encoding="utf-8")
    (home / "parts" / "near.py").write_text("def f():\n    from small.parts.far import number\n", encoding="utf-8")
    (home / "parts" / "far.py").write_text("number = 1\n", encoding="utf-8")
    return home


@pytest.mark.parametrize(
    ("line", "behind"),
    [
        ("import small.parts.near", {"parts.near", "parts.far"}),
        ("import small.parts.far as far", {"parts.far"}),
        ("from small.parts import near", {"parts.near", "parts.far"}),
        ("from small.parts import number", {"parts", "parts.near", "parts.far"}),
        ("from small.parts.near import f", {"parts.near", "parts.far"}),
        ("from small.parts.far import *", {"parts.far"}),
        ("from .parts.far import number", {"parts.far"}),
        ("from . import parts", {"parts", "parts.near", "parts.far"}),
        ("if TYPE_CHECKING:\n    from small.parts.far import number", {"parts.far"}),
        ("def f():\n    def g():\n        import small.parts.far", {"parts.far"}),
        ("from small import number", {"parts.far"}),  # which the package's own `__init__` hands on
        ("import small", {"parts.far"}),
        ("import smaller.parts.far, numpy", set()),
    ],
)
def test_a_module_is_behind_another_however_it_is_imported(small_package: Path, line: str, behind: set[str]) -> None:
    before = fingerprint_of(small_package, "start")
    (small_package / "start.py").write_text(f"{line}\n", encoding="utf-8")
    assert set(modules_behind(["start"], small_package)) == {"start", *behind}
    with_import = fingerprint_of(small_package, "start")
    assert with_import != before
    (small_package / "parts" / "far.py").write_text("number = 2\n", encoding="utf-8")
    assert (fingerprint_of(small_package, "start") != with_import) == ("parts.far" in behind)


@pytest.mark.parametrize("line", ["from . import far", "from .far import number", "from ..parts.far import number"])
def test_a_relative_import_starts_at_the_folder_of_its_module(small_package: Path, line: str) -> None:
    (small_package / "parts" / "near.py").write_text(f"{line}\n", encoding="utf-8")
    assert set(modules_behind(["parts.near"], small_package)) == {"parts.near", "parts.far"}


def test_another_numerics_version_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint_of(HOME, "traces.geometry")
    monkeypatch.setattr(fingerprint, "NUMERICS", fingerprint.NUMERICS + 1)
    assert fingerprint_of(HOME, "traces.geometry") != before
    code_fingerprint.cache_clear()


@pytest.mark.parametrize("package", fingerprint.COMPUTE)
def test_another_version_of_what_computes_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    before = fingerprint_of(HOME, "traces.geometry")
    monkeypatch.setattr(fingerprint, "version", lambda name: "0.0" if name == package else version(name))
    assert fingerprint_of(HOME, "traces.geometry") != before
    code_fingerprint.cache_clear()


# Shapes that are kept in the cache.


def test_a_package_that_is_known_is_not_parsed_again(small_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint_of(small_package, "start")

    def parsed(source: str) -> str:
        raise AssertionError("parsed again")

    monkeypatch.setattr(fingerprint, "shape_of", parsed)
    assert fingerprint_of(small_package, "start") == before
    (small_package / "start.py").write_text("# A remark.\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="parsed again"):
        fingerprint_of(small_package, "start")


def test_two_versions_that_share_a_cache_each_find_their_own(tmp_path: Path) -> None:
    first, second = copied_package(tmp_path / "first"), copied_package(tmp_path / "second")
    path = second / "traces" / "geometry.py"
    path.write_text(path.read_text("utf-8") + "\nA_CONSTANT = 1\n", encoding="utf-8")
    before = [fingerprints(home) for home in (first, second)]
    assert all(before[0][roots] != before[1][roots] for roots in (MEASURING, JUDGING, SHARDING))
    for _ in range(2):
        assert [fingerprints(home) for home in (first, second)] == before
    shutil.rmtree(os.environ["PATHLEN_CACHE"])  # what was kept is what is found without it
    assert [fingerprints(home) for home in (second, first)] == before[::-1]


def test_a_cache_that_cannot_be_used_changes_no_fingerprint(
    small_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint_of(small_package, "start")
    (tmp_path / "taken").write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setenv("PATHLEN_CACHE", str(tmp_path / "taken"))
    assert fingerprint_of(small_package, "start") == before


@pytest.mark.parametrize("refused", ["read_text", "mkdir"])
def test_a_cache_that_may_not_be_read_or_written_changes_no_fingerprint(
    small_package: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    before = fingerprint_of(small_package, "start")
    allowed = getattr(Path, refused)

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.is_relative_to(empty_cache):
            raise PermissionError(f"{path} is another user's")
        return allowed(path, *arguments, **options)

    if refused == "mkdir":
        shutil.rmtree(empty_cache)
    monkeypatch.setattr(Path, refused, refuse)
    assert fingerprint_of(small_package, "start") == before


def test_a_damaged_entry_changes_no_fingerprint(small_package: Path, empty_cache: Path) -> None:
    before = fingerprint_of(small_package, "start")
    (entry,) = Cache(empty_cache).entries()
    entry.write_bytes(b"\xff{")
    assert fingerprint_of(small_package, "start") == before


# A user's code.


def compiled(path: Path) -> Callable[..., object]:
    scope: dict[str, Callable[..., object]] = {}
    exec(compile(path.read_text("utf-8"), str(path), "exec"), scope)  # noqa: S102  # our own source, written below
    return scope["test_it"]


def sources_now(path: Path) -> str:
    """Return the digest of a function's sources as the files are now."""
    forget_sources()
    return sources_of(compiled(path))


def test_a_comment_in_a_file_of_claims_changes_nothing_and_a_constant_does(tmp_path: Path) -> None:
    path = tmp_path / "test_claims.py"
    source = 'def test_it(measured):\n    "A claim."\n    column = measured.last_step\n    return 2 * column\n'
    digests = []
    for text in (
        source,
        "# Why.\n" + source,
        source.replace("A claim.", "The claim in better words."),
        source.replace("column", "last_step"),
        source.replace("2 *", "3 *"),
    ):
        path.write_text(text, encoding="utf-8")
        digests.append(sources_now(path))
    assert digests[0] == digests[1] == digests[2] == digests[3] != digests[4]


def test_an_imported_helper_of_the_project_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims, helpers = tmp_path / "claims", tmp_path / "helpers"
    claims.mkdir()
    helpers.mkdir()
    (claims / "test_claims.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    (helpers / "scaling.py").write_text("FACTOR = 2\n", encoding="utf-8")
    before = sources_now(claims / "test_claims.py")
    scaling = ModuleType("scaling")
    scaling.__file__ = str(helpers / "scaling.py")
    monkeypatch.setitem(sys.modules, "scaling", scaling)
    imported = sources_now(claims / "test_claims.py")
    assert imported != before
    (helpers / "scaling.py").write_text("FACTOR = 3\n", encoding="utf-8")
    assert sources_now(claims / "test_claims.py") not in (before, imported)


@pytest.mark.parametrize(
    ("before", "after"), [("print 1", "print 1  # no comment"), (f"x = {'1 + ' * 3000}1", f"x = {'1 + ' * 3000}2")]
)
def test_a_file_that_cannot_be_parsed_is_known_by_its_bytes(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "test_claims.py"
    path.write_text("def test_it():\n    pass\n", encoding="utf-8")
    digests = set()
    for text in (before, after):
        (tmp_path / "old.py").write_text(text, encoding="utf-8")
        digests.add(sources_now(path))
    assert len(digests) == 2


def test_a_function_recorded_by_its_text_is_known_still() -> None:
    function = test_a_function_recorded_by_its_text_is_known_still
    assert is_unchanged(digest(inspect.getsource(sys.modules[__name__])), function)
    assert is_unchanged(source_fingerprint(function), function)
    assert not is_unchanged(digest("another"), function)


def test_a_function_whose_source_is_part_of_a_statement_is_known_by_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such lines are the source of a function that was written in a notebook's cell, within a call."""
    texts = ["mean, key=lambda row: row)\n", "mean, key=lambda row: 2 * row)\n"]
    monkeypatch.setattr(inspect, "getsource", lambda _: texts[0])
    before = source_fingerprint(len)
    monkeypatch.setattr(inspect, "getsource", lambda _: texts[1])
    assert source_fingerprint(len) != before


def test_data_beside_claims_is_known_by_its_content_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "SMALL_DATA", 16)
    claims = tmp_path / "first" / "claims"
    claims.mkdir(parents=True)
    (claims / "test_a.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    (claims / "table.csv").write_text("a,b\n", encoding="utf-8")

    def sources(project: str) -> str:
        return sources_now(tmp_path / project / "claims" / "test_a.py")

    shutil.copytree(tmp_path / "first", tmp_path / "second")
    os.utime(tmp_path / "second" / "claims" / "table.csv", (1, 1))
    assert sources("first") == sources("second")
    (tmp_path / "second" / "claims" / "table.csv").write_text("a,c\n", encoding="utf-8")
    assert sources("first") != sources("second")
    for project in ("first", "second"):  # the content of a large file is not read
        (tmp_path / project / "claims" / "table.csv").write_text("a,b\n" * 10, encoding="utf-8")
        os.utime(tmp_path / project / "claims" / "table.csv", (7, 7))
    assert sources("first") == sources("second")
    os.utime(tmp_path / "second" / "claims" / "table.csv", (8, 8))
    assert sources("first") != sources("second")


def test_parts_do_not_run_into_each_other() -> None:
    assert digest("ab", "c") != digest("a", "bc")


@pytest.mark.parametrize(
    ("imports", "module"),
    [
        ("from pathlen import cliffs_delta", "stats.means"),
        ("from pathlen import at_depth", "columns.layers"),
        ("from pathlen import LAST_STEP_AND_NEXT_TOKEN", "claims.last_step_multiverse"),
        ("from pathlen.stats.permutation import exchanged", "stats.permutation"),
        ("from pathlen.stats import means", "stats.means"),
        ("import pathlen", "stats.means"),
        ("import pathlen.stats.power", "stats.power"),
        ("def later():\n    from pathlen import mean", "stats.means"),
    ],
)
def test_code_of_the_package_that_a_users_code_imports_counts(imports: str, module: str) -> None:
    """Otherwise a control's outcome would outlive a change of the very statistic that it came to."""
    source = f"{imports}\n\n\ndef test_it(measured):\n    return 1\n".encode()
    assert module in modules_behind(fingerprint.modules_used_by(source))


def test_a_users_code_that_imports_what_is_not_there_has_a_fingerprint() -> None:
    assert fingerprint.modules_used_by(b"from pathlen.nulls import shifted\nfrom pathlen import SIZES\n") == frozenset()
    assert fingerprint.modules_used_by(b"from pathlen import (") == frozenset()


def test_the_code_behind_what_a_claim_imports_is_in_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "test_claims.py"
    path.write_text("from pathlen import mean\n\n\ndef test_it(measured):\n    return mean\n", encoding="utf-8")
    known = []
    for made in ("one state of the package", "another"):
        monkeypatch.setattr(fingerprint, "code_fingerprint", lambda *roots, made=made: f"{made} of {roots}")
        forget_sources()
        known.append(sources_of(compiled(path)))
    forget_sources()
    assert known[0] != known[1]
