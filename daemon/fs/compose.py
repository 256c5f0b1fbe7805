"""Sequences of file operations whose order matters, over any `FileSystem`."""

import contextlib
import errno
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from daemon.fs.protocol import FileSystem, HeldFolder

_Done = TypeVar("_Done")

#: The prefix of unfinished files. Anybody who finds one after a crash may remove it. Dotfiles are ignored everywhere.
TEMPORARY = b".tmp-"
#: How many bytes longer than the tree's own path a path in it may become: far below the limits of systems (1,024 on macOS).
_LONG = 400
#: The longest name, in bytes, that common file systems allow.
_NAME_MAX = 255


def write_all(fs: FileSystem | HeldFolder, fd: int, data: bytes) -> None:
    """Write all of `data`, in as many writes as it takes. Raises OSError if the file accepts no more bytes."""
    view = memoryview(data)
    while view:
        taken = fs.write(fd, bytes(view))
        if taken == 0:
            raise OSError(errno.EIO, "the file takes no more bytes")
        view = view[taken:]


def write_new(fs: FileSystem | HeldFolder, path: bytes, data: bytes, *, durable: bool) -> None:
    """Write a new file. If interrupted, part of it may remain: use `write_atomic` where that matters."""
    fd = fs.create(path)
    try:
        write_all(fs, fd, data)
        if durable:
            fs.sync(fd)
    finally:
        fs.close(fd)


def write_atomic(fs: FileSystem | HeldFolder, path: bytes, data: bytes, *, durable: bool) -> None:
    """Put these bytes at `path` atomically: readers see either the old file or the new one. In a held folder, `path` is a name.

    If not durable, a power loss may leave the old bytes, the new bytes or, on file systems that keep no order, an empty file.
    So this is only for views that can be rebuilt. If durable, the new bytes are on the disk when this returns.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, TEMPORARY + _short(name))
    try:
        write_new(fs, temporary, data, durable=durable)
    except FileExistsError:
        # Left over from a crash: only this process writes views in this folder, so nobody is still working on it.
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
    """The name, or a short substitute if `TEMPORARY` would make it too long."""
    return name if len(TEMPORARY + name) <= _NAME_MAX else hashlib.sha256(name).hexdigest().encode()


def _forget(fs: FileSystem | HeldFolder, path: bytes) -> None:
    """Remove a file that could not be completed. If that fails too, the first error is the one to report."""
    with contextlib.suppress(OSError):
        fs.unlink(path)


def make_folders(fs: FileSystem, path: bytes) -> None:
    """Make a folder and its missing parents, durable. An existing folder is fine."""
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


def syncing_tree(fs: FileSystem, path: bytes) -> Iterator[None]:
    """Make a folder and everything in it durable, with a pause after each file, and during large ones.

    The tree's depth must have been checked. Anything but files and folders raises OSError (EINVAL).
    """
    for entry in fs.scan(path):
        child = os.path.join(path, entry.name)
        if entry.kind == "directory":
            yield from syncing_tree(fs, child)
        else:
            yield from fs.sync_file_in_background(child)
            yield
    fs.sync_dir(path)


def remove_tree(fs: FileSystem, path: bytes) -> None:
    """Remove a folder and everything in it. Links are removed, not followed. What is already gone is fine."""
    for _ in removing_tree(fs, path):
        pass


def removing_tree(fs: FileSystem, path: bytes) -> Iterator[None]:
    """`remove_tree` with a pause after each name, and during large files, for callers with other work to do.

    It does not recurse, so a worker may nest its folders as deep as it likes. A folder whose path would become too long is
    moved up first. Modes that keep out even the owner are changed.
    """
    found = [path]
    for folder in found:
        try:
            entries = _insist(fs, folder, partial(fs.scan, folder))
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            fs.unlink(folder)
            return
        for entry in entries:
            child = os.path.join(folder, entry.name)
            if entry.kind == "directory":
                found.append(_within_reach(fs, child, path))
            else:
                yield from _removing(fs, folder, child)
            yield
    for folder in reversed(found):
        with contextlib.suppress(FileNotFoundError):
            _insist(fs, os.path.dirname(folder), partial(fs.rmdir, folder))
        yield


def _removing(fs: FileSystem, folder: bytes, path: bytes) -> Iterator[None]:
    """Remove a name in a folder, even if the folder's mode forbids that to its owner. What is already gone is fine."""
    with contextlib.suppress(FileNotFoundError):
        try:
            yield from fs.unlink_in_background(path)
        except PermissionError:
            fs.grant_owner_access(folder)
            yield from fs.unlink_in_background(path)


def _within_reach(fs: FileSystem, folder: bytes, tree: bytes) -> bytes:
    """Move up a folder of a tree that is being removed, if paths in it might become too long. Returns its current path."""
    if len(folder) <= len(tree) + _LONG:
        return folder
    target = os.path.join(tree, TEMPORARY + uuid.uuid4().hex.encode())
    # Moving a folder to another parent changes all three of them.
    _insist(fs, folder, partial(_insist, fs, os.path.dirname(folder), partial(fs.rename, folder, target)))
    return target


def _insist(fs: FileSystem, folder: bytes, do: Callable[[], _Done]) -> _Done:
    """Do something in a folder that is being removed, even if its mode forbids that to its owner."""
    try:
        return do()
    except PermissionError:
        fs.grant_owner_access(folder)
        return do()
