"""Decides which job is next: by priority, then in fair turns between batches and single drops, then by arrival."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from daemon.contract.records import Job

_Lines = dict[str | None, list[str]]


class Queue:
    """The jobs that wait for their turn, kept in order as jobs are added and removed.

    Within one priority, each batch has a line of its own, and all single drops share one line. The lines take turns: the line
    that has waited longest since its last turn goes first. So a batch of 10,000 holiday pictures does not hold up a single drop.

    Args:
        jobs: the jobs by id. A job must stay in this mapping while it is in the queue.
        turns: the number (`seq`) of the `started` record of each batch's last turn, by batch id. The key None stands for single
            drops.
    """

    def __init__(self, jobs: Mapping[str, Job], turns: Mapping[str | None, int]) -> None:
        self._jobs = jobs
        self._turns = turns
        self._priorities: dict[int, _Lines] = {}

    def add(self, job: Job) -> None:
        """Add a job to its line, in order of arrival."""
        line = self._priorities.setdefault(job.priority, {}).setdefault(job.accepted.batch, [])
        line.insert(self._rank(line, job), job.job_id)

    def remove(self, job: Job) -> None:
        """Remove a job that was added with the same priority."""
        lines = self._priorities[job.priority]
        line = lines[job.accepted.batch]
        del line[self._rank(line, job)]
        if not line:
            del lines[job.accepted.batch]
            if not lines:
                del self._priorities[job.priority]

    def __iter__(self) -> Iterator[Job]:
        """The jobs in the order in which they will run. An iterator is no longer valid after the queue has changed."""
        for priority in sorted(self._priorities, reverse=True):
            lines = self._by_turn(self._priorities[priority])
            rank = 0
            while lines := [line for line in lines if len(line) > rank]:
                for line in lines:
                    yield self._jobs[line[rank]]
                rank += 1

    def position(self, job: Job) -> int:
        """The position of a job in the queue; the next job has position 1."""
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

    def last_position(self, batch: str) -> int:
        """The position of the last job of a batch that is in the queue; 0 if none is."""
        for priority in sorted(self._priorities):
            if (line := self._priorities[priority].get(batch)) is not None:
                return self.position(self._jobs[line[-1]])
        return 0

    def _rank(self, line: list[str], job: Job) -> int:
        if not line or self._jobs[line[-1]].sequence < job.sequence:
            return len(line)
        return bisect_left(line, job.sequence, key=lambda job_id: self._jobs[job_id].sequence)

    def _by_turn(self, lines: _Lines) -> list[list[str]]:
        """The lines in the order of their turns. Lines that never had a turn come first, by the arrival of their first job."""
        first = sorted(lines, key=lambda batch: (self._turns.get(batch, 0), self._jobs[lines[batch][0]].sequence))
        return [lines[batch] for batch in first]
