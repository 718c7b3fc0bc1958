"""Record files: JSON that later versions of the package can still read.

A file is written under a temporary name and renamed when it is complete, so a killed run leaves the previous record intact.
Reading checks the schema version first, then the type of every field.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pathlen._util.files import write_text
from pathlen.errors import InvalidRecord, UndefinedEstimate
from pathlen.records.schema import SCHEMA_VERSION, Run, Severity

__all__ = ["KNOWN_VERSIONS", "SCHEMA", "SEVERITY", "decoded", "encoded", "read", "schema", "severity_beside", "write"]

KNOWN_VERSIONS = (3, 4)  # version 3 has no excerpts, no digest of the lock and no git revision
SCHEMA = "records.schema.json"  # beside this module; written by `python -m pathlen.records`
SEVERITY = "severity.json"


@dataclass(frozen=True, slots=True)
class _Header:
    schema_version: int


def encoded(run: Run) -> str:
    """Return a run as JSON text with each list of numbers on one line. The same run gives the same bytes."""
    text = msgspec.json.format(msgspec.json.encode(run), indent=1).decode("utf-8")
    # JSON strings contain no raw line breaks, so this joins the lines of lists only.
    return re.sub(r"\[\n[^\[\]{}\"]*\]", lambda match: " ".join(match[0].split()), text) + "\n"


def schema() -> dict[str, object]:
    """Return the JSON Schema of a record, the content of the shipped file `SCHEMA`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A record of pathlen, schema version {SCHEMA_VERSION}",
        **msgspec.json.schema(Run),
    }


def decoded(text: str | bytes, source: str = "the record") -> Run:
    """Return the run stored in a JSON text.

    Raises
    ------
    InvalidRecord
        If the text is not JSON, its schema version is unknown, or a field is missing or has the wrong type.

    """
    try:
        version = msgspec.json.decode(text, type=_Header).schema_version
        if version not in KNOWN_VERSIONS:
            raise InvalidRecord(
                f"schema_version must be {' or '.join(map(str, KNOWN_VERSIONS))}, but {source} has {version}: "
                "it was written by another version of pathlen"
            )
        return msgspec.json.decode(text, type=Run)
    except (msgspec.ValidationError, UndefinedEstimate) as error:
        raise InvalidRecord(f"{source} is not a record: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRecord(f"{source} is not JSON: {error}") from error


def read(path: Path) -> Run:
    """Return the run stored in a file, which may be compressed by gzip.

    Raises
    ------
    InvalidRecord
        If the file can't be read or decompressed, or as in `decoded`.

    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidRecord(f"record {str(path)!r} can't be read: {error.strerror}") from error
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise InvalidRecord(f"{path} is a damaged gzip file: {error}") from error
    return decoded(raw, str(path))


def severity_beside(lock: Path, digest: str) -> Severity | None:
    """Return the table of false alarms beside a lock; None if there is none or it was made with other declarations.

    Raises
    ------
    InvalidRecord
        If the file is damaged.

    """
    path = lock.parent / SEVERITY
    if not path.is_file():
        return None
    try:
        severity = msgspec.json.decode(path.read_bytes(), type=Severity)
    except msgspec.MsgspecError as error:
        raise InvalidRecord(f"{path} is not a table of severity: {error}") from error
    return severity if severity.lock == digest else None


def write(run: Run, path: Path) -> None:
    """Write a run to a file, completely or not at all."""
    write_text(path, encoded(run))
