"""A starter folder for the claims of a new document, runnable as soon as it is written.

Its example claim is a real one about the embedded family. It is meant to be replaced by the document's first claim.
"""

from __future__ import annotations

import re
from pathlib import Path

from pathlen._util.digests import digest_of_file
from pathlen._util.files import write_text
from pathlen.claims.paper import PAPER, Paper, write_paper
from pathlen.errors import InvalidPaper

__all__ = ["scaffold"]

EXAMPLE = '''"""Section 1 of the document: an example. Write one file for each section, and one function for each claim.

- The docstring is the claim, in your own words.
- The decorator says, before anything is measured, where the number has to lie (`expect`), about which sizes of the family the
  document speaks (`sizes`), and where the claim must *not* come out supported (`controls`).
- The body returns a statistic of measured columns. It never sees the region.
"""

from pathlen import SHIFTED, SIZES, UNTRAINED, below, claim, pearson


@claim(
    sizes=SIZES,
    section="1",
    expect=below(0.0),
    controls=[UNTRAINED, SHIFTED],
    not_shown="that one brings the other about",
)
def test_straight_is_surprised(measured):
    """The straighter a token's way through the blocks, the less likely the model finds the token that comes next."""
    return pearson(measured.straightness, measured.next_log_probability, passage=measured.passage)
'''

TOX = """[tox]
min_version = 4.20
env_list = mini

[testenv]
skip_install = true
deps = pathlen
pass_env =
    HF_*
    PATHLEN_*

[testenv:mini]
description = the claims on the small networks that ship with pathlen
commands = pytest claims --family mini {posargs}

[testenv:{small,medium,large,xl}]
description = the claims on GPT-2 {envname}, if its weights are on this machine
commands = pytest claims --family gpt2 --size {envname} --report reports/{envname} {posargs}

[pytest]
testpaths = claims
"""

IGNORED = "__pycache__/\n.tox/\n.venv/\nreports/\n"


def scaffold(folder: Path, *, title: str = "", document: Path | None = None) -> list[Path]:
    """Write a new folder with a paper, an example claim, a ``tox.ini`` and a README, and return its files.

    Parameters
    ----------
    folder : Path
        Must not exist or must be empty: no file is overwritten.
    title : str, optional
        Title of the document. Derived from the folder's name by default.
    document : Path, optional
        The document itself. Its digest goes into ``paper.toml``; the file stays where it is.

    Raises
    ------
    InvalidPaper
        If the folder is not empty, or the document is not a file.

    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidPaper(f"a new folder must not be there yet, or be empty, but {str(folder)!r} is not: name another")
    if document is not None and not document.is_file():
        raise InvalidPaper(f"--document must be a file, but {str(document)!r} is none")
    folder_name = folder.resolve().name
    words = re.sub(r"[-_]+", " ", folder_name).strip() or folder_name
    paper = Paper(
        title=title or words[:1].upper() + words[1:],
        sha256=digest_of_file(document) if document else "",
    )
    write_paper(paper, folder / PAPER, file=document.name if document else "")
    texts = {
        "claims/test_example.py": EXAMPLE,
        "tox.ini": TOX,
        ".gitignore": IGNORED,
        "README.md": _readme(paper),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / PAPER, *(folder / name for name in texts)]


def _readme(paper: Paper) -> str:
    return f"""# Claims of "{paper.title}"

Every claim of the document is a function in `claims/`. Run them, on the small networks that ship with `pathlen`:

    pytest claims --family mini --size small

Without `--size`, on all four. The report is `reports/mini.html`, a page that opens offline. Those networks are a demonstration: what is found on them says
nothing about any other. On GPT-2 itself:

    pathlen fetch small
    pytest claims --family gpt2 --size small

Say in `paper.toml` which document this is. Write the claims of a section in `claims/test_SECTION.py`; the example there shows
how. When a claim says what you mean, and before you look at what it comes to, write it down:

    pathlen lock claims

Commit `claims/claims.lock`. A run whose claims differ from it is flagged, with the difference.

`pathlen doctor` says whether everything is in place on this machine.
"""
