"""The lock: what every claim declared, written down before it was measured, so that a later change shows.

``pathlen lock claims/`` writes ``claims/claims.lock``; a run whose claims differ from it is flagged *deviated*, with the
difference. A declaration is all that decides a verdict apart from the numbers: the sentence, the sizes, the region, the
logic, the unit, the controls, the choices, and a digest of the body with the constants and helpers of its file that it
uses. Comments, formatting and the order of claims may change.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import linecache
import math
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from pathlen._util.files import write_text
from pathlen.claims.claim import Claim, declared, refuse_duplicates
from pathlen.claims.paper import PAPER, nearest_paper
from pathlen.claims.verdict import Region
from pathlen.errors import InvalidClaim, InvalidLock
from pathlen.stats.statistic import Statistic

__all__ = [
    "LOCK",
    "Declaration",
    "Lock",
    "checks_of",
    "claims_in",
    "declarations",
    "imported",
    "lock_of",
    "nearest",
    "read_lock",
    "write_lock",
]

LOCK = "claims.lock"
VERSION = 1
ClaimKey = tuple[str, str]


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a claim that was settled before it was measured."""

    id: str
    reading: str
    file: str
    sentence: str
    section: str
    sizes: list[str]
    expect: str
    logic: str
    unit: str
    controls: list[str]
    choices: list[str]
    negligible: str
    exploratory: bool
    true_by_construction: str
    not_shown: str
    needs: list[str]
    body: str

    @property
    def key(self) -> ClaimKey:
        """What names the claim."""
        return self.id, self.reading

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration, without the file it stands in."""
        fields = {name: value for name, value in msgspec.to_builtins(self).items() if name != "file"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode("utf-8")).hexdigest()

    def difference(self, other: Declaration) -> str:
        """Return in words what another declaration of the same claim says otherwise; empty if nothing."""
        parts = []
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if name == "file" or mine == theirs:
                continue
            if name == "body":
                parts.append("the body computes something else")
            else:
                parts.append(f"{name.replace('_', ' ')} was {_said(mine)}, is {_said(theirs)}")
        return "; ".join(parts)


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value!s}" or "none"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: str
    declaration: Declaration


class _Header(msgspec.Struct, frozen=True):
    lock_version: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lock_version: int
    claims: list[_Entry]


class Lock:
    """The declarations of one ``claims.lock``, by id and reading."""

    def __init__(self, declarations: Mapping[ClaimKey, Declaration]) -> None:
        self.declarations = dict(declarations)

    @property
    def digest(self) -> str:
        """SHA-256 of all declarations, in whatever order they stand."""
        digests = sorted(one.digest for one in self.declarations.values())
        return hashlib.sha256("".join(digests).encode("utf-8")).hexdigest()

    def deviation(self, declaration: Declaration) -> str:
        """Return in words how a claim differs from what was locked; empty if it doesn't."""
        locked = self.declarations.get(declaration.key)
        return "the claim is not in the lock" if locked is None else locked.difference(declaration)

    def gone(self, here: Mapping[ClaimKey, Declaration], files: set[str]) -> list[str]:
        """Return the claims locked in some files that are declared no more, in words."""
        return [
            f"{one.id} ({one.reading}) is locked, but {one.file} declares it no more"
            for key, one in self.declarations.items()
            if one.file in files and key not in here
        ]

    def missing_files(self, folder: Path) -> set[str]:
        """Return the files in which claims are locked that are not in a folder any more."""
        return {one.file for one in self.declarations.values() if not (folder / one.file).is_file()}

    def deviations(self, here: Mapping[ClaimKey, Declaration]) -> list[str]:
        """Return everything that differs between a folder's claims and the lock, in words."""
        changed = [f"{one.id} ({one.reading}): {text}" for one in here.values() if (text := self.deviation(one))]
        return changed + self.gone(here, {one.file for one in self.declarations.values()})


def lock_of(folder: Path) -> Lock:
    """Return the lock that a folder's claims would have now.

    Raises
    ------
    InvalidClaim
        If a file can't be imported, a claim is wrong or declared twice, or there is none.

    """
    modules = _modules(folder)
    refuse_duplicates([(claim, f"{module.__file__}") for module in modules for claim, _ in claims_in(module)])
    found: dict[ClaimKey, Declaration] = {}
    for module in modules:
        found |= declarations(module, folder)
    return Lock(found)


def checks_of(folder: Path) -> list[tuple[Claim, Callable[..., Statistic]]]:
    """Return every claim of a folder with its body; errors as in `lock_of`."""
    return [found for module in _modules(folder) for found in claims_in(module)]


def _modules(folder: Path) -> list[ModuleType]:
    paths = sorted({*folder.rglob("test_*.py"), *folder.rglob("*_test.py")})
    # A folder below with a paper of its own is about another document, and has a lock of its own.
    found = [imported(path) for path in paths if nearest_paper(path.parent, folder) in (None, folder / PAPER)]
    if not any(claims_in(module) for module in found):
        raise InvalidClaim(f"no claim is declared in {str(folder)!r}: a lock needs test_*.py files with @claim in them")
    return found


def claims_in(module: ModuleType) -> list[tuple[Claim, Callable[..., Statistic]]]:
    """Return the claims of a module with their bodies, those in its test classes too."""
    functions: list[object] = list(vars(module).values())
    for group in list(functions):
        if inspect.isclass(group) and group.__module__ == module.__name__ and group.__name__.startswith("Test"):
            functions += [getattr(group(), name) for name in vars(group) if name.startswith("test")]
    return [(claim, function) for function in functions if callable(function) and (claim := declared(function))]


def declarations(module: ModuleType, folder: Path) -> dict[ClaimKey, Declaration]:
    """Return what the claims of a module declare; its file is named from a folder on."""
    file = Path(str(module.__file__)).resolve().relative_to(folder.resolve()).as_posix()
    made = [_declaration(claim, function, file) for claim, function in claims_in(module)]
    return {one.key: one for one in made}


def _declaration(claim: Claim, function: Callable[..., object], file: str) -> Declaration:
    choices = claim.universes.choices if claim.universes else ()
    return Declaration(
        id=claim.id,
        reading=claim.reading,
        file=file,
        sentence=claim.sentence,
        section=claim.section,
        sizes=list(claim.sizes),
        expect=_exactly(claim.expect),
        logic=claim.logic,
        unit=claim.unit or "",
        controls=[control.value for control in claim.controls],
        choices=[
            f"{one.name}: {', '.join(f'{option.name} ({option.kind})' for option in one.options)}" for one in choices
        ],
        negligible="" if claim.negligible is None else _exactly(claim.negligible),
        exploratory=claim.exploratory,
        true_by_construction=claim.true_by_construction,
        not_shown=claim.not_shown,
        needs=list(claim.needs),
        body=hashlib.sha256("\n".join(_sources(function)).encode("utf-8")).hexdigest()[:16],
    )


def _exactly(region: Region) -> str:
    """Return a region in words, to the last digit."""
    if region.is_equivalence:
        return f"between {region.low!r} and {region.high!r}"
    return f"below {region.high!r}" if region.low == -math.inf else f"above {region.low!r}"


def _sources(function: Callable[..., Any]) -> Iterator[str]:
    """Yield what a claim computes: the shape of its body, and of all that it uses of its file, however indirectly."""
    own = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(own, ast.FunctionDef)  # noqa: S101  # a claim is a plain function
    own.decorator_list = []  # the declaration itself
    defined = _definitions(ast.parse(Path(inspect.getfile(function)).read_bytes()))
    known = function.__globals__
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f"{name} = {_constant(cell.cell_contents)}"
    waiting: list[ast.stmt] = [own]
    if inspect.ismethod(function):  # what its class sets is its own, too
        group = ast.parse(textwrap.dedent(inspect.getsource(type(function.__self__)))).body[0]
        assert isinstance(group, ast.ClassDef)  # noqa: S101
        waiting += [one for one in group.body if not (isinstance(one, ast.FunctionDef) and one.name.startswith("test"))]
    seen: set[str] = set()
    while waiting:
        statement = waiting.pop()
        for node in ast.walk(statement):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        yield _shape(statement)
        used = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} - seen
        seen |= used
        for name in sorted(used):
            waiting += defined.get(name, [])
            if name not in defined and (text := _constant(known.get(name))):
                yield f"{name} = {text}"


def _definitions(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """Return the statements of a module that give each of its names a meaning; imports are not among them."""
    found: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names = {statement.name}
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names = set()
        else:
            names = {
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
        for name in names:
            found.setdefault(name, []).append(statement)
    return found


def _shape(node: object) -> str:
    """Return the structure of a piece of code, the same for every version of Python that reads it."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
        return f"{type(node).__name__}({', '.join(f'{name}={_shape(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_shape, node))}]"
    return repr(node)


def _constant(value: object) -> str:
    """Return in words a constant from another file; empty for what is no plain value."""
    return repr(value) if isinstance(value, bool | int | float | str | tuple | Region) else ""


def imported(path: Path) -> ModuleType:
    """Import a file of claims on its own, as its tests would find it.

    Raises
    ------
    InvalidClaim
        If it can't be imported.

    """
    name = f"_pathlen_lock_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    linecache.checkcache(str(path))
    sys.modules[name] = module  # where a dataclass looks for its annotations
    with _first_on_path(path.parent):
        try:
            # Compiled anew: bytecode that was kept is told from its source by whole seconds only.
            exec(compile(path.read_bytes(), str(path), "exec"), vars(module))  # noqa: S102  # as pytest does
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # pytest skips a module by an exception that is no Exception
            del sys.modules[name]
            raise InvalidClaim(f"{path} can't be imported: {type(error).__name__}: {error}") from error
    return module


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def nearest(folder: Path, top: Path) -> Path | None:
    """Return the lock of a folder or of the nearest folder above it, up to ``top``; None if there is none."""
    for place in (folder, *folder.parents):
        if (place / LOCK).is_file():
            return place / LOCK
        if place == top:
            break
    return None


def read_lock(path: Path) -> Lock:
    """Return the lock that a file holds.

    Raises
    ------
    InvalidLock
        If the file is missing, damaged, of another version, or was edited by hand.

    """
    try:
        text = path.read_bytes()
        found = msgspec.json.decode(text, type=_Header).lock_version
        if found != VERSION:
            raise InvalidLock(f"lock_version must be {VERSION}, but {path} has {found}")
        file = msgspec.json.decode(text, type=_File)
    except OSError as error:
        raise InvalidLock(f"lock {str(path)!r} can't be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidLock(f"{path} is not a lock: {error}") from error
    for entry in file.claims:
        if entry.digest != entry.declaration.digest:
            raise InvalidLock(
                f"{path} was edited: the digest of claim {entry.declaration.id!r} is not of what stands there"
            )
    return Lock({entry.declaration.key: entry.declaration for entry in file.claims})


def write_lock(lock: Lock, path: Path) -> None:
    """Write a lock to a file, completely or not at all; the same declarations give the same bytes."""
    entries = [_Entry(one.digest, one) for _, one in sorted(lock.declarations.items())]
    text = msgspec.json.format(msgspec.json.encode(_File(VERSION, entries)), indent=1).decode("utf-8")
    write_text(path, text + "\n")
