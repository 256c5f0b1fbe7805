"""Looking back over all segments, one segment in memory at a time. Never changes anything.

Every segment begins with a snapshot of the jobs that had not ended, so each tells the whole of what happened while it was written
and the oldest may be missing (`pruning`).
"""

from collections.abc import Iterator
from itertools import islice

from daemon.contract.records import Ended, Job
from daemon.errors import Refusal
from daemon.fs import FileSystem
from daemon.jobs.fold import Jobs
from daemon.journal.journal import load_segment, segment_numbers, segment_path
from daemon.journal.line import Entry, UnknownRecordError, decode, is_intact

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
            yield from self._load(number)

    def now(self) -> Jobs:
        """The jobs as the last segment tells them: all live ones, and those that ended since it began.

        Raises:
            Refusal: the segment is damaged.
        """
        jobs = Jobs()
        for number in segment_numbers(self._fs, self._folder)[-1:]:
            for entry in self._load(number):
                jobs.apply(entry)
        return jobs

    def story(self, job_id: str) -> list[Entry]:
        """The records of one job in order; reads only lines that name it.

        Raises:
            Refusal: a record comes from a newer version.
        """
        needle = b'"job":"' + job_id.encode() + b'"'
        found: list[Entry] = []
        for number in segment_numbers(self._fs, self._folder):
            found += [self._decode(number, line) for line in self._lines(number, needle)]
        return found

    def job(self, job_id: str) -> Job | None:
        """What became of a job, live or ended; none if nothing is known of it."""
        jobs = Jobs()
        for entry in self.story(job_id):
            jobs.apply(entry)
        return jobs.find(job_id)

    def batch(self, name: str) -> list[Job]:
        """The jobs of a batch, or of all batches that came in a folder of that name, in the order of arrival."""
        found: dict[str, Job] = {}
        jobs = Jobs()
        for number in segment_numbers(self._fs, self._folder):
            jobs = Jobs(keep=None)
            for entry in self._load(number):
                jobs.apply(entry)
            for job_id in (*jobs.removed, *jobs.live):
                found.pop(job_id, None)
            found |= {job.job_id: job for job in jobs.ended.values() if _is_of_batch(job, name)}
        found |= {job.job_id: job for job in jobs.live.values() if _is_of_batch(job, name)}
        return sorted(found.values(), key=lambda job: job.sequence)

    def endings(self) -> Iterator[tuple[str, str]]:
        """The id of each job that ended and when, the last first; reads nothing else, and no more segments than are asked for."""
        for number in reversed(segment_numbers(self._fs, self._folder)):
            for line in reversed(self._lines(number, b'"event":"ended"')):
                entry = self._decode(number, line)
                if isinstance(entry.record, Ended):
                    yield entry.record.job, entry.ts

    def backwards(self) -> Iterator[Job]:
        """The jobs that ended and were not removed, the last first.

        Raises:
            Refusal: a segment is damaged.
        """
        told: set[str] = set()
        for number in reversed(segment_numbers(self._fs, self._folder)):
            jobs = Jobs(keep=None)
            for entry in self._load(number):
                jobs.apply(entry)
            yield from (job for job in reversed(jobs.ended.values()) if job.job_id not in told)
            # What a newer segment says of a job is what holds, also that it runs again or was removed.
            told |= jobs.removed | jobs.ended.keys() | jobs.live.keys()

    def ended(self, most: int) -> list[Job]:
        """The jobs that ended last, newest first, at most `most`; see `backwards`."""
        return list(islice(self.backwards(), most))

    def _load(self, number: int) -> list[Entry]:
        try:
            return load_segment(self._fs, segment_path(self._folder, number))[0]
        except FileNotFoundError:
            return []  # pruned a moment ago

    def _lines(self, number: int, needle: bytes) -> list[bytes]:
        """The lines of a segment with these bytes in them, up to a torn tail: what is behind one was never acted on."""
        try:
            data = self._fs.read(segment_path(self._folder, number), _MAX_SEGMENT_BYTES)
        except FileNotFoundError:
            return []
        if needle not in data:
            return []
        found: list[bytes] = []
        for line in data.split(b"\n"):
            if not is_intact(line):
                break
            if needle in line:
                found.append(line)
        return found

    def _decode(self, number: int, line: bytes) -> Entry:
        try:
            return decode(line)
        except UnknownRecordError as error:
            path = segment_path(self._folder, number).decode(errors="replace")
            raise Refusal(
                f"the journal cannot be read: {path} has a record that this version does not know ({error})",
                hint="A newer version of Multiplane wrote it: use that one.",
            ) from error


def _is_of_batch(job: Job, name: str) -> bool:
    return job.accepted.batch is not None and name in (job.accepted.batch, job.accepted.folder)
