"""metrics.prom in the outbox: the daemon's numbers for Prometheus, read by the textfile collector of node_exporter.

The format is the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). Counters begin at 0
with each start of the daemon, which Prometheus expects.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from loguru import logger

from daemon import __version__
from daemon.contract.ended.follow_ups import FOLLOW_UPS
from daemon.contract.records import AnyRecord, Ended
from daemon.contract.status import State
from daemon.fs import write_atomic
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.troubles import Troubles

NAME = b"metrics.prom"
#: Seconds between two writes. Prometheus usually reads every 15 s or more.
_SPACING = 10.0
_ENDS: tuple[State, ...] = ("completed", "failed", "cancelled")
_TROUBLE = "metrics"

Sample = tuple[dict[str, str], float]


class MetricsFile:
    """Counts how jobs end, and writes the file now and then.

    Args:
        outbox: where the file is written.
        ledger: the jobs.
        wanted: whether the settings ask for the file.
        state: returns the daemon's state, as in daemon.json.
        waiting: returns how many items wait in the inbox.
        wall_clock: returns seconds since 1970.
    """

    def __init__(
        self,
        outbox: Outbox,
        ledger: Ledger,
        *,
        wanted: bool,
        state: Callable[[], str],
        waiting: Callable[[], int],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._wanted = wanted
        self._state = state
        self._waiting = waiting
        self._wall_clock = wall_clock
        self._ended: Counter[str] = Counter()
        self._seconds = 0.0
        self._written = float("-inf")
        self._troubles = Troubles()

    def on_record(self, record: AnyRecord) -> None:
        """Handle a record that took effect."""
        if isinstance(record, Ended):
            job = self._ledger.jobs.find(record.job)
            published = job.published if job else None
            self._ended[record.state] += 1
            self._seconds += (published.processing_seconds if published else record.processing_seconds) or 0.0

    def look(self, now: float) -> None:
        """Write the file if it is time. If that fails, the next call tries again. `now`: monotonic seconds."""
        if now - self._written >= _SPACING:
            self._written = now
            self.write()

    def write(self) -> None:
        """Write the file now, if the settings ask for it. An error is logged."""
        if not self._wanted:
            return
        try:
            if self._outbox.is_healthy():
                data = "".join(self._lines()).encode()
                write_atomic(self._outbox.fs, os.path.join(self._outbox.root, NAME), data, durable=False)
            self._troubles.over(_TROUBLE)
        except OSError as error:
            self._troubles.tell(_TROUBLE, f"metrics.prom cannot be written: {error.strerror}")

    def _lines(self) -> Iterator[str]:
        jobs, follow_ups = self._ledger.jobs, self._ledger.jobs.follow_ups
        yield from _metric("info", "gauge", "The version of the daemon.", [({"version": __version__}, 1)])
        yield from _metric(
            "alive_timestamp_seconds",
            "gauge",
            "When the daemon last wrote this, in seconds since 1970.",
            [({}, self._wall_clock())],
        )
        yield from _metric("state", "gauge", "1 for the daemon's state, as in daemon.json.", [({"state": self._state()}, 1)])
        yield from _metric(
            "jobs",
            "gauge",
            "Jobs that have not ended.",
            [({"state": "pending"}, jobs.pending), ({"state": "processing"}, len(jobs.processing))],
        )
        yield from _metric("waiting", "gauge", "What waits in the inbox.", [({}, self._waiting())])
        yield from _metric(
            "follow_ups",
            "gauge",
            "Deliveries and hooks that are still to be done.",
            [({"what": what}, sum(1 for _ in follow_ups.of(what))) for what in FOLLOW_UPS],
        )
        yield from _metric(
            "jobs_ended_total",
            "counter",
            "Jobs that ended since the daemon started.",
            [({"state": state}, self._ended[state]) for state in _ENDS],
        )
        yield from _metric(
            "processing_seconds_total", "counter", "Seconds for which ended jobs were processed.", [({}, round(self._seconds, 3))]
        )
        yield from _metric("free_bytes", "gauge", "Free space on the disk of the outbox.", self._free())

    def _free(self) -> Iterable[Sample]:
        try:
            return [({}, self._outbox.fs.free_bytes(self._outbox.root))]
        except OSError as error:
            logger.debug("the free space is unknown: {}", error)
            return []


def _metric(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> Iterator[str]:
    """The lines of one metric. Labels contain no character that needs escaping."""
    yield f"# HELP multiplane_{name} {meaning}\n# TYPE multiplane_{name} {kind}\n"
    for labels, value in samples:
        inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
        yield f"multiplane_{name}{{{inner}}} {value}\n" if inner else f"multiplane_{name} {value}\n"
