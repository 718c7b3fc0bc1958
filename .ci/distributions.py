"""Check what the built distributions hold: ``python .ci/distributions.py dist``."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

IN_THE_WHEEL = (
    "pathlen/__init__.py",
    "pathlen/py.typed",
    "pathlen/models/mini/small/model.safetensors",
    "pathlen/passages/texts/nietzsche.txt",
    "pathlen/records/records.schema.json",
    "pathlen/report/templates/page.html",
    "pathlen/stats/calibration/calibration.json",
    "pathlen/corpora/earlier_sources.txt",
)
IN_THE_SOURCES = (*IN_THE_WHEEL, "tests/conftest.py", "docs/conf.py", "claims/claims.lock", "CITATION.cff", "README.md")


def problems(folder: Path) -> list[str]:
    """Return what is wrong with the one wheel and the one source distribution of a folder."""
    wheels, sources = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sources) != 1:
        return [f"{folder} must hold one wheel and one source distribution, but holds {len(wheels)} and {len(sources)}"]
    with zipfile.ZipFile(wheels[0]) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    found = [f"the wheel lacks {name}" for name in IN_THE_WHEEL if name not in packed]
    found += [
        f"the wheel holds {name}, which is no part of the package" for name in sorted(packed) if not _belongs(name)
    ]
    with tarfile.open(sources[0]) as tar:
        inside = {name.partition("/")[2] for name in tar.getnames()}
    found += [f"the source distribution lacks {name}" for name in IN_THE_SOURCES if name not in inside]
    for path in (wheels[0], sources[0]):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return found


def _belongs(name: str) -> bool:
    return name.startswith("pathlen/") and "/tests/" not in name and "/docs/" not in name and not name.endswith(".pyc")


if __name__ == "__main__":
    errors = problems(Path(sys.argv[1]))
    print("\n".join(errors) or "the wheel and the source distribution hold what they should")
    sys.exit(bool(errors))
