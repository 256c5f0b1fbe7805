"""Every job ends: workers in processes of their own, watched, limited, ended with all they started, and reaped."""

from daemon.supervisor.outcome import Cancelled, Completed, Failed, Outcome, Stopped
from daemon.supervisor.reaper import reap
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.supervisor import Spare, Supervisor, worker_argv

__all__ = [
    "Cancelled",
    "Completed",
    "Failed",
    "Outcome",
    "Spare",
    "Stopped",
    "Supervisor",
    "SupervisorRules",
    "reap",
    "worker_argv",
]
