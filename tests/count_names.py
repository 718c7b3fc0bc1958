"""Count the names that say nothing among those that functions store: ``python tests/count_names.py [FOLDER ...]``.

A local should say what it holds. *one*, *found* or *kept* could hold anything, so this counts how often a function stores
something under such a name, in code and in tests. No test has a threshold for it: a name is judged by reading it.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

VAGUE = frozenset({"one", "found", "place", "own", "kept", "made", "here", "whole"})
PROJECT = Path(__file__).parents[1]


def stored_names(source: str) -> Iterator[str]:
    """Yield every name that a function in the source stores, as often as it does."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nested = {
                node
                for inner in ast.walk(function)
                if inner is not function and isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef))
                for node in ast.walk(inner)
            }
            for node in ast.walk(function):
                if node not in nested and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def main(folders: list[str]) -> None:
    """Print the share of vague names, all together and by folder."""
    counts: dict[str, Counter[bool]] = {}
    vague: Counter[str] = Counter()
    for folder in folders or ["pathlen", "tests"]:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            inside = path.relative_to(PROJECT).parts
            names = list(stored_names(path.read_text("utf-8")))
            vague.update(name for name in names if name in VAGUE)
            counts.setdefault("/".join(inside[:2]), Counter()).update(name in VAGUE for name in names)
    total = sum(counts.values(), Counter())
    for room, count in counts.items():
        print(f"{count[True] / max(1, count.total()):6.1%}  {count[True]:5,} of {count.total():6,}  {room}")
    print(f"{total[True] / max(1, total.total()):6.1%}  {total[True]:5,} of {total.total():6,}  all together")
    print(", ".join(f"{name} {count:,}" for name, count in vague.most_common()))


if __name__ == "__main__":
    main(sys.argv[1:])
