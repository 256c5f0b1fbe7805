"""Reads the whole journal: checks every segment and their order, and finds the job folders that none of them lists."""

import os
from collections.abc import Iterator

from pydantic import ValidationError

from daemon import clock
from daemon.contract.commands import without_marks
from daemon.contract.requests import is_job_id
from daemon.contract.status import Status
from daemon.doctor.model import Segment
from daemon.errors import Refusal
from daemon.fs import FileSystem
from daemon.journal.chain import Fault, Link, between, misnamed, missing_at_end
from daemon.journal.head import Head, read_head
from daemon.journal.index import read_index
from daemon.journal.segment import NewerError
from daemon.journal.segment_files import excluded_segments, link_of, load_segment, segment_numbers, segment_path

_MAX_STATUS_BYTES = 1 << 20


class Survey:
    """The state of a journal. Never changes anything.

    Attributes:
        numbers: the numbers of the segments, oldest first.
        segments: the state of each segment, in the same order.
        links: the number, the first line and the record numbers of each readable segment. They show the order of the segments.
        jobs: the ids of the jobs that appear in any readable segment and were not removed.
        known: the numbers of the segments that are already marked as damaged or lost.
    """

    def __init__(self, fs: FileSystem, folder: bytes) -> None:
        self._fs = fs
        self._folder = folder
        self._head: Head | None = None
        self._began: str | None = None
        self.numbers: list[int] = []
        self.segments: list[Segment] = []
        self.links: list[Link] = []
        self.jobs: set[str] = set()
        self.known: set[int] = set()

    def look(self) -> None:
        """Read the whole journal, and set the attributes.

        Raises:
            OSError: the journal's folder cannot be read.
        """
        self._head = read_head(self._fs, self._folder)
        self.numbers = segment_numbers(self._fs, self._folder)
        self.known = excluded_segments(self._fs, self._folder) if self.numbers or self._head else set()
        self.segments = [self._read(number) for number in self.numbers]

    def _read(self, number: int) -> Segment:
        path = segment_path(self._folder, number)
        name = os.fsdecode(path)
        try:
            segment = load_segment(self._fs, path)
            link = link_of(segment, number)
        except Refusal as refusal:
            return Segment(path=name, damage=refusal.message, newer=isinstance(refusal.__cause__, NewerError))
        except OSError as error:
            return Segment(path=name, damage=f"{name} cannot be read: {error.strerror}", unreadable=True)
        self._began = self._began or segment.ts(segment.marks[0])
        self.links.append(link)
        for mark in segment.marks:
            if mark.event == "removed":
                self.jobs.discard(mark.job)  # a folder of this name was put back after that
            else:
                self.jobs.add(mark.job)
        index = read_index(self._fs, self._folder, number)
        return Segment(
            path=name,
            records=len(segment.marks),
            torn_line=segment.torn.line if segment.torn and number not in self.known else None,
            stale_index=index is not None and not index.is_of(segment.data),
        )

    def faults(self) -> Iterator[Fault]:
        """Yield what is wrong with the order of the readable segments: misplaced and missing ones."""
        for link in self.links:
            if fault := misnamed(link):
                yield fault
        readable = {link.number: link for link in self.links}
        for number, following in zip(self.numbers, self.numbers[1:], strict=False):
            # Whether a segment follows a damaged one cannot be checked.
            if (
                number in readable
                and following in readable
                and (fault := between(readable[number], readable[following], self.known))
            ):
                yield fault
        last = readable.get(self.numbers[-1]) if self.numbers else None
        if (last or not self.numbers) and (fault := missing_at_end(last, self._head, self.known)):
            yield fault

    def find_unlisted(self, outbox: bytes, folders: list[str]) -> tuple[list[str], int]:
        """Find the job folders that the journal does not list.

        Returns:
            The names of the folders that are not older than the journal's oldest segment, and the number of older folders.
        """
        unlisted = [name for name in folders if name not in self.jobs]
        # As long as the first segment exists, nothing has been forgotten.
        forgets = self.numbers[0] > 1 and self._began is not None
        old = {name for name in unlisted if forgets and self._is_older(outbox, name)}
        return [name for name in unlisted if name not in old], len(old)

    def _is_older(self, outbox: bytes, name: str) -> bool:
        """Whether a job ended before the oldest segment began, according to its status.json; False if the file does not say."""
        status = read_status(self._fs, outbox, name)
        if status is None or status.completed_at is None or self._began is None:
            return False
        try:
            return clock.seconds(status.completed_at) < clock.seconds(self._began)
        except (ValueError, OverflowError):
            return False


def job_folders(fs: FileSystem, outbox: bytes) -> list[str]:
    """The names of the job folders in the outbox, sorted. Links do not count.

    A job folder has a job id as its name, and contains a status.json or a source/.
    """
    try:
        names = [os.fsdecode(entry.name) for entry in fs.scan(outbox) if entry.kind == "directory"]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if is_job_id(name) and _looks_like_a_job(fs, os.path.join(outbox, name.encode())))


def _looks_like_a_job(fs: FileSystem, folder: bytes) -> bool:
    for name, kind in ((b"status.json", "file"), (b"source", "directory")):
        try:
            if fs.lstat(os.path.join(folder, name)).kind == kind:
                return True
        except OSError:
            continue
    return False


def read_status(fs: FileSystem, outbox: bytes, name: str) -> Status | None:
    """A job's status.json; None if it is missing, incomplete or about another job. Anybody may have written it."""
    try:
        path = os.path.join(outbox, name.encode(), b"status.json")
        status = without_marks(Status.model_validate_json(fs.read(path, _MAX_STATUS_BYTES)))
    except (OSError, ValidationError):
        return None
    return status if status.job_id == name else None
