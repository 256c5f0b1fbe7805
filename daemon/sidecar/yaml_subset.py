"""Reads a subset of YAML from untrusted input: mappings, lists and scalars, nothing else, in linear time.

It uses PyYAML's pure-Python scanner on purpose, token by token. libyaml crashes on 64 KB of brackets, and a merge-key bomb of 666
bytes keeps any loader that builds objects busy for half a minute. While it scans, this reader refuses everything outside the
subset (anchors, aliases, tags, merge keys, directives, several documents). So it never builds objects from these. Scalars stay
text; `daemon.sidecar.fields` turns them into values.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import yaml
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from daemon.contract.commands import as_code
from daemon.sidecar.slips import slip_in

MAX_BYTES = 64 * 1024
"""A sidecar with every field is under 1 KB; 64 KiB leaves room for a list of a thousand pictures."""
MAX_VALUES = 2_000
"""The most keys and values, counted together. The scanner needs 20 to 50 µs for each, so this many take at most 0.1 s."""

_TAB = "a tab; YAML needs spaces there"
_PROBLEMS = {
    "mapping values are not allowed here": (
        'a ":" in the wrong place; check the indentation, and put text that contains ":" in quotation marks'
    ),
    "could not find expected ':'": f"a line that isn't a field; write {as_code('name: value')}, with a space after the colon",
    "found unexpected end of stream": "a quotation mark is never closed",
    "found character '\\t' that cannot start any token": _TAB,
    "found a tab character that violates indentation": _TAB,
    "expected <block end>, but found '<block mapping start>'": (
        "the indentation changes; start every field at the beginning of its line"
    ),
    "expected '<document start>', but found '<block mapping start>'": (
        "the indentation changes; start every field at the beginning of its line"
    ),
    "sequence entries are not allowed here": (
        f"a list that begins on the line of its name; write each entry on a line of its own, as {as_code('- psd')}, or all of "
        f"them in brackets, as {as_code('[psd, glb]')}"
    ),
    "expected <block end>, but found '<scalar>'": "text after the value; put the whole value in quotation marks",
    "expected ',' or ']', but got '<stream end>'": 'a list without its closing "]"',
    "expected ',' or '}', but got '<stream end>'": 'a "{" without its closing "}"',
}
"""The parser's messages in plain words, for people who have never heard of a block mapping."""
_ALIAS = 'a value that begins with "*" (a YAML alias), which is not allowed; put it in quotation marks, as in "*.jpg"'
_NO_FIELDS = f"not a list of fields; write one {as_code('name: value')} per line, with a space after the colon"

#: What keyboards and word processors put into a field, and how it is called. The eye takes it for what YAML needs.
_LOOKS_RIGHT = {
    re.compile(r"^ *\w+:\xa0", re.MULTILINE): "a non-breaking space after the colon (Option-Space on a Mac); type a plain space",
    re.compile(
        r"^ *(?:-|\w+:) *\[? *[“”„«‘’][^\n]*?[“”‟»‘’]", re.MULTILINE
    ): "curly quotation marks; type straight ones, or none",
}
_AS_TEXT = "not plain text: save it as plain text"
_DOCUMENTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"bplist")
"""How the files of word processors and property lists begin."""
_MARKED_UP = {
    "{\\rtf": f"rich text, {_AS_TEXT} (in TextEdit: Format, Make Plain Text)",
    "<!doctype": f"a web page, {_AS_TEXT}",
    "<html": f"a web page, {_AS_TEXT}",
}
"""How text begins that contains more than people see, and what is said about it."""


class OutsideSubset(Exception):
    """The bytes are outside the subset of YAML.

    Args:
        reason: what is wrong, in words that follow "NAME, line N: ".
        line: the 1-based line; None if unknown.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True)
class Scalar:
    """Text as written. `plain`: it has no quotation marks, so it may also be read as a number."""

    text: str
    plain: bool
    line: int


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple["Node", ...]
    line: int


@dataclass(frozen=True)
class Entries:
    """A mapping. Its entries keep their order, and duplicate keys are kept."""

    entries: tuple["Entry", ...]
    line: int


Node = Scalar | Items | Entries


@dataclass(frozen=True)
class Entry:
    """One `key: value`; `line` is the line of the key, 1-based."""

    key: str
    line: int
    value: Node


class SubsetParser(Reader, Scanner, Parser):
    """PyYAML's own event parser, reduced to the subset.

    `index` (from PyYAML) counts the characters that were read. `values` counts the keys and values that were returned.
    """

    def __init__(self, text: str, max_depth: int) -> None:
        self.max_depth = max_depth
        self.values = 0
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def next_event(self) -> yaml.Event:
        """The next event."""
        event: yaml.Event = self.get_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped
        return event

    def refuse(self, reason: str) -> NoReturn:
        """Refuse the file at the scanner's current position."""
        raise OutsideSubset(reason, self.line + 1)

    def count_value(self) -> None:
        """Count one more key or value. Refuses a file with too many."""
        self.values += 1
        if self.values > MAX_VALUES:
            self.refuse(f"more than {MAX_VALUES:,} values; a settings file is much smaller")

    def check_depth(self, depth: int) -> None:
        """Refuse nesting that is too deep. Called before the scanner reads the nested part."""
        if depth > self.max_depth:
            self.refuse(f"lists or fields nested more than {self.max_depth} deep")

    def add_indent(self, column: int) -> bool:
        """Overrides the scanner's method for the start of a block collection. Checks the depth."""
        added = bool(super().add_indent(column))
        self.check_depth(len(self.indents))
        return added

    def fetch_flow_collection_start(self, TokenClass: type) -> None:  # noqa: N803  (the overridden method's name for it)
        """Overrides the scanner's method for `[` and `{`. Checks the depth."""
        self.check_depth(len(self.indents) + self.flow_level + 1)
        super().fetch_flow_collection_start(TokenClass)

    def fetch_anchor(self) -> None:
        """Overrides the scanner's method for `&name`. Refuses it."""
        self.refuse('an anchor ("&"), which is not allowed; put text that begins with "&" in quotation marks')

    def fetch_alias(self) -> None:
        """Overrides the scanner's method for `*name`, which is usually a glob without quotation marks. Refuses it."""
        self.refuse(_ALIAS)

    def fetch_tag(self) -> None:
        """Overrides the scanner's method for `!name`. Refuses it."""
        self.refuse('a tag ("!"), which is not allowed; put text that begins with "!" in quotation marks')

    def fetch_directive(self) -> None:
        """Overrides the scanner's method for `%YAML`. Refuses it."""
        self.refuse('a directive ("%"), which is not allowed')


def entries(data: bytes, *, max_depth: int, max_bytes: int = MAX_BYTES) -> Iterator[Entry]:
    """Yield the fields of a YAML file one by one, as they are read. An empty file yields none.

    Args:
        data: the file, as UTF-8 with or without BOM, or UTF-16 with BOM (Windows Notepad).
        max_depth: how deep mappings and lists may be nested, counting the file's own mapping.
        max_bytes: the largest size that is read.

    Raises:
        OutsideSubset: the file is outside the subset. The fields before the error have been yielded.
    """
    text = _decode(data, max_bytes)
    begins = text[:100].lstrip().lower()
    if (reason := next((reason for mark, reason in _MARKED_UP.items() if begins.startswith(mark)), None)) is not None:
        raise OutsideSubset(reason)
    for pattern, reason in _LOOKS_RIGHT.items():
        if (found := pattern.search(text)) is not None:
            raise OutsideSubset(reason, text.count("\n", 0, found.start()) + 1)
    try:
        yield from _document(SubsetParser(text, max_depth))
    except OutsideSubset as fault:
        if fault.reason in (_NO_FIELDS, _ALIAS) and (slip := slip_in(text, fault.line or 1)) is not None:
            raise OutsideSubset(*slip) from None
        raise
    except ReaderError as error:
        character = text[error.position] if isinstance(error.position, int) and error.position < len(text) else "?"
        line = text.count("\n", 0, error.position) + 1
        raise OutsideSubset(f"not a text file: it holds the control character U+{ord(character):04X}", line) from None
    except yaml.MarkedYAMLError as error:
        plain = _in_plain_words(error)
        slip = slip_in(text, plain.line or 1)
        raise OutsideSubset(*slip) if slip is not None else plain from None
    except (ValueError, OverflowError):  # chr() inside the scanner, for an escape such as "\U00110000"
        raise OutsideSubset("not YAML: an escape that stands for no character") from None


def _in_plain_words(error: yaml.MarkedYAMLError) -> OutsideSubset:
    problem = error.problem or "it ends too early"
    # The scanner notices these two errors some lines late, so they are reported where their context begins.
    late = problem in ("found unexpected end of stream", "could not find expected ':'")
    mark = error.context_mark if late else error.problem_mark
    reason = _PROBLEMS.get(problem, f"not YAML: {problem}")
    if problem.endswith("that cannot start any token") and problem not in _PROBLEMS:
        reason = f"text that begins with {problem.split()[2]}; put it in quotation marks"
    return OutsideSubset(reason, mark.line + 1 if mark else None)


def _decode(data: bytes, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise OutsideSubset(f"larger than {max_bytes // 1000} kB; a settings file is much smaller")
    if data.startswith(_DOCUMENTS):
        raise OutsideSubset(f"a document, {_AS_TEXT}")
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = None if utf16 else data.count(b"\n", 0, error.start) + 1
        raise OutsideSubset("not UTF-8 text; save it as plain text in UTF-8", line) from None


def _document(parser: SubsetParser) -> Iterator[Entry]:
    """Yield the fields of the only document. Refuses anything but a single mapping in a single document, or nothing."""
    parser.next_event()
    if parser.check_event(yaml.StreamEndEvent):
        return
    parser.next_event()
    first = parser.next_event()
    line = _line(first)
    if isinstance(first, yaml.MappingStartEvent):
        yield from _mapping(parser, 1)
    elif not (isinstance(first, yaml.ScalarEvent) and first.value == "" and first.implicit[0]):
        raise OutsideSubset(_NO_FIELDS, line)
    parser.next_event()
    if not parser.check_event(yaml.StreamEndEvent):
        raise OutsideSubset('more than one document; remove the lines "---" and what follows', _line(parser.next_event()))


def _mapping(parser: SubsetParser, depth: int) -> Iterator[Entry]:
    parser.check_depth(depth)
    while not isinstance(event := parser.next_event(), yaml.MappingEndEvent):
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise OutsideSubset("a list or mapping used as a field name", line)
        if event.value == "<<" and event.implicit[0]:
            raise OutsideSubset('a merge key ("<<"), which is not allowed', line)
        parser.count_value()
        yield Entry(event.value, line, _node(parser, depth + 1))


def _node(parser: SubsetParser, depth: int) -> Node:
    parser.count_value()
    event = parser.next_event()
    line = _line(event)
    if isinstance(event, yaml.ScalarEvent):
        return Scalar(event.value, event.implicit[0], line)
    if isinstance(event, yaml.MappingStartEvent):
        return Entries(tuple(_mapping(parser, depth)), line)
    parser.check_depth(depth)
    items = []
    while not parser.check_event(yaml.SequenceEndEvent):
        items.append(_node(parser, depth + 1))
    parser.next_event()
    return Items(tuple(items), line)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
