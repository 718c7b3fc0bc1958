"""What somebody who misused the API probably meant: a message that says what to write instead.

Nothing here is needed by whoever writes claims rightly. The texts stand in one place, so that they keep one tone and one test.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence

from pathlen.errors import InvalidClaim, near
from pathlen.stats.estimate import Estimate

__all__ = ["refuse_assertions", "unknown_argument", "what_to_return", "where_it_must_lie"]

RETURN = "end the body with a statistic, as in `return mean(measured.last_step, passage=measured.passage)`"
DECLARE = "and say where the number must lie in the decorator: expect=below(...), above(...) or within(...)"


def where_it_must_lie(given: object) -> str:
    """Return what was probably meant by an ``expect`` that is no region."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return (
            f"expect=below({given:g}) or expect=above({given:g}), or a margin, within(-{abs(given):g}, {abs(given):g})"
        )
    if isinstance(given, list | tuple) and len(given) == 2:
        return f"expect=within({given[0]}, {given[1]})"
    return "expect=below(...), above(...) or within(...)"


def what_to_return(claim: str, returned: object) -> str:
    """Return what to write in the body of a claim that returned something else than a statistic."""
    kind = type(returned).__name__
    opening = f"claim {claim!r} must return a statistic, but returned {kind}"
    if returned is None:
        return f"{opening}: {RETURN}"
    if isinstance(returned, Estimate):
        return f"{opening}: return the statistic itself, without .estimate(); its interval is made as the claim's region asks"
    if isinstance(returned, bool) or kind == "bool_":
        return f"{opening}: don't compare in the body; return the statistic, {DECLARE}"
    if isinstance(returned, Sequence) and not isinstance(returned, str | bytes):
        return f"{opening}: write one claim for each number, or judge several at once with strongest(...) or largest_difference(...)"
    return f"{opening}: a bare value has no interval; give its column to a statistic, such as mean(column, passage=measured.passage)"


def refuse_assertions(claim: str, function: Callable[..., object]) -> None:
    """Raise `InvalidClaim` if a claim's body asserts: what decides has to stand in the decorator, before measuring."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # typed into an interpreter, or made by a program: nothing to read
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            line = function.__code__.co_firstlineno + node.lineno - 1
            raise InvalidClaim(
                f"claim {claim!r} asserts inside its body (line {line}), where the number could be seen before the region is "
                f"chosen: return the statistic, {DECLARE}"
            )


def unknown_argument(claim: str, name: str, known: Iterable[str]) -> str:
    """Return what to write where a claim asks for something that nothing provides."""
    known = sorted(known)
    return f"claim {claim!r} asks for {name!r}, which is no fixture{near(name, known) or '.'} A claim can ask for {', '.join(known)}"
