"""The guardian: ends a worker and all it started when the daemon is gone. Runs as a file, imports nothing of ours.

It is the leader of the process group that the worker is born into, and holds one end of a socket whose other end only the
daemon has. When that closes, by whatever death of the daemon, it kills its own group: worker, grandchildren and itself.

Being the leader has two reasons. The group exists, guarded, before the worker does, so there is no moment in which a worker
could outlive the daemon; and the group's number cannot be used again as long as the daemon has not reaped the guardian.
What leaves the group (setsid) leaves the guardian's reach, and a worker that stops its whole group (SIGSTOP) stops the
guardian too: the sandbox on Linux refuses both (`sandbox`), and the reaper at the daemon's next start finds the rest.
"""

import os
import signal

#: Sent to groups by terminals and by libraries that tidy up after themselves; only SIGKILL may end the guardian.
_DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)


def main() -> int:
    """Wait for the end of descriptor 0, then kill the own process group; returns only if the group is not ours to kill."""
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    if os.getpgrp() != os.getpid():
        return 2
    while _more():
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)
    return 0


def _more() -> bool:
    """Wait for a byte; False when the other end is closed, in whatever way."""
    try:
        return os.read(0, 1) != b""
    except OSError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
