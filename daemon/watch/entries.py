"""Makes entries from lstat results: of single names, and of whole folders in chunks."""

import os
import stat
from collections.abc import Iterable, Iterator
from operator import attrgetter

from daemon.intake.model import Entry, Kind
from daemon.platform.files import MAC_ATTRIBUTES, birth_time, is_dataless, is_locked

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
#: Stands for an lstat that failed.
UNREADABLE = os.stat_result((0,) * 10)
#: Returns the parts of an lstat result that make up an entry.
entry_fields = attrgetter(
    "st_mode", "st_ino", "st_dev", "st_nlink", "st_size", "st_mtime_ns", *(("st_birthtime", "st_flags") if MAC_ATTRIBUTES else ())
)
#: How many files are compared at once: their lstat results must fit into the processor's cache.
_CHUNK = 64


def entry_from(name: bytes, st: os.stat_result, dev: int = 0) -> Entry:
    """The entry for an lstat result. For a folder, size and time are 0: they would change whenever something in it does.

    `dev` is the device number of the containing folder. If the file has the same number, the entry uses this very object, so
    that all files of a folder share it.
    """
    if st is UNREADABLE:
        return Entry(name, "unreadable", 0, 0, 0, 0)
    kind = _KINDS.get(stat.S_IFMT(st.st_mode), "device")
    dev = dev if dev == st.st_dev else st.st_dev
    if kind == "directory":
        return Entry(name, kind, dev, st.st_ino, 0, 0)
    if kind == "file" and is_locked(st):
        kind = "locked"
    return Entry(name, kind, dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_nlink, birth_time(st), is_dataless(st))


def in_chunks(items: Iterable[os.DirEntry[str]]) -> Iterator[tuple[list[str], list[os.stat_result]]]:
    """Names and lstat results, `_CHUNK` at a time, in the order of `scandir`. Files that have disappeared are left out.

    The names are text, because `scandir` of a descriptor returns text.
    """
    names, stats = list[str](), list[os.stat_result]()
    for item in items:
        try:
            st = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError:
            st = UNREADABLE
        names.append(item.name)
        stats.append(st)
        if len(names) == _CHUNK:
            yield names, stats
            names, stats = [], []
    yield names, stats


def entry_at(fd: int, name: bytes, dev: int) -> Entry | None:
    """The entry for a name in an open folder; None if there is no such name."""
    try:
        return entry_from(name, os.stat(name, dir_fd=fd, follow_symlinks=False), dev)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return entry_from(name, UNREADABLE)
