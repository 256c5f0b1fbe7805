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
#: While a tree is removed, paths in it may be this many bytes longer than the path of the tree itself. Systems allow far longer
#: paths (1,024 bytes on macOS).
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
    """Write a new file. If the write is interrupted, part of the file may remain: use `write_atomic` where that matters.

    If `durable`, the bytes are on the disk when this returns. The name is on the disk only after `sync_dir`. Raises
    FileExistsError if the name is taken.
    """
    fd = fs.create(path)
    try:
        write_all(fs, fd, data)
        if durable:
            fs.sync(fd)
    finally:
        fs.close(fd)


def write_atomic(fs: FileSystem | HeldFolder, path: bytes, data: bytes, *, durable: bool) -> None:
    """Write a file atomically: readers see either the old file or the new one. If `fs` is a held folder, `path` is a name in it.

    If `durable`, the new bytes and the name are on the disk when this returns. If not, a power loss may leave the old bytes, the
    new bytes or, on file systems that do not keep the order of writes, an empty file. So non-durable writes are only for views
    that can be rebuilt.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, TEMPORARY + _short(name))
    try:
        write_new(fs, temporary, data, durable=durable)
    except FileExistsError:
        # The file is left over from a crash: only this process writes here, so nobody is still writing it.
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
    """Remove a file that could not be completed. If that fails too, ignore it: the caller raises the first error."""
    with contextlib.suppress(OSError):
        fs.unlink(path)


def make_folders(fs: FileSystem, path: bytes) -> None:
    """Make a folder and its missing parents, durably. Does nothing if a folder or a link already has the name.

    Raises FileExistsError if something else has the name.
    """
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
    """Make a folder and everything in it durable. Yields after each file, and every few milliseconds during large ones.

    This recurses, so the caller must have checked the tree's depth. Raises OSError (EINVAL) if the tree contains anything but
    files and folders.
    """
    for entry in fs.scan(path):
        child = os.path.join(path, entry.name)
        if entry.kind == "directory":
            yield from syncing_tree(fs, child)
        else:
            yield from fs.sync_file_in_background(child)
            yield
    fs.sync_dir(path)


def sync_tree(fs: FileSystem, path: bytes) -> None:
    """`syncing_tree`, without pauses."""
    for _ in syncing_tree(fs, path):
        pass


def remove_tree(fs: FileSystem, path: bytes) -> None:
    """Remove a folder and everything in it. Links are removed, not followed. Does nothing if the folder is already gone."""
    for _ in removing_tree(fs, path):
        pass


def removing_tree(fs: FileSystem, path: bytes) -> Iterator[None]:
    """`remove_tree` for callers with other work to do: yields after each name, and every few milliseconds during large files.

    It does not recurse, so it can remove folders that a worker nested very deeply. If the path of a folder would become too
    long, the folder is first moved up in the tree. If the mode of a folder keeps out even its owner, the mode is changed.
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
    """Remove a file from a folder, even if the folder's mode forbids its owner to do so. Does nothing if the file is gone."""
    with contextlib.suppress(FileNotFoundError):
        try:
            yield from fs.unlink_in_background(path)
        except PermissionError:
            fs.grant_owner_access(folder)
            yield from fs.unlink_in_background(path)


def _within_reach(fs: FileSystem, folder: bytes, tree: bytes) -> bytes:
    """If paths in a folder might become too long, move the folder to the top of the tree. Returns the folder's current path."""
    if len(folder) <= len(tree) + _LONG:
        return folder
    target = os.path.join(tree, TEMPORARY + uuid.uuid4().hex.encode())
    # Moving a folder needs write access to the folder itself (its `..` changes), to its old parent and to its new one.
    _insist(fs, folder, partial(_insist, fs, os.path.dirname(folder), partial(fs.rename, folder, target)))
    return target


def _insist(fs: FileSystem, folder: bytes, do: Callable[[], _Done]) -> _Done:
    """Run `do`, which changes `folder`. If the mode keeps even the owner from changing it, change the mode and try again."""
    try:
        return do()
    except PermissionError:
        fs.grant_owner_access(folder)
        return do()
