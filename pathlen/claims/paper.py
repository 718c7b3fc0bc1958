"""The document that a folder of claims is about, described by a file ``paper.toml`` beside the claims.

::

    [paper]
    title = "How far token vectors travel"
    authors = ["First Author", "Second Author"]
    doi = "10.1234/example"
    sha256 = "46310d74..."    # digest of the document that was read
    file = "paper.pdf"        # its name, beside this file; if it exists, its digest is compared

Only the title is required. The nearest ``paper.toml`` applies, searching from the folder of the claims up to the project's. It
goes into the record, so that a report names the document and its version.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from pathlen._util.digests import digest_of_file
from pathlen._util.files import write_text
from pathlen.errors import InvalidPaper

__all__ = ["PAPER", "Paper", "nearest_file", "nearest_paper", "read_paper", "write_paper"]

PAPER = "paper.toml"
DOI = re.compile(r"10\.\d{4,9}/\S+")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A document whose claims are checked.

    Attributes
    ----------
    title : str
    authors : tuple of str
        In the document's order; empty if none are given.
    doi : str
        Without the resolver's address: ``"10.1234/example"``. Empty if there is none.
    sha256 : str
        Digest of the document's file, which tells the version that was read. Empty if there is no file.

    Raises
    ------
    InvalidPaper
        If the title is empty, or the DOI or the digest is malformed.

    """

    title: str
    authors: tuple[str, ...] = ()
    doi: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise InvalidPaper("a paper needs a title, but it is empty")
        if self.doi and not DOI.fullmatch(self.doi):
            raise InvalidPaper(f"doi must look like 10.1234/example, without an address, but {self.doi!r} was given")
        if self.sha256 and not SHA256.fullmatch(self.sha256):
            raise InvalidPaper(f"sha256 must be 64 hexadecimal digits in small letters, but {self.sha256!r} was given")


def nearest_paper(folder: Path, top: Path) -> Path | None:
    """Return the ``paper.toml`` of a folder or of the nearest folder above it, up to ``top``; None if there is none."""
    return nearest_file(PAPER, folder, top)


def nearest_file(name: str, folder: Path, top: Path) -> Path | None:
    """Return the file of this name in a folder or in the nearest folder above it, up to ``top``; None if there is none."""
    for parent in (folder, *folder.parents):
        if (parent / name).is_file():
            return parent / name
        if parent == top:
            break
    return None


def read_paper(path: Path) -> Paper:
    """Return the paper that a file describes.

    Raises
    ------
    InvalidPaper
        If the file can't be read or is not TOML; if the table or its title is missing; if an entry is unknown or of the wrong
        type; or if the document's digest differs from the file's.

    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidPaper(f"paper {str(path)!r} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidPaper(f"{path} is not TOML: {error}") from error
    table = content.get("paper")
    if not isinstance(table, dict):
        raise InvalidPaper(f"{path} needs a table [paper] with at least a title")
    authors, texts = _entries(table, path)
    document = path.parent / texts.pop("file")
    try:
        paper = Paper(authors=authors, **texts)
    except InvalidPaper as error:
        raise InvalidPaper(f"{path}: {error}") from error
    if document.is_file() and paper.sha256 and digest_of_file(document) != paper.sha256:
        raise InvalidPaper(
            f"{path} was written about another version of {document.name}: sha256 is {paper.sha256[:16]}... there, but "
            f"{digest_of_file(document)[:16]}... is the file's; say what changed in the claims, then write the new one"
        )
    return paper


def _entries(table: dict[str, object], path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the authors of a table and its other entries; `InvalidPaper` if one is unknown or of the wrong type."""
    known = {field.name for field in fields(Paper)} | {"file"}
    for name in table:
        if name not in known:
            raise InvalidPaper(f"{path} may say {', '.join(sorted(known))}, but says {name!r}")
    authors = table.get("authors", [])
    if not isinstance(authors, list) or not all(isinstance(author, str) for author in authors):
        raise InvalidPaper(f'{path}: authors must be a list of names, as ["First Author"], but {authors!r} was given')
    texts = {}
    for name in ("title", "doi", "sha256", "file"):
        text = table.get(name, "")
        if not isinstance(text, str):
            raise InvalidPaper(f"{path}: {name} must be a text in quotes, but {text!r} was given")
        texts[name] = text
    return tuple(authors), texts


def write_paper(paper: Paper, path: Path, *, file: str = "") -> None:
    """Write a paper to a file, completely or not at all, with a comment beside every entry."""
    authors = ", ".join(_quoted(author) for author in paper.authors)
    write_text(
        path,
        "# The document whose claims are checked here; it goes into every record and report.\n[paper]\n"
        f"title = {_quoted(paper.title)}\n"
        f"authors = [{authors}]\n"
        f"doi = {_quoted(paper.doi)}     # as 10.1234/example, without an address\n"
        f"sha256 = {_quoted(paper.sha256)}  # of the document's file: which version was read\n"
        f"file = {_quoted(file)}    # the document, if it lies beside this file; its digest is compared\n",
    )


def _quoted(text: str) -> str:
    """Return a text as a TOML basic string."""
    escaped = "".join(
        f"\\u{ord(character):04x}" if ord(character) < 32 or ord(character) == 127 else character
        for character in text.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{escaped}"'
