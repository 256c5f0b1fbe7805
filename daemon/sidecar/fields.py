"""The sidecar's fields: how the YAML of each is read, and which values it allows, in words.

The field decides how its scalar is read, by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): the id in
`id: 0123` stays text, `seed: 1:30` is not ninety, and `no` is a word. Only `daemon.contract.spec` defines the ranges; the words
here are made from them.
"""

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

from annotated_types import Ge, Gt, Le

from daemon.contract.spec import (
    Choice,
    DepthChoice,
    DepthKind,
    DepthQuality,
    Format,
    JobSpec,
    MeshKind,
    Mode,
    MotionName,
    Naming,
    SplitMethod,
)
from daemon.contract.words.printable import quoted
from daemon.sidecar.problems import choice, did_you_mean
from daemon.sidecar.slips import list_meant, number_meant
from daemon.sidecar.yaml_subset import Entries, Items, Node, Scalar

Kind = Literal["text", "whole number", "number", "list of texts", "split"]

MAX_NUMBER_CHARACTERS = 40
"""No valid number needs more characters."""
MAX_DIGITS = 20
"""Enough for every 64-bit number. Python raises an error for more than 4,300 digits."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(rf"[-+]?[0-9]{{1,{MAX_DIGITS}}}|0o[0-7]{{1,21}}|0x[0-9a-fA-F]{{1,16}}")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Field:
    """How a field is read.

    Attributes:
        kind: the type of its values.
        allowed: the allowed values, in words that follow "must be".
        choices: the words that it allows; empty if it does not take words.
    """

    kind: Kind
    allowed: str
    choices: tuple[str, ...] = ()


class Wrong(Exception):
    """The field does not allow the value. `sentence` follows the place in the file; `line` is 1-based."""

    def __init__(self, sentence: str, line: int) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.line = line


def _range(name: str) -> str:
    """The bounds of a JobSpec field, in words."""
    low, high = "", ""
    for bound in JobSpec.model_fields[name].metadata:
        if isinstance(bound, Ge):
            low = f"from {bound.ge:g}"
        elif isinstance(bound, Gt):
            low = f"above {bound.gt:g}"
        elif isinstance(bound, Le):
            high = f"{bound.le}" if isinstance(bound.le, int) else f"{bound.le:g}"
    between = (" and up to " if low.startswith("above") else " to ") if high else ""
    return f"{low}{between}{high}"


def _one_of(choices: object) -> Field:
    words = get_args(choices)
    return Field("text", choice(words), words)


FIELDS: dict[str, Field] = {
    "mode": _one_of(Mode),
    "num_layers": Field("whole number", f"a whole number {_range('num_layers')}"),
    "style": Field("text", "the name of a style, of at most 100 characters"),
    "strength": Field("number", f"a number {_range('strength')}"),
    "seed": Field("whole number", f"a whole number {_range('seed')}"),
    "depth": _one_of(DepthChoice),
    "depth_kind": _one_of(DepthKind),
    "depth_quality": _one_of(DepthQuality),
    "formats": Field(
        "list of texts", f"a list of formats ({choice(get_args(Format))}) such as [psd], or [] for none", get_args(Format)
    ),
    "naming": _one_of(Naming),
    "motion": _one_of(MotionName),
    "seconds": Field("number", f"a number of seconds {_range('seconds')}"),
    "fps": Field("whole number", f"a whole number {_range('fps')}"),
    "amount": Field("number", f"a number {_range('amount')}"),
    "size": Field("whole number", f"a whole number of pixels {_range('size')}"),
    "mesh": _one_of(MeshKind),
    "split": Field(
        "split",
        f"{', '.join(get_args(SplitMethod))} or a list of num_layers − 1 numbers between 0 and 1 such as [0.3, 0.6]",
        get_args(SplitMethod),
    ),
    "matting": _one_of(Choice),
    "fill": _one_of(Choice),
    "priority": Field("whole number", f"a whole number {_range('priority')}"),
    "timeout_seconds": Field("number", f"a number of seconds {_range('timeout_seconds')}"),
    "id": Field("text", "1 to 64 of the characters a-z, 0-9, ., _ and -, the first of them a letter or digit"),
    "images": Field("list of texts", 'a list of file names or patterns in quotation marks such as ["*.jpg"]'),
}
"""The fields of JobSpec by name, in the order in which people read them."""


def value(name: str, node: Node) -> object:
    """The value of a field, from its YAML; None if it is empty, which counts as not given. JobSpec still has to check its range.

    Raises:
        Wrong: the value has the wrong type for this field.
    """
    field = FIELDS[name]
    if isinstance(node, Scalar) and node.plain and node.text in _NULL:
        return None
    if field.kind == "split" and isinstance(node, Items):
        return tuple(_item(name, item, "number") for item in node.items)
    if field.kind == "list of texts":
        if not isinstance(node, Items):
            meant = list_meant(name, _texts(node), field.choices)
            raise Wrong(f"{name} must be {field.allowed}, not {describe(node)}{meant}", node.line)
        return tuple(_item(name, item, "text") for item in node.items)
    return _item(name, node, "text" if field.kind == "split" else field.kind)


def _item(name: str, node: Node, kind: Kind) -> object:
    found: object = None
    if isinstance(node, Scalar):
        if kind == "text":
            found = _without_controls(name, node)
        elif node.plain:
            found = number(node.text) if kind == "number" else whole_number(node.text)
    if found is None:
        inside = isinstance(node, Items) and FIELDS[name].kind in ("list of texts", "split")
        given = "a list inside a list" if inside else describe(node)
        meant = number_meant(name, node.text) if kind != "text" and isinstance(node, Scalar) and node.plain else ""
        raise Wrong(f"{name} must be {FIELDS[name].allowed}, not {given}{meant}", node.line)
    return found


def _texts(node: Node) -> tuple[str, ...]:
    """The texts of a value that should be a list."""
    if isinstance(node, Scalar):
        return (node.text,)
    return tuple(entry.key for entry in node.entries) if isinstance(node, Entries) else ()


def _without_controls(name: str, node: Scalar) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in node.text):
        raise Wrong(f"{name} contains a line break or another control character: {quoted(node.text)}", node.line)
    return node.text


def describe(node: Node) -> str:
    """A description of a node, for the end of the sentence "… must be …, not …"."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Entries):
        return "further fields"
    if number(node.text) is None:
        return quoted(node.text)
    return node.text if node.plain else f"the text {quoted(node.text)}; leave out the quotation marks"


def not_allowed(name: str, given: object) -> str:
    """A sentence that says that a field does not allow this value, although its type is right."""
    field = FIELDS[name]
    suggestion = ""
    if isinstance(given, str):
        suggestion = did_you_mean(given, field.choices)
        return f"{name} must be {field.allowed}, not {quoted(given)}{suggestion}"
    if isinstance(given, tuple):
        words = [item for item in given if isinstance(item, str) and item not in field.choices]
        if words and field.choices:
            texts = [str(item) for item in given]
            suggestion = list_meant(name, texts, field.choices) or did_you_mean(words[0], field.choices)
            return f"{name} must be {field.allowed}, not {quoted(words[0])}{suggestion}"
        if given and all(isinstance(item, int) for item in given):
            suggestion = "; write a point, not a comma, in each number"
        return f"{name} must be {field.allowed}{suggestion}"
    return f"{name} must be {field.allowed}, not {given}"


def whole_number(text: str) -> int | None:
    """The integer that the text means in the core schema of YAML 1.2; None if it means no integer, or has more than 20 digits."""
    if not _INTEGER.fullmatch(text):
        return None
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:], base) if base != 10 else int(text)


def number(text: str) -> float | int | None:
    """The finite number that the text means in the core schema of YAML 1.2; None for anything else: `.nan`, `.inf`, 1e999."""
    if (whole := whole_number(text)) is not None:
        return whole
    if len(text) > MAX_NUMBER_CHARACTERS or not _DECIMAL.fullmatch(text):
        return None
    return real if math.isfinite(real := float(text)) else None


def is_null(node: Node) -> bool:
    """Whether a value is missing, or is `null` or `~`."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULL
