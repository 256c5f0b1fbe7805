"""Which preset or batch applies in a folder, and what the waiting list says about the folder itself.

A plain folder inside a folder with a preset is a batch by that preset. A job's folder from the outbox, dropped there, is a redo
by that preset: what is in its source/ is taken.
"""

from dataclasses import replace

from daemon.contract.names import to_text
from daemon.intake.kinds import unread
from daemon.intake.lookalikes import as_control
from daemon.intake.memory import ControlState, FolderMemory
from daemon.intake.model import Waiting
from daemon.intake.names import classify, folder_above, is_batch_file, is_job_folder, is_system_file, key_of
from daemon.intake.settle import Pace, Track, settle_state

_JOB_FOLDER = "a job's folder from the outbox: put it into a folder with a preset to make another result of its picture"


def control_state_of(memory: FolderMemory, pace: Pace) -> ControlState:
    """Which preset or batch applies here, and whether it can be used yet. Its file must settle like any other."""
    if not memory.controls:
        return _inherited(memory)
    names = " and ".join(sorted(to_text(c.entry.name) for c in memory.controls))
    if len(memory.controls) > 1:
        return ControlState(hold=f"{names} are both in this folder: keep one of them")
    control = memory.controls[0]
    if control.problem is not None:
        # The sentence about an invalid line already names the file.
        said = control.problem if control.problem.startswith(names) else f"{names}: {control.problem}"
        if control.passing:
            return ControlState(control, said, True, check_at=pace.now + pace.rules.outside_pause)
        return ControlState(control, hold=said)
    entry, history = memory.entries.get(control.entry.name), memory.histories.get(control.entry.name)
    if entry is None or history is None or entry.fingerprint != control.entry.fingerprint:
        return ControlState(control, f"waiting for {names}: it is changing", True, check_at=pace.now + pace.rules.outside_pause)
    track = Track(entry, classify(entry.name, in_inbox=not memory.name), history)
    state = settle_state(track, pace, complete_at=None, busy=False)
    if not state.settled:
        return ControlState(control, f"waiting for {names}: {state.reason}", True, check_at=state.check_at)
    return ControlState(control)


def passed_on(memory: FolderMemory) -> ControlState | None:
    """The preset that applies to the folders inside this one; None if none does."""
    state = memory.control_state
    if state.is_job:
        return memory.above and replace(memory.above, from_job=True)
    if b"/" in memory.name or state.control is None or state.control.kind != "preset":
        return None
    control = replace(state.control, kind="batch", images=None, folder=memory.name)
    return ControlState(control, state.hold, state.will_resolve)


def _inherited(memory: FolderMemory) -> ControlState:
    """What applies in a folder without a file of its own."""
    if memory.name and is_job_folder(memory.entries):
        return ControlState(bare=True, is_job=True)
    return memory.above or ControlState(bare=bool(memory.name))


def leftovers(memory: FolderMemory) -> tuple[bytes, ...]:
    """The names in a batch folder that are neither its job.yaml nor hidden files of a file manager."""
    return tuple(
        name for name in memory.entries if name not in memory.gone and not is_system_file(name) and not is_batch_file(name)
    )


def listing(memory: FolderMemory) -> tuple[Waiting, ...]:
    """The folder's part of the waiting list: its files and, if needed, lines about the folder itself or its control file."""
    name, state = memory.name, memory.control_state
    lines = [w for waits in memory.waits.values() for w in waits]
    if state.hold:
        lines = [Waiting(name, c.entry.name, state.hold, state.will_resolve) for c in memory.controls] + lines
    if state.is_job:
        return () if memory.above else (Waiting(b"", name, _JOB_FOLDER, False),)
    if state.bare:
        pictures = memory.roles.get("image", 0)
        what = f"{pictures} pictures in a folder" if pictures != 1 else "a picture in a folder"
        reason = "an empty folder"
        if memory.histories:
            reason = f"{what} without _preset.yaml or job.yaml: put one in, or move the folder into one that has a _preset.yaml"
        if memory.histories and not pictures:
            reason = "a folder without pictures"
        if (known := unread.kind_in_words(key_of(name))) is not None:  # Finder shows such a folder as one file
            reason = f"not a supported picture: {known}"
        if (like := as_control(memory.entries)) is not None:
            reason = f"{what}, but {like}"
        return (Waiting(b"", name, reason, False),)
    if state.control and state.control.kind == "batch" and memory.empty_since is not None and not state.hold:
        lines.append(_end_of_batch(memory))
    return tuple(lines)


def _end_of_batch(memory: FolderMemory) -> Waiting:
    """The line in the waiting list for a batch folder without pictures."""
    state = memory.control_state
    if not memory.batch_taken:
        plain = state.control is not None and state.control.folder is not None
        return Waiting(b"", memory.name, "a folder without pictures" if plain else "a batch without pictures", False)
    if state.from_job:
        return Waiting(b"", folder_above(memory.name) or b"", "its picture was taken; what is left follows it in a moment", True)
    if left := leftovers(memory):
        first = to_text(min(left))
        what = first if len(left) == 1 else f"{first} and {len(left) - 1} more {'file' if len(left) == 2 else 'files'}"
        return Waiting(b"", memory.name, f"all its pictures were taken; the folder stays because of {what}", False)
    return Waiting(b"", memory.name, "all its pictures were taken; the folder goes in a minute", True)
