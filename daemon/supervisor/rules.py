"""The limits and delays with which workers are supervised, each with its reason."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SupervisorRules:
    """The limits and delays of a supervisor.

    Attributes:
        grace_seconds: the time from the request to stop until SIGKILL, after a timeout.
        cancel_seconds: the same after a cancel. Nobody needs the worker's output any more, so it only gets the time that an
            orderly exit takes. Long C code (OpenCV, numpy) does not notice the request at all.
        shutdown_grace_seconds: the same when the daemon itself stops.
        start_seconds: how long a worker may take to send `hello` and `ready`, and again from receiving its job to `started`. A
            slower worker is killed. Importing torch, transformers and diffusers takes 5 s and more from a warm disk, and a minute
            from a cold network home.
        kill_seconds: how long the supervisor waits after SIGKILL before it gives up on a process. Such a process hangs in the
            system, on a disk or share that does not answer. It is reaped when it ends at last.
        max_memory_bytes: the limit for the worker and everything it started, together; None: no limit.
        memory_bytes: the memory that all programs on this machine or in our control group may use; None: unknown.
        max_output_bytes: the limit for all files in the attempt folder, while the job runs; None: no limit.
        max_processes: the limit for the worker's process tree. A worker is one process. 32 leaves room for libraries' helper
            programs, and stops a fork bomb before it hurts the machine. (RLIMIT_NPROC does not help: it counts all processes
            and threads of the user, and on a desktop hundreds of them are not ours.)
        sample_seconds: the time between two measurements of memory, files and processes.
        log_cap_bytes: the largest size of job.log.
        threads: how many threads the numeric libraries use.
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
