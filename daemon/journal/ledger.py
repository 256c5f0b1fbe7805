"""Keeps the journal and the jobs in memory consistent: a job changes only after the record of the change is durable."""

from collections.abc import Callable, Sequence

from loguru import logger

from daemon.contract.records import AnyRecord
from daemon.jobs.fold import Jobs
from daemon.journal import Entry, Journal

Subscriber = Callable[[AnyRecord], None]


class Ledger:
    """Records decisions, applies them to the jobs, and publishes them. Nobody acts on a decision before it is recorded here."""

    def __init__(self, journal: Journal, jobs: Jobs) -> None:
        self._journal = journal
        self._subscribers: tuple[Subscriber, ...] = ()
        self._afterwards: Callable[[], None] | None = None
        self.jobs = jobs

    def subscribe(self, *subscribers: Subscriber, afterwards: Callable[[], None] | None = None) -> None:
        """Call each subscriber, in this order, with every record that is applied from now on. Subscribe all of them in one call.

        A subscriber shows or remembers something; it must not record anything itself. If it raises OSError, that is logged, and
        the other subscribers still get the record. It must not raise anything else. `afterwards` is called when the subscribers
        got all records of one group, and may do for all of them together what takes a sync; the same holds for it.
        """
        if self._subscribers:
            raise AssertionError("the ledger has its subscribers already")
        self._subscribers, self._afterwards = subscribers, afterwards

    def record(self, *records: AnyRecord) -> list[Entry]:
        """Make the records durable with one sync, apply them, and publish them. Begins a new segment if it is time.

        Raises:
            UnreplayableError: one of them could not be read back; nothing was recorded.
            JournalError: the process must stop; the next start shows whether the records are durable.
        """
        entries = self._journal.append(records)
        for entry in entries:
            self.jobs.apply(entry)
            self._publish(entry.record)
        self._finish(records)
        if self._journal.is_full(len(self.jobs.live)):
            self.begin_segment()
        return entries

    def begin_segment(self) -> None:
        """Continue the journal in a new segment.

        Raises:
            JournalError: the process must stop.
        """
        self._journal.rotate(list(self.jobs.live.values()), self.jobs.other_records())

    def _publish(self, record: AnyRecord) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(record)
            except OSError as error:
                logger.warning("{} is recorded, but not all that follows from it could be done: {}", record.event, error)

    def _finish(self, records: Sequence[AnyRecord]) -> None:
        if self._afterwards is None:
            return
        try:
            self._afterwards()
        except OSError as error:
            logger.warning("{} is recorded, but not all that follows from it could be done: {}", records[-1].event, error)
