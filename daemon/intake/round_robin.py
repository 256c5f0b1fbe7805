"""Takes turns between folders when more is ready than can be taken."""

from collections import Counter
from collections.abc import Iterable

from daemon.intake.model import Ready


def round_robin(ready: Iterable[Ready]) -> list[Ready]:
    """The pairs in an order in which the folders take turns, so that a full one holds up nobody. Each keeps its own order."""
    before = Counter[bytes]()
    numbered = list[tuple[int, Ready]]()
    for pair in ready:
        numbered.append((before[pair.folder], pair))
        before[pair.folder] += 1
    numbered.sort(key=lambda one: one[0])
    return [pair for _, pair in numbered]
