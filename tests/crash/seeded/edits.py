"""Edits to the structure of a program: a call removed, a test that always fails, two statements swapped.

An edit looks for its place in the syntax tree of one function, so it survives new names of variables, comments and line breaks.
It must find exactly one place. Names are matched by their last parts: `sync` fits `self._fs.sync`, and `folder.sync_dir` only
fits where it is written so.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

#: A change to make at a place that was found.
Change = Callable[[], None]
_BLOCKS = ("body", "orelse", "finalbody")


class NoPlaceError(Exception):
    """An edit no longer fits the program."""


class Edit(Protocol):
    """One change to a function."""

    def places(self, scope: ast.AST) -> Iterator[Change]:
        """The places in the function that fit; calling one applies the edit there."""
        ...


def edited(source: str, where: str, *edits: Edit) -> str:
    """The source of a module with changes to one function.

    Args:
        source: of the module.
        where: the function, `Class.method` for a method, or the name of a constant; empty for the whole module.
        edits: made one after the other.

    Raises:
        NoPlaceError: the function is not there, or an edit fits no place in it, or several.
    """
    tree = ast.parse(source)
    scope = _find(tree, where)
    for edit in edits:
        changes = list(edit.places(scope))
        if len(changes) != 1:
            raise NoPlaceError(f"{edit} fits {len(changes)} places in {where or 'the module'}, and must fit one")
        changes[0]()
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _find(tree: ast.Module, where: str) -> ast.AST:
    found: ast.AST = tree
    for name in filter(None, where.split(".")):
        inside = [
            node
            for node in getattr(found, "body", [])
            if name in (getattr(node, "name", None), *map(ast.unparse, _targets(node)))
        ]
        if not inside:
            raise NoPlaceError(f"there is no {where}")
        found = inside[-1]
    return found


@dataclass(frozen=True)
class Drop:
    """Remove the statement that only calls `what`, or assigns to it."""

    what: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        for block, i in _statements(scope):
            if _calls(block[i], self.what) or any(_fits(target, self.what) for target in _targets(block[i])):
                yield _setter(block, i, [ast.Pass()])


@dataclass(frozen=True)
class Move:
    """Move the statement that calls `call` before the one that calls `before`."""

    call: str
    before: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        for block, i in _statements(scope):
            if not _calls(block[i], self.call):
                continue
            for j in range(i):
                if _mentions(block[j], self.before):
                    yield _setter(block, j, [block[i], *block[j:i]], until=i + 1)


@dataclass(frozen=True)
class Insert:
    """Insert statements: before or after the innermost statement that mentions a name, or at the beginning."""

    code: str
    before: str | None = None
    after: str | None = None

    def places(self, scope: ast.AST) -> Iterator[Change]:
        new, name = ast.parse(self.code).body, self.before or self.after
        if name is None:
            block = scope.body  # type: ignore[attr-defined]
            start = int(ast.get_docstring(scope) is not None)  # type: ignore[arg-type]
            yield _setter(block, start, new, until=start)
            return
        for block, i in _statements(scope):
            if _own_mentions(block[i], name):
                place = i if self.before else i + 1
                yield _setter(block, place, new, until=place)


@dataclass(frozen=True)
class Instead:
    """Replace the statement that calls `call`."""

    call: str
    code: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        for block, i in _statements(scope):
            if _calls(block[i], self.call):
                yield _setter(block, i, ast.parse(self.code).body)


@dataclass(frozen=True)
class Return:
    """Return this value immediately."""

    value: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        yield from Insert(f"return {self.value}").places(scope)


@dataclass(frozen=True)
class RetryInHandler:
    """If the statement that calls `call` fails, run it once more."""

    call: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        for node in ast.walk(scope):
            if isinstance(node, ast.Try):
                for again in (each for each in node.body if _calls(each, self.call)):
                    for handler in node.handlers:
                        yield _setter(handler.body, 0, [again], until=0)


@dataclass(frozen=True)
class Judge:
    """Make the `if` whose test mentions a name always go the same way."""

    name: str
    result: bool

    def places(self, scope: ast.AST) -> Iterator[Change]:
        for node in ast.walk(scope):
            if isinstance(node, ast.If | ast.IfExp) and _mentions(node.test, self.name):
                # What the test gives a name to is still needed; a tuple with something in it counts as true.
                named = [ast.Tuple([each], ast.Load()) for each in ast.walk(node.test) if isinstance(each, ast.NamedExpr)]
                result = ast.Constant(self.result)
                test = ast.BoolOp(ast.And(), [*named, result]) if named else result
                yield _attribute(node, "test", test)


def Never(name: str) -> Judge:  # noqa: N802 - reads as the other edits do
    """The `if` whose test mentions the name never applies."""
    return Judge(name, False)


def Always(name: str) -> Judge:  # noqa: N802 - reads as the other edits do
    """The `if` whose test mentions the name always applies."""
    return Judge(name, True)


@dataclass(frozen=True)
class FallThrough:
    """Continue the loop's body after the `if` whose test mentions a name, instead of leaving it."""

    name: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        for node in ast.walk(scope):
            if isinstance(node, ast.If) and _mentions(node.test, self.name) and isinstance(node.body[-1], ast.Continue):
                yield _setter(node.body, len(node.body) - 1, [ast.Pass()])


@dataclass(frozen=True)
class Without:
    """Remove the operand that mentions a name from an `and`, `or` or `|`."""

    name: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        for parent, field, index, node in _expressions(scope):
            if isinstance(node, ast.BoolOp):
                rest = [value for value in node.values if not _mentions(value, self.name)]
                whole = [value for value in node.values if isinstance(value, ast.BoolOp)]
                inside = any(_mentions(value, self.name) for value in whole)
                if len(rest) == len(node.values) - 1 and not inside:
                    yield _expression(parent, field, index, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
                if _fits(node.right, self.name):
                    yield _expression(parent, field, index, node.left)
                elif _fits(node.left, self.name):
                    yield _expression(parent, field, index, node.right)


@dataclass(frozen=True)
class Keyword:
    """Call `call` with another value for a keyword argument."""

    call: str
    name: str
    value: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and _fits(node.func, self.call):
                for keyword in node.keywords:
                    if keyword.arg == self.name:
                        yield _attribute(keyword, "value", ast.parse(self.value, mode="eval").body)


@dataclass(frozen=True)
class Replace:
    """Replace one expression by another."""

    old: str
    new: str

    def places(self, scope: ast.AST) -> Iterator[Change]:
        old = ast.dump(ast.parse(self.old, mode="eval").body)
        for parent, field, index, node in _expressions(scope):
            if ast.dump(node) == old:
                yield _expression(parent, field, index, ast.parse(self.new, mode="eval").body)


def _statements(scope: ast.AST) -> Iterator[tuple[list[ast.stmt], int]]:
    """Each statement in a function: its block and its index there."""
    for node in ast.walk(scope):
        for field in _BLOCKS:
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield from ((block, i) for i in range(len(block)))


def _expressions(scope: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.expr]]:
    """Each expression and where it is: its parent node, the field, and the index if that is a list."""
    for parent in ast.walk(scope):
        for field, value in ast.iter_fields(parent):
            if isinstance(value, ast.expr):
                yield parent, field, None, value
            elif isinstance(value, list):
                yield from ((parent, field, i, each) for i, each in enumerate(value) if isinstance(each, ast.expr))


def _fits(node: ast.AST, name: str) -> bool:
    """Whether this is the name, or ends with it."""
    if not isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        return False
    if isinstance(node, ast.Subscript):
        node = node.value
    written = ast.unparse(node)
    return written == name or written.endswith("." + name)


def _mentions(node: ast.AST, name: str) -> bool:
    return any(_fits(each, name) for each in ast.walk(node) if not isinstance(each, ast.Subscript))


def _own_mentions(statement: ast.stmt, name: str) -> bool:
    """Whether a statement mentions a name outside its nested statements."""
    children = (child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt | ast.ExceptHandler))
    return any(_mentions(child, name) for child in children)


def _calls(statement: ast.stmt, name: str) -> bool:
    """Whether a statement does nothing but call this."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(value, ast.Await | ast.YieldFrom | ast.Yield):
        value = value.value
    return isinstance(value, ast.Call) and _fits(value.func, name)


def _targets(statement: ast.stmt) -> list[ast.expr]:
    return statement.targets if isinstance(statement, ast.Assign) else []


def _setter(block: list[ast.stmt], start: int, new: list[ast.stmt], *, until: int | None = None) -> Change:
    def change() -> None:
        block[start : start + 1 if until is None else until] = new

    return change


def _attribute(node: ast.AST, field: str, new: ast.AST) -> Change:
    return lambda: setattr(node, field, new)


def _expression(parent: ast.AST, field: str, index: int | None, new: ast.expr) -> Change:
    def change() -> None:
        if index is None:
            setattr(parent, field, new)
        else:
            getattr(parent, field)[index] = new

    return change
