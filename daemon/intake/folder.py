"""How a scan of one folder changes what intake remembers of the folder.

Only families that changed, or that are due, are judged again. So a scan of an unchanged folder costs hardly anything here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

from daemon.intake.control_state import control_state_of, leftovers, listing
from daemon.intake.judge import Context, judge
from daemon.intake.memory import ControlState, FolderMemory
from daemon.intake.model import Entry, Finished, Folder, Hint, Late, Waiting
from daemon.intake.name_index import NameIndex
from daemon.intake.names import classify
from daemon.intake.rules import Rules
from daemon.intake.settle import (
    END_MISSING,
    History,
    Pace,
    Track,
    copy_under_way,
    follow,
    grew_again,
    with_report,
    written_lately,
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is the same for all folders in one step: the rules, and `now` in monotonic seconds.

    `network`: the inbox is on a network file system.
    """

    network: bool
    now: float
    rules: Rules


@dataclass(frozen=True, slots=True)
class Update:
    """The result of a scan of a folder: the new memory, late sidecars and notices. Each sidecar and notice is reported once."""

    memory: FolderMemory
    late: tuple[Late, ...] = ()
    notices: tuple[Waiting, ...] = ()


def update(
    memory: FolderMemory, folder: Folder, hints: Iterable[Hint], step: Circumstances, above: ControlState | None = None
) -> Update:
    """Remember the scan of a folder, and judge what changed or is due.

    `hints` are those for names in this folder. `above` is the preset of the folder that contains it, if it has one.
    """
    if folder.problem is not None:
        notice = (Waiting(b"", memory.name, folder.problem, True),)
        return Update(replace(memory, problem=folder.problem, listing=notice))
    hinted = tuple(hints)
    network = step.network if folder.network is None else folder.network
    same = folder.entries is memory.entries and folder.controls == memory.controls and folder.birth == memory.birth
    unchanged = (
        same
        and above == memory.above
        and network == memory.network
        and not hinted
        and memory.problem is None
        and (memory.next_due is None or memory.next_due > step.now)
    )
    if unchanged and not (memory.gone and folder.scanned != frozenset()):
        return Update(memory if folder.scanned is not None else replace(memory, full_scan=step.now))
    memory, changed = _observe(replace(memory, network=network, above=above), folder, hinted, step)
    return _decide(memory, changed, step)


def pace_of(memory: FolderMemory, step: Circumstances) -> Pace:
    """How long files in this folder must stay unchanged."""
    rules = step.rules
    # The birth time of the inbox itself is ignored: Finder does not copy the inbox, and a wrong date would hold up everything.
    copying = bool(memory.name) and copy_under_way(memory.birth)
    return Pace(
        rules=rules,
        now=step.now,
        settle=rules.settle_network if memory.network else rules.settle_local,
        factor=memory.factor if step.now - memory.factor_since <= rules.patience else 1.0,
        full_scan=memory.full_scan,
        copying_until=memory.quiet_since + rules.copy_hold if copying else 0.0,
        local=not memory.network,
        closed_once=memory.closed_once >= rules.once_needed,
    )


def finished(memory: FolderMemory, step: Circumstances) -> Finished | None:
    """The batch folder, if it is done: pictures were taken from it, and it has had none for a while. None if it is not done."""
    control = memory.control_state.control
    if control is None or control.kind != "batch" or not memory.batch_taken or memory.empty_since is None or memory.problem:
        return None
    if step.now < _done_at(memory, step.rules, memory.empty_since):
        return None
    from_job = memory.control_state.from_job
    return Finished(memory.name, control.entry, () if from_job else leftovers(memory), from_job)


def _done_at(memory: FolderMemory, rules: Rules, empty_since: float) -> float:
    """When a folder without pictures is done. To a job's folder nobody adds pictures."""
    return empty_since + (rules.batch_quiet if memory.control_state.from_job else rules.batch_done_after)


def with_growth(memory: FolderMemory, step: Circumstances) -> FolderMemory:
    """The memory after a complete-looking file in the folder grew: the folder's settle times double, up to the maximum."""
    factor = pace_of(memory, step).factor * 2
    factor = min(factor, step.rules.settle_ceiling / step.rules.settle_closed)
    return replace(memory, factor=factor, factor_since=step.now, closed_once=0)


def _observe(
    memory: FolderMemory, folder: Folder, hints: tuple[Hint, ...], step: Circumstances
) -> tuple[FolderMemory, dict[str, None]]:
    """The memory after a scan, before anything is judged, and the families that the scan affects, in order."""
    now, scanned = step.now, folder.scanned
    back, gone = _taken_names(memory, scanned)
    before = replace(memory, entries=folder.entries, gone=gone, birth=folder.birth, controls=folder.controls, problem=None)
    pace, index = pace_of(before, step), NameIndex(before)
    # Equal histories share one object: a hundred thousand files that arrived together need only one.
    arrivals_of = {written: History(now, now, now, written=written) for written in (False, True)}
    checked_again = cache(lambda history: replace(history, checked=now))
    changed, touched, arrivals, grew, moved, reopened = dict[str, None](), set[bytes](), set[bytes](), False, False, False
    came: list[bytes] = []
    fresh = [name for name, entry in folder.entries.items() if memory.entries.get(name) is not entry]
    fresh += [name for name in back if name in folder.entries and folder.entries[name] is memory.entries.get(name)]
    for name in fresh:
        entry, known = folder.entries[name], index.histories.get(name)
        if gone.get(name) is entry:
            continue
        lately = written_lately(entry, folder.mtime_ns, now - memory.full_scan)
        if known is None:
            awaits, arrival = memory.awaited.get(name), arrivals_of[lately and memory.scanned_before]
            label = index.enter(name, arrival if awaits is None else replace(arrival, awaits=awaits, held=END_MISSING))
            came += [] if awaits is None else [name]
            reopened = reopened or (label.role == "image" and _taken_lately(before, label.key, step))
        else:
            label, old = index.label(name), memory.entries[name]
            grew = grew or grew_again(Track(old, label, known), entry, pace)
            index.histories[name] = follow(known, old, entry, now, lately=lately)
        touched.add(name)
        changed[label.family] = None
        if index.histories[name].since == now:
            arrivals.add(name)
            moved = moved or label.role != "ignored"
    for name in scanned or ():
        if name in index.histories and name not in touched:
            index.histories[name] = checked_again(index.histories[name])
    for hint in hints:
        if hint.name in index.histories:
            history = index.histories[hint.name] = with_report(index.histories[hint.name], hint, hint.name in arrivals)
            label = index.label(hint.name)
            reopened = reopened or (label.role in ("image", "depth") and history.closes > 1)
            changed[label.family] = None
    if folder.entries is not memory.entries:
        changed |= {index.leave(name).family: None for name in memory.histories.keys() - folder.entries.keys()}
    after = replace(
        index.closed(),
        full_scan=now if scanned is None else memory.full_scan,
        quiet_since=now if moved else memory.quiet_since,
        scanned_before=True,
    )
    after = replace(after, empty_since=_empty_since(after, now), closed_once=0 if reopened else after.closed_once)
    if came:
        after = replace(after, awaited={name: until for name, until in after.awaited.items() if name not in came})
    return (with_growth(after, step) if grew else after), changed


def _taken_lately(memory: FolderMemory, key: str, step: Circumstances) -> bool:
    """Whether a picture with this key was taken within `Rules.reopened_within`."""
    taken = memory.recent.get(key)
    return taken is not None and step.now - taken.at < step.rules.reopened_within


def _taken_names(memory: FolderMemory, scanned: frozenset[bytes] | None) -> tuple[list[bytes], dict[bytes, Entry]]:
    """Split `memory.gone` into the names that this scan covers, so that its result counts, and the files it does not cover."""
    if not memory.gone:
        return [], {}
    back = [name for name in memory.gone if scanned is None or name in scanned]
    return back, {name: entry for name, entry in memory.gone.items() if scanned is not None and name not in scanned}


def _empty_since(memory: FolderMemory, now: float) -> float | None:
    """Since when there has been no picture in the folder; None while there is one."""
    if any(memory.roles.get(role) for role in ("image", "depth", "raw")):
        return None
    return now if memory.empty_since is None else memory.empty_since


def _decide(memory: FolderMemory, changed: dict[str, None], step: Circumstances) -> Update:
    """Judge all families that changed or are due, or all families if another preset or batch applies now."""
    control_state = control_state_of(memory, pace_of(memory, step))
    if _matters(control_state) != _matters(memory.control_state):
        changed = dict.fromkeys((*memory.families, *memory.waits, *memory.ready))
    else:
        changed |= {family: None for family, at in memory.due.items() if at <= step.now}
    memory = replace(memory, control_state=control_state)
    context = Context(
        name=memory.name,
        pace=pace_of(memory, step),
        control=control_state.control,
        hold=control_state.hold,
        hold_will_resolve=control_state.will_resolve,
        quiet_since=memory.quiet_since,
        recent=memory.recent,
        from_job=control_state.from_job,
    )
    waits, ready = _others(memory.waits, changed), _others(memory.ready, changed)
    due, downloads = _others(memory.due, changed), _others(memory.downloads, changed)
    late, notices = list[Late](), list[Waiting]()
    for family in changed:
        members = memory.families.get(family)
        if members is None or control_state.bare:
            continue
        verdict = judge(_tracks(memory, members), context)
        if verdict.waiting:
            waits[family] = tuple(verdict.waiting)
        if verdict.ready:
            ready[family] = tuple(verdict.ready)
        if verdict.check_at is not None:
            due[family] = verdict.check_at
        if verdict.downloads:
            downloads[family] = tuple(verdict.downloads)
        late += verdict.late
        notices += verdict.notices
    if late or notices:
        said = {x.sidecar.name for x in late} | {x.name for x in notices}
        noticed = {name: replace(memory.histories[name], noticed=True) for name in said}
        memory = replace(memory, histories={**memory.histories, **noticed})
    memory = replace(memory, waits=waits, ready=ready, due=due, downloads=downloads)
    memory = replace(memory, next_due=_next_due(memory, step), listing=listing(memory))
    return Update(memory, tuple(late), tuple(notices))


def _matters(state: ControlState) -> tuple[object, ...]:
    """What all verdicts in a folder depend on."""
    return state.control, state.hold, state.bare, state.from_job


def _others(verdicts: Mapping[str, _T], changed: Mapping[str, None]) -> dict[str, _T]:
    """A copy of the verdicts, without the families that changed."""
    if len(changed) < len(verdicts):
        left = dict(verdicts)
        for family in changed:
            left.pop(family, None)
        return left
    # Filter instead of copying first: when very many families changed, the copy would need twice the memory.
    return {family: verdict for family, verdict in verdicts.items() if family not in changed}


def _tracks(memory: FolderMemory, names: Iterable[bytes]) -> list[Track]:
    """The files with these names, in the form in which they are judged."""
    return [Track(memory.entries[n], classify(n, in_inbox=not memory.name), memory.histories[n]) for n in names]


def _next_due(memory: FolderMemory, step: Circumstances) -> float | None:
    """When anything in the folder must be checked again."""
    times = list(memory.due.values())
    if memory.control_state.check_at is not None:
        times.append(memory.control_state.check_at)
    control = memory.control_state.control
    if control is not None and control.kind == "batch" and memory.batch_taken and memory.empty_since is not None:
        done_at = _done_at(memory, step.rules, memory.empty_since)
        if done_at > step.now:
            times.append(done_at)
    return min(times, default=None)
