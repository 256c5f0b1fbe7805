"""Builds the command that gives a worker its job."""

import os

from daemon.contract.messages import JobCommand, Limits, Warm
from daemon.contract.records import Job
from daemon.outbox import Outbox
from daemon.platform.encoder import find_ffmpeg
from daemon.platform.memory import total_memory
from daemon.settings import Settings


def command(
    job: Job, outbox: Outbox, settings: Settings, *, attempt: str, seen: tuple[int, int], warm: Warm, memory: int | None = None
) -> JobCommand:
    """The command for a job, which must have a spec.

    Args:
        job: the job.
        outbox: where its files are.
        settings: the home's settings.
        attempt: name of the attempt's folder in .work/.
        seen: the picture's current size in bytes and modification time in nanoseconds.
        warm: what the worker must have loaded before the job begins.
        memory: bytes of memory of the machine that runs the job; None: of this machine.
    """
    if job.spec is None:
        raise AssertionError(f"{job.job_id} has no spec and was started")
    depth = next((file.to for file in job.accepted.files if file.role == "depth"), None)
    return JobCommand(
        job_id=job.job_id,
        attempt=os.fsdecode(outbox.attempt(attempt)),
        source=os.fsdecode(outbox.job(job.job_id, b"source")),
        image=job.image.to,
        image_bytes=seen[0],
        image_mtime_ns=seen[1],
        depth_picture=depth,
        spec=job.spec,
        limits=Limits(max_bytes=settings.limits.max_image_bytes, max_pixels=settings.limits.max_image_pixels),
        models=str(settings.paths.models),
        model_lists=settings.paths.model_lists,
        style_lists=settings.paths.style_lists,
        device=settings.worker.device,
        threads=threads(settings),
        memory=total_memory() if memory is None else memory,
        warm=warm,
        ffmpeg=ffmpeg(job, settings),
    )


def ffmpeg(job: Job, settings: Settings) -> str | None:
    """The path of the ffmpeg that the job's worker may start; None if there is none, or the job makes no video."""
    return find_ffmpeg(settings.worker.ffmpeg) if job.spec is not None and "video" in job.spec.formats else None


def threads(settings: Settings) -> int:
    """How many threads one job uses: as configured, otherwise the cores divided by the number of jobs that may run at once."""
    chosen = settings.worker.threads
    return chosen if isinstance(chosen, int) else max(1, (os.cpu_count() or 1) // settings.queue.max_concurrent_jobs)
