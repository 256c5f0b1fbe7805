"""How the daemon is assembled: every part is complete when it is made, and none sets attributes of another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

DAEMON = Path(__file__).resolve().parents[2] / "daemon"
#: Attributes of others' objects that have to be set, since those who wrote the objects provide no other way.
SET_FROM_OUTSIDE = {
    "platform/finder/macos.py": {"argtypes", "restype"},  # how ctypes is told a function's prototype
    "platform/template/linux.py": {"returncode"},  # a Popen whose child was reaped by us
    "supervisor/process.py": {"returncode"},  # the same
    "watch/fsevents.py": {"_emitter_class"},  # watchdog takes no emitter of one's own
    "settings/loading.py": {"_styles", "_paths"},  # private attributes of a pydantic model, which no constructor takes
}
#: A default of these stands for the real thing. Anything else written in place, as `lambda: None`, may hide a forgotten wire.
REAL = {
    "daemon/claiming/claims.py: lambda: datetime.now(UTC)",
    "daemon/claiming/inbox_folders.py: lambda: True",  # a home's disk is local unless its owner says that it is not
    "daemon/claiming/moving.py: lambda: True",
    "daemon/settings/loading.py: lambda _: False",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(DAEMON.rglob("*.py")):
        yield path.relative_to(DAEMON).as_posix(), ast.parse(path.read_text())


def targets(node: ast.AST) -> Iterator[ast.Attribute]:
    """The attributes that a statement assigns to."""
    match node:
        case ast.Assign():
            several = node.targets
        case ast.AugAssign() | ast.AnnAssign():
            several = [node.target]
        case _:
            return
    for target in several:
        yield from (each for each in ast.walk(target) if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store))


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def set_on_others(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Assignments to an attribute of anything but self. A module may change the records that it defines itself."""
    own = {
        field.target.id
        for definition in ast.walk(tree)
        if isinstance(definition, ast.ClassDef)
        for field in definition.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }
    own |= {target.attr for node in ast.walk(tree) for target in targets(node) if is_self(target.value)}
    for node in ast.walk(tree):
        for target in targets(node):
            if not is_self(target.value) and (ast.unparse(target).startswith("self.") or target.attr not in own):
                yield node.lineno, target.attr


def defaults(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The defaults of callables that are written in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            values = [*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)]
        elif isinstance(node, ast.ClassDef):
            values = [each.value for each in node.body if isinstance(each, ast.AnnAssign) and each.value is not None]
        else:
            continue
        yield from ((value.lineno, ast.unparse(value)) for value in values if isinstance(value, ast.Lambda))


def test_nobody_sets_an_attribute_of_another_object() -> None:
    found = [
        f"daemon/{name}:{line}: .{attribute} ="
        for name, tree in modules()
        for line, attribute in set_on_others(tree)
        if attribute not in SET_FROM_OUTSIDE.get(name, set())
    ]
    assert found == []


def test_no_default_of_a_callable_hides_a_forgotten_wire() -> None:
    found = [
        f"daemon/{name}:{line}: {text}"
        for name, tree in modules()
        for line, text in defaults(tree)
        if f"daemon/{name}: {text}" not in REAL
    ]
    assert found == []


@pytest.mark.parametrize(
    "statement", ["runs.world = world", "self.runs.world = world", "self.a, runs.world = 1, 2", "runs.failures += 1"]
)
def test_what_sets_something_on_another_object_is_seen(statement: str) -> None:
    assert len(list(set_on_others(ast.parse(statement)))) == 1


def test_a_lambda_in_place_of_a_wire_is_seen() -> None:
    assert [text for _, text in defaults(ast.parse("def f(told=lambda job: None): ..."))] == ["lambda job: None"]
