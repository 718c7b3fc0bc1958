"""The lock: every claim's declaration, written down before measuring so that later changes show.

``pathlen lock claims/`` writes ``claims/claims.lock``; a run whose claims differ from it is flagged *deviated*, with the
difference. A declaration is everything but the data that decides a verdict: the sentence, sizes, region, logic, unit,
controls, choices, and a digest of the body with the constants and helpers it uses (`pathlen.claims.lock_code`). Comments,
formatting and the order of claims may change.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import linecache
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import msgspec

from pathlen._util.files import write_text
from pathlen.claims.claim import Claim, declared, refuse_duplicates
from pathlen.claims.lock_code import digest_of_body
from pathlen.claims.paper import PAPER, nearest_file, nearest_paper
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
    """Everything about a claim that was fixed before measuring."""

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
        """The claim's id and reading, which identify it."""
        return self.id, self.reading

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration, whichever file it is in."""
        fields = {name: value for name, value in msgspec.to_builtins(self).items() if name != "file"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode("utf-8")).hexdigest()

    def difference(self, other: Declaration) -> str:
        """Return in words how another declaration of the same claim differs; empty if it doesn't."""
        parts = []
        for name in self.__struct_fields__:
            before, after = getattr(self, name), getattr(other, name)
            if name == "file" or before == after:
                continue
            if name == "body":
                parts.append("the body computes something else")
            else:
                parts.append(f"{name.replace('_', ' ')} was {_in_words(before)}, is {_in_words(after)}")
        return "; ".join(parts)


def _in_words(field: object) -> str:
    if isinstance(field, list):
        return ", ".join(map(str, field)) or "none"
    return f"{field!s}" or "none"


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
        """SHA-256 of all declarations, whatever their order."""
        digests = sorted(declaration.digest for declaration in self.declarations.values())
        return hashlib.sha256("".join(digests).encode("utf-8")).hexdigest()

    def deviation(self, declaration: Declaration) -> str:
        """Return in words how a claim differs from its locked declaration; empty if it doesn't."""
        locked = self.declarations.get(declaration.key)
        return "the claim is not in the lock" if locked is None else locked.difference(declaration)

    def gone(self, current: Mapping[ClaimKey, Declaration], files: set[str]) -> list[str]:
        """Return in words the claims that are locked in some files but no longer declared there."""
        return [
            f"{locked.id} ({locked.reading}) is locked, but {locked.file} declares it no more"
            for key, locked in self.declarations.items()
            if locked.file in files and key not in current
        ]

    def missing_files(self, folder: Path) -> set[str]:
        """Return the files with locked claims that no longer exist in a folder."""
        return {locked.file for locked in self.declarations.values() if not (folder / locked.file).is_file()}

    def deviations(self, current: Mapping[ClaimKey, Declaration]) -> list[str]:
        """Return in words everything that differs between a folder's claims and the lock."""
        changed = [
            f"{declaration.id} ({declaration.reading}): {text}"
            for declaration in current.values()
            if (text := self.deviation(declaration))
        ]
        return changed + self.gone(current, {locked.file for locked in self.declarations.values()})


def lock_of(folder: Path) -> Lock:
    """Return the lock of a folder's current claims.

    Raises
    ------
    InvalidClaim
        If a file can't be imported, a claim is invalid or declared twice, or there are no claims.

    """
    modules = _modules(folder)
    refuse_duplicates([(claim, f"{module.__file__}") for module in modules for claim, _ in claims_in(module)])
    by_key: dict[ClaimKey, Declaration] = {}
    for module in modules:
        by_key |= declarations(module, folder)
    return Lock(by_key)


def checks_of(folder: Path) -> list[tuple[Claim, Callable[..., Statistic]]]:
    """Return every claim of a folder with its body. Raises the errors of `lock_of`, except for duplicates."""
    return [check for module in _modules(folder) for check in claims_in(module)]


def _modules(folder: Path) -> list[ModuleType]:
    paths = sorted({*folder.rglob("test_*.py"), *folder.rglob("*_test.py")})
    # A subfolder with a paper of its own is about another document and has a lock of its own.
    modules = [imported(path) for path in paths if nearest_paper(path.parent, folder) in (None, folder / PAPER)]
    if not any(claims_in(module) for module in modules):
        raise InvalidClaim(f"no claim is declared in {str(folder)!r}: a lock needs test_*.py files with @claim in them")
    return modules


def claims_in(module: ModuleType) -> list[tuple[Claim, Callable[..., Statistic]]]:
    """Return the claims of a module, including those in its test classes, with their bodies."""
    functions: list[object] = list(vars(module).values())
    for member in list(functions):
        if inspect.isclass(member) and member.__module__ == module.__name__ and member.__name__.startswith("Test"):
            functions += [getattr(member(), name) for name in vars(member) if name.startswith("test")]
    return [(claim, function) for function in functions if callable(function) and (claim := declared(function))]


def declarations(module: ModuleType, folder: Path) -> dict[ClaimKey, Declaration]:
    """Return the declarations of a module's claims. Their file is given relative to the folder."""
    file = Path(str(module.__file__)).resolve().relative_to(folder.resolve()).as_posix()
    declared_here = [_declaration(claim, function, file) for claim, function in claims_in(module)]
    return {declaration.key: declaration for declaration in declared_here}


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
            f"{choice.name}: {', '.join(f'{option.name} ({option.kind})' for option in choice.options)}"
            for choice in choices
        ],
        negligible="" if claim.negligible is None else _exactly(claim.negligible),
        exploratory=claim.exploratory,
        true_by_construction=claim.true_by_construction,
        not_shown=claim.not_shown,
        needs=list(claim.needs),
        body=digest_of_body(function),
    )


def _exactly(region: Region) -> str:
    """Return a region in words, with its ends in full precision."""
    if region.is_equivalence:
        return f"between {region.low!r} and {region.high!r}"
    return f"below {region.high!r}" if region.low == -math.inf else f"above {region.low!r}"


def imported(path: Path) -> ModuleType:
    """Import a file of claims by itself, the way pytest would.

    Raises
    ------
    InvalidClaim
        If it can't be imported.

    """
    name = f"_pathlen_lock_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    linecache.checkcache(str(path))
    sys.modules[name] = module  # dataclasses look up their annotations there
    with _first_on_path(path.parent):
        try:
            # Compiled from source, because cached bytecode is only checked against its source to the second.
            exec(compile(path.read_bytes(), str(path), "exec"), vars(module))  # noqa: S102  # as pytest does
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # what pytest raises to skip a module is not an Exception
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
    return nearest_file(LOCK, folder, top)


def read_lock(path: Path) -> Lock:
    """Return the lock stored in a file.

    Raises
    ------
    InvalidLock
        If the file is missing, damaged, of another version, or edited by hand.

    """
    try:
        text = path.read_bytes()
        version = msgspec.json.decode(text, type=_Header).lock_version
        if version != VERSION:
            raise InvalidLock(f"lock_version must be {VERSION}, but {path} has {version}")
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
    """Write a lock to a file, completely or not at all. The same declarations give the same bytes."""
    entries = [_Entry(declaration.digest, declaration) for _, declaration in sorted(lock.declarations.items())]
    text = msgspec.json.format(msgspec.json.encode(_File(VERSION, entries)), indent=1).decode("utf-8")
    write_text(path, text + "\n")
