"""Takes pairs from the folders in turn when more pairs are ready than can be taken."""

from collections import Counter
from collections.abc import Iterable

from daemon.intake.model import Ready


def round_robin(ready: Iterable[Ready]) -> list[Ready]:
    """Reorder pairs so that the folders take turns: a full folder does not hold up the others. Each folder keeps its order."""
    before = Counter[bytes]()
    numbered = list[tuple[int, Ready]]()
    for pair in ready:
        numbered.append((before[pair.folder], pair))
        before[pair.folder] += 1
    numbered.sort(key=lambda one: one[0])
    return [pair for _, pair in numbered]
