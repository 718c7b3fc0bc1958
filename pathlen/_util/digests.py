"""SHA-256 of texts and files."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["digest", "digest_of_bytes", "digest_of_file"]


def digest(*parts: object) -> str:
    """Return the SHA-256 of the parts' texts, kept apart so that ``("ab", "c")`` and ``("a", "bc")`` differ."""
    return digest_of_bytes("\0".join(map(str, parts)).encode("utf-8"))


def digest_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
