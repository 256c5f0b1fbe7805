"""What the system reports about memory: how many processes it killed because memory ran out, and the limit for our group."""

import sys

if sys.platform == "darwin":

    def oom_kills() -> int | None:
        """Always None: macOS does not count the processes that it kills because memory ran out."""
        return None

    def memory_limit() -> int | None:
        """Always None: macOS sets no limit for groups of processes."""
        return None

    def memory_left() -> int | None:
        """Always None: macOS sets no limit for groups of processes."""
        return None

else:
    from daemon.platform.oom_linux import memory_left, memory_limit, oom_kills

__all__ = ["memory_left", "memory_limit", "oom_kills"]
