"""Finds out what happened to each job in one segment by reading only the beginnings of its lines.

The outline says which jobs are live, which ended, and where their records are; callers decode only the few they need. It must
follow the same rules as `daemon.jobs.fold`, which defines what the records mean. The statistics need every end of a job instead
(`endings_of`): a job that was retried ends several times.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple, cast

from pydantic import AwareDatetime, FiniteFloat

from daemon.contract.records import Job
from daemon.contract.spec import Mode
from daemon.contract.status import State
from daemon.jobs.fold import Jobs
from daemon.journal.line import Mark
from daemon.journal.segment import Segment

_BEGINNINGS = frozenset(("accepted", "live", "requeued"))
#: Records about the segment itself or about a batch, and what a snapshot says about jobs that ended before it.
_OTHERS = frozenset(("segment", "batch_under_way", "batch_closing", "batch_closed", "batch_counted", "follow_up_owed"))
#: Records about a job that has ended, after which it is still the same ended job.
_AFTERWARDS = frozenset(("noted", "follow_up_failed", "follow_up_over", "pruned"))

#: The message shown for an error code is only an example, so it is cut at this many characters.
_MAX_SENTENCE = 200


class Outline:
    """The jobs of a segment, grouped by what happened to them.

    Attributes:
        live: the records of each job that has not ended; jobs by arrival.
        ended: the records of each job that ended and was not removed; jobs in the order of their ends.
        removed: ids of jobs that were removed, and not begun again.
        later: the records about each job that had ended before the segment began, and is still the same ended job.
        others: records about the segment, about batch folders, or in place of jobs that ended before it.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.live: dict[str, list[Mark]] = {}
        self.ended: dict[str, list[Mark]] = {}
        self.removed: set[str] = set()
        self.later: dict[str, list[Mark]] = {}
        self.others: list[Mark] = []
        for place in segment.marks:
            self._add(place)

    def _add(self, place: Mark) -> None:
        job, event = place.job, place.event
        if event in _OTHERS:
            self.others.append(place)
            return
        if event in _BEGINNINGS or event == "removed":
            self.later.pop(job, None)
        if event in _BEGINNINGS:
            self.live[job] = [place]
            self.ended.pop(job, None)
            self.removed.discard(job)
        elif event == "removed":
            self.live.pop(job, None)
            self.ended.pop(job, None)
            self.removed.add(job)
        elif event == "withdrawn":
            self.live.pop(job, None)
        elif event == "ended":
            if (places := self.live.pop(job, None)) is not None:
                self.ended[job] = [*places, place]
        elif event in _AFTERWARDS and job in self.ended:
            self.ended[job].append(place)
        elif job in self.live:
            self.live[job].append(place)
        elif event in _AFTERWARDS:
            self.later.setdefault(job, []).append(place)

    def job(self, places: Iterable[Mark]) -> Job:
        """The job that these records describe.

        Raises:
            Refusal: a newer version wrote one of them.
        """
        jobs = Jobs(keep=None)
        for entry in self.segment.entries(list(places)):
            jobs.apply(entry)
        (job,) = (*jobs.live.values(), *jobs.ended.values())
        return job

    def needed_records(self, most_ended: int) -> list[Mark]:
        """All records that a start needs, in order. Ended jobs are left out, except for the `most_ended` that ended last.

        Jobs of a batch are never left out, because a batch folder is remembered only through the jobs that came from it. Jobs
        for which something is still to be done are not left out either.
        """
        left_out = {
            job
            for job, places in list(self.ended.items())[: max(0, len(self.ended) - most_ended)]
            if b'"batch":null' in self.segment.line(places[0]) and not self._owes(places)
        }
        return [
            place
            for place in self.segment.marks
            # The records of a job that is left out would not take back what the snapshot says it owes.
            if place.job not in left_out or (place.event in _OTHERS and place.event != "follow_up_owed")
        ]

    def _owes(self, places: list[Mark]) -> bool:
        """Whether something is still to be done for an ended job with these records."""
        end = next(place for place in reversed(places) if place.event == "ended")
        owed = cast("list[str] | None", self.segment.field(end, "owes")) or []
        return len(owed) > sum(place.event == "follow_up_over" for place in places)


class Ending(NamedTuple):
    """One end of one job.

    Attributes:
        job: the job's id.
        at: when it ended, UTC.
        state: the state in which it ended.
        mode: its mode; None if unknown.
        seconds: how long it took; None if unknown.
        megapixels: the size of its picture; 0 if unknown.
        code: the code of its error; None if it has none.
        sentence: the message of its error; empty if it has none.
    """

    job: str
    at: AwareDatetime
    state: State
    mode: Mode | None
    seconds: FiniteFloat | None
    megapixels: FiniteFloat
    code: str | None
    sentence: str


def endings_of(segment: Segment) -> Iterator[Ending]:
    """Yield every end of a job in one segment, in order."""
    begun: dict[str, Mark] = {}
    for place in segment.marks:
        if place.event in _BEGINNINGS:
            begun[place.job] = place
        elif place.event == "ended":
            yield _ending(segment, place, begun.pop(place.job, None))


def _ending(segment: Segment, end: Mark, begun: Mark | None) -> Ending:
    record = segment.fields(end)
    error, source = record["error"] or {}, record["source"] or {}
    return Ending(
        job=end.job,
        at=datetime.fromisoformat(record["ts"]),
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
