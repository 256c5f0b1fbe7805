"""Reads the bytes of a sidecar, preset or batch file into fields, and checks what can be checked with this file alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from dataclasses import field as attribute

from pydantic import ValidationError

from daemon.contract.spec import JOB_ID_PATTERN, RESERVED_IDS, JobSpec
from daemon.contract.words.printable import quoted
from daemon.errors import SpecUnreadable
from daemon.sidecar import fields, yaml_subset
from daemon.sidecar.problems import MAX_LISTED, Problem, did_you_mean, refuse

MAX_DEPTH = 3
"""Levels of nesting: the file, a list in it, and one more, so that an error message can name a field that contains fields."""

_ALL_FIELDS = f"{', '.join(list(fields.FIELDS)[:-1])} and {list(fields.FIELDS)[-1]}"
_ID = re.compile(JOB_ID_PATTERN)


@dataclass(frozen=True)
class Sidecar:
    """The content of one file.

    Attributes:
        fields: the fields that the file gives.
        lines: the 1-based line of each of them.
        name: the name of the file, for messages.
        problems: the mistakes in it, by line. The fields that have them are not in `fields`.
    """

    fields: dict[str, object]
    lines: dict[str, int]
    name: str = attribute(default="sidecar", compare=False)
    problems: tuple[Problem, ...] = attribute(default=(), compare=False)


def parse(data: bytes, *, name: str) -> Sidecar:
    """Read a sidecar, preset or batch file. An empty file, or an empty value, is allowed and sets nothing.

    Args:
        data: the file; untrusted. Pass at most `MAX_BYTES` + 1 bytes; a larger file is refused unread.
        name: the file's name as text, for messages.

    Raises:
        SpecUnreadable: the file is outside the subset of YAML that is allowed, is too large, or is not text.
        SpecInvalid: a field is unknown, is given twice, has the wrong type or is out of range. `detail` lists all such
            problems.
    """
    found = read(data, name=name)
    if found.problems:
        refuse(found.problems)
    return found


def read(data: bytes, *, name: str) -> Sidecar:
    """Read a file as `parse` does, but return its mistakes, so that `resolve` can list them together with those it finds.

    Raises:
        SpecUnreadable: as `parse` does.
    """
    try:
        entries = list(yaml_subset.entries(data, max_depth=MAX_DEPTH))
    except yaml_subset.OutsideSubset as fault:
        raise SpecUnreadable(str(Problem(name, fault.line, fault.reason))) from None
    found = Sidecar({}, {}, name)
    problems = list(_read_field(entries, found))
    for field, sentence in list(_out_of_range(found.fields)):
        problems.append(Problem(name, found.lines[field], sentence))
        del found.fields[field]
    return replace(found, problems=tuple(sorted(problems, key=lambda problem: problem.line or 0)))


def requested_id(data: bytes) -> str | None:
    """The id that a sidecar asks for; None if there is none that can be used.

    A sidecar with mistakes has an id, too: whoever dropped it looks for the job under that id. The id can be used if it is
    valid and not reserved, and appears exactly once before the first error in the YAML.
    """
    found: list[str | None] = []
    try:
        for entry in yaml_subset.entries(data, max_depth=MAX_DEPTH):
            if entry.key == "id":
                usable = (
                    isinstance(entry.value, yaml_subset.Scalar)
                    and _ID.fullmatch(entry.value.text)
                    and entry.value.text not in RESERVED_IDS
                    and not fields.is_null(entry.value)
                )
                found.append(entry.value.text if usable and isinstance(entry.value, yaml_subset.Scalar) else None)
    except yaml_subset.OutsideSubset:
        pass  # `parse` reports the error; the entries before the error count
    return found[0] if len(found) == 1 else None


def _read_field(entries: list[yaml_subset.Entry], into: Sidecar) -> Iterator[Problem]:
    """Fill `into` with the fields that can be read, and yield what is wrong with the others."""
    given: dict[str, int] = {}
    unknown, listed = 0, False
    for entry in entries:
        field = entry.key
        if field not in fields.FIELDS:
            unknown += 1
            suggestion = did_you_mean(field, fields.FIELDS) if unknown <= MAX_LISTED else ""
            if not suggestion and not listed:
                suggestion, listed = f"; the fields are {_ALL_FIELDS}", True
            yield Problem(into.name, entry.line, f"unknown field {quoted(field)}{suggestion}")
            continue
        if field in given:
            yield Problem(into.name, entry.line, f"{field} appears twice; the first time in line {given[field]}")
            continue
        given[field] = entry.line
        try:
            value = fields.value(field, entry.value)
        except fields.Wrong as wrong:
            yield Problem(into.name, wrong.line, wrong.sentence)
            continue
        if value is not None:
            into.fields[field] = value
            into.lines[field] = entry.line


def _out_of_range(given: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the fields whose values JobSpec does not allow, each with a sentence that says so."""
    wrong: dict[str, str] = {}
    try:
        JobSpec.model_validate(given)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            if problem["loc"]:  # an error without a place is about several fields; `resolve` checks those
                field = str(problem["loc"][0])
                if field not in wrong:  # a list may have thousands of wrong items
                    wrong[field] = fields.not_allowed(field, given[field])
    if given.get("id") in RESERVED_IDS:
        wrong["id"] = f"id {quoted(str(given['id']))} is reserved: a file of the outbox has this name; choose another id"
    images = given.get("images")
    for pattern in images if isinstance(images, tuple) else ():
        if "/" in pattern or "\\" in pattern or pattern in (".", ".."):
            wrong.setdefault("images", f"images may name only files beside the batch file, not {quoted(pattern)}")
    yield from wrong.items()
