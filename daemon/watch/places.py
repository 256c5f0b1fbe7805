"""Inbox and outbox must not lie in one another, nor either of them in the program: that would be a loop, or a way in."""

import os
from collections.abc import Sequence

from daemon.errors import Refusal

Identity = tuple[int, int]


def disjoint(inbox: bytes, outbox: bytes, program: Sequence[bytes]) -> None:
    """Refuse folders that overlap, compared by what they really are: links, case and double mounts make no difference.

    Args:
        inbox: path of an existing folder.
        outbox: the same.
        program: the folders the program's own code lies in.

    Raises:
        Refusal: two of them are the same, or one lies in the other.
        OSError: one of them is not there.
    """
    places = [("The inbox", inbox), ("the outbox", outbox), *(("the program", path) for path in program)]
    chains = [(name, path, _ancestry(path)) for name, path in places]
    for i, (name, path, chain) in enumerate(chains[:2]):
        for other, place, its in chains[i + 1 :]:
            if (how := overlap(chain, its)) is not None:
                raise Refusal(
                    f"{name[0].upper()}{name[1:]} ({os.fsdecode(path)}) {how} {other} ({os.fsdecode(place)}).",
                    hint="Choose folders of which none lies in another, nor in the program's own folder, in the configuration.",
                )


def overlap(one: Sequence[Identity], other: Sequence[Identity]) -> str | None:
    """How two folders overlap, given the identities of each and all folders above it, the folder itself first."""
    if one[0] == other[0]:
        return "is the same folder as"
    if other[0] in one:
        return "lies in"
    return "contains" if one[0] in other else None


def _ancestry(path: bytes) -> list[Identity]:
    """(st_dev, st_ino) of a folder and of every folder above it."""
    chain, here = list[Identity](), os.path.realpath(path)
    while True:
        st = os.stat(here)
        chain.append((st.st_dev, st.st_ino))
        above = os.path.dirname(here)
        if above == here:
            return chain
        here = above
