"""How often claims come out supported on networks that were never trained: ``python -m pathlen.severity``.

A family of random networks takes the place of the trained one, with the same shapes, tokenizer, texts and controls, and every
claim is checked as usual. Support that is not called vacuous is then a false alarm. The table is written beside the claims, and
every report on them shows it as long as their lock is the one it was made with::

    python -m pathlen.severity claims --out claims/severity.json --families 20

The verdicts of each family are kept as soon as they are known, so an interrupted run continues.
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
from pathlen.runner.check import Check
from pathlen.runner.evaluator import Evaluator
from pathlen.runner.provider import ColumnProvider

__all__ = ["main", "measure_severity"]

FIRST_SEED = 1000  # far from the seeds of the controls, which must be other networks


def random_family(home: Path, sizes: Sequence[str], seed: int) -> dict[str, ModelSpec]:
    """Write random networks of the embedded family's shapes and return their specs."""
    specs = {}
    for size in sizes:
        spec = known("mini", size)
        checkpoint = home / f"{seed}-{size}"
        load(spec, untrained=seed).network.save_pretrained(checkpoint)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(Path(spec.source) / name, checkpoint / name)
        specs[size] = replace(spec, source=str(checkpoint), title=f"random {spec.title} {seed}")
    return specs


def measure_severity(checks: Sequence[Check], sizes: Sequence[str], families: int) -> list[SeverityLine]:
    """Return how often each claim came to each verdict, over a number of random families."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    cache = Cache(folder())
    depends = [part for check in checks for part in (*check.key, check.source)]
    depends += [str(identify(known("mini", size), trained=False)) for size in sizes]
    depends += [passage.sha256 for passage in chosen([])]
    for number in range(families):
        name = digest(code_fingerprint("runner.false_alarms"), "severity", number, *depends)
        text = cache.get(name)
        if text is None:
            verdicts = _verdicts(checks, sizes, FIRST_SEED + number, cache)
            cache.put(name, msgspec.json.encode(verdicts).decode("utf-8"))
        else:
            verdicts = msgspec.json.decode(text, type=list[tuple[str, str, str, str]])
        for claim, reading, size, verdict in verdicts:
            counts.setdefault((claim, reading, size), Counter())[verdict] += 1
        print(f"family {number + 1} of {families}", file=sys.stderr, flush=True)
    counting = {check.key for check in checks if _counts(check)}
    return [
        SeverityLine(
            claim=claim,
            reading=reading,
            size=size,
            counts=(claim, reading) in counting,
            verdicts=dict(sorted(by_verdict.items())),
        )
        for (claim, reading, size), by_verdict in counts.items()
    ]


def _counts(check: Check) -> bool:
    claim = check.claim
    return claim.reading == "corrected" and not claim.exploratory and UNTRAINED in claim.controls


def _verdicts(
    checks: Sequence[Check], sizes: Sequence[str], seed: int, cache: Cache
) -> list[tuple[str, str, str, str]]:
    """Return claim, reading, size and verdict of every check on one random family."""
    with tempfile.TemporaryDirectory() as home:
        specs = random_family(Path(home), sizes, seed)
        provider = ColumnProvider(tuple(chosen([])))
        without_universes = [replace(check, claim=replace(check.claim, universes=None)) for check in checks]
        evaluator = Evaluator(provider, specs.__getitem__, effort="full", seed=0, cache=cache)
        evaluator.register(without_universes)
        return [
            (*check.key, size, evaluator.finding(check, size, {}).verdict.value)
            for size in (*sizes, TOGETHER)
            for check in without_universes
            if check.claim.speaks_about(size)
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pathlen.severity", description=__doc__.split("\n")[0])
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder of claims, with its lock")
    parser.add_argument("--families", metavar="N", type=int, default=20, help="random families (default: 20)")
    parser.add_argument("--out", metavar="FILE", type=Path, help=f"default: {SEVERITY} in the folder")
    options = parser.parse_args(arguments)
    if options.families < 1:
        parser.error(f"--families must be at least 1, but {options.families} was given")
    declared = [Check(claim, body) for claim, body in checks_of(options.folder)]
    checks = [check for check in declared if check.is_plain]
    if not any(map(_counts, checks)):
        parser.error(f"no claim in {options.folder} counts: a corrected one with UNTRAINED among its controls")
    for check in declared:
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
