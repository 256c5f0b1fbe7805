"""Moves files between the daemon and a machine: in pieces through the connection, or by copies on a share that both see.

All functions block, so they run in threads. Memory is bounded: one piece at a time.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from typing import Literal

from daemon.cluster.messages import FIRST, PIECE, TOGETHER, SentFile, Shared
from daemon.contract.messages import Result
from daemon.contract.names import to_bytes, to_text
from daemon.errors import WorkerCrashed
from daemon.fs import FileSystem
from daemon.fs.compose import remove_tree, write_all
from daemon.outbox import Outbox
from daemon.outbox.outbox import WORK
from daemon.outbox.ownership import MARKER

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_RESULT = "result"
#: What is added to the modes of a result on a share: the daemon may be another user there, and must read it.
_FOR_THE_DAEMON = {"folder": 0o555, "file": 0o444}


class Changed(Exception):
    """A file of the job is not what it was a moment ago."""


# -- the daemon's side ------------------------------------------------------------------------------------------------------


def described(outbox: Outbox, job_id: str, picture: str, depth: str | None) -> tuple[SentFile, ...]:
    """What the machine must know of the picture and the depth picture in the job's source folder.

    A depth picture that is not there is left out: the machine's worker misses it, and says so, as a worker of this machine does.

    Raises:
        OSError: a file cannot be looked at, or the picture is missing.
    """
    with outbox.held_job(job_id, b"source") as source:
        found = [(picture, source.lstat(to_bytes(picture)))]
        if depth is not None:
            with contextlib.suppress(FileNotFoundError):
                found.append((depth, source.lstat(to_bytes(depth))))
    return tuple(SentFile(name=name, bytes=at.size, mtime_ns=at.mtime_ns) for name, at in found)


def pieces_of_source(outbox: Outbox, job_id: str, file: SentFile) -> Iterator[tuple[int, bytes, str]]:
    """The pieces of a file in the source folder: the offset, the bytes, and the SHA-256 so far. An empty file has one piece.

    Raises:
        Changed: the file is not the one that was described.
        OSError: it cannot be read.
    """
    with outbox.held_job(job_id, b"source") as source:
        fd = os.open(to_bytes(file.name), os.O_RDONLY | _SAFE, dir_fd=source.fd)
    with contextlib.closing(os.fdopen(fd, "rb", buffering=0)) as reading:
        at = os.fstat(fd)
        if not stat.S_ISREG(at.st_mode) or (at.st_size, at.st_mtime_ns) != (file.bytes, file.mtime_ns):
            raise Changed(file.name)
        digest, offset = hashlib.sha256(), 0
        while offset < file.bytes or file.bytes == offset == 0:
            piece = reading.read(min(PIECE, max(file.bytes - offset, 1)))
            if not piece and file.bytes:
                raise Changed(file.name)
            digest.update(piece)
            yield offset, piece, digest.hexdigest()
            offset += len(piece)
            if not piece:
                return


def wanted(result: Result, max_bytes: int) -> list[tuple[str, int | None]]:
    """The files of a result, with their sizes; None for the manifest, whose size is not reported.

    Raises:
        WorkerCrashed: a path leaves the result's folder, or the files are too large.
    """
    files: dict[str, int | None] = {result.manifest: None}
    files |= {output.path: output.bytes for output in result.outputs}
    for path in files:
        parts = path.split("/")
        if parts[0] != _RESULT or len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
            raise WorkerCrashed(f"The machine reported a file outside of its result: {path}.")
    if sum(size or 0 for size in files.values()) > max_bytes:
        raise WorkerCrashed(f"The machine reported a result of more than {max_bytes:,} bytes.")
    return list(files.items())


def make_way(fs: FileSystem, attempt: bytes) -> None:
    """Remove what a machine has left of a result in this attempt's folder, because it could not copy all of it to the share.

    Raises:
        OSError: something cannot be removed.
    """
    remove_tree(fs, os.path.join(attempt, _RESULT.encode()))


class Received:
    """A file of a result that arrives piece by piece, in the attempt's folder in .work/."""

    def __init__(self, fs: FileSystem, attempt: bytes, path: str) -> None:
        """Make the file, and the folders above it. Raises OSError; FileNotFoundError if the attempt is gone."""
        self._fs = fs
        *above, name = to_bytes(path).split(b"/")
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(fs.hold(attempt))
            for part in above:
                with contextlib.suppress(FileExistsError):
                    folder.mkdir(part)
                folder = stack.enter_context(folder.enter(part))
            self._fd = folder.create(name)

    def add(self, piece: bytes) -> None:
        """Write the next piece. Raises OSError."""
        write_all(self._fs, self._fd, piece)

    def close(self) -> None:
        """Close the file. It is made durable when the result is checked."""
        self._fs.close(self._fd)


# -- the machine's side -----------------------------------------------------------------------------------------------------


class Incoming:
    """A source file that arrives piece by piece.

    Raises OSError in all methods: the disk is full, or worse.
    """

    def __init__(self, folder: bytes, file: SentFile) -> None:
        self._file, self._digest, self._offset = file, hashlib.sha256(), 0
        self._path = os.path.join(folder, to_bytes(file.name))
        if b"/" in to_bytes(file.name) or file.name in (".", ".."):
            raise OSError(errno.EINVAL, "a name that is a path", self._path)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o644)

    def add(self, offset: int, piece: bytes) -> None:
        """Write a piece. A piece out of order is refused, so a repeated message cannot damage the file."""
        if offset != self._offset or offset + len(piece) > self._file.bytes:
            raise OSError(errno.EINVAL, "a piece out of order", self._path)
        self._digest.update(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(self._fd, view) :]
        self._offset += len(piece)

    def finish(self, sha256: str) -> bool:
        """Close the file and give it its time. Returns whether it is whole and what was sent."""
        os.utime(self._fd, ns=(self._file.mtime_ns, self._file.mtime_ns))
        self.close()
        return self._offset == self._file.bytes and self._digest.hexdigest() == sha256

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def first_pieces(attempt: bytes, paths: list[str]) -> list[bytes]:
    """The first `FIRST` bytes of each of these files of a result, at most `TOGETHER`. Raises OSError."""
    return [piece_of_result(attempt, path, 0, most=FIRST) for path in paths[:TOGETHER]]


def piece_of_result(attempt: bytes, path: str, offset: int, *, most: int = PIECE) -> bytes:
    """A piece of a result's file, of at most so many bytes; empty at its end. Raises OSError."""
    parts = to_bytes(path).split(b"/")
    if any(part in (b"", b".", b"..") for part in parts):
        raise OSError(errno.EINVAL, "not a file of the result", path)
    with contextlib.ExitStack() as stack:
        folder = os.open(attempt, os.O_RDONLY | os.O_DIRECTORY | _SAFE)
        stack.callback(os.close, folder)
        for part in parts[:-1]:
            folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=folder)
            stack.callback(os.close, folder)
        fd = os.open(parts[-1], os.O_RDONLY | _SAFE, dir_fd=folder)
        stack.callback(os.close, fd)
        return os.pread(fd, most, offset)


def sees(share: str | None, shared: Shared | None) -> bool:
    """Whether this machine sees the daemon's outbox: its marker, and the attempt's folder, whose random name is the proof."""
    if share is None or shared is None:
        return False
    return os.path.isfile(os.path.join(os.fsencode(share), to_bytes(shared.outbox), MARKER)) and os.path.isdir(
        _attempt_on(share, shared)
    )


def fetch_from_share(share: str, shared: Shared, files: tuple[SentFile, ...], folder: bytes) -> str | None:
    """Copy the source files from the share. Returns a clause that says what is wrong with one; None if all are there.

    Raises OSError.
    """
    for file in files:
        source = os.path.join(os.fsencode(share), to_bytes(shared.source), to_bytes(file.name))
        target = os.path.join(folder, to_bytes(file.name))
        with open(os.open(source, os.O_RDONLY | _SAFE), "rb") as reading, open(target, "xb") as writing:
            at = os.fstat(reading.fileno())
            if not stat.S_ISREG(at.st_mode) or (at.st_size, at.st_mtime_ns) != (file.bytes, file.mtime_ns):
                return f"{file.name} is not what it was when the job started"
            shutil.copyfileobj(reading, writing, PIECE)
        os.utime(target, ns=(file.mtime_ns, file.mtime_ns))
    return None


def deliver_to_share(fs: FileSystem, share: str, shared: Shared, attempt: bytes) -> None:
    """Copy a result into the attempt's folder on the share, durably. The daemon checks it there.

    Raises:
        OSError: it could not be copied; what was copied is left, and the daemon removes it.
        FileNotFoundError: the daemon has removed the attempt's folder, because it no longer names this attempt.
    """
    here = os.path.join(attempt, b"result")
    there = os.path.join(_attempt_on(share, shared), b"result")
    _make_readable(there)
    for base, folders, names in os.walk(here):
        inside = os.path.normpath(os.path.join(there, os.path.relpath(base, here)))
        for name in folders:
            _make_readable(os.path.join(inside, name))
        for name in names:
            fs.copy(os.path.join(base, name), os.path.join(inside, name))
            _let_read(os.path.join(inside, name), "file")
        fs.sync_dir(inside)


def _make_readable(folder: bytes) -> None:
    os.mkdir(folder)
    _let_read(folder, "folder")


def _let_read(path: bytes, kind: Literal["folder", "file"]) -> None:
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | _FOR_THE_DAEMON[kind])


def _attempt_on(share: str, shared: Shared) -> bytes:
    return os.path.join(os.fsencode(share), to_bytes(shared.attempt))


def shared_paths(share: str | None, outbox: bytes, job_id: str, attempt: str) -> Shared | None:
    """Where a machine finds an attempt on the share; None if the settings name no share, or the outbox is not on it."""
    if share is None:
        return None
    root = os.path.realpath(os.fsencode(share))
    inside = os.path.relpath(os.path.realpath(outbox), root)
    if inside == b".." or inside.startswith(b"../"):
        return None
    return Shared(
        outbox=to_text(inside),
        source=to_text(os.path.join(inside, job_id.encode(), b"source")),
        attempt=to_text(os.path.join(inside, WORK, attempt.encode())),
    )
