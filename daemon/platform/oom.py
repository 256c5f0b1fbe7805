"""What the system says of memory that ran out, and how much there is for us."""

import sys

if sys.platform == "darwin":

    def oom_kills() -> int | None:
        """Nothing: macOS does not count the processes that it ends for want of memory."""
        return None

    def memory_limit() -> int | None:
        """Nothing: macOS limits no group of processes."""
        return None

else:
    from daemon.platform.oom_linux import memory_limit, oom_kills

__all__ = ["memory_limit", "oom_kills"]
