"""Who is next: priority, then fair turns between batches and single drops, then arrival."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from daemon.contract.records import Job


def queue_order(jobs: Iterable[Job], turns: Mapping[str | None, int]) -> list[Job]:
    """The pending jobs in the order in which they will run.

    Within one priority each batch, and all single drops together, have a line of their own; the lines take turns, the one whose
    last turn is longest ago first. So 10,000 holiday pictures starve nobody.
    """
    waiting = sorted(
        (job for job in jobs if job.state == "pending" and job.claimed), key=lambda job: (-job.priority, job.sequence)
    )
    order: list[Job] = []
    for _, same in groupby(waiting, key=lambda job: job.priority):
        lines: dict[str | None, list[Job]] = {}
        for job in same:
            lines.setdefault(job.accepted.batch, []).append(job)
        by_turn = sorted(lines, key=lambda line: turns.get(line, 0))  # stable: lines without a turn stay by arrival
        place = {line: i for i, line in enumerate(by_turn)}
        ranked = [(rank, place[line], job) for line, members in lines.items() for rank, job in enumerate(members)]
        order += [job for _, _, job in sorted(ranked, key=lambda item: item[:2])]
    return order


def next_to_start(jobs: Iterable[Job], turns: Mapping[str | None, int], now: float) -> Job | None:
    """The job to start now; a job whose retry is not due yet is passed over. `now` in seconds since 1970."""
    return next((job for job in queue_order(jobs, turns) if job.retry_at <= now), None)


def next_retry_at(jobs: Iterable[Job], now: float = 0.0) -> float | None:
    """When the first postponed job becomes due, seconds since 1970; none if none is postponed beyond `now`.

    A job that is due already waits for its turn, not for a time.
    """
    return min((job.retry_at for job in jobs if job.state == "pending" and job.retry_at > now), default=None)
