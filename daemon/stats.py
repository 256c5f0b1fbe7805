"""Statistics of the last days, from the journal: how many jobs ended each day, how long they took, what failed.

Every segment begins with a snapshot of the jobs that had not ended, so it can be read on its own. Segments are read one at a
time, newest first, and those older than the period are not read.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated

from pydantic import Field

from daemon.contract.spec import Mode
from daemon.contract.status import Frozen, State
from daemon.journal import History
from daemon.journal.outline import Ending
from daemon.outbox import DiskUse

Count = Annotated[int, Field(ge=0)]


class Day(Frozen):
    """How many jobs ended on one day, from midnight to midnight in the person's time zone."""

    date: date
    completed: Count = 0
    failed: Count = 0
    cancelled: Count = 0
    megapixels: float = Field(0.0, ge=0.0, description="megapixels of the completed pictures")


class ModeTimes(Frozen):
    """How long the completed jobs of one mode took, in seconds of processing. Percentiles are by nearest rank."""

    mode: Mode
    jobs: Count
    median: float
    p90: float
    longest: float


class Failures(Frozen):
    """How often jobs failed with one error code."""

    code: str
    jobs: Count
    last_at: str = Field(description="when the last of them failed, UTC, RFC 3339")
    last_job: str = Field(description="the id of the last of them")
    example: str = Field(description="the error message of the last of them")


class Stats(Frozen):
    """The statistics of a period. A job that was retried counts once for each time it ended."""

    schema_version: int = 1
    since: str = Field(description="the beginning of the period, UTC, RFC 3339")
    until: str = Field(description="the end of the period")
    days: tuple[Day, ...] = Field(description="every day of the period, the oldest first")
    modes: tuple[ModeTimes, ...]
    failures: tuple[Failures, ...] = Field(description="the most frequent first")
    known_since: str | None = Field(None, description="the time of the oldest record in the journal, if it is within the period")
    disk: DiskUse | None = Field(None, description="the space that the outbox takes; null if it cannot be read")


@dataclass
class Tally:
    """Adds up endings. `examples`: the last ending for each error code."""

    zone: tzinfo
    states: Counter[tuple[date, State]] = field(default_factory=Counter)
    megapixels: dict[date, float] = field(default_factory=dict)
    seconds: dict[Mode, list[float]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Ending] = field(default_factory=dict)

    def add(self, ending: Ending) -> None:
        """Count one more ending."""
        day = ending.at.astimezone(self.zone).date()
        self.states[day, ending.state] += 1
        if ending.state == "completed":
            self.megapixels[day] = self.megapixels.get(day, 0.0) + ending.megapixels
            if ending.mode and ending.seconds is not None:
                self.seconds.setdefault(ending.mode, []).append(ending.seconds)
        if ending.state == "failed" and ending.code:
            self.failures[ending.code] += 1
            example = self.examples.get(ending.code)
            if example is None or example.at <= ending.at:
                self.examples[ending.code] = ending


def stats(history: History, *, now: datetime, days: int, zone: tzinfo) -> Stats:
    """Count what ended in the last `days` days, today included.

    Args:
        history: the journal.
        now: the end of the period.
        days: how many days, at least 1.
        zone: the time zone in which a day begins at midnight.

    Raises:
        Refusal: a segment is damaged.
    """
    today = now.astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    since = datetime.combine(first, datetime.min.time(), zone).astimezone(UTC)
    tally, oldest = Tally(zone), None
    for began, endings in history.statistics():
        for ending in endings:
            if since <= ending.at <= now:
                tally.add(ending)
        oldest = datetime.fromisoformat(began)
        if oldest < since:
            break
    return Stats(
        since=_text(since),
        until=_text(now),
        days=_days(tally, first, days),
        modes=tuple(_times(mode, sorted(found)) for mode, found in sorted(tally.seconds.items())),
        failures=tuple(_failures(tally)),
        known_since=_text(oldest) if oldest and oldest >= since else None,
    )


def _days(tally: Tally, first: date, days: int) -> tuple[Day, ...]:
    dates = [first + timedelta(days=number) for number in range(days)]
    return tuple(
        Day(
            date=each,
            completed=tally.states[each, "completed"],
            failed=tally.states[each, "failed"],
            cancelled=tally.states[each, "cancelled"],
            megapixels=round(tally.megapixels.get(each, 0.0), 3),
        )
        for each in dates
    )


def _times(mode: Mode, found: Sequence[float]) -> ModeTimes:
    return ModeTimes(mode=mode, jobs=len(found), median=percentile(found, 50), p90=percentile(found, 90), longest=found[-1])


def percentile(ordered: Sequence[float], percent: float) -> float:
    """A percentile by nearest rank: the smallest value that has at least `percent` percent of the values at or below it.

    `ordered`: the values in rising order, at least one.
    """
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _failures(tally: Tally) -> Iterator[Failures]:
    for code, jobs in sorted(tally.failures.items(), key=lambda item: (-item[1], item[0])):
        last = tally.examples[code]
        yield Failures(code=code, jobs=jobs, last_at=_text(last.at), last_job=last.job, example=last.sentence)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
