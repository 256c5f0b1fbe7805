"""Finds the jobs whose depth was estimated without a model, and which nobody has redone yet."""

from daemon.cli.job_queries import JobQueries
from daemon.contract.records import Job
from daemon.contract.registry import ESTIMATES
from daemon.settings import Settings


def estimated_jobs(queries: JobQueries, settings: Settings, *, asked: bool) -> list[str]:
    """The ids of completed jobs with an estimated depth whose folder is still in the outbox, oldest first.

    A job that another one redoes is left out, unless that one failed or was cancelled. The journal is long, so only the records
    that can matter are decoded.

    Args:
        queries: reads the journal.
        settings: the settings of the home.
        asked: whether jobs count that asked for an estimate (`depth: cues`).

    Raises:
        Refusal: a segment of the journal is damaged.
    """
    candidates = set[str]()
    for source in ESTIMATES:
        candidates |= queries.history.mentioning(b'"depth_source":"%s"' % source.encode())
    new_ones = queries.history.mentioning(b'"redo_of":"')
    live = queries.history.now().live
    redone = {live[job_id].accepted.redo_of for job_id in new_ones & live.keys()}
    found: list[str] = []
    # Newest first, so a job comes before the one that it redoes.
    for past in queries.history.past():
        if past.state != "completed" or past.job_id not in candidates | new_ones:
            continue
        job = past.job()
        redone.add(job.accepted.redo_of)
        if job.job_id not in redone and _is_estimate(job, asked=asked) and _has_picture(job, settings):
            found.append(job.job_id)
    return found[::-1]


def _is_estimate(job: Job, *, asked: bool) -> bool:
    if job.published is None or job.published.depth_source not in ESTIMATES:
        return False
    return asked or job.spec is None or job.spec.depth == "auto"


def _has_picture(job: Job, settings: Settings) -> bool:
    return (settings.paths.outbox / job.job_id / "source").is_dir()
