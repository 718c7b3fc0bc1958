"""What Python code does, as a digest of its syntax tree.

Left out is what can't change a number: comments, docstrings, layout, annotations, the wording of errors, and the names of a
function's locals. Everything else counts.

Whatever might matter at run time stays in, at the price of a digest that sometimes changes without need:

- Parameters keep their names. Otherwise nobody would notice that two names in a signature were swapped, although every call
  by keyword now means something else.
- Annotations of a class's fields stay, because dataclasses are made of them. So do those of a function that is registered by
  type, as with `functools.singledispatch`.
- A decorated function or class keeps its name, which the decorator can read. In a function that calls ``locals()``, ``eval`` or
  the like, every local keeps its name.
- Only a text with a space in it counts as the wording of an error. A single word may be a code that a handler compares.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

__all__ = ["shape_of"]

READS_LOCALS = frozenset({"dir", "eval", "exec", "locals", "vars"})
READS_CALLERS = frozenset(
    {"_getframe", "currentframe", "eval", "evaluate", "query"}
)  # methods, as those of pandas and numexpr

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


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
    module = _Normalizer().visit(_parsed(source))
    return hashlib.sha256("".join(_written(module)).encode("utf-8", "surrogatepass")).hexdigest()


def _parsed(source: str | bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except IndentationError:
        if isinstance(source, bytes):
            raise
        # A function that was taken out of a class or another function. Dedenting it would alter texts of several lines in it.
        (block,) = ast.parse(f"if True:\n{source}").body
        if not isinstance(block, ast.If) or block.orelse:
            raise
        return ast.Module(block.body, [])


def _written(node: object) -> Iterator[str]:
    """Yield a syntax tree as text that does not depend on Python's version: fields that are empty are left out."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, content in ast.iter_fields(node):
            if name not in ("ctx", "kind", "type_comment", "type_ignores") and content is not None and content != []:
                yield f" {name}="
                yield from _written(content)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for entry in node:
            yield from _written(entry)
            yield ","
        yield "]"
    else:
        yield repr(node)


@dataclass(frozen=True, slots=True)
class _Scope:
    """What each name that a function, a comprehension or a class binds is called instead."""

    names: dict[str, str]
    is_class: bool = False


class _Normalizer(ast.NodeTransformer):
    """Takes out of a tree what can't change a number, and gives every local of a function a number for a name."""

    def __init__(self) -> None:
        self._scopes: list[_Scope] = []
        self._has_type_checking = False

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self._has_type_checking = _takes_type_checking_from_typing(node)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        is_for_type_checkers = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not node.orelse
        return None if is_for_type_checkers and self._has_type_checking else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        # A constant that stands alone, such as a docstring, does nothing.
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        return None

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._renamed(node.name)
        for outside in (node.decorator_list, node.bases, node.keywords):
            outside[:] = self._visit_all(outside)
        bindings = _bindings_of(node.body)
        # Attributes keep their names, since they can be reached from anywhere.
        names = {
            name: name for name in {*bindings.bound, *bindings.fixed, *bindings.global_names} - bindings.nonlocal_names
        }
        self._scopes.append(_Scope(names, is_class=True))
        node.body = self._visit_all(node.body)
        self._scopes.pop()
        return node

    def _visit_function(self, node: Function) -> ast.AST:
        node.name = self._renamed(node.name)
        if not any(map(_registers_by_type, node.decorator_list)):
            node.returns = None
            for argument in _arguments(node.args):
                argument.annotation = None
        # Defaults and decorators are evaluated outside.
        node.decorator_list = self._visit_all(node.decorator_list)
        self._visit_defaults(node.args)
        self._scopes.append(_scope_of(node, len(self._scopes)))
        node.body = self._visit_all(node.body)
        self._scopes.pop()
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _visit_function

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._visit_defaults(node.args)
        self._scopes.append(_scope_of(node, len(self._scopes)))
        node.body = self.visit(node.body)
        self._scopes.pop()
        return node

    def _visit_defaults(self, arguments: ast.arguments) -> None:
        arguments.defaults = self._visit_all(arguments.defaults)
        arguments.kw_defaults = [default and self.visit(default) for default in arguments.kw_defaults]

    def _visit_comprehension(self, node: Any) -> Any:
        first = node.generators[0]
        outermost, first.iter = self.visit(first.iter), ast.Constant(None)  # evaluated outside
        targets = dict.fromkeys(
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        )
        self._scopes.append(_Scope(_numbered(targets, len(self._scopes), are_fixed=_reads_names(node))))
        self.generic_visit(node)
        self._scopes.pop()
        first.iter = outermost
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self._scopes and self._scopes[-1].is_class:
            return self.generic_visit(node)
        return self.generic_visit(ast.Assign([node.target], node.value)) if node.value else None

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args = [_Wordless().visit(argument) for argument in node.exc.args]
            for keyword in node.exc.keywords:
                keyword.value = _Wordless().visit(keyword.value)
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = node.msg and _Wordless().visit(node.msg)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._renamed(node.id)
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        # ``import a.b`` binds ``a``, ``import a.b as a`` binds ``a.b``: without ``as`` it stays as it is.
        if self._scopes and (node.asname or "." not in node.name):
            node.asname = self._renamed(node.asname or node.name)
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

    def _visit_all(self, nodes: Iterable[ast.AST]) -> list[Any]:
        return [visited for node in nodes if (visited := self.visit(node)) is not None]

    def _renamed(self, name: str) -> str:
        """Return what a name is called instead. Of the classes around it, a function inside sees no name."""
        for scope in reversed(self._scopes):
            if name in scope.names and (not scope.is_class or scope is self._scopes[-1]):
                return scope.names[name]
        return name


class _Wordless(ast.NodeTransformer):
    """Takes the wording out of an error's arguments."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if _is_wording(node) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("") if any(map(_is_wording, node.values)) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)  # the key decides what is looked up
        return node


def _is_wording(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and any(map(str.isspace, node.value))


def _takes_type_checking_from_typing(module: ast.Module) -> bool:
    """Whether ``TYPE_CHECKING`` is the constant of `typing`, which is false at run time, and never anything else."""
    is_imported = False
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and any(
            (taken.asname or taken.name) == "TYPE_CHECKING" for taken in node.names
        ):
            if node.module != "typing" or node.level or any(taken.asname == "TYPE_CHECKING" for taken in node.names):
                return False
            is_imported = True
        elif (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING" and not isinstance(node.ctx, ast.Load)) or (
            isinstance(node, ast.arg) and node.arg == "TYPE_CHECKING"
        ):
            return False
    return is_imported


def _registers_by_type(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr == "register"


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred]


def _reads_names(node: ast.AST) -> bool:
    """Whether anything in a function looks up a local by its name."""
    for inner in ast.walk(node):
        match inner:
            case ast.Name(id=name) if name in READS_LOCALS:
                return True
            case ast.Call(
                func=ast.Attribute(attr="eval"), args=[]
            ):  # of a network; that of a table takes an expression
                continue
            case ast.Call(func=ast.Attribute(attr=name)) if name in READS_CALLERS:
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Bindings:
    """The names that a scope binds, in the order in which they stand, and those that it says are another scope's.

    ``fixed`` are names that must stay as they are.
    """

    bound: dict[str, None] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)
    global_names: set[str] = field(default_factory=set)
    nonlocal_names: set[str] = field(default_factory=set)


def _bindings_of(body: Iterable[ast.AST]) -> _Bindings:
    bindings = _Bindings()
    for node in _nodes_of_scope(body):
        match node:
            case ast.Global(names=names):
                bindings.global_names.update(names)
            case ast.Nonlocal(names=names):
                bindings.nonlocal_names.update(names)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bindings.bound[name] = None
                if node.decorator_list:
                    bindings.fixed.add(name)
            case ast.alias(name=name, asname=None) if "." in name:
                bindings.fixed.add(name.partition(".")[0])
            case ast.alias(name=name, asname=asname):
                bindings.bound[asname or name] = None
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bindings.bound[name] = None
            case ast.MatchMapping(rest=str(name)):
                bindings.bound[name] = None
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                bindings.bound[name] = None
    return bindings


def _scope_of(function: Function | ast.Lambda, depth: int) -> _Scope:
    """Return what each name that a function binds is called instead; parameters, and what is global, stay as they are."""
    body: list[Any] = [function.body] if isinstance(function, ast.Lambda) else function.body
    bindings = _bindings_of(body)
    fixed = {argument.arg for argument in _arguments(function.args)} | bindings.fixed | bindings.global_names
    names = [name for name in bindings.bound if name not in fixed | bindings.nonlocal_names]
    numbered = _numbered(names, depth, are_fixed=_reads_names(function))
    return _Scope({**{name: name for name in fixed}, **numbered})


def _numbered(names: Iterable[str], depth: int, *, are_fixed: bool) -> dict[str, str]:
    """Return what the names of a scope are called instead: its depth and a number, which no name in Python can be."""
    return {name: name if are_fixed else f"{depth}.{number}" for number, name in enumerate(names)}


def _nodes_of_scope(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of one scope in the order in which they stand, without those of the scopes inside it."""
    waiting = list(body)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += list(_children_in_scope(node))[::-1]


def _children_in_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that are evaluated in the scope that the node stands in."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from node.decorator_list
            yield from _defaults(node.args)
        case ast.Lambda():
            yield from _defaults(node.args)
        case ast.ClassDef():
            yield from (*node.decorator_list, *node.bases, *node.keywords)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield node.generators[0].iter
            yield from _walruses(node)
        case _:
            yield from ast.iter_child_nodes(node)


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(default for default in arguments.kw_defaults if default is not None)]


def _walruses(comprehension: Comprehension) -> Iterator[ast.Name]:
    """Yield the names that ``:=`` binds in a comprehension: they belong to the function around it."""
    waiting: list[ast.AST] = [comprehension]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.NamedExpr):
            yield node.target
        if not isinstance(node, ast.Lambda):
            waiting += list(ast.iter_child_nodes(node))[::-1]
