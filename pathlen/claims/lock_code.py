"""The code of a claim as the lock sees it: what its body computes, without comments, formatting or docstrings."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pathlen.claims.verdict import Region

__all__ = ["digest_of_body"]


def digest_of_body(function: Callable[..., Any]) -> str:
    """Return a digest of the code behind a claim.

    It covers the body, and every constant and helper of its file that the body uses, directly or not.
    """
    return hashlib.sha256("\n".join(_shapes(function)).encode("utf-8")).hexdigest()[:16]


def _shapes(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the shape of a claim's body, of every statement in its file that it depends on, and of its constants."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f"{name} = {_constant(cell.cell_contents)}"
    definitions = _definitions(ast.parse(Path(inspect.getfile(function)).read_bytes()))
    pending = [_body(function), *_class_attributes(function)]
    seen: set[str] = set()
    while pending:
        statement = pending.pop()
        _strip_docstrings(statement)
        yield _shape(statement)
        used = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} - seen
        seen |= used
        for name in sorted(used):
            pending += definitions.get(name, [])
            if name not in definitions and (constant := _constant(function.__globals__.get(name))):
                yield f"{name} = {constant}"


def _body(function: Callable[..., Any]) -> ast.stmt:
    """Return the syntax tree of a claim's function without its decorators, which are the declaration."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)  # noqa: S101  # a claim is a plain function
    definition.decorator_list = []
    return definition


def _class_attributes(function: Callable[..., Any]) -> list[ast.stmt]:
    """Return the statements of a method's class other than its tests; none for a plain function."""
    if not inspect.ismethod(function):
        return []
    definition = ast.parse(textwrap.dedent(inspect.getsource(type(function.__self__)))).body[0]
    assert isinstance(definition, ast.ClassDef)  # noqa: S101
    return [
        statement
        for statement in definition.body
        if not (isinstance(statement, ast.FunctionDef) and statement.name.startswith("test"))
    ]


def _strip_docstrings(statement: ast.stmt) -> None:
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]


def _definitions(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """Return the statements that define each name of a module, imports excluded."""
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names = {statement.name}
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names = set()
        else:
            names = {
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
        for name in names:
            definitions.setdefault(name, []).append(statement)
    return definitions


def _shape(node: object) -> str:
    """Return the structure of a syntax tree as text that is the same on every Python version."""
    if isinstance(node, ast.AST):
        fields = ((name, child) for name, child in ast.iter_fields(node) if child not in (None, []))
        return f"{type(node).__name__}({', '.join(f'{name}={_shape(child)}' for name, child in fields)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_shape, node))}]"
    return repr(node)


def _constant(value: object) -> str:
    """Return the text of a constant that a claim uses from outside its file; empty unless it is a plain value."""
    return repr(value) if isinstance(value, bool | int | float | str | tuple | Region) else ""
