"""The journal and the jobs that its records describe, kept consistent: a job never reflects a record that is not durable."""

from collections.abc import Callable

from loguru import logger

from daemon.contract.records import AnyRecord
from daemon.jobs.fold import Jobs
from daemon.journal import Entry, Journal

Subscriber = Callable[[AnyRecord], None]


class Ledger:
    """Records decisions, and publishes each to its subscribers. Every decision is recorded here before anybody acts on it."""

    def __init__(self, journal: Journal, jobs: Jobs) -> None:
        self._journal = journal
        self._subscribers: tuple[Subscriber, ...] = ()
        self.jobs = jobs

    def subscribe(self, *subscribers: Subscriber) -> None:
        """From now on, call each subscriber, in this order, with every record after it took effect.

        Call this once, for all of them.

        A subscriber shows or remembers something. It must not raise, and it records nothing itself. If it fails because of a
        disk, that is logged: the record stands, and the other subscribers still get it.
        """
        if self._subscribers:
            raise AssertionError("the ledger has its subscribers already")
        self._subscribers = subscribers

    def record(self, *records: AnyRecord) -> list[Entry]:
        """Make the records durable with one sync, and apply them.

        Raises:
            UnreplayableError: one of them could not be read back; nothing was recorded.
            JournalError: the process must stop; the next start shows whether they are durable.
        """
        entries = self._journal.append(records)
        for entry in entries:
            self.jobs.apply(entry)
            self._publish(entry.record)
        if self._journal.is_full(len(self.jobs.live)):
            self._journal.rotate(list(self.jobs.live.values()), self.jobs.batch_records())
        return entries

    def _publish(self, record: AnyRecord) -> None:
        for heard in self._subscribers:
            try:
                heard(record)
            except OSError as error:
                logger.warning("{} is recorded, but not all that follows from it could be done: {}", record.event, error)
