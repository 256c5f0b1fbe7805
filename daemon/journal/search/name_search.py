"""Finds the jobs that have a file with one of certain names: in one search through the journal, which can be continued.

A command may ask about thousands of pictures, and about each once more when it drops it. If each question were a search of its
own, each would read the whole journal.
"""

import json
import re
from collections.abc import Callable, Sequence

from daemon.contract.names import to_bytes
from daemon.contract.records import Job
from daemon.errors import Refusal
from daemon.fs import FileSystem
from daemon.journal.history import job_of
from daemon.journal.line import Entry, UnknownRecordError, decode, is_intact, mark
from daemon.journal.search.closed_segments import check_end
from daemon.journal.segment import NEWER_HINT, lines
from daemon.journal.segment_files import parse_segment, read_file, segment_path, with_following

#: The name of a file in the job's folder, with its quotes, and the id of a job, as a record has them.
_FILE = re.compile(rb'"to":("[^"\\]*(?:\\.[^"\\]*)*")')
_JOB = re.compile(rb'"job":"([^"]*)"')
#: So few ids are found faster one by one.
_FEW = 5


class NameSearch:
    """A search that remembers what it has found, and how far it has read.

    Args:
        fs: the disk.
        folder: the journal's folder.
        is_wanted: whether a file of this name is looked for.
    """

    def __init__(self, fs: FileSystem, folder: bytes, is_wanted: Callable[[bytes], bool]) -> None:
        self._fs = fs
        self._folder = folder
        self._is_wanted = is_wanted
        self._records: dict[str, list[Entry]] = {}
        self._found: Sequence[Job] = ()
        #: The newest segment that was read, and how many bytes of it.
        self._number, self._size = 0, 0

    def jobs(self) -> Sequence[Job]:
        """The jobs, live or ended, in order of arrival. Only what was recorded since the last call is read.

        If nothing was, this is the same object as before.

        Raises:
            Refusal: a newer version wrote a record, or a closed segment with such a job is damaged.
        """
        has_more = False
        for number, following in with_following(self._fs, self._folder):
            if number < self._number:
                continue
            path = segment_path(self._folder, number)
            read = self._size if number == self._number else 0
            try:
                if self._fs.lstat(path).size == read:
                    continue
                data = read_file(self._fs, path)
            except FileNotFoundError:
                continue  # pruned a moment ago
            end = data.rfind(b"\n") + 1  # the rest is still being written, or torn
            try:
                has_it = self._look_through(data[read:end])
            except UnknownRecordError as error:
                where = path.decode(errors="replace")
                raise Refusal(f"the journal was written by a newer Multiplane ({error}): {where}", hint=NEWER_HINT) from error
            if has_it and following is not None:
                check_end(self._fs, self._folder, parse_segment(data, path), number, following)
            has_more |= has_it
            self._number, self._size = number, end
        if has_more:
            jobs = (job_of(job_id, records) for job_id, records in self._records.items())
            self._found = sorted((job for job in jobs if job is not None), key=lambda job: job.sequence)
        return self._found

    def _look_through(self, data: bytes) -> bool:
        """Keep the records of the jobs that are looked for. Returns whether there are any."""
        naming = {data.rfind(b"\n", 0, at) + 1 for at in self._places(data)}
        if not naming and not self._has_known(data):
            return False
        for start, end, _closed in lines(data):
            line = data[start:end]
            if not is_intact(line):
                break  # later lines are not trusted
            job = mark(line, 0, len(line)).job
            if start in naming or job in self._records:
                self._records.setdefault(job, []).append(decode(line))
        return True

    def _has_known(self, data: bytes) -> bool:
        """Whether there is a record of a job that was found before."""
        if len(self._records) <= _FEW:
            return any(b'"job":"%s"' % job.encode() in data for job in self._records)
        return not self._records.keys().isdisjoint(job.decode() for job in set(_JOB.findall(data)))

    def _places(self, data: bytes) -> list[int]:
        """Where a file with a name that is looked for is mentioned."""
        wanted = self._is_wanted
        return [found.start() for found in _FILE.finditer(data) if wanted(_name(found[1]))]


def _name(quoted: bytes) -> bytes:
    # Nearly every name is written as it is.
    return to_bytes(json.loads(quoted)) if b"\\" in quoted else quoted[1:-1]
