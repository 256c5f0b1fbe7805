"""How much disk space the outbox takes: in all, and for the jobs that take most."""

import heapq
from collections import Counter

from pydantic import Field

from daemon.contract.names import to_text
from daemon.contract.requests import is_job_id
from daemon.contract.status import Frozen
from daemon.fs import FileSystem

#: How many of the largest jobs are named.
_MOST = 5
#: How many files and folders inside the job folders are looked at: half a second on a local disk, a few thousand jobs.
MOST_ENTRIES = 50_000


class JobSize(Frozen):
    """The space that one job's folder takes, in bytes."""

    job_id: str
    bytes: int = Field(ge=0)


class DiskUse(Frozen):
    """The space that the outbox takes on its disk. `bytes` includes running attempts and the page.

    In an outbox with very many files, not all are looked at: then `bytes` is less than what they take.
    """

    bytes: int = Field(ge=0)
    jobs: int = Field(ge=0, description="how many job folders there are")
    largest: tuple[JobSize, ...] = Field((), description="the largest of them, largest first; none if not complete")
    complete: bool = Field(True, description="whether all files were looked at; if not, they take more than `bytes`")


def measure_outbox(fs: FileSystem, outbox: bytes, most: int = MOST_ENTRIES) -> DiskUse:
    """Measure the outbox. Reads no file, but looks at each: about 10 µs a file on a local disk.

    All job folders are counted. `most`: at most so many entries inside them are looked at.

    Raises:
        OSError: it cannot be read.
    """
    sizes: Counter[bytes] = Counter()
    inside = 0
    for entry in fs.tree(outbox):
        # The outbox itself is listed before anything in it.
        inside += bool(entry.trail)
        if inside > most:
            break
        top = entry.trail[0] if entry.trail else entry.name if entry.kind == "directory" else b""
        sizes[top] += entry.taken
    jobs = {name.decode(): size for name, size in sizes.items() if is_job_id(to_text(name))}
    complete = inside <= most
    largest = heapq.nlargest(_MOST, jobs.items(), key=lambda job: job[1]) if complete else []
    return DiskUse(
        bytes=sizes.total(),
        jobs=len(jobs),
        largest=tuple(JobSize(job_id=job_id, bytes=size) for job_id, size in largest),
        complete=complete,
    )
