"""The only module of the daemon that changes files.

`FileSystem` is the seam: about ten primitive operations, as the operating system has them. `LocalFiles` is the real one;
the crash tests put a simulated disk in its place. What needs several operations in the right order (an atomic file, a
durable tree) is composed from them in `compose`, so that the simulated disk sees every step.
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
from daemon.fs.protocol import Below, DirEntry, FileSystem, HeldFolder, Stat, Wanted

__all__ = [
    "Below",
    "DirEntry",
    "FileSystem",
    "HeldFolder",
    "LocalFiles",
    "Stat",
    "Wanted",
    "make_folders",
    "read_at",
    "remove_tree",
    "removing_tree",
    "syncing_tree",
    "write_atomic",
    "write_new",
]
