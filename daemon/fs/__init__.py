"""The only module of the daemon that changes files.

`FileSystem` is the interface: primitive operations like those of the operating system. `LocalFiles` implements it on the real
disk; the crash tests use a simulated disk instead. Tasks that need several operations in the right order (an atomic file, a
durable tree) are composed in `compose`, so that the simulated disk sees every step.
"""

from daemon.fs.compose import (
    make_folders,
    remove_tree,
    removing_tree,
    syncing_tree,
    write_atomic,
    write_new,
)
from daemon.fs.held import read_at
from daemon.fs.local import LocalFiles
from daemon.fs.protocol import DirEntry, FileSystem, HeldFolder, Stat, TreeEntry, Wanted

__all__ = [
    "DirEntry",
    "FileSystem",
    "HeldFolder",
    "LocalFiles",
    "Stat",
    "TreeEntry",
    "Wanted",
    "make_folders",
    "read_at",
    "remove_tree",
    "removing_tree",
    "syncing_tree",
    "write_atomic",
    "write_new",
]
