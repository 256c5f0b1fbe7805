"""What is in the inbox, read by the command line itself with the daemon's rules, without touching anything."""

import os
from dataclasses import replace

from daemon.claiming.control_files import read_control
from daemon.contract.names import to_text
from daemon.intake import Memory, Rules, step
from daemon.outbox import Waiting
from daemon.settings import Settings
from daemon.views.view_writer import MAX_WAITING
from daemon.watch import Scanner

#: Judge as if nothing had changed for this long, which is longer than any rule waits: what still waits, waits for a person.
_LONG = 7200.0


def in_inbox(settings: Settings, *, alive: bool) -> tuple[tuple[Waiting, ...], int]:
    """The first entries of the waiting list, and their total, by the daemon's rules as if no file had changed for hours.

    Args:
        settings: of the home.
        alive: whether a daemon is running, but busy with something else.
    """
    scanner = Scanner(settings.paths.inbox_bytes, network=False, read_control=read_control)
    scan = scanner.scan(0.0)
    memory = step(Memory(rules=Rules()), scan).memory
    decided = step(memory, replace(scan, now=_LONG))
    ready = "ready, but the daemon hasn't taken it" if alive else "ready; the daemon takes it when it runs"
    items = [Waiting(path=to_text(os.path.join(one.folder, one.name)), reason=one.reason) for one in decided.waiting]
    items += [Waiting(path=to_text(os.path.join(one.folder, one.image.name)), reason=ready) for one in decided.ready]
    return tuple(items[:MAX_WAITING]), len(items)
