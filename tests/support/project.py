"""Folders of this project."""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
CLAIMS = PROJECT / "claims"
DOCS = PROJECT / "docs"
SAMPLES = PROJECT / "reports" / "samples"
