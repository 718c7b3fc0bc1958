"""What Python code does, as a digest of its syntax tree.

Left out is what can't change a number: comments, docstrings, layout, annotations, the wording of errors that are raised,
and the names of a function's locals. Everything else counts.

Parameters keep their names. If they didn't, swapping two names in a signature would go unseen although every call by
keyword means something else afterwards.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

__all__ = ["shape_of"]


@lru_cache(maxsize=512)
def shape_of(source: str | bytes) -> str:
    r"""Return a digest of Python source by its syntax tree, without what can't change a number.

    Raises
    ------
    SyntaxError
        If it is not Python.

    Examples
    --------
    >>> shape_of("def f(x):\n    y = x + 1  # one more\n    return y") == shape_of("def f(x):\n    z = x + 1\n    return z")
    True
    >>> shape_of("y = 1") == shape_of("y = 2")
    False

    """
    # A function that was taken out of a class or another function is indented.
    text = inspect.cleandoc("\n" + source) if isinstance(source, str) and source[:1].isspace() else source
    module = _Normalizer().visit(ast.parse(text))
    return hashlib.sha256("".join(_written(module)).encode("utf-8", "surrogatepass")).hexdigest()


def _written(node: object) -> Iterator[str]:
    """Yield a syntax tree as text that does not depend on Python's version: fields that are empty are left out."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if name not in ("ctx", "kind", "type_comment", "type_ignores") and value is not None and value != []:
                yield f" {name}="
                yield from _written(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _written(item)
            yield ","
        yield "]"
    else:
        yield repr(node)


Scope = dict[str, str]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class _Normalizer(ast.NodeTransformer):
    """Takes out of a tree what can't change a number, and gives every local of a function a number for a name."""

    def __init__(self) -> None:
        self._scopes: list[Scope] = []

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = [one for one in _without_docstring(node.body) if not _is_for_type_checkers(one)]
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        node.name = self._renamed(node.name)
        return self.generic_visit(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.name = self._renamed(node.name)
        node.body = _without_docstring(node.body)
        node.returns = None
        # Defaults and decorators are evaluated outside.
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        self._visit_arguments(node.args)
        self._scopes.append(_scope_of(node, len(self._scopes)))
        node.body = [self.visit(one) for one in node.body]
        self._scopes.pop()
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _visit_function

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._visit_arguments(node.args)
        self._scopes.append(_scope_of(node, len(self._scopes)))
        node.body = self.visit(node.body)
        self._scopes.pop()
        return node

    def _visit_arguments(self, arguments: ast.arguments) -> None:
        for argument in ast.walk(arguments):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        arguments.defaults = [self.visit(one) for one in arguments.defaults]
        arguments.kw_defaults = [one and self.visit(one) for one in arguments.kw_defaults]

    def _visit_comprehension(self, node: Any) -> Any:
        bound = (name for part in node.generators for name in ast.walk(part.target))
        targets = dict.fromkeys(
            name.id for name in bound if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        )
        node.generators[0].iter, first = ast.Pass(), self.visit(node.generators[0].iter)  # evaluated outside
        depth = len(self._scopes)
        self._scopes.append({name: f"{depth}.{number}" for number, name in enumerate(targets)})
        visited: Any = self.generic_visit(node)
        self._scopes.pop()
        visited.generators[0].iter = first
        return visited

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if self._scopes and isinstance(
            node.target, ast.Name
        ):  # a local's is never evaluated; a class's makes its fields
            return self.generic_visit(ast.Assign([node.target], node.value)) if node.value else ast.Pass()
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self.generic_visit(_Silent().visit(node))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._renamed(node.id)
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        if self._scopes:
            node.asname = self._renamed(node.asname or node.name.partition(".")[0])
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = node.name and self._renamed(node.name)
        return self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> ast.AST:
        node.name = node.name and self._renamed(node.name)
        return self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        node.rest = node.rest and self._renamed(node.rest)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> ast.AST:
        node.names = [self._renamed(name) for name in node.names]
        return node

    visit_Nonlocal = visit_Global

    def _renamed(self, name: str) -> str:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), name)


class _Silent(ast.NodeTransformer):
    """Takes the words out of an error that is raised."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest or [ast.Pass()]
    return body


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING" and not statement.orelse


def _scope_of(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, depth: int) -> Scope:
    """Return what each name that a function binds is called instead; parameters, and what is global, stay as they are."""
    parameters = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    outside: set[str] = set()
    bound: dict[str, None] = {}
    for node in _inside(function):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            outside.update(node.names)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound[node.name] = None
        elif isinstance(node, ast.alias):
            bound[node.asname or node.name.partition(".")[0]] = None
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            bound[node.name] = None
        elif isinstance(node, ast.MatchMapping) and node.rest:
            bound[node.rest] = None
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound[node.id] = None
    names = [name for name in bound if name not in parameters and name not in outside]
    return {name: name for name in parameters} | {name: f"{depth}.{number}" for number, name in enumerate(names)}


def _inside(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Iterator[ast.AST]:
    """Yield the nodes of a function's own scope, in the order in which they stand; of what is inside in turn, its top alone."""
    waiting: list[ast.AST] = list(reversed(function.body if isinstance(function.body, list) else [function.body]))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, COMPREHENSIONS):  # what `:=` binds in one belongs to the function
            yield from (inner.target for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
        if isinstance(node, (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef)):
            continue
        waiting += reversed(list(ast.iter_child_nodes(node)))
