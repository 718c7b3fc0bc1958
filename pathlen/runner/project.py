"""What a session knows of the project that its claims lie in: its lock, its paper, its table of false alarms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from pathlen.claims.lock import Declaration, declarations, nearest, read_lock
from pathlen.claims.paper import Paper, nearest_paper, read_paper
from pathlen.errors import InvalidPaper
from pathlen.records.files import severity_beside
from pathlen.records.schema import Severity

__all__ = ["CLAIMS", "Project"]

CLAIMS = "claims"


@dataclass(slots=True, kw_only=True)
class Project:
    """What a session knows of the project that its claims lie in.

    In a run that is spread over processes only those that collect claims find it out. They send it to the one that writes.

    Attributes
    ----------
    top : str
        The project's folder; empty before claims were collected.
    lock, lock_sha256 : str or None
        The lock's file as a reader names it, and the digest of what it holds.
    declared : int or None
        How many claims it declares.
    deviations : list of (id, reading, text)
        Of each claim, how it differs from the lock; empty where it doesn't.
    gone : list of str
        Claims of the lock that are not there any more.
    severity : Severity or None
        The table beside the lock.
    paper : Paper or None
        The document that the claims are about.
    folder : str
        Where inside of the folder of reports the paper has its own; empty if it has none.

    """

    top: str = ""
    lock: str | None = None
    lock_sha256: str | None = None
    declared: int | None = None
    deviations: list[tuple[str, str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    severity: Severity | None = None
    paper: Paper | None = None
    folder: str = ""

    def deviation(self, id: str, reading: str) -> str:
        """Return how a claim differs from the lock; empty if it doesn't, or if there is no lock."""
        return next((text for *key, text in self.deviations if key == [id, reading]), "")

    def compare_with_lock(self, modules: Iterable[ModuleType], top: Path) -> None:
        """Note how the claims of these modules differ from the nearest lock, up to the project's folder.

        Raises
        ------
        InvalidLock, InvalidRecord
            If there is a lock, or a table of false alarms beside it, that can't be read.

        """
        self.top = str(top)
        locked: dict[Path, list[ModuleType]] = {}
        for module in modules:
            path = nearest(Path(str(module.__file__)).parent, top)
            if path is not None:
                locked.setdefault(path, []).append(module)
        for path, covered in locked.items():
            lock = read_lock(path)
            declared: dict[tuple[str, str], Declaration] = {}
            for module in covered:
                declared |= declarations(module, path.parent)
            folder = path.parent.resolve()
            files = {Path(str(module.__file__)).resolve().relative_to(folder).as_posix() for module in covered}
            self.severity = severity_beside(path, lock.digest)
            self.lock_sha256, self.declared = lock.digest, len(lock.declarations)
            self.lock = path.relative_to(top).as_posix() if path.is_relative_to(top) else str(path)
            self.deviations += [(*key, lock.deviation(declaration)) for key, declaration in declared.items()]
            self.gone += lock.gone(declared, files | lock.missing_files(path.parent))

    def read_paper(self, modules: Iterable[ModuleType], top: Path) -> Path | None:
        """Note the document that the claims of these modules are about: the nearest ``paper.toml``, up to the project's folder.

        Returns
        -------
        Path or None
            The file, if there is one.

        Raises
        ------
        InvalidPaper
            If it can't be read, or if the modules are about different documents: a record is of one document.

        """
        folders: dict[Path | None, str] = {}
        for module in modules:
            folder = Path(str(module.__file__)).parent
            relative = folder.relative_to(top) if folder.is_relative_to(top) else folder
            folders.setdefault(nearest_paper(folder, top), relative.as_posix())
        if len(folders) > 1:
            raise InvalidPaper(
                "a record is of one document, but these claims are of several; run each by itself: "
                + ", ".join(f"pytest {folder}" for folder in sorted(folders.values()))
            )
        (path,) = folders
        if path is not None:
            self.paper = read_paper(path)
        return path
