"""What people and programs see of the jobs: the job folders, status.json, daemon.json and index.html.

Everything in the outbox except `result/`, `source/`, `job.log` and the folders of attempts is a view: the daemon can rebuild it
from the journal.
"""

from daemon.outbox.outbox import NotDurableError, Outbox
from daemon.outbox.publish import check_result, checking_result
from daemon.outbox.stage_names import stage_name
from daemon.outbox.status_files import (
    ALIVE_SECONDS,
    FRESH_SECONDS,
    SILENT_SECONDS,
    Health,
    PolledFolder,
    Waiting,
    attempt_of,
    in_line,
    status_of,
)  # fmt: skip

__all__ = [
    "ALIVE_SECONDS", "FRESH_SECONDS", "SILENT_SECONDS", "Health", "NotDurableError", "Outbox", "PolledFolder", "Waiting",
    "attempt_of", "check_result", "checking_result", "in_line", "stage_name", "status_of",
]  # fmt: skip
