"""Statistics of the last days, from the journal: how many jobs ended each day, how long they took, what failed.

Every segment begins with a snapshot of the jobs that had not ended, so it can be read on its own. Segments are read one at a
time, newest first, and those older than the period are not read. For speed, only the first fields of most records are parsed; the
journal's checksums cover the rest.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated, cast

from pydantic import Field

from daemon.contract.spec import Mode
from daemon.contract.status import Frozen, State
from daemon.fs import FileSystem
from daemon.journal import History
from daemon.journal.line import Mark
from daemon.journal.segment import Segment

Count = Annotated[int, Field(ge=0)]
#: The message shown for an error code is only an example, so it is cut at this many characters.
_MAX_SENTENCE = 200


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


@dataclass(frozen=True, slots=True)
class Ending:
    """One end of one job. A job that was retried has several.

    `seconds`: how long it took; None if unknown. `code` and `sentence`: its error, if it has one.
    """

    job: str
    at: datetime
    state: State
    mode: Mode | None
    seconds: float | None
    megapixels: float
    code: str | None
    sentence: str


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


def stats(fs: FileSystem, folder: bytes, *, now: datetime, days: int, zone: tzinfo) -> Stats:
    """Count what ended in the last `days` days, today included.

    Args:
        fs: the disk.
        folder: the journal's folder.
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
    for segment in History(fs, folder).segments(backwards=True):
        for ending in endings(segment):
            if since <= ending.at <= now:
                tally.add(ending)
        oldest = _moment(segment.ts(segment.marks[0]))
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


def endings(segment: Segment) -> Iterator[Ending]:
    """Yield every end of a job in one segment, in order."""
    begun: dict[str, Mark] = {}
    for place in segment.marks:
        if place.event in ("accepted", "live", "requeued"):
            begun[place.job] = place
        elif place.event == "ended":
            yield _ending(segment, place, begun.pop(place.job, None))


def _ending(segment: Segment, end: Mark, begun: Mark | None) -> Ending:
    record = segment.fields(end)
    error, source = record["error"] or {}, record["source"] or {}
    return Ending(
        job=end.job,
        at=_moment(record["ts"]),
        state=record["state"],
        mode=_mode(segment, begun) if begun else None,
        seconds=record["processing_seconds"],
        megapixels=(source.get("width") or 0) * (source.get("height") or 0) / 1e6,
        code=error.get("code"),
        sentence=error.get("message", "")[:_MAX_SENTENCE],
    )


def _mode(segment: Segment, begun: Mark) -> Mode | None:
    """The mode of a job, from the record with which it began; None if the record has none."""
    if begun.event == "accepted":
        return cast("Mode | None", segment.field(begun, "mode"))
    return cast("Mode | None", segment.fields(begun)["value"]["mode"])


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


def _moment(ts: str) -> datetime:
    return datetime.fromisoformat(ts)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
