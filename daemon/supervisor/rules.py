"""How workers are supervised: limits and delays. Seconds are of the monotonic clock."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SupervisorRules:
    """The limits and delays of a supervisor.

    Attributes:
        grace_seconds: after a timeout, from the request to stop until SIGKILL.
        cancel_seconds: the same after a cancel. Nobody needs the worker's output any more, so it only gets the time that an
            orderly exit takes. Long C code (OpenCV, numpy) does not notice the request at all.
        shutdown_grace_seconds: the same when the daemon itself stops.
        start_seconds: how long a worker may take until `hello` and `ready`, and again from its job until `started`, before it
            is killed. Importing torch, transformers and diffusers takes 5 s and more from a warm disk, and a minute from a cold
            network home.
        kill_seconds: how long after SIGKILL a process that is still there is given up (it hangs in the system, on a disk or
            share that does not answer). It is reaped whenever it ends.
        max_memory_bytes: for the worker and everything it started, together; None: no limit.
        memory_bytes: the total memory for all programs, of the machine or of our control group; None: unknown.
        max_output_bytes: for all files in the attempt folder, while the job runs; None: no limit.
        max_processes: for the worker's process tree. A worker is one process. 32 leaves room for libraries' helper programs,
            and stops a fork bomb before it hurts the machine. (RLIMIT_NPROC does not help: it counts all processes and threads
            of the user, and on a desktop hundreds of them are not ours.)
        sample_seconds: how often memory, files and processes are measured.
        log_cap_bytes: the largest size of job.log.
        threads: for the numeric libraries' own pools.
    """

    grace_seconds: float = 10.0
    cancel_seconds: float = 0.2
    shutdown_grace_seconds: float = 3.0
    start_seconds: float = 120.0
    kill_seconds: float = 10.0
    max_memory_bytes: int | None = None
    memory_bytes: int | None = None
    max_output_bytes: int | None = None
    max_processes: int = 32
    sample_seconds: float = 1.0
    log_cap_bytes: int = 1 << 20
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
