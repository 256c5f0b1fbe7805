"""What pydantic says about a wrong value reaches nobody: each of its errors has plain words."""

import ast
import importlib
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import AwareDatetime, BaseModel, ByteSize, Field, FilePath, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticCustomError, core_schema

import daemon
from daemon.contract.words.validation import GENERAL, Fault, clause_of, faults, in_words

HERE = Path(daemon.__file__).parents[1]
SOURCES = sorted(path for part in ("daemon", "pipeline") for path in HERE.joinpath(part).rglob("*.py"))
A_MODEL = re.compile(r"^class \w+\((?:BaseModel|Frozen|Group|Accepted|\w*Model)\b", re.MULTILINE)
#: Words of pydantic, which a person must not have to read.
ITS_OWN = re.compile(
    r"Value error|Assertion failed|Input should|Field required|validation error|unable to (?:parse|interpret)|pydantic|literal\["
)
WRONG: list[Any] = [
    None, True, -1, 1e400, float("nan"), 2.5, 10**30, "", "x", "a\nb", "\x1b[2J", "x" * 70_000, ["x"], {}, {"kind": "x"},
    {"type": "x"}, b"\xff", "2026-13-45",
]  # fmt: skip


def models() -> Iterator[type[BaseModel]]:
    """Every model of the daemon."""
    for path in SOURCES:
        if path.is_relative_to(HERE / "daemon") and A_MODEL.search(path.read_text(encoding="utf-8")):
            module = importlib.import_module(".".join(path.relative_to(HERE).with_suffix("").parts).removesuffix(".__init__"))
            for found in vars(module).values():
                if isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == module.__name__:
                    yield found


def test_every_field_of_every_model_refuses_in_plain_words() -> None:
    found: list[tuple[type[BaseModel], object, Fault]] = []
    for model in models():
        fields = [info.alias or name for name, info in model.model_fields.items()]
        for given in (*WRONG, *({field: wrong} for field in fields for wrong in WRONG)):
            try:
                model.model_validate(given)
            except ValidationError as error:
                found += [(model, given, fault) for fault in faults(error)]
    assert len(found) > 5_000
    assert [each for each in found if ITS_OWN.search(str(each[2])) or not str(each[2]).isprintable()] == []
    assert [each for each in found if each[2].clause == GENERAL] == []


def test_every_type_of_error_has_words_and_one_that_is_new_has_general_ones() -> None:
    kinds = set(get_args(core_schema.ErrorType)) - {"ellipsis_error"}
    without = {kind for kind in kinds if clause_of(kind, {}) == GENERAL}
    # Those that only Python code can cause, and those whose words need what pydantic knows about the error.
    assert without <= {
        "needs_python_object", "get_attribute_error", "default_factory_not_called", "is_instance_of", "is_subclass_of",
        "callable_type", "value_error", "assertion_error", "greater_than", "greater_than_equal", "less_than", "less_than_equal",
        "multiple_of", "too_short", "too_long", "string_too_short", "string_too_long", "bytes_too_short", "bytes_too_long",
        "enum",
        "literal_error", "union_tag_invalid", "union_tag_not_found",
    }  # fmt: skip
    assert clause_of("of_a_later_version", {"error": "Input should be new"}) == GENERAL


class Sample(BaseModel):
    """A field of every kind."""

    whole: Annotated[int, Field(ge=2, le=12)] = 2
    real: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    word: Literal["auto", "model"] = "auto"
    split: Literal["even"] | tuple[float, ...] = "even"
    name: Annotated[str, Field(min_length=1, max_length=3, pattern="^[a-z]+$")] = "a"
    listed: Annotated[list[int], Field(max_length=1)] = []
    day: date | None = None
    moment: datetime | None = None
    aware: AwareDatetime | None = None
    size: ByteSize | None = None
    file: FilePath | None = None
    switch: bool = False
    checked: int = 0
    odd: int = 0

    @field_validator("checked")
    @classmethod
    def _check(cls, given: int) -> int:
        if given:
            raise ValueError("checked must be 0 on Sundays")
        return given

    @field_validator("odd")
    @classmethod
    def _odd(cls, given: int) -> int:
        if given:
            raise PydanticCustomError("of_somebody_else", "Input should be odd")
        return given


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"whole": "x"}, "whole must be a whole number"),
        ({"whole": 13}, "whole must be at most 12"),
        ({"real": 0}, "real must be above 0"),
        ({"real": float("inf")}, "real must be a finite number"),
        ({"word": "x"}, "word must be auto or model"),
        ({"split": 3}, "split must be even (and 1 more mistake)"),
        ({"name": ""}, "name must have at least 1 character"),
        ({"name": "abcd"}, "name must have at most 3 characters"),
        ({"name": "A"}, "name contains characters that are not allowed, or not in this order"),
        ({"listed": 3}, "listed must be a list"),
        ({"listed": ["x"]}, "listed.0 must be a whole number"),
        ({"listed": [1, 2]}, "listed must have at most 1 entry"),
        ({"day": "x"}, "day must be a date, such as 2026-01-31"),
        ({"moment": "x"}, "moment must be a date and time, such as 2026-01-31T14:30:00Z"),
        ({"aware": datetime(2026, 1, 1)}, "aware must have a time zone, such as the Z at its end"),
        ({"size": "3 apples"}, "size must be a size in a known unit, such as 500 MB"),
        ({"file": "/nowhere"}, "file is not the path of a file"),
        ({"switch": "x"}, "switch must be true or false"),
        ({"checked": 1}, "checked: checked must be 0 on Sundays"),
        ({"odd": 1}, f"odd {GENERAL}"),
        (3, "it must be a group of fields"),
    ],
)
def test_each_kind_of_mistake_is_told_in_plain_words(given: object, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Sample.model_validate(given)
    assert in_words(refused.value) == said


def test_json_that_is_cut_off_is_told_in_plain_words() -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(int).validate_json(b"{")
    assert in_words(refused.value) == "it is not valid JSON"


def test_another_exception_keeps_the_first_line_of_its_own_words() -> None:
    assert in_words(OSError(5, "Input/output error")) == "[Errno 5] Input/output error"
    assert in_words(KeyError()) == "KeyError"


def uses(handler: ast.ExceptHandler) -> Iterator[ast.Name]:
    """What is done with the caught error, but for calls of our words, its `errors`, and `raise … from`."""
    fine = set[int]()
    for node in ast.walk(handler):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OURS:
            fine |= {id(each) for each in node.args}
        if isinstance(node, ast.Raise):
            fine.add(id(node.cause))
        if isinstance(node, ast.Attribute) and node.attr == "errors":
            fine.add(id(node.value))
    for node in ast.walk(handler):
        if isinstance(node, ast.Name) and node.id == handler.name and id(node) not in fine:
            yield node


#: The functions that put pydantic's errors into words.
OURS = {"in_words", "faults", "_unfit", "_problem"}


def raw(path: Path) -> list[str]:
    source = path.read_text(encoding="utf-8")
    if "ValidationError" not in source or path.name == "validation.py":
        return []
    handlers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler) and node.name and node.type]
    pydantics = [each for each in handlers if "ValidationError" in ast.unparse(each.type or each)]
    return [f"{path.relative_to(HERE)}, line {node.lineno}" for each in pydantics for node in uses(each)]


def test_no_module_repeats_the_words_of_pydantic() -> None:
    assert [line for path in SOURCES for line in raw(path)] == []
