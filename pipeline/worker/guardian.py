"""The guardian: ends a worker and everything it started when the daemon is gone.

It runs as a script and imports no other module of this program. It leads the process group that the worker is started in. It
holds one end of a socket, and only the daemon has the other. When the socket closes, however the daemon died, the guardian kills
its own group: worker, grandchildren and itself.

It is the leader for two reasons. The guarded group exists before the worker does, so there is no moment in which a worker could
outlive the daemon. And the group's number cannot be reused as long as the daemon has not reaped the guardian. A process
that leaves the group (setsid) is out of the guardian's reach, and a worker that stops its whole group (SIGSTOP) also stops the
guardian. On Linux, the sandbox (`sandbox`) prevents both; the reaper at the daemon's next start finds the rest.
"""

import os
import signal

#: Signals that terminals and tidy libraries send to groups; only SIGKILL may end the guardian.
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)


def main() -> int:
    """Wait until descriptor 0 closes, then kill this process's own group. Returns only if this process does not lead it."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if os.getpgrp() != os.getpid():
        return 2
    while _more():
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)
    return 0


def _more() -> bool:
    """Wait for a byte. False when the other end is closed for any reason."""
    try:
        return os.read(0, 1) != b""
    except OSError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
