"""The journal and what it adds up to, kept in step: nothing is known that is not durable."""

from collections.abc import Callable

from daemon.contract.records import AnyRecord
from daemon.jobs.fold import Jobs
from daemon.journal import Entry, Journal


class Ledger:
    """Records decisions. Whoever acts on one has recorded it here first."""

    def __init__(self, journal: Journal, jobs: Jobs) -> None:
        self._journal = journal
        self.jobs = jobs
        #: Told of every record after it took effect; must not raise.
        self.heard: Callable[[AnyRecord], None] = lambda record: None

    def record(self, *records: AnyRecord) -> list[Entry]:
        """Make the records durable, all with one sync, and take them into account.

        Raises:
            UnreplayableError: one of them could not be read back; nothing was recorded.
            JournalError: the process must stop; whether they are durable shows at the next start.
        """
        entries = self._journal.append(records)
        for entry in entries:
            self.jobs.apply(entry)
            self.heard(entry.record)
        if self._journal.is_full(len(self.jobs.live)):
            self._journal.rotate(list(self.jobs.live.values()), self.jobs.batch_records())
        return entries
