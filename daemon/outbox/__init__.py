"""What people and programs see of the jobs: the job folders, status.json, daemon.json and index.html.

Everything in the outbox except `result/`, `source/`, `job.log` and the folders of attempts is a view: the daemon can rebuild it
from the journal.

A module is imported when a name of it is used first, because the verbs need only some, and a person waits for their imports.
"""

from typing import TYPE_CHECKING

from daemon.first_use import import_on_first_use

if TYPE_CHECKING:
    from daemon.outbox.disk_use import DiskUse, measure_outbox
    from daemon.outbox.outbox import NotDurableError, Outbox
    from daemon.outbox.publish import check_result, checking_result
    from daemon.outbox.stage_names import stage_name
    from daemon.outbox.status_files import (
        ALIVE_SECONDS,
        FRESH_SECONDS,
        SILENT_SECONDS,
        BatchProgress,
        Health,
        MoreWaiting,
        PolledFolder,
        Waiting,
        attempt_of,
        in_line,
        status_of,
    )  # fmt: skip
else:
    __getattr__ = import_on_first_use(
        __name__,
        {
            "disk_use": ["DiskUse", "measure_outbox"],
            "outbox": ["NotDurableError", "Outbox"],
            "publish": ["check_result", "checking_result"],
            "stage_names": ["stage_name"],
            "status_files": [
                "ALIVE_SECONDS",
                "FRESH_SECONDS",
                "SILENT_SECONDS",
                "BatchProgress",
                "Health",
                "MoreWaiting",
                "PolledFolder",
                "Waiting",
                "attempt_of",
                "in_line",
                "status_of",
            ],
        },
    )


__all__ = [
    "ALIVE_SECONDS", "FRESH_SECONDS", "SILENT_SECONDS", "BatchProgress", "DiskUse", "Health", "MoreWaiting", "NotDurableError",
    "Outbox", "PolledFolder", "Waiting", "attempt_of", "check_result", "checking_result", "in_line", "measure_outbox",
    "stage_name", "status_of",
]  # fmt: skip
