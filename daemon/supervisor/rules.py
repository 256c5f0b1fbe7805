"""How workers are supervised: limits and delays. Seconds are of the monotonic clock."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SupervisorRules:
    """The limits and delays of a supervisor.

    Attributes:
        grace_seconds: between the request to stop, after a timeout, and SIGKILL.
        cancel_seconds: the same after a cancel. Nothing that the worker could still do is wanted, so it only gets the time
            that an orderly end takes. Long C code (OpenCV, numpy) hears no request at all.
        shutdown_grace_seconds: the same when the daemon itself stops.
        start_seconds: a worker that has not said `hello` and `ready` by then is killed, and one that was given a job and has not
            said `started` so long after. Importing torch, transformers and diffusers takes 5 s and more from a warm disk, a
            minute from a cold network home.
        kill_seconds: after SIGKILL, how long until a process that still is not gone is given up (it hangs in the system,
            on a disk or share that does not answer); it is reaped whenever it ends.
        max_memory_bytes: of the worker and all it started, together; none: no limit.
        memory_bytes: what there is for everybody, of the machine or of our control group; none: unknown.
        max_output_bytes: of all files in the attempt folder, while the job runs; none: no limit.
        max_processes: of the worker's tree. A worker is one process; 32 leaves room for the helper programs of libraries, and
            ends a fork bomb before it hurts the machine. (RLIMIT_NPROC is no use here: it counts all processes and threads of
            the user, on a desktop hundreds that are not ours.)
        sample_seconds: how often memory, files and processes are measured.
        log_cap_bytes: of job.log.
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
