"""Decides, from the memory and a new scan, which pictures can be taken and why all other files wait."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from daemon.intake.control_state import passed_on
from daemon.intake.folder import Circumstances, finished, update, with_growth
from daemon.intake.judge import Taken
from daemon.intake.memory import FolderMemory, Memory
from daemon.intake.model import Entry, Finished, Hint, Late, Ready, Scan, Waiting
from daemon.intake.name_index import NameIndex
from daemon.intake.names import folder_above, key_of
from daemon.intake.order import in_order
from daemon.intake.settle import END_MISSING

#: How many names of taken pictures are remembered, two for each picture, to recognise late sidecars. A sidecar that comes still
#: later waits like any other one without a picture.
_MAX_RECENT = 1_000


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a scan.

    Attributes:
        memory: the memory for the next step.
        ready: pairs that can be taken, in their order (`daemon.intake.order`). A pair stays here until `taken`, `put_back` or
            `lacks_end` is called for it, or one of its files changes.
        waiting: everything else in the inbox that is not ignored, with the reason.
        check_again_at: when to check `due_names` again, in monotonic seconds; None if only a changed file can alter the decision.
        late: sidecars that arrived after their picture was taken; each is reported once.
        finished: batch folders that are done, and job folders whose picture was taken, as long as they exist.
        notices: pictures that have waited a long time for their sidecar; each is reported once.
        downloads: by folder, the names of files whose download must be requested, because their content is only in iCloud.
    """

    memory: Memory
    ready: tuple[Ready, ...]
    waiting: tuple[Waiting, ...]
    check_again_at: float | None
    late: tuple[Late, ...]
    finished: tuple[Finished, ...]
    notices: tuple[Waiting, ...]
    downloads: Mapping[bytes, frozenset[bytes]]

    @property
    def due_names(self) -> Mapping[bytes, frozenset[bytes]]:
        """The names, by folder, that must be checked at `check_again_at`."""
        return {} if self.check_again_at is None else names_due(self.memory, self.check_again_at)


def step(memory: Memory, scan: Scan, hints: Iterable[Hint] = ()) -> Decision:
    """Decide which pictures can be taken.

    Args:
        memory: the memory in the last decision; `Memory()` at the start.
        scan: the new scan.
        hints: what the operating system reported between the last scan and the start of this one.
    """
    circumstances = Circumstances(scan.network, scan.now, memory.rules)
    by_folder: dict[bytes, list[Hint]] = {}
    for hint in hints:
        by_folder.setdefault(hint.folder, []).append(hint)
    folders: dict[bytes, FolderMemory] = {}
    late, notices = list[Late](), list[Waiting]()
    # A folder inside another one comes after it: the preset of that one may apply.
    for folder in sorted(scan.folders, key=lambda folder: folder.name.count(b"/") + bool(folder.name)):
        above = folder_above(folder.name)
        outer = folders.get(above) if above is not None else None
        known = memory.folders.get(folder.name) or FolderMemory(folder.name, full_scan=scan.now, quiet_since=scan.now)
        updated = update(known, folder, by_folder.get(folder.name, ()), circumstances, passed_on(outer) if outer else None)
        folders[folder.name] = updated.memory
        late += updated.late
        notices += updated.notices
    return _decision(replace(memory, folders=folders), circumstances, tuple(late), tuple(notices))


def _decision(memory: Memory, step: Circumstances, late: tuple[Late, ...], notices: tuple[Waiting, ...]) -> Decision:
    folders = memory.folders.values()
    readable = [f for f in folders if f.problem is None]
    ready = in_order(r for f in readable for several in f.ready.values() for r in several)
    over = tuple(end for f in readable if (end := finished(f, step)) is not None)
    listings = [f.listing for f in folders if f.listing]
    waiting = listings[0] if len(listings) == 1 else tuple(w for listing in listings for w in listing)
    next_due = min((f.next_due for f in readable if f.next_due is not None), default=None)
    if next_due is not None:
        next_due = max(next_due, step.now + step.rules.check_spacing)
    return Decision(
        memory=memory,
        ready=ready,
        waiting=waiting,
        check_again_at=next_due,
        late=late,
        finished=over,
        notices=notices,
        downloads={f.name: frozenset(n for names in f.downloads.values() for n in names) for f in readable if f.downloads},
    )


def names_due(memory: Memory, at: float) -> dict[bytes, frozenset[bytes]]:
    """The names, by folder, that must be checked at that time."""
    folders = [f for f in memory.folders.values() if f.problem is None]
    return {f.name: names for f in folders if (names := _names_due(f, at))}


def _names_due(memory: FolderMemory, at: float) -> frozenset[bytes]:
    if memory.next_due is None or memory.next_due > at:
        return frozenset()
    names = {n for family, due in memory.due.items() if due <= at for n in memory.families.get(family, ())}
    if memory.control_state.check_at is not None and memory.control_state.check_at <= at:
        names |= {c.entry.name for c in memory.controls}
    return frozenset(names)


def taken(memory: Memory, readies: Iterable[Ready], now: float) -> Memory:
    """The memory after these pairs were taken out of the inbox. Files that arrive later under the same names are new.

    This also counts how many pictures in a row were reported as closed exactly once by their writer. After
    `Rules.once_needed` of them, a close shortens the settle time in their folder. The count restarts if a picture is closed
    again or changes after a close, if a picture that had counted as complete grows, and if a picture arrives under the name of
    one taken a moment ago. Pictures that were renamed in do not count.
    """
    by_folder: dict[bytes, list[Ready]] = {}
    for ready in readies:
        by_folder.setdefault(ready.folder, []).append(ready)
    folders = dict(memory.folders)
    for name, group in by_folder.items():
        if name in folders:
            folders[name] = _without(folders[name], group, now)
    return replace(memory, folders=folders)


def _without(memory: FolderMemory, group: list[Ready], now: float) -> FolderMemory:
    entries = {e.name: e for ready in group for e in ready.entries}
    once = sum(_was_closed_once(memory, ready.image.name) for ready in group)
    index, ready, due = NameIndex(memory), dict(memory.ready), dict(memory.due)
    for name in entries:
        if name not in index.histories:
            continue
        family = index.leave(name).family
        ready.pop(family, None)
        # The rest of the family is judged again at the next step.
        if family in index.families:
            due[family] = now
        else:
            due.pop(family, None)
    pictures = (Taken(r.image.name, now, r.sidecar.name if r.sidecar else None) for r in group if not r.problem)
    return replace(
        index.closed(),
        ready=ready,
        due=due,
        next_due=min(due.values(), default=memory.next_due),
        gone={**memory.gone, **entries},
        recent=_with_recent(memory.recent, pictures),
        closed_once=memory.closed_once + once,
        batch_taken=memory.batch_taken or any(r.control is not None and r.control.kind == "batch" for r in group),
    )


def _was_closed_once(memory: FolderMemory, name: bytes) -> bool:
    history = memory.histories.get(name)
    return history is not None and history.reported == "closed" and history.closes == 1


def _with_recent(recent: Mapping[str, Taken], pictures: Iterable[Taken]) -> dict[str, Taken]:
    """The pictures taken recently, each under the names by which a sidecar may refer to it, the last ones last."""
    names = dict(recent)
    for one in pictures:
        key = key_of(one.name)
        for name in (key, key.rpartition(".")[0]):
            names.pop(name, None)
            names[name] = one
        if len(names) > 2 * _MAX_RECENT:
            names = dict(islice(names.items(), _MAX_RECENT, None))
    return names


def put_back(memory: Memory, ready: Ready, now: float, reason: str, *, grew: bool = False) -> Memory:
    """The memory after a claim was dropped: the files of the pair must settle again, for twice as long.

    Args:
        memory: the memory in the last decision.
        ready: the pair that could not be taken.
        now: monotonic seconds.
        reason: in plain words, for the waiting list ("still open in another program").
        grew: whether a settled file has grown; if so, the settle times of the whole folder double.
    """
    folder = memory.folders.get(ready.folder)
    if folder is None:
        return memory
    index, verdicts, due = NameIndex(folder), dict(folder.ready), dict(folder.due)
    for entry in ready.entries:
        if (history := index.histories.get(entry.name)) is not None:
            doubted = replace(history, since=now, checked=now, reported=None, held=reason, patience=history.patience * 2)
            index.histories[entry.name] = doubted
            family = index.label(entry.name).family
            verdicts.pop(family, None)
            due[family] = now
    folder = replace(index.closed(), ready=verdicts, due=due, next_due=min(due.values(), default=None))
    if grew:
        folder = with_growth(folder, Circumstances(False, now, memory.rules))
    return replace(memory, folders={**memory.folders, ready.folder: folder})


def lacks_end(memory: Memory, ready: Ready, image: Entry, until: float, now: float) -> Memory:
    """The memory after a claim was dropped because the end of a picture is missing.

    `until` is the latest time at which the rest of the picture may arrive. Unlike with `put_back`, settle times do not grow.
    """
    folder = memory.folders.get(ready.folder)
    if folder is None or image.name not in folder.histories:
        return memory
    index, verdicts, due = NameIndex(folder), dict(folder.ready), dict(folder.due)
    index.histories[image.name] = replace(index.histories[image.name], awaits=until, held=END_MISSING, found_in_inbox=True)
    family = index.label(image.name).family
    verdicts.pop(family, None)
    due[family] = now
    folder = replace(index.closed(), ready=verdicts, due=due, next_due=min(due.values()))
    return replace(memory, folders={**memory.folders, ready.folder: folder})


def batch_under_way(memory: Memory, folder: bytes, now: float) -> Memory:
    """The memory after a restart, with a note that pictures were already taken from this batch folder."""
    known = memory.folders.get(folder) or FolderMemory(folder, full_scan=now, quiet_since=now)
    return replace(memory, folders={**memory.folders, folder: replace(known, batch_taken=True)})


def grew(memory: Memory, folder: bytes, now: float) -> Memory:
    """The memory after a picture taken from this folder turned out to be incomplete: the folder's settle times double."""
    known = memory.folders.get(folder)
    if known is None:
        return memory
    known = with_growth(known, Circumstances(False, now, memory.rules))
    return replace(memory, folders={**memory.folders, folder: known})


def awaits_rest(memory: Memory, folder: bytes, image: bytes, until: float, now: float) -> Memory:
    """The memory after a picture returned to the inbox because its end is missing.

    `until` is the latest time at which the rest of the picture may arrive.
    """
    known = memory.folders.get(folder) or FolderMemory(folder, full_scan=now, quiet_since=now)
    known = replace(known, awaited={**known.awaited, image: until})
    return replace(memory, folders={**memory.folders, folder: known})


def recall(memory: Memory, folder: bytes, pictures: Iterable[Taken], now: float) -> Memory:
    """The memory after a restart, with the pictures recently taken from a folder, so that late sidecars are recognised."""
    known = memory.folders.get(folder) or FolderMemory(folder, full_scan=now, quiet_since=now)
    known = replace(known, recent=_with_recent(known.recent, pictures))
    return replace(memory, folders={**memory.folders, folder: known})
