"""What happened to each job in one segment, taken from the beginnings of its lines.

It shows which jobs are live, which ended, and where their records are; callers decode only the few they need. It follows the
same rules as `daemon.jobs.fold`, which defines what the records mean: folding a job's records gives the job.
"""

from collections.abc import Iterable

from daemon.contract.records import Job
from daemon.jobs.fold import Jobs
from daemon.journal.line import Mark
from daemon.journal.segment import Segment

_BEGINNINGS = frozenset(("accepted", "live", "requeued"))
#: Records about the segment itself or about a batch folder.
_OTHERS = frozenset(("segment", "batch_under_way", "batch_closing", "batch_closed"))


class Outline:
    """The jobs of a segment, grouped by what happened to them, each with the places of its records.

    Attributes:
        live: jobs that have not ended, by arrival.
        ended: jobs that ended and were not removed, in the order of their ends.
        removed: jobs that were removed, and not begun again.
        others: the places of records that belong to no single job.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.live: dict[str, list[Mark]] = {}
        self.ended: dict[str, list[Mark]] = {}
        self.removed: set[str] = set()
        self.others: list[Mark] = []
        for place in segment.marks:
            self._take(place)

    def _take(self, place: Mark) -> None:
        job, event = place.job, place.event
        if event in _OTHERS:
            self.others.append(place)
        elif event in _BEGINNINGS:
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
        elif event == "noted" and job in self.ended:
            self.ended[job].append(place)
        elif job in self.live:
            self.live[job].append(place)

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

    def what_matters(self, most_ended: int) -> list[Mark]:
        """The places, in order, of all records that a start needs: only the last `most_ended` of the ended jobs are included.

        A batch folder is remembered through the jobs that came from it, so those are never left out.
        """
        left_out = {
            job
            for job, places in list(self.ended.items())[: max(0, len(self.ended) - most_ended)]
            if b'"batch":null' in self.segment.line(places[0])
        }
        return [place for place in self.segment.marks if place.job not in left_out or place.event in _OTHERS]
