"""Copies one result to another folder: whole or not at all, under a free name, and through no link.

The files are copied into a hidden folder beside the target, which is then renamed. A crash leaves at most that hidden folder; it
is named after the job, and the next try removes it. If a crash comes after the rename, the next try finds a folder with the same
files, and leaves it as it is.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daemon.contract.names import to_bytes
from daemon.contract.status import Output
from daemon.fs import FileSystem, HeldFolder

#: How the hidden folder of an unfinished copy begins; the job's id follows.
UNFINISHED = b".multiplane-"
#: At most this many names are tried: `photo`, `photo 2`, and so on.
_MOST_NAMES = 100
_RESULT = "result/"


@dataclass(frozen=True, slots=True)
class Result:
    """A published result: its job, its files, and its manifest, which is not always among the files."""

    job_id: str
    outputs: tuple[Output, ...]
    manifest: str


def deliver(fs: FileSystem, source: HeldFolder, made: Result, root: bytes, trail: Sequence[str]) -> bytes:
    """Copy the files of a result. Returns the path of the folder that has them, durably.

    Args:
        fs: the disk.
        source: the folder `result` of the job.
        made: the result.
        root: the delivery folder, which must exist. Links that lead to it are followed; none below it is.
        trail: the names of the folders that lead to the copy, and last the name of its own folder.

    Raises:
        OSError: something cannot be read or written, or a link is in the way; nothing can be seen of the copy.
    """
    names = [path.removeprefix(_RESULT) for path in dict.fromkeys((*(output.path for output in made.outputs), made.manifest))]
    hidden = UNFINISHED + made.job_id.encode()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(fs.hold(root))
        for part in trail[:-1]:
            folder = stack.enter_context(_entered(folder, to_bytes(part)))
        for name in candidates(to_bytes(trail[-1])):
            if _is_free(folder, name):
                _remove(folder, hidden)
                folder.mkdir(hidden)
                try:
                    with folder.enter(hidden) as copy:
                        _copy(source, copy, names)
                    folder.rename(hidden, name)
                except OSError:
                    with contextlib.suppress(OSError):  # the first error counts; the next try removes what is left
                        _remove(folder, hidden)
                    raise
                folder.sync_dir()
                return os.path.join(folder.path, name)
            if _is_copy(folder, name, made.outputs):
                _remove(folder, hidden)
                folder.sync_dir()
                return os.path.join(folder.path, name)
        raise FileExistsError(errno.EEXIST, f"{_MOST_NAMES} folders have this name already", os.path.join(folder.path, name))


def candidates(name: bytes) -> Iterator[bytes]:
    """The names that a copy may get, in the order in which they are tried."""
    yield name
    for number in range(2, _MOST_NAMES + 1):
        yield name + b" %d" % number


def _entered(folder: HeldFolder, name: bytes) -> HeldFolder:
    """Open a subfolder, and make it durably if it is missing."""
    try:
        folder.mkdir(name)
    except FileExistsError:
        return folder.enter(name)
    folder.sync_dir()
    return folder.enter(name)


def _is_free(folder: HeldFolder, name: bytes) -> bool:
    try:
        folder.lstat(name)
    except FileNotFoundError:
        return True
    return False


def _copy(source: HeldFolder, target: HeldFolder, names: Sequence[str]) -> None:
    """Copy these files, durably. In a name, a slash separates a folder from what is in it."""
    here = [name for name in names if "/" not in name]
    for name in here:
        source.duplicate(to_bytes(name), target, to_bytes(name))
    for below in dict.fromkeys(name.partition("/")[0] for name in names if "/" in name):
        target.mkdir(to_bytes(below))
        inner = [name.partition("/")[2] for name in names if name.startswith(f"{below}/")]
        with source.enter(to_bytes(below)) as reading, target.enter(to_bytes(below)) as writing:
            _copy(reading, writing, inner)
    target.sync_dir()


def _is_copy(folder: HeldFolder, name: bytes, outputs: Sequence[Output]) -> bool:
    """Whether a folder has all files of the result, unchanged. It may have others, which somebody added."""
    try:
        with contextlib.ExitStack() as stack:
            copy = stack.enter_context(folder.enter(name))
            for output in outputs:
                *above, last = output.path.removeprefix(_RESULT).split("/")
                place = copy
                for part in above:
                    place = stack.enter_context(place.enter(to_bytes(part)))
                found = place.lstat(to_bytes(last))
                if found.kind != "file" or found.size != output.bytes or place.digest(to_bytes(last)) != output.sha256:
                    return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _remove(folder: HeldFolder, name: bytes) -> None:
    """Remove a folder that an unfinished copy left; does nothing if there is none."""
    try:
        with folder.enter(name) as inner:
            for entry in inner.scan():
                if entry.kind == "directory":
                    _remove(inner, entry.name)
                else:
                    inner.unlink(entry.name)
    except FileNotFoundError:
        return
    folder.rmdir(name)
