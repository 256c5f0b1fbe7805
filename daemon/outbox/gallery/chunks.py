"""The ended jobs on disk, in chunks: scripts of up to 200 jobs each. Only the newest chunk grows.

When the daemon starts, it reads its chunks without running them: each job has one line, between a fixed first and last line.
"""

import json
import os
import re
from collections.abc import Collection, Iterator

from daemon.fs import FileSystem, write_atomic

#: The most jobs in one chunk. That is about a hundred kilobytes, which are written again whenever a job ends.
CHUNK_JOBS = 200
_MAX_CHUNK_BYTES = 64 << 20
_NAME = re.compile(rb"history-(\d+)\.js")
_ID = re.compile(r'\{"id":"([^"\\]+)"')


class TornChunkError(ValueError):
    """A chunk is missing or damaged, for instance after a power loss."""


class Chunks:
    """The chunks in one folder, numbered from 0; the newest has the highest number. Only the newest is kept in memory."""

    def __init__(self, fs: FileSystem, folder: bytes) -> None:
        self._fs = fs
        self._folder = folder
        self.last = 0
        self._lines: list[str] = []
        self._unwritten = False

    def load(self) -> bool:
        """Find the chunks in the folder, and load the newest. Returns whether there are any.

        Raises:
            TornChunkError: the newest chunk is damaged, or an older one is missing.
            OSError: the folder cannot be read.
        """
        numbers = [int(found[1]) for entry in self._fs.scan(self._folder) if (found := _NAME.fullmatch(entry.name))]
        if not numbers:
            return False
        self.last = max(numbers)
        if len(numbers) <= self.last:
            raise TornChunkError("a chunk is missing")
        self._lines = self._read(self.last)
        return True

    def are_there(self) -> bool:
        """Whether all chunks are still in the folder.

        Raises:
            OSError: the folder cannot be read.
        """
        names = {entry.name for entry in self._fs.scan(self._folder)}
        return all(b"history-%d.js" % number in names for number in range(self.last + 1))

    def ids(self, number: int) -> list[str]:
        """The ids of the jobs in one chunk; an empty list if the chunk is missing or damaged.

        Raises:
            OSError: the disk cannot be read.
        """
        return [id_of(line) for line in (self._lines if number == self.last else self._readable(number))]

    def clear(self) -> None:
        """Remove all chunks, and begin again with an empty one."""
        for entry in self._fs.scan(self._folder):
            if _NAME.fullmatch(entry.name):
                self._fs.unlink(os.path.join(self._folder, entry.name))
        self.last, self._lines, self._unwritten = 0, [], True

    def newest_first(self) -> Iterator[str]:
        """Yield the lines of all jobs, newest first. Older chunks are read only when they are needed.

        Raises:
            TornChunkError: a chunk is damaged.
        """
        yield from reversed(self._lines)
        for number in range(self.last - 1, -1, -1):
            yield from reversed(self._read(number))

    def add(self, line: str) -> int:
        """Add a job's line to the newest chunk, in memory until `flush`. Returns the number of the chunk.

        If the newest chunk is full, it is written for the last time and synced first, and a new one begins.
        """
        if len(self._lines) >= CHUNK_JOBS:
            self._write(self.last, self._lines, durable=True)
            self.last, self._lines = self.last + 1, []
        self._lines.append(line)
        self._unwritten = True
        return self.last

    def flush(self) -> None:
        """Write the newest chunk if it has changed since it was last written."""
        if self._unwritten:
            self._write(self.last, self._lines, durable=False)
            self._unwritten = False

    def remove(self, job_ids: Collection[str]) -> list[int]:
        """Remove jobs from the chunks, wherever they are. Returns the numbers of the chunks that changed."""
        wanted = set(job_ids)
        touched = []
        for number in range(self.last, -1, -1):
            lines = self._lines if number == self.last else self._readable(number)
            kept = [line for line in lines if id_of(line) not in wanted]
            if len(kept) == len(lines):
                continue
            self._write(number, kept, durable=False)
            touched.append(number)
            if number == self.last:
                self._lines = kept
        return touched

    def _readable(self, number: int) -> list[str]:
        try:
            return self._read(number)
        except TornChunkError:
            return []

    def _read(self, number: int) -> list[str]:
        try:
            text = self._fs.read(self._path(number), _MAX_CHUNK_BYTES).decode("ascii")
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise TornChunkError(f"chunk {number}: {error}") from error
        first, *lines, last = text.rstrip("\n").split("\n") if "\n" in text else ("", "")
        found = [line.removesuffix(",") for line in lines]
        if first != _first(number) or last != _LAST or not all(map(_ID.match, found)):
            raise TornChunkError(f"chunk {number} is not as it was written")
        return found

    def _write(self, number: int, lines: list[str], *, durable: bool) -> None:
        body = ",\n".join(lines)
        data = f"{_first(number)}\n{body}{chr(10) if body else ''}{_LAST}\n".encode("ascii")
        write_atomic(self._fs, self._path(number), data, durable=durable)

    def _path(self, number: int) -> bytes:
        return os.path.join(self._folder, b"history-%d.js" % number)


_LAST = "]);"


def _first(number: int) -> str:
    return f"multiplane.history({number},["


def id_of(line: str) -> str:
    """The id of the job in a line of a chunk."""
    found = _ID.match(line)
    return found[1] if found else ""


def ended_of(line: str) -> tuple[str, str | None]:
    """The id of the job in a line, and when it ended. The time distinguishes the end of a job from the end of its retry."""
    card = json.loads(line)
    return card["id"], card.get("ended")
