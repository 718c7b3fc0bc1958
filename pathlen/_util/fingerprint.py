"""What code computes, as a digest that changes when a number may change and only then.

Whatever is kept between runs is filed under the fingerprint of the code that made it. The fingerprint is taken from the
syntax tree, not the text, so that a comment, a docstring, a renamed local or a better worded error changes nothing
(`pathlen._util.shape`).

Which code that is follows from the imports. `code_fingerprint` starts at a few root modules and takes in every module of
this package that they import, directly or not, at any depth of the code. Imports for type checkers count too: they name
the objects that are handed in, whose methods run. The package's own ``__init__`` hands names on and computes nothing, so
the walk never enters it; nor does it enter `COMPUTES_NOTHING`.

`NUMERICS` is for what the syntax tree can't show, such as a data file that changes a number. Raise it then.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pathlen._util.cache import Cache, folder
from pathlen._util.digests import digest, digest_of_file
from pathlen._util.shape import shape_of

__all__ = [
    "COMPUTE",
    "NUMERICS",
    "code_fingerprint",
    "forget_sources",
    "is_unchanged",
    "modules_behind",
    "source_fingerprint",
    "sources_of",
    "versions",
]

NUMERICS = 1
COMPUTE = ("torch", "transformers", "tokenizers", "numpy", "scipy")
COMPUTES_NOTHING = ("_util", "errors")  # folders and modules in which no number is made
PACKAGE = Path(__file__).parent.parent
SMALL_DATA = 1 << 20


@cache
def code_fingerprint(*roots: str, home: Path = PACKAGE) -> str:
    """Return a digest of the code behind some modules and of the packages it computes with.

    Parameters
    ----------
    roots : str
        Modules of this package, such as ``"traces.tracer"``, named from the package's folder.
    home : Path
        The package's folder.

    Raises
    ------
    ValueError
        If there is no such module.

    Notes
    -----
    Parsing the package takes most of a second, reading it a hundredth. So the fingerprint is kept under a digest of the plain
    text of all files, and made again when any of them has changed.

    """
    memory = Cache(folder())
    name = digest(
        "fingerprint",
        *roots,
        *(part for path in sorted(home.rglob("*.py")) for part in (path.relative_to(home), path.read_text("utf-8"))),
    )
    shapes = memory.get(name)
    if shapes is None:
        modules = modules_behind(roots, home)
        shapes = digest(*(digest(module, shape_of(path.read_text("utf-8"))) for module, path in modules.items()))
        memory.put(name, shapes)
    return digest(NUMERICS, shapes, *versions())


def modules_behind(roots: Iterable[str], home: Path = PACKAGE) -> dict[str, Path]:
    """Return the modules of the package that the roots import, themselves included, by name and sorted.

    A folder's ``__init__`` is one of them where something is imported from it. The face of the whole package never is.
    """
    found: dict[str, Path] = {}
    waiting = list(roots)
    for root in waiting:
        if _file_of(root, home) is None:
            raise ValueError(f"roots must be modules of the package, but {root!r} was given")
    while waiting:
        name = waiting.pop()
        path = _file_of(name, home)
        if path is None or name in found or name.split(".")[0] in COMPUTES_NOTHING:
            continue
        found[name] = path
        waiting += _imported(path.read_text("utf-8"), home)
    return dict(sorted(found.items()))


def _file_of(name: str, home: Path) -> Path | None:
    place = home.joinpath(*name.split(".")) if name else None
    if place is None:
        return None
    return next((path for path in (place.with_name(place.name + ".py"), place / "__init__.py") if path.is_file()), None)


@lru_cache(maxsize=512)
def _imported(source: str, home: Path) -> tuple[str, ...]:
    """Return the modules of the package that code imports, by their names from the package's folder."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found += [name.removeprefix(f"{home.name}.") for name in names if name.startswith(f"{home.name}.")]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{home.name}."):
            module = node.module.removeprefix(f"{home.name}.")
            inner = [f"{module}.{alias.name}" for alias in node.names]
            found += [name if _file_of(name, home) else module for name in inner]
        elif isinstance(node, ast.ImportFrom) and node.module == home.name:
            found += [alias.name for alias in node.names]
    return tuple(found)


def versions() -> list[str]:
    """Return the versions of the packages that numbers depend on, in the order of `COMPUTE`."""
    return [_version(name) for name in COMPUTE]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


# A user's own code: a claim's body, a column.


@cache
def sources_of(function: Callable[..., object], leaving_out: tuple[str, ...] = ()) -> str:
    """Return a digest of everything a user's function may be made of.

    That is the code beside its file and below, the data there, and imported modules that are neither Python's own nor
    installed. ``leaving_out`` names files that this package writes there itself.
    """
    return _sources(Path(inspect.getfile(function)), leaving_out)


def forget_sources() -> None:
    """Read users' files anew from now on: `sources_of` reads each once, for they don't change while a session runs."""
    sources_of.cache_clear()
    _sources.cache_clear()


@cache
def _sources(file: Path, leaving_out: tuple[str, ...]) -> str:
    beside = [path for path in sorted(file.parent.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    data = [path for path in beside if path.suffix != ".py" and path.name not in leaving_out]
    states = [(path.relative_to(file.parent), _state(path)) for path in data]
    code = {path.resolve() for path in beside if path.suffix == ".py"} | _own_modules()
    return digest(NUMERICS, *(part for path in sorted(code) for part in (path.name, _shape_of_file(path))), *states)


def _shape_of_file(path: Path) -> str:
    content = path.read_bytes()
    try:
        return shape_of(content)
    except (SyntaxError, ValueError):  # a file for another Python, which is never imported here
        return hashlib.sha256(content).hexdigest()


def _state(data: Path) -> str | tuple[int, int]:
    """Return what tells whether data beside a function changed: its digest, or of a large file its size and time."""
    known = data.stat()
    return digest_of_file(data) if known.st_size <= SMALL_DATA else (known.st_size, known.st_mtime_ns)


def _own_modules() -> set[Path]:
    """Return the files of imported modules that are neither Python's own nor installed: a project's helpers."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths = {_own_file(file) for file in files if file and file.endswith(".py")}
    return {path for path in paths if path is not None and path.is_file()}


@cache
def _own_file(file: str) -> Path | None:
    """Return where a module's file really is, None if it is installed; thousands are asked about for every file of claims."""
    path = Path(file).resolve()
    return None if any(path.is_relative_to(place) for place in _installed()) else path


@cache
def _installed() -> frozenset[Path]:
    return frozenset(Path(place).resolve() for place in sysconfig.get_paths().values()) | {PACKAGE}


def source_fingerprint(function: Callable[..., object]) -> str:
    """Return a digest of the module that holds a function, or of the function alone where it has no file.

    Helpers that the function takes from other modules are not seen.
    """
    return digest(NUMERICS, shape_of(_source_text(function)))


def is_unchanged(recorded: str, function: Callable[..., object]) -> bool:
    """Whether a function is the one whose `source_fingerprint` was recorded, be it by version 0.1.0, which took the text's."""
    return recorded in (source_fingerprint(function), digest(_source_text(function)))


def _source_text(function: Callable[..., object]) -> str:
    module = inspect.getmodule(function)
    try:
        return inspect.getsource(module if module is not None else function)
    except (OSError, TypeError):
        return inspect.getsource(function)
