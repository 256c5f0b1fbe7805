"""Who is next: priority, then fair turns between batches and single drops, then arrival."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from daemon.contract.records import Job

_Lines = dict[str | None, list[str]]


class Queue:
    """The jobs that wait for their turn, kept in order as they come and go; what one change costs does not grow with the others.

    Within one priority each batch, and all single drops together, have a line of their own; the lines take turns, the one whose
    last turn is longest ago first. So 10,000 holiday pictures starve nobody.

    Args:
        jobs: the jobs by id; a job in the queue stays there until it is removed.
        turns: when each batch (None: single drops) last had its turn, as the sequence number of the start.
    """

    def __init__(self, jobs: Mapping[str, Job], turns: Mapping[str | None, int]) -> None:
        self._jobs = jobs
        self._turns = turns
        self._priorities: dict[int, _Lines] = {}

    def add(self, job: Job) -> None:
        """Put a job in its line, at the place of its arrival."""
        line = self._priorities.setdefault(job.priority, {}).setdefault(job.accepted.batch, [])
        line.insert(self._rank(line, job), job.job_id)

    def remove(self, job: Job) -> None:
        """Take a job out that was added with the same priority."""
        lines = self._priorities[job.priority]
        line = lines[job.accepted.batch]
        del line[self._rank(line, job)]
        if not line:
            del lines[job.accepted.batch]
            if not lines:
                del self._priorities[job.priority]

    def __iter__(self) -> Iterator[Job]:
        """The jobs in the order in which they will run. Whoever changes the queue meanwhile starts again."""
        for priority in sorted(self._priorities, reverse=True):
            lines = self._by_turn(self._priorities[priority])
            rank = 0
            while lines := [line for line in lines if len(line) > rank]:
                for line in lines:
                    yield self._jobs[line[rank]]
                rank += 1

    def position(self, job: Job) -> int:
        """The place of a job in the queue, 1 is next."""
        before = sum(len(line) for p, lines in self._priorities.items() if p > job.priority for line in lines.values())
        lines = self._priorities[job.priority]
        mine = lines[job.accepted.batch]
        rank = self._rank(mine, job)
        place, passed = before + rank + 1, False
        for line in self._by_turn(lines):
            if line is mine:
                passed = True
            else:
                place += min(len(line), rank if passed else rank + 1)
        return place

    def _rank(self, line: list[str], job: Job) -> int:
        if not line or self._jobs[line[-1]].sequence < job.sequence:
            return len(line)
        return bisect_left(line, job.sequence, key=lambda job_id: self._jobs[job_id].sequence)

    def _by_turn(self, lines: _Lines) -> list[list[str]]:
        """The lines in the order of their turns; those that never had one by the arrival of their first job."""
        first = sorted(lines, key=lambda batch: (self._turns.get(batch, 0), self._jobs[lines[batch][0]].sequence))
        return [lines[batch] for batch in first]
