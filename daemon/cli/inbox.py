"""What is in the inbox, seen by the command line itself: with the rules of the daemon, and without touching anything."""

import os
from dataclasses import replace

from daemon.claiming.control_files import read_control
from daemon.contract.names import to_text
from daemon.intake import Memory, Rules, step
from daemon.outbox import Waiting
from daemon.settings import Settings
from daemon.views.view_writer import MAX_WAITING
from daemon.watch import Scanner

#: As if nothing had changed for so long: longer than any rule waits, so that what is left waits for a person.
_LONG = 7200.0


def in_inbox(settings: Settings, *, alive: bool) -> tuple[tuple[Waiting, ...], int]:
    """What is in the inbox, by the rules of the daemon as if it had rested for long: the first of it, and how much it is.

    Args:
        settings: of the home.
        alive: whether a daemon runs, which then does not get to it.
    """
    scanner = Scanner(settings.paths.inbox_bytes, network=False, read_control=read_control)
    look = scanner.look(0.0)
    memory = step(Memory(rules=Rules()), look).memory
    decided = step(memory, replace(look, now=_LONG))
    ready = "ready, but the daemon hasn't taken it" if alive else "ready; the daemon takes it when it runs"
    items = [Waiting(path=to_text(os.path.join(one.folder, one.name)), reason=one.reason) for one in decided.waiting]
    items += [Waiting(path=to_text(os.path.join(one.folder, one.image.name)), reason=ready) for one in decided.ready]
    return tuple(items[:MAX_WAITING]), len(items)
