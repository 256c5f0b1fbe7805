"""Writes a JobSpec as a sidecar, and makes the JSON Schema with which editors check sidecars."""

import copy

import yaml

from daemon.contract.spec import JobSpec

_HEADER = "# What this job does, combined from its YAML files and the configuration.\n"
_WHOLE = 1e15
"""A float below this with no fraction equals an integer exactly, and is written as that integer."""


def render(spec: JobSpec) -> bytes:
    """The spec as YAML in UTF-8, without `id` and `images`. `parse` reads the same fields back from it."""
    said = {name: _plain(value) for name, value in spec.model_dump(exclude={"id", "images"}).items() if value is not None}
    # One line per field, however long: folded text would be hard to read and to correct.
    text = yaml.safe_dump(said, sort_keys=False, allow_unicode=True, default_flow_style=None, width=float("inf"))
    return (_HEADER + text).encode("utf-8")


def schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of a sidecar. Every field is optional; its description, default and range are given."""
    printed = copy.deepcopy(JobSpec.model_json_schema())
    properties = printed["properties"]
    for name, field in properties.items():
        properties[name] = _without_null({key: value for key, value in field.items() if key != "title"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Multiplane job",
        "description": "What to make of a picture; all fields are optional. An unknown field is refused.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _without_null(field: dict[str, object]) -> dict[str, object]:
    """Remove `null` from an optional field: an editor need not suggest it."""
    branches = field.get("anyOf")
    if not isinstance(branches, list) or {"type": "null"} not in branches:
        return field
    rest = [branch for branch in branches if branch != {"type": "null"}]
    outer = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
    return {**rest[0], **outer} if len(rest) == 1 else {"anyOf": rest, **outer}


def _plain(value: object) -> object:
    """Convert tuples to lists, and drop `.0` from whole numbers."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE else value
