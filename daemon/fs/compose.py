"""Sequences of file operations whose order matters, over any `FileSystem`."""

import contextlib
import errno
import hashlib
import os

from daemon.fs.protocol import FileSystem, HeldFolder

#: The prefix of files that are being written; whoever finds one after a crash may remove it. Dotfiles are ignored everywhere.
TEMPORARY = b".tmp-"
#: The longest name, in bytes, that common file systems hold.
_NAME_MAX = 255


def write_all(fs: FileSystem | HeldFolder, fd: int, data: bytes) -> None:
    """Write all of `data`, over as many writes as it takes; the last short write raises what stopped it."""
    view = memoryview(data)
    while view:
        taken = fs.write(fd, bytes(view))
        if taken == 0:
            raise OSError(errno.EIO, "the file takes no more bytes")
        view = view[taken:]


def write_new(fs: FileSystem | HeldFolder, path: bytes, data: bytes, *, durable: bool) -> None:
    """Make a new file with these bytes; interrupted, it may stay in part: use `write_atomic` where that matters."""
    fd = fs.create(path)
    try:
        write_all(fs, fd, data)
        if durable:
            fs.sync(fd)
    finally:
        fs.close(fd)


def write_atomic(fs: FileSystem | HeldFolder, path: bytes, data: bytes, *, durable: bool) -> None:
    """Put these bytes at `path`, whole or not at all, also for readers who look meanwhile. In a held folder it is a name.

    Not durable: after a power loss the old bytes, the new bytes or, where the file system orders nothing, an empty file may be
    there; so only views that can be rebuilt are written so. Durable: the new bytes are there when this returns.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, TEMPORARY + _short(name))
    try:
        write_new(fs, temporary, data, durable=durable)
    except FileExistsError:
        # Left by a crash: this process is the only writer of the folder's views, so it is nobody's work in progress.
        fs.unlink(temporary)
        write_new(fs, temporary, data, durable=durable)
    except OSError:
        _forget(fs, temporary)
        raise
    try:
        fs.rename(temporary, path)
    except OSError:
        _forget(fs, temporary)
        raise
    if durable:
        fs.sync_dir(folder)


def _short(name: bytes) -> bytes:
    """The name, or what stands for it where `TEMPORARY` would make it longer than a name can be."""
    return name if len(TEMPORARY + name) <= _NAME_MAX else hashlib.sha256(name).hexdigest().encode()


def _forget(fs: FileSystem | HeldFolder, path: bytes) -> None:
    """Remove a file that could not be finished; if that fails too, the first error is the one to tell."""
    with contextlib.suppress(OSError):
        fs.unlink(path)


def make_folders(fs: FileSystem, path: bytes) -> None:
    """Make a folder and its missing parents, durable; an existing folder is fine."""
    try:
        fs.mkdir(path)
    except FileExistsError:
        if fs.lstat(path).kind not in ("directory", "symlink"):
            raise
        return
    except FileNotFoundError:
        make_folders(fs, os.path.dirname(path))
        fs.mkdir(path)
    fs.sync_dir(os.path.dirname(path))


def sync_tree(fs: FileSystem, path: bytes) -> None:
    """Make a folder and all in it durable; anything but files and folders raises OSError (EINVAL)."""
    for entry in fs.scan(path):
        child = os.path.join(path, entry.name)
        if entry.kind == "directory":
            sync_tree(fs, child)
        else:
            fs.sync_file(child)
    fs.sync_dir(path)


def remove_tree(fs: FileSystem, path: bytes) -> None:
    """Remove a folder and all in it; links are removed, not followed. What is gone already is fine.

    Without recursion: how deep a worker nests its folders must not matter.
    """
    found = [path]
    for folder in found:
        try:
            entries = fs.scan(folder)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            fs.unlink(folder)
            return
        for entry in entries:
            child = os.path.join(folder, entry.name)
            if entry.kind == "directory":
                found.append(child)
            else:
                with contextlib.suppress(FileNotFoundError):
                    fs.unlink(child)
    for folder in reversed(found):
        with contextlib.suppress(FileNotFoundError):
            fs.rmdir(folder)


def read_capped(fs: FileSystem, path: bytes, limit: int) -> bytes | None:
    """The whole file, or none if it has more than `limit` bytes."""
    data = fs.read(path, limit + 1)
    return data if len(data) <= limit else None
