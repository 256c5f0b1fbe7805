"""Makes the waiting list when the daemon cannot: reads the inbox by the daemon's rules, and changes nothing."""

from dataclasses import replace

from daemon.claiming.control_files import read_control
from daemon.intake import Memory, Rules, step
from daemon.outbox.waiting_list import WaitingList, grouped, shared
from daemon.settings import Settings
from daemon.watch import Scanner

#: Seconds, longer than any rule waits. A file that would still wait after this time waits for a person.
_LONG = 7200.0


def in_inbox(settings: Settings, *, alive: bool) -> WaitingList:
    """The waiting list, as far as it is shown.

    The files are judged as if none had changed for hours. Pairs that are ready to be claimed are in the list, too.

    Args:
        settings: the settings of the home.
        alive: whether a daemon is running.
    """
    scanner = Scanner(settings.paths.inbox_bytes, network=False, read_control=read_control)
    scan = scanner.scan(0.0)
    memory = step(Memory(rules=Rules()), scan).memory
    decided = step(memory, replace(scan, now=_LONG))
    ready = "ready, but the daemon hasn't taken it" if alive else "ready; the daemon takes it when it runs"
    entries = [(one.folder, one.name, one.reason) for one in decided.waiting]
    return shared(grouped(entries + [(one.folder, one.image.name, ready) for one in decided.ready]))
