"""Where a number comes from: the versions of what computed it, and the git commit of the claims."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["Revision", "environment", "revision_of"]

PACKAGES = ("pathlen", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "pytest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The git commit that a run's claims were checked out at, and whether files differed from it."""

    commit: str
    is_dirty: bool


def environment(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that numbers depend on."""
    versions = {
        "python": sys.version.split()[0],
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
    }
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def revision_of(folder: Path, leaving_out: Path | None = None) -> Revision | None:
    """Return the git commit that a folder is checked out at; None outside a repository, or where git is not installed.

    Untracked files, and those below ``leaving_out``, a folder that a run writes to, don't count as changes.
    """
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        answer = subprocess.run([git, *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
        return answer.stdout.strip() if answer.returncode == 0 else None

    paths = ["."]
    if leaving_out is not None and leaving_out.resolve().is_relative_to(folder.resolve()):
        paths.append(f":(exclude){leaving_out.resolve().relative_to(folder.resolve()).as_posix()}")
    commit, changed = ask("rev-parse", "HEAD"), ask("status", "--porcelain", "--untracked-files=no", "--", *paths)
    return None if not commit or changed is None else Revision(commit=commit, is_dirty=bool(changed))
