"""Looking back over all segments, oldest to newest, one segment in memory at a time. Never changes anything."""

from collections.abc import Iterator

from daemon.contract.records import Job
from daemon.fs import FileSystem
from daemon.jobs.fold import Jobs
from daemon.journal.journal import load_segment, segment_numbers, segment_path
from daemon.journal.line import Entry, decode, is_intact

_MAX_SEGMENT_BYTES = 1 << 30


class History:
    """All that was ever recorded and not yet pruned."""

    def __init__(self, fs: FileSystem, folder: bytes) -> None:
        self._fs = fs
        self._folder = folder

    def entries(self) -> Iterator[Entry]:
        """Every record in order, snapshots included.

        Raises:
            Refusal: a segment is damaged.
        """
        for number in segment_numbers(self._fs, self._folder):
            yield from load_segment(self._fs, segment_path(self._folder, number))[0]

    def now(self) -> Jobs:
        """The jobs as the last segment tells them: all live ones, and those that ended since it began.

        Raises:
            Refusal: the segment is damaged.
        """
        jobs = Jobs()
        for number in segment_numbers(self._fs, self._folder)[-1:]:
            for entry in load_segment(self._fs, segment_path(self._folder, number))[0]:
                jobs.apply(entry)
        return jobs

    def story(self, job_id: str) -> list[Entry]:
        """The records of one job in order; reads only lines that name it."""
        needle = b'"job":"' + job_id.encode() + b'"'
        found: list[Entry] = []
        for number in segment_numbers(self._fs, self._folder):
            data = self._fs.read(segment_path(self._folder, number), _MAX_SEGMENT_BYTES)
            if needle in data:
                lines = (line for line in data.split(b"\n") if needle in line and is_intact(line))
                found += [decode(line) for line in lines]
        return found

    def job(self, job_id: str) -> Job | None:
        """What became of a job, live or ended; none if nothing is known of it."""
        jobs = Jobs()
        for entry in self.story(job_id):
            jobs.apply(entry)
        return jobs.find(job_id)

    def ended(self, most: int) -> list[Job]:
        """The jobs that ended last, newest first, at most `most`; reads segments from the newest back until it has them."""
        found: dict[str, Job] = {}
        gone: set[str] = set()
        for number in reversed(segment_numbers(self._fs, self._folder)):
            jobs = Jobs()
            for entry in load_segment(self._fs, segment_path(self._folder, number))[0]:
                jobs.apply(entry)
            for job in reversed(jobs.ended.values()):
                if job.job_id not in gone:
                    found.setdefault(job.job_id, job)
            # What a newer segment says of a job is what holds, also that it runs again or was removed.
            gone |= jobs.removed | jobs.ended.keys() | jobs.live.keys()
            if len(found) >= most:
                break
        return list(found.values())[:most]
