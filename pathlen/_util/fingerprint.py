"""What code computes, as a digest that changes whenever a number may change, and rarely otherwise.

Whatever is kept between runs is filed under the fingerprint of the code that computed it. There are two kinds of code.

**This package's own.** Which modules count follows from the imports. `code_fingerprint` starts at a few root modules and takes
in every module of this package that they import, directly or not, wherever the import stands in the code. Imports for type
checkers count too: they name the objects that are handed in, whose methods run. A name that is taken from the package itself,
as in ``from pathlen import pearson``, counts as everything that the package's ``__init__`` hands on; that ``__init__`` computes
nothing and is no part of a fingerprint. Neither are the modules in `COMPUTES_NOTHING`.

**A user's.** `sources_of` takes in what a claim's body or a column may use: the code and data beside its file, imported
modules that are not installed, and the code of this package that these import, such as a statistic's. `source_fingerprint` is of one function's module alone.

Either way code is taken by the shape of its syntax tree (`pathlen._util.code_shape`), so that a comment, a docstring, a renamed
local or a better worded error changes nothing. A data file that changes a number does not show there: raise `NUMERICS` then.

Parsing the package takes most of a second, reading it a hundredth. So `code_fingerprint` keeps the shapes in the cache, under a
digest of the plain text of all modules. Two versions of the package that share a cache have different texts and so different
entries. Where the cache can't be read or written, the package is parsed every time.
"""

from __future__ import annotations

import ast
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pathlen._util.cache import Cache, folder
from pathlen._util.code_shape import shape_of
from pathlen._util.digests import digest, digest_of_bytes, digest_of_file

__all__ = [
    "COMPUTE",
    "NUMERICS",
    "code_fingerprint",
    "forget_sources",
    "is_unchanged",
    "modules_behind",
    "modules_used_by",
    "source_fingerprint",
    "sources_of",
    "versions",
]

NUMERICS = 1
COMPUTE = ("torch", "transformers", "tokenizers", "numpy", "scipy")
COMPUTES_NOTHING = ("_util", "errors")  # folders and modules in which no number is computed
PACKAGE = Path(__file__).parent.parent
FACE = ""  # the package's own `__init__`, as a module's name
SMALL_DATA = 1 << 20  # bytes; the content of larger files is not read


@cache
def code_fingerprint(*roots: str, home: Path = PACKAGE) -> str:
    """Return a digest of the code behind some modules and of the versions of the packages it computes with.

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

    """
    # Read once: the digest of the texts and their shapes must be of the same texts, even if a file is edited in between.
    sources = _sources_in(home)
    shape_cache = Cache(folder())
    name = digest("fingerprint", *roots, *(part for path_and_text in sources.items() for part in path_and_text))
    shapes = shape_cache.get(name)
    if shapes is None:
        paths = _paths_behind(roots, sources, home.name)
        shapes = digest(*(digest(module, shape_of(sources[path])) for module, path in paths.items()))
        shape_cache.put(name, shapes)
    return digest(NUMERICS, shapes, *versions())


def modules_behind(roots: Iterable[str], home: Path = PACKAGE) -> dict[str, Path]:
    """Return the modules of the package that the roots import, themselves included, by name and sorted.

    A folder's ``__init__`` is one of them where something is imported from it. That of the whole package never is.
    """
    return {module: home / path for module, path in _paths_behind(roots, _sources_in(home), home.name).items()}


def _sources_in(home: Path) -> dict[str, str]:
    """Return the text of every module in a package's folder, by its path from there."""
    return {path.relative_to(home).as_posix(): path.read_text("utf-8") for path in sorted(home.rglob("*.py"))}


def _paths_behind(roots: Iterable[str], sources: Mapping[str, str], package: str) -> dict[str, str]:
    paths: dict[str, str] = {}
    visited: set[str] = set()
    waiting = list(roots)
    for root in waiting:
        if _path_of(root, sources) is None or root == FACE:
            raise ValueError(f"roots must be modules of the package, but {root!r} was given")
    while waiting:
        module = waiting.pop()
        path = _path_of(module, sources)
        if path is None or module in visited or module.split(".")[0] in COMPUTES_NOTHING:
            continue
        visited.add(module)
        if module != FACE:
            paths[module] = path
        folder_of_module = path.split("/")[:-1]
        for base, name in _imports(sources[path], ".".join([package, *folder_of_module])):
            if base == package or base.startswith(f"{package}."):
                waiting.append(_module_of(base.removeprefix(package).lstrip("."), name, sources))
    return dict(sorted(paths.items()))


def _path_of(module: str, sources: Mapping[str, str]) -> str | None:
    stem = module.replace(".", "/")
    candidates = (f"{stem}.py", f"{stem}/__init__.py") if module != FACE else ("__init__.py",)
    return next((path for path in candidates if path in sources), None)


def _module_of(base: str, name: str, sources: Mapping[str, str]) -> str:
    """Return the module that ``from base import name`` takes: the name where that is a module, else its base."""
    inner = ".".join(filter(None, (base, name)))
    return inner if name and _path_of(inner, sources) else base


@lru_cache(maxsize=512)
def _imports(source: str, package: str) -> tuple[tuple[str, str], ...]:
    """Return what code imports, as module and name; the name is empty where it imports the module itself.

    ``package`` is where a relative import starts.
    """
    return tuple(_import_statements(source, package))


def _import_statements(source: str, package: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            start = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield from ((base, alias.name) for alias in node.names)


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
    """Return a digest of everything that a user's function may be made of.

    That is the code beside its file and below, the data there, imported modules that are neither Python's own nor installed,
    and of this package the code behind what any of these import. ``leaving_out`` names files that this package writes there itself.
    """
    return _sources_beside(Path(inspect.getfile(function)), leaving_out)


def forget_sources() -> None:
    """Read users' files anew from now on. `sources_of` reads each only once, since they don't change while a session runs."""
    sources_of.cache_clear()
    _sources_beside.cache_clear()


@cache
def _sources_beside(file: Path, leaving_out: tuple[str, ...]) -> str:
    cache_folder = folder().resolve()  # no function is made of what this package keeps, even if that lies beside it
    beside = [
        path
        for path in sorted(file.parent.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not path.resolve().is_relative_to(cache_folder)
    ]
    data = [path for path in beside if path.suffix != ".py" and path.name not in leaving_out]
    states = [(path.relative_to(file.parent), _state(path)) for path in data]
    code = {path.resolve() for path in beside if path.suffix == ".py"} | _project_modules()
    sources = [(path.name, path.read_bytes()) for path in sorted(code)]
    shapes = (part for name, source in sources for part in (name, _shape_or_digest(source)))
    used = sorted(set[str]().union(*(modules_used_by(source) for _, source in sources)))
    return digest(NUMERICS, *shapes, *states, code_fingerprint(*used))


def modules_used_by(source: bytes) -> frozenset[str]:
    """Return the modules of this package that a user's code imports from, those behind the package's face included."""
    try:
        imports = _imports(source.decode("utf-8", "replace"), "")
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    sources, public = _package_sources(), _modules_of_the_face()
    used: set[str] = set()
    for base, name in imports:
        if base == PACKAGE.name and not name:  # of the package as a whole anything may be used
            used.update(public.values())
        elif base == PACKAGE.name:  # a name that the face defines itself is a plain constant
            used.update({public[name]} if name in public else ())
        elif base.startswith(f"{PACKAGE.name}."):
            used.add(_module_of(base.removeprefix(f"{PACKAGE.name}."), name, sources))
    return frozenset(module for module in used if _path_of(module, sources))


@cache
def _package_sources() -> dict[str, str]:
    """Return the text of this package's modules, read once however many files of a user import from it."""
    return _sources_in(PACKAGE)


@cache
def _modules_of_the_face() -> dict[str, str]:
    """Return the module that each public name of the package comes from."""
    sources = _package_sources()
    names = [
        (base.removeprefix(f"{PACKAGE.name}."), name) for base, name in _imports(sources["__init__.py"], PACKAGE.name)
    ]
    return {name: _module_of(base, name, sources) for base, name in names if name and _path_of(base, sources)}


def _shape_or_digest(source: str | bytes) -> str:
    """Return the shape of code, or the digest of its text where this Python can't parse it."""
    try:
        return shape_of(source)
    except (SyntaxError, ValueError, RecursionError):  # for another Python, part of a statement, or nested too deeply
        return digest_of_bytes(source.encode("utf-8") if isinstance(source, str) else source)


def _state(data: Path) -> str | tuple[int, int]:
    """Return what tells whether a data file changed: its digest or, of a large file, its size and time of change."""
    status = data.stat()
    return digest_of_file(data) if status.st_size <= SMALL_DATA else (status.st_size, status.st_mtime_ns)


def _project_modules() -> set[Path]:
    """Return the files of imported modules that are neither Python's own nor installed: a project's helpers."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths = {_project_file(file) for file in files if file and file.endswith(".py")}
    return {path for path in paths if path is not None and path.is_file()}


@cache
def _project_file(file: str) -> Path | None:
    """Return where a module's file really is, None if it is installed. Cached: every file of claims asks about thousands."""
    path = Path(file).resolve()
    return None if any(path.is_relative_to(installed) for installed in _installed()) else path


@cache
def _installed() -> frozenset[Path]:
    return frozenset(Path(path).resolve() for path in sysconfig.get_paths().values()) | {PACKAGE}


def source_fingerprint(function: Callable[..., object]) -> str:
    """Return a digest of the module that holds a function, or of the function alone where that module has no file.

    Helpers that the function takes from other modules are not seen.
    """
    return digest(NUMERICS, _shape_or_digest(_source_text(function)))


def is_unchanged(recorded: str, function: Callable[..., object]) -> bool:
    """Whether a function still has the `source_fingerprint` that was recorded. Version 0.1.0 recorded a digest of the text."""
    return recorded in (source_fingerprint(function), digest(_source_text(function)))


def _source_text(function: Callable[..., object]) -> str:
    module = inspect.getmodule(function)
    try:
        return inspect.getsource(module if module is not None else function)
    except (OSError, TypeError):
        return inspect.getsource(function)
