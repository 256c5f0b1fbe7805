"""What is shown of a long waiting list: some entries of each folder and reason, and how many more there are for which reason.

A folder full of files that nobody can use must not hide the one picture that somebody is waiting for.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daemon.contract.names import to_text
from daemon.contract.words.printable import in_one_line
from daemon.outbox.status_files import MAX_WAITING, MoreWaiting, Waiting

#: The most reasons of entries that are not shown; the rest is counted together.
_MAX_REASONS = 10
_OTHER_REASONS = "other reasons"
#: Stands in a reason for the name of the file that waits.
_NAME = "NAME"


@dataclass(frozen=True, slots=True)
class WaitingList:
    """The part of the waiting list that is shown.

    Attributes:
        items: at most `MAX_WAITING` entries.
        total: the number of all entries.
        more: how many are not shown, by reason, most first.
    """

    items: tuple[Waiting, ...] = ()
    total: int = 0
    more: tuple[MoreWaiting, ...] = ()


class Group:
    """Entries of one folder that wait for the same reason: the first ones with their places in the whole list, and how many."""

    __slots__ = ("count", "first")

    def __init__(self, first: Iterable[tuple[int, Waiting]] = (), count: int = 0) -> None:
        self.first = list(first)
        self.count = count

    def add(self, place: int, folder: bytes, name: bytes, reason: str) -> None:
        """Add an entry with its place in the whole list."""
        if self.count < MAX_WAITING:
            self.first.append((place, Waiting(path=to_text(os.path.join(folder, name)), reason=in_one_line(reason))))
        self.count += 1


#: By folder and reason.
Groups = dict[tuple[bytes, str], Group]


def grouped(entries: Iterable[tuple[bytes, bytes, str]]) -> Groups:
    """Sort entries into groups. An entry is its folder, its name and its reason."""
    groups: Groups = {}
    for place, (folder, name, reason) in enumerate(entries):
        groups.setdefault((folder, without_name(reason, name)), Group()).add(place, folder, name, reason)
    return groups


def without_name(reason: str, name: bytes) -> str:
    """The reason without the file's own name, so that it is the same for all files that wait for the same."""
    if "." not in reason:
        return reason
    stem = to_text(name)
    while (end := stem.rfind(".")) > 0:
        stem = stem[:end]
        if f"{stem}." in reason:
            return reason.replace(f"{stem}.", f"{_NAME}.")
    return reason


def shared(groups: Groups) -> WaitingList:
    """The waiting list of these groups. If it is too long, the groups take turns; those with the fewest entries come first."""
    total = sum(group.count for group in groups.values())
    if total <= MAX_WAITING:
        several = sorted((one for group in groups.values() for one in group.first), key=lambda one: one[0])
        return WaitingList(tuple(item for _, item in several), total)
    ordered = sorted(groups.items(), key=lambda one: one[1].count)
    left = Counter[str]()
    items: list[Waiting] = []
    for ((_, reason), group), share in zip(ordered, _shares([group.count for _, group in ordered], MAX_WAITING), strict=True):
        items += [item for _, item in group.first[:share]]
        left[reason] += group.count - share
    more = [MoreWaiting(reason=in_one_line(reason), count=count) for reason, count in left.most_common() if count]
    if len(more) > _MAX_REASONS:
        rest = sum(one.count for one in more[_MAX_REASONS - 1 :])
        more = [*more[: _MAX_REASONS - 1], MoreWaiting(reason=_OTHER_REASONS, count=rest)]
    return WaitingList(tuple(items), total, tuple(more))


def _shares(counts: Sequence[int], room: int) -> list[int]:
    """How much of `room` each gets, if all take turns and nobody takes more than its count. `counts` rise."""
    shares = list[int]()
    for place, count in enumerate(counts):
        # Whoever is left shares equally; what does not divide goes to the first of them.
        shares.append(min(count, -(-room // (len(counts) - place))))
        room -= shares[-1]
    return shares
