"""How often claims come out supported on networks that were never trained: ``python -m pathlen.severity``.

A family of random networks takes the place of the trained one, with the same shapes, tokenizer, texts and controls, and
every claim is checked as usual. Support that is not called vacuous is then a false alarm. The table is written beside the
claims, and every report on them shows it while their lock is the one it was made with::

    python -m pathlen.severity claims --out claims/severity.json --families 20

An outcome is kept as soon as it is there: an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from pathlen._util.cache import Cache, folder
from pathlen._util.digests import digest
from pathlen._util.files import write_text
from pathlen._util.fingerprint import code_fingerprint
from pathlen.claims.claim import TOGETHER
from pathlen.claims.controls import UNTRAINED
from pathlen.claims.lock import LOCK, checks_of, read_lock
from pathlen.models.checkpoint import identify
from pathlen.models.families import ModelSpec
from pathlen.models.families import spec as known
from pathlen.models.loading import load
from pathlen.passages.choose import chosen
from pathlen.records.files import SEVERITY
from pathlen.records.schema import Severity, SeverityLine
from pathlen.runner.evaluator import Check, Evaluator
from pathlen.runner.provider import ColumnProvider

__all__ = ["main", "measure_severity"]

FIRST_SEED = 1000  # far from the seeds of the controls, which must be other networks


def random_family(home: Path, sizes: Sequence[str], seed: int) -> dict[str, ModelSpec]:
    """Write random networks of the embedded family's shapes and return their specs."""
    specs = {}
    for size in sizes:
        spec = known("mini", size)
        place = home / f"{seed}-{size}"
        load(spec, untrained=seed).network.save_pretrained(place)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(Path(spec.source) / name, place / name)
        specs[size] = replace(spec, source=str(place), title=f"random {spec.title} {seed}")
    return specs


def measure_severity(checks: Sequence[Check], sizes: Sequence[str], families: int) -> list[SeverityLine]:
    """Return how often each claim came to each verdict, over so many random families."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    kept = Cache(folder())
    depends = [part for check in checks for part in (*check.key, check.source)]
    depends += [str(identify(known("mini", size), trained=False)) for size in sizes]
    depends += [text.sha256 for text in chosen([])]
    for number in range(families):
        name = digest(code_fingerprint("runner.false_alarms"), "severity", number, *depends)
        known_verdicts = kept.get(name)
        if known_verdicts is None:
            verdicts = _verdicts(checks, sizes, FIRST_SEED + number, kept)
            kept.put(name, msgspec.json.encode(verdicts).decode("utf-8"))
        else:
            verdicts = msgspec.json.decode(known_verdicts, type=list[tuple[str, str, str, str]])
        for claim, reading, size, verdict in verdicts:
            counts.setdefault((claim, reading, size), Counter())[verdict] += 1
        print(f"family {number + 1} of {families}", file=sys.stderr, flush=True)
    counting = {check.key for check in checks if _counts(check)}
    return [
        SeverityLine(claim=a, reading=b, size=c, counts=(a, b) in counting, verdicts=dict(sorted(found.items())))
        for (a, b, c), found in counts.items()
    ]


def _counts(check: Check) -> bool:
    claim = check.claim
    return claim.reading == "corrected" and not claim.exploratory and UNTRAINED in claim.controls


def _verdicts(checks: Sequence[Check], sizes: Sequence[str], seed: int, kept: Cache) -> list[tuple[str, str, str, str]]:
    with tempfile.TemporaryDirectory() as home:
        specs = random_family(Path(home), sizes, seed)
        bench = ColumnProvider(tuple(chosen([])), seed=0)
        plain = [replace(check, claim=replace(check.claim, universes=None)) for check in checks]
        evaluator = Evaluator(bench, specs.__getitem__, effort="full", seed=0, kept=kept)
        evaluator.register(plain)
        found = []
        for size in (*sizes, TOGETHER):
            for check in plain:
                if check.claim.speaks_about(size):
                    verdict = evaluator.finding(check, size, {}).verdict.value
                    found.append((*check.key, size, verdict))
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pathlen.severity", description=__doc__.split("\n")[0])
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder of claims, with its lock")
    parser.add_argument("--families", metavar="N", type=int, default=20, help="random families (default: 20)")
    parser.add_argument("--out", metavar="FILE", type=Path, help=f"default: {SEVERITY} in the folder")
    options = parser.parse_args(arguments)
    if options.families < 1:
        parser.error(f"--families must be at least 1, but {options.families} was given")
    found = [Check(claim, body) for claim, body in checks_of(options.folder)]
    checks = [check for check in found if check.is_plain]
    if not any(map(_counts, checks)):
        parser.error(f"no claim in {options.folder} counts: a corrected one with UNTRAINED among its controls")
    for check in found:
        if not check.is_plain:
            print(f"left out, for it needs more than columns: {check.claim.id}", file=sys.stderr)
    lock = read_lock(options.folder / LOCK)
    sizes = tuple(dict.fromkeys(size for check in checks for size in check.claim.sizes))
    table = Severity(
        lock=lock.digest,
        families=options.families,
        like="mini",
        lines=tuple(measure_severity(checks, sizes, options.families)),
    )
    out = options.out or options.folder / SEVERITY
    write_text(out, msgspec.json.format(msgspec.json.encode(table), indent=1).decode("utf-8") + "\n")
    print(f"{out}: {table.alarms} false alarms in {table.checks:,} checks, {table.alarms / table.checks:.1%}")
    return 0
