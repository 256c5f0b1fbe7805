"""Reads XMP packets (ISO 16684-1) into plain groups of properties.

A property may be written as an attribute or as an element, and a structure may be wrapped in `rdf:Description`, `rdf:li` or
`rdf:value`. So the result is flat: for every element, the attributes it has and the children that are only text. Whoever looks
for a structure asks for the groups that have one of its properties.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

#: Real packets have some hundred elements, nested about 10 deep.
MAX_ELEMENTS, MAX_DEPTH = 20_000, 100

Group = dict[tuple[str, str], str]
"""(namespace without its last slash, name) → text."""


@dataclass
class _Open:
    """An element whose end has not been read yet."""

    name: tuple[str, str]
    group: Group
    text: list[str] = field(default_factory=list)
    has_children: bool = False


class _Reader:
    """Collects the groups while expat reads."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self._open: list[_Open] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.groups) >= MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise ValueError("the XMP packet has too many elements")
        if self._open:
            self._open[-1].has_children = True
        group = {_split(attribute): value for attribute, value in attributes.items()}
        self.groups.append(group)
        self._open.append(_Open(_split(name), group))

    def text(self, text: str) -> None:
        if self._open:
            self._open[-1].text.append(text)

    def end(self, _name: str) -> None:
        closed = self._open.pop()
        if self._open and not closed.has_children:
            self._open[-1].group.setdefault(closed.name, "".join(closed.text).strip())

    def doctype(self, *_: object) -> None:
        raise ValueError("the XMP packet declares entities")  # a few of them could expand to gigabytes


def parse(packet: bytes) -> list[Group]:
    """The properties of a packet, grouped by element, in the order in which the elements begin.

    Raises:
        ValueError: the packet is not well-formed, or has more elements than a real one.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.text
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(packet.strip(b"\0 \t\r\n"), True)
    except expat.ExpatError as reason:
        raise ValueError(f"the XMP packet is not well-formed ({reason})") from reason
    return reader.groups


def having(groups: Sequence[Group], namespaces: Sequence[str]) -> Iterator[dict[str, str]]:
    """The groups that have properties of one of these namespaces, with only those properties, by their names."""
    wanted = {namespace.rstrip("/") for namespace in namespaces}
    for group in groups:
        found = {name: value for (namespace, name), value in group.items() if namespace in wanted}
        if found:
            yield found


def number(text: str | None) -> float | None:
    """A property as a finite number; None if it is missing or is not one."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _split(name: str) -> tuple[str, str]:
    namespace, _, local = name.rpartition(" ")
    return namespace.rstrip("/"), local
