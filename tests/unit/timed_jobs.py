"""Jobs with known durations, for the tests of the time estimate."""

from daemon.contract.records import Accepted, ClaimedFile, Job, Publishing
from daemon.contract.spec import JobSpec
from daemon.contract.status import Source


def job(name="job", *, size=1_000_000, image="photo.jpg", seconds=None, timings=None, depth_picture=False, **wishes) -> Job:
    """A job with a picture of this many bytes; with `seconds`, one that completed in that time."""
    files = [ClaimedFile(role="image", name=image, to=image, ino=1, size=size, mtime_ns=0)]
    if depth_picture:
        files.append(ClaimedFile(role="depth", name="photo.depth.png", to="photo.depth.png", ino=2, size=1, mtime_ns=0))
    spec = JobSpec(**wishes)
    published = None
    if seconds is not None:
        source = Source(image=image, bytes=size)
        published = Publishing(
            job=name, attempt="a", source=source, outputs=(), manifest="m", processing_seconds=seconds, timings=timings or {}
        )
    accepted = Accepted(job=name, files=tuple(files), spec=spec)
    return Job(
        job_id=name,
        accepted=accepted,
        sequence=1,
        created_at="",
        spec=spec,
        mode=spec.mode,
        refusal=None,
        published=published,
    )
