"""Sequences of file operations whose order matters, over any `FileSystem`."""

import errno
import os

from daemon.fs.protocol import FileSystem

#: The prefix of files that are being written; whoever finds one after a crash may remove it. Dotfiles are ignored everywhere.
TEMPORARY = b".tmp-"


def write_all(fs: FileSystem, fd: int, data: bytes) -> None:
    """Write all of `data`, over as many writes as it takes; the last short write raises what stopped it."""
    view = memoryview(data)
    while view:
        taken = fs.write(fd, bytes(view))
        if taken == 0:
            raise OSError(errno.EIO, "the file takes no more bytes")
        view = view[taken:]


def write_new(fs: FileSystem, path: bytes, data: bytes, *, durable: bool) -> None:
    """Make a new file with these bytes; interrupted, it may stay in part: use `write_atomic` where that matters."""
    fd = fs.create(path)
    try:
        write_all(fs, fd, data)
        if durable:
            fs.sync(fd)
    finally:
        fs.close(fd)


def write_atomic(fs: FileSystem, path: bytes, data: bytes, *, durable: bool) -> None:
    """Put these bytes at `path`, whole or not at all, also for readers who look meanwhile.

    Not durable: after a power loss the old bytes, the new bytes or, where the file system orders nothing, an empty file may be
    there; so only views that can be rebuilt are written so. Durable: the new bytes are there when this returns.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, TEMPORARY + name)
    try:
        write_new(fs, temporary, data, durable=durable)
    except FileExistsError:
        # Left by a crash: this process is the only writer of the folder's views, so it is nobody's work in progress.
        fs.unlink(temporary)
        write_new(fs, temporary, data, durable=durable)
    except OSError:
        _forget(fs, temporary)
        raise
    fs.rename(temporary, path)
    if durable:
        fs.sync_dir(folder)


def _forget(fs: FileSystem, path: bytes) -> None:
    """Remove a file that could not be finished; if that fails too, the first error is the one to tell."""
    try:
        fs.unlink(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return


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
    """Remove a folder and all in it; links are removed, not followed. What is gone already is fine."""
    try:
        entries = fs.scan(path)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        fs.unlink(path)
        return
    for entry in entries:
        child = os.path.join(path, entry.name)
        if entry.kind == "directory":
            remove_tree(fs, child)
        else:
            try:
                fs.unlink(child)
            except FileNotFoundError:
                continue
    try:
        fs.rmdir(path)
    except FileNotFoundError:
        return


def read_capped(fs: FileSystem, path: bytes, limit: int) -> bytes | None:
    """The whole file, or none if it has more than `limit` bytes."""
    data = fs.read(path, limit + 1)
    return data if len(data) <= limit else None
