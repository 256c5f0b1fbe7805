"""How workers are supervised: limits and delays. Seconds are of the monotonic clock."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SupervisorRules:
    """The limits and delays of a supervisor.

    Attributes:
        grace_seconds: between the request to stop (timeout, cancel) and SIGKILL.
        shutdown_grace_seconds: the same when the daemon itself stops.
        start_seconds: a worker that has not said `hello` and `ready` by then is killed. Importing torch, transformers and
            diffusers takes 5 s and more from a warm disk, a minute from a cold network home.
        kill_seconds: after SIGKILL, how long until a process that still is not gone is given up (it hangs in the system,
            on a disk or share that does not answer); it is reaped whenever it ends.
        max_memory_bytes: of the worker and all it started, together; none: no limit.
        sample_seconds: how often memory is measured.
        log_cap_bytes: of job.log.
        threads: for the numeric libraries' own pools.
    """

    grace_seconds: float = 10.0
    shutdown_grace_seconds: float = 3.0
    start_seconds: float = 120.0
    kill_seconds: float = 10.0
    max_memory_bytes: int | None = None
    sample_seconds: float = 1.0
    log_cap_bytes: int = 1 << 20
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
