"""The order in which pictures that are ready at the same time are taken: as a person would list them, or folders in turn."""

import re
from collections import Counter
from collections.abc import Iterable

from daemon.intake.model import Ready
from daemon.intake.names import key_of

_NUMBER = re.compile(r"(\d+)", re.ASCII)


def name_order(name: bytes) -> tuple[str | int, ...]:
    """Sorts names as file managers do: ignoring case, and numbers by their value, so that `IMG_2` comes before `IMG_10`."""
    # Texts have even places and numbers odd ones, so that only equal types are compared.
    return tuple(int(part) if place % 2 else part for place, part in enumerate(_NUMBER.split(key_of(name))))


def in_order(ready: Iterable[Ready]) -> tuple[Ready, ...]:
    """Sort the pictures that are ready.

    - Pictures of one batch: by name. They are taken when all of them have arrived, and a copy may have come in any order.
    - Others: by arrival. Those that one look saw first: by when their YAML files were written, which is the order in which
      `multiplane submit` got them, then by name.
    """
    ready = list(ready)
    began: dict[bytes, float] = {}
    for one in ready:
        if _in_batch(one):
            began[one.folder] = min(one.arrived, began.get(one.folder, one.arrived))

    def place(one: Ready) -> tuple[float, bytes, int, tuple[str | int, ...], bytes]:
        batch = _in_batch(one)
        written = one.sidecar.mtime_ns if one.sidecar and not batch else 0
        return began[one.folder] if batch else one.arrived, one.folder, written, one.name_order, one.image.name

    return tuple(sorted(ready, key=place))


def _in_batch(one: Ready) -> bool:
    return one.control is not None and one.control.kind == "batch"


def round_robin(ready: Iterable[Ready]) -> list[Ready]:
    """Reorder pairs so that the folders take turns: a full folder does not hold up the others. Each folder keeps its order."""
    before = Counter[bytes]()
    numbered = list[tuple[int, Ready]]()
    for pair in ready:
        numbered.append((before[pair.folder], pair))
        before[pair.folder] += 1
    numbered.sort(key=lambda one: one[0])
    return [pair for _, pair in numbered]
