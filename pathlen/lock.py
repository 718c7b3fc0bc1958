"""The lock: what every claim declared, written down before it was measured, so that a later change shows.

``pathlen lock claims/`` writes ``claims/claims.lock``; a run whose claims differ from it is flagged *deviated*, with the
difference. A declaration is all that decides a verdict apart from the numbers: the sentence, the sizes, the region, the
logic, the unit, the controls, the choices, and a digest of the body with the constants and helpers of its file that it
uses. Comments, formatting and the order of claims may change.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import math
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from pathlen.claims import Claim, declared
from pathlen.errors import InvalidClaim, InvalidLock
from pathlen.files import write_text
from pathlen.stats.statistic import Statistic
from pathlen.verdicts import Region

__all__ = [
    "LOCK",
    "Declaration",
    "Lock",
    "checks_of",
    "declarations",
    "imported",
    "lock_of",
    "nearest",
    "read_lock",
    "write_lock",
]

LOCK = "claims.lock"
VERSION = 1
Key = tuple[str, str]


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
    def key(self) -> Key:
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


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lock_version: int
    claims: list[_Entry]


class Lock:
    """The declarations of one ``claims.lock``, by id and reading."""

    def __init__(self, declarations: Mapping[Key, Declaration]) -> None:
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

    def gone(self, here: Mapping[Key, Declaration], files: set[str]) -> list[str]:
        """Return the claims locked in some files that are declared no more, in words."""
        return [
            f"{one.id} ({one.reading}) is locked, but {one.file} declares it no more"
            for key, one in self.declarations.items()
            if one.file in files and key not in here
        ]

    def deviations(self, here: Mapping[Key, Declaration]) -> list[str]:
        """Return everything that differs between a folder's claims and the lock, in words."""
        changed = [f"{one.id} ({one.reading}): {text}" for one in here.values() if (text := self.deviation(one))]
        return changed + self.gone(here, {one.file for one in self.declarations.values()})


def lock_of(folder: Path) -> Lock:
    """Return the lock that a folder's claims would have now.

    Raises
    ------
    InvalidClaim
        If a file can't be imported, a claim is wrong, or there is none.

    """
    found: dict[Key, Declaration] = {}
    for module in _modules(folder):
        found |= declarations(module, folder)
    return Lock(found)


def checks_of(folder: Path) -> list[tuple[Claim, Callable[..., Statistic]]]:
    """Return every claim of a folder with its body; errors as in `lock_of`."""
    functions = [one for module in _modules(folder) for one in vars(module).values()]
    return [(claim, function) for function in functions if (claim := declared(function)) is not None]


def _modules(folder: Path) -> list[ModuleType]:
    found = [imported(path) for path in sorted([*folder.rglob("test_*.py"), *folder.rglob("*_test.py")])]
    if not any(declared(one) for module in found for one in vars(module).values()):
        raise InvalidClaim(f"no claim is declared in {str(folder)!r}: a lock needs test_*.py files with @claim in them")
    return found


def declarations(module: ModuleType, folder: Path) -> dict[Key, Declaration]:
    """Return what the claims of a module declare; its file is named from a folder on."""
    file = Path(str(module.__file__)).resolve().relative_to(folder.resolve()).as_posix()
    found = {}
    for function in vars(module).values():
        claim = declared(function)
        if claim is not None:
            one = _declaration(claim, function, file)
            found[one.key] = one
    return found


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
        choices=[f"{one.name}: {', '.join(option.name for option in one.options)}" for one in choices],
        negligible="" if claim.negligible is None else _exactly(claim.negligible),
        exploratory=claim.exploratory,
        true_by_construction=claim.true_by_construction,
        not_shown=claim.not_shown,
        needs=list(claim.needs),
        body=hashlib.sha256("\n".join(_sources(function, set())).encode("utf-8")).hexdigest()[:16],
    )


def _exactly(region: Region) -> str:
    """Return a region in words, to the last digit."""
    if region.is_equivalence:
        return f"between {region.low!r} and {region.high!r}"
    return f"below {region.high!r}" if region.low == -math.inf else f"above {region.low!r}"


def _sources(function: Callable[..., Any], seen: set[str]) -> Iterator[str]:
    """Yield what a function computes: its code without docstring and decorators, and what of its file it uses."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)  # noqa: S101  # a claim is a plain function
    tree.decorator_list = []
    if ast.get_docstring(tree) is not None:
        tree.body = tree.body[1:] or [ast.Pass()]
    yield ast.unparse(tree)
    own = function.__globals__
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in sorted(names & own.keys() - seen):
        seen.add(name)
        used = own[name]
        if inspect.isfunction(used) and used.__module__ == function.__module__:
            yield from _sources(used, seen)
        elif isinstance(used, (bool, int, float, str, tuple)):
            yield f"{name} = {used!r}"


def imported(path: Path) -> ModuleType:
    """Import a file of claims on its own, as its tests would find it."""
    spec = importlib.util.spec_from_file_location(f"_pathlen_lock_{path.stem}", path)
    assert spec is not None  # noqa: S101  # the file ends in .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    with _first_on_path(path.parent):
        try:
            spec.loader.exec_module(module)
        except Exception as error:
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
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise InvalidLock(f"lock {str(path)!r} can't be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise InvalidLock(f"{path} is not a lock: {error}") from error
    if file.lock_version != VERSION:
        raise InvalidLock(f"lock_version must be {VERSION}, but {path} has {file.lock_version}")
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
