"""`doctor --take-over`: makes inbox and outbox this home's, although they belong to another home. Only while no daemon runs.

This is for a home that replaces another one: its copy, or a new home after the old one was lost. Only the markers are written.
A daemon of the other home that runs on another machine notices within seconds, pauses, and says why.
"""

import os
from collections.abc import Iterator

from daemon.contract.names import to_bytes
from daemon.errors import Refusal
from daemon.fs import FileSystem, make_folders
from daemon.journal import hold_lock
from daemon.journal.lock import is_running
from daemon.outbox.ownership import Owner, Ownership, who
from daemon.settings import Settings


def take_over(settings: Settings, fs: FileSystem) -> Iterator[str]:
    """Mark inbox and outbox as this home's, and yield one sentence for each.

    Raises:
        Refusal: a daemon is running in this home or, on this machine, in the other one.
        OSError: a marker cannot be read or written. This can be repeated.
    """
    paths = settings.paths
    make_folders(fs, paths.state_bytes)
    lock = hold_lock(fs, paths.lock_bytes, os.getpid())
    try:
        ownership = Ownership(fs, who(fs, paths, new_id=True))
        for name, folder in (("inbox", paths.inbox_bytes), ("outbox", paths.outbox_bytes)):
            shown = f"the {name} {os.fsdecode(folder)}"
            try:
                owner = ownership.stranger(folder)
            except FileNotFoundError:
                yield f"{shown} is not there, or lacks its marker file .multiplane; nothing was changed in it."
                continue
            if owner is None:
                yield f"{shown} belongs to no other home."
                continue
            _check_stopped(fs, owner)
            ownership.take(folder, durable=True)
            yield f"{shown} belonged to {owner}; it belongs to this home now."
    finally:
        lock.release()


def _check_stopped(fs: FileSystem, owner: Owner) -> None:
    """Refuse if a daemon of the other home runs on this machine."""
    try:
        runs = is_running(fs, os.path.join(to_bytes(owner.state), b"lock"))
    except OSError:
        return  # it cannot be asked: it is another user's, or nothing of a home is there
    if runs:
        raise Refusal(f"a daemon is running in the other home, {owner}", hint="Stop it first, then repeat this.", exit_status=75)
