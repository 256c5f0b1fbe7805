"""Runs jobs in worker processes: enforces their limits, ends them together with everything they started, and reaps them."""

from daemon.supervisor.outcome import Cancelled, Completed, Failed, Outcome, Stopped
from daemon.supervisor.reaper import reap
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.supervisor import Supervisor, WarmWorker, guardian_argv, worker_argv

__all__ = [
    "Cancelled",
    "Completed",
    "Failed",
    "Outcome",
    "Stopped",
    "Supervisor",
    "SupervisorRules",
    "WarmWorker",
    "guardian_argv",
    "reap",
    "worker_argv",
]
