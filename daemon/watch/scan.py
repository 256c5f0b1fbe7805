"""The scanner: lists the inbox with `scandir` and `lstat` alone. It opens no file except a changed preset or batch file.

The inbox is opened by its path, and each folder in it through the open inbox. No link is entered, even if a folder is swapped
for a link.

A full scan lists every folder. A partial scan checks only certain names, and leaves the other entries as they were last seen.
An entry that did not change is the same object as before, so that later code need not compare it again.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from daemon.intake.model import DEEPEST, INBOX, Control, Entry, Folder, Scan
from daemon.intake.names import BATCH_NAME, PRESET_NAME, SOURCE_NAME, folder_above, ignored_folder, is_job_folder, key_of
from daemon.platform.files import birth_time, permission_hint
from daemon.watch.entries import UNREADABLE, entry_at, entry_fields, entry_from, in_chunks

#: Reads a control file: takes the descriptor of its folder, its entry and its kind. Must not raise.
ReadControl = Callable[[int, Entry, Literal["preset", "batch"]], Control]
#: Called with a folder's name and entry before the folder is listed for the first time, or after it was replaced. Returns
#: whether it is on a network file system.
Enter = Callable[[bytes, Entry], bool]

#: The most folders that are scanned inside one with a preset: more than anybody drops, and few enough to watch. The others wait.
_MAX_INNER = 500
_PERMISSION = (errno.EPERM, errno.EACCES)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Files that `scandir` returned one after another in the last full scan.

    To save memory, `mark` is only a hash of their names and lstat results. One change in 2⁶⁴ goes unnoticed until the next
    change. That is harmless, because a claim checks each file again.
    """

    mark: int
    entries: list[Entry]


@dataclass(slots=True)
class _Seen:
    """What was last seen of one folder. `chunks` holds the entries again, so that a scan need not compare each of them."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    chunks: list[_Chunk] = field(default_factory=list)
    controls: dict[bytes, Control] = field(default_factory=dict)
    dev: int = 0
    birth: float | None = None
    mtime_ns: int | None = None
    problem: str | None = None
    #: The entry of the folder that was listed, and whether it is on a network file system; None before the first listing.
    place: Entry | None = None
    network: bool | None = None


def sentence(error: OSError, path: bytes) -> str:
    """What went wrong with a folder or file, as a sentence for people."""
    name = os.fsdecode(path)
    if error.errno in _PERMISSION:
        return f"{name} may not be read: {permission_hint()}"
    if error.errno == errno.ENOENT:
        return f"{name} is not there"
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return f"{name} is not a folder"
    return f"{name} cannot be read: {error.strerror or error}"


def unmarked(folder: bytes) -> str:
    """The sentence about a folder that is there without its marker file."""
    return f"{os.fsdecode(folder)} is there, but not its marker file .multiplane: another folder, or a disk that is not mounted"


class Scanner:
    """Scans one inbox: its folders, and the folders inside those with a preset.

    Args:
        inbox: absolute path.
        network: whether it is on a network file system.
        read_control: reads a new or changed `_preset.yaml` or `job.yaml` (open folder, entry, kind). It reports errors in the
            `Control` it returns, and raises nothing.
        enter: see `Enter`. If None, every folder counts as being on the inbox's file system.
    """

    def __init__(self, inbox: bytes, *, network: bool, read_control: ReadControl, enter: Enter | None = None) -> None:
        self.inbox = inbox
        self.network = network
        self._read_control = read_control
        self._enter = enter
        self._seen: dict[bytes, _Seen] = {INBOX: _Seen()}
        self._fd = -1
        self._trouble = OSError(errno.EBADF, "it was not looked at yet")

    def begin(self, *, network: bool) -> None:
        """Make the next scan call `enter` for all folders: the inbox may be another folder now. Keeps what was seen in them."""
        self.network = network
        for seen in self._seen.values():
            seen.place = None

    def exchanged(self) -> set[bytes]:
        """The names of the folders that were replaced since they were listed, or that could not be listed.

        This is needed because no event reports that a disk was mounted on a folder, or that a folder became readable.
        """
        dev = self._seen[INBOX].dev
        others = {name: seen for name, seen in self._seen.items() if name}
        with contextlib.ExitStack() as held:
            self._open_inbox(held)
            if self._fd == -1:
                return set(others)
            return {name for name, seen in others.items() if seen.problem or entry_at(self._fd, name, dev) != seen.place}

    def scan(self, now: float) -> Scan:
        """Scan all folders. `now` is monotonic seconds. Errors are part of the result; none is raised."""
        with contextlib.ExitStack() as held:
            self._open_inbox(held)
            self._list(INBOX)
            for name in self._subfolders():
                self._list(name)
        return self._as_scan(now, None)

    def scan_names(self, now: float, names: Mapping[bytes, Set[bytes]], folders: Set[bytes] = frozenset()) -> Scan:
        """A partial scan: checks `names` (by folder), and everything in these `folders`. `now` is monotonic seconds."""
        for folder in folders:
            above, _, name = folder.rpartition(b"/")
            names = {**names, above: names.get(above, frozenset()) | {name}}
        in_inbox = names.get(INBOX, frozenset())
        scanned: dict[bytes, Set[bytes] | None] = {**names, INBOX: in_inbox}
        known = {name: self._entry_of(name) for name in self._subfolders()}
        with contextlib.ExitStack() as held:
            self._open_inbox(held)
            self._stat(INBOX, in_inbox)
            for name in self._subfolders():
                if name in folders or known.get(name) is not self._entry_of(name):
                    self._list(name)
                    scanned[name] = None
                elif at := names.get(name):
                    self._stat(name, at)
        return self._as_scan(now, scanned)

    def _open_inbox(self, held: contextlib.ExitStack) -> None:
        """Hold the inbox open for one scan. If that fails, keep the error: `_opened` raises it for each folder."""
        try:
            self._fd = os.open(self.inbox, _FOLDER)
        except OSError as error:
            self._fd, self._trouble = -1, error
            return
        held.callback(os.close, self._fd)

    @contextlib.contextmanager
    def _opened(self, folder: bytes) -> Iterator[int]:
        """A folder of the inbox, or the inbox itself, open while the block runs."""
        if self._fd == -1:
            raise self._trouble
        # Opens the inbox a second time: two listings must not share one position.
        fd = os.open(b".", _FOLDER, dir_fd=self._fd)
        try:
            for name in folder.split(b"/") if folder else ():
                fd, above = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=fd), fd
                os.close(above)
            yield fd
        finally:
            os.close(fd)

    def _entry_of(self, folder: bytes) -> Entry:
        """The entry of a folder in the folder that contains it, which was scanned."""
        above, _, name = folder.rpartition(b"/")
        return self._seen[above].entries[name]

    def _subfolders(self) -> Iterator[bytes]:
        """Yield the names of the folders to scan, each after the one that contains it. Forgets what is known about all others.

        The caller may scan a folder as soon as it is yielded: only then, the folders inside it are looked for.
        """
        found = [INBOX]
        for folder in found:
            for name in self._inner(folder):
                found.append(name)
                yield name
        for name in self._seen.keys() - set(found):
            del self._seen[name]

    def _inner(self, folder: bytes) -> list[bytes]:
        """The names of the folders inside one that are scanned.

        These are all in the inbox itself and in a folder with a preset, and the source/ of a job's folder to which a preset
        applies.
        """
        seen, depth = self._seen.get(folder), folder.count(b"/") + bool(folder)
        if seen is None:
            return []
        if folder and self._has_preset(folder_above(folder)) and is_job_folder(seen.entries):
            return [folder + b"/" + SOURCE_NAME]
        if depth > 1 or (folder and not self._has_preset(folder)):
            return []
        names = [name for name, entry in seen.entries.items() if entry.kind == "directory" and not ignored_folder(name)]
        return [os.path.join(folder, name) for name in names[: _MAX_INNER if folder else None]]

    def _has_preset(self, folder: bytes | None) -> bool:
        seen = self._seen.get(folder) if folder is not None else None
        return seen is not None and any(control.kind == "preset" for control in seen.controls.values())

    def _as_scan(self, now: float, scanned: Mapping[bytes, Set[bytes] | None] | None) -> Scan:
        folders = []
        for name, seen in self._seen.items():
            at = None if scanned is None else scanned.get(name, frozenset())
            controls = tuple(seen.controls.values())
            names = None if at is None else frozenset(at)
            about = (seen.birth, controls, seen.problem, seen.network, seen.mtime_ns)
            folders.append(Folder(name, seen.entries, names, *about))
        return Scan(tuple(folders), self.network, now)

    def _path(self, folder: bytes) -> bytes:
        return self.inbox + b"/" + folder if folder else self.inbox

    def _list(self, folder: bytes) -> None:
        """Scan everything in a folder."""
        seen, path = self._seen.setdefault(folder, _Seen()), self._path(folder)
        if folder and (its := self._entry_of(folder)) != seen.place:
            seen.place = its
            seen.network = self._enter(folder, its) if self._enter else None
        try:
            with self._opened(folder) as fd:
                self._list_open(folder, seen, fd)
        except OSError as error:
            seen.problem = sentence(error, path)

    def _list_open(self, folder: bytes, seen: _Seen, fd: int) -> None:
        known, chunks, fresh, new = seen.entries, list[_Chunk](), list[Entry](), list[bytes]()
        own = os.fstat(fd)
        seen.birth, seen.dev, seen.mtime_ns = birth_time(own), own.st_dev, own.st_mtime_ns
        with os.scandir(fd) as items:
            for place, (texts, stats) in enumerate(in_chunks(items)):
                mark = hash((*texts, *map(entry_fields, stats)))
                if place < len(seen.chunks) and seen.chunks[place].mark == mark:
                    chunks.append(seen.chunks[place])
                    continue
                entries = list[Entry]()
                for name, st in zip(map(os.fsencode, texts), stats, strict=True):
                    old, entry = known.get(name), entry_from(name, st, seen.dev)
                    if old is None:
                        new.append(name)
                    elif entry == old:
                        entries.append(old)
                    else:
                        entries.append(entry)
                        fresh.append(entry)
                chunks.append(_Chunk(mark, entries))
        # New entries are created in the order in which they will be taken. So memory that is freed together is contiguous, and
        # can be reused for the jobs.
        came = [found for name in sorted(new) if (found := entry_at(fd, name, seen.dev)) is not None]
        seen.problem = None
        if fresh or came or sum(len(chunk.entries) for chunk in chunks) != len(known):
            old_ones = chain.from_iterable(chunk.entries for chunk in chunks)
            self._replace(folder, seen, {entry.name: entry for entry in chain(old_ones, came)}, fresh + came, fd)
        seen.chunks = [] if new else chunks
        self._read_again(fd, seen, entries=seen.entries.keys())

    def _stat(self, folder: bytes, names: Set[bytes]) -> None:
        """Scan some names in a folder."""
        seen = self._seen[folder]
        try:
            with self._opened(folder) as fd:
                self._stat_open(folder, seen, names, fd)
        except (FileNotFoundError, NotADirectoryError):
            # The folder disappeared a moment ago, and so did these files.
            seen.entries, seen.chunks = {name: entry for name, entry in seen.entries.items() if name not in names}, []
        except OSError:
            # The folder cannot be read; the next full scan reports why.
            shut = {name: entry_from(name, UNREADABLE) for name in names}
            seen.entries, seen.chunks = {**seen.entries, **shut}, []

    def _stat_open(self, folder: bytes, seen: _Seen, names: Set[bytes], fd: int) -> None:
        # Collect only what changed: while many files settle, all their names are checked, and hardly any has changed.
        fresh, lost = list[Entry](), list[bytes]()
        for name in names:
            known, entry = seen.entries.get(name), entry_at(fd, name, seen.dev)
            if entry is None:
                lost += [] if known is None else [name]
            elif entry != known:
                fresh.append(entry)
        if fresh or lost:
            seen.mtime_ns = os.fstat(fd).st_mtime_ns
            entries = {**seen.entries, **{entry.name: entry for entry in fresh}}
            for name in lost:
                del entries[name]
            self._replace(folder, seen, entries, fresh, fd)
        self._read_again(fd, seen, entries=names)

    def _replace(self, folder: bytes, seen: _Seen, entries: dict[bytes, Entry], fresh: list[Entry], fd: int) -> None:
        """Store the current entries of a folder, and read the preset and batch files among those that are new or changed."""
        seen.entries, seen.chunks = entries, []
        controls = {name: control for name, control in seen.controls.items() if name in entries}
        for entry in fresh:
            if len(entry.name) <= len(PRESET_NAME) and (kind := _control_kind(folder, entry.name)) is not None:
                controls[entry.name] = self._control(fd, entry, kind)
        seen.controls = controls

    def _read_again(self, fd: int, seen: _Seen, *, entries: Set[bytes]) -> None:
        """Read again those control files among `entries` that could not be read before, even if they are unchanged."""
        passing = [control for control in seen.controls.values() if control.passing and control.entry.name in entries]
        if passing:
            again = {control.entry.name: self._control(fd, control.entry, control.kind) for control in passing}
            seen.controls = {**seen.controls, **again}

    def _control(self, fd: int, entry: Entry, kind: Literal["preset", "batch"]) -> Control:
        if entry.kind == "unreadable":
            return Control(kind, entry, problem="it cannot be read now: the disk or the permissions refuse it", passing=True)
        if entry.kind != "file" or entry.nlink > 1:
            return Control(kind, entry, problem="it is not a plain file of this folder, refused")
        return self._read_control(fd, entry, kind)


def _control_kind(folder: bytes, name: bytes) -> Literal["preset", "batch"] | None:
    """The kind of control file that has this name, or None. Directly in the inbox, `job.yaml` is only a sidecar.

    A job's source/ may contain the files of an earlier batch; they mean nothing there.
    """
    if folder.count(b"/") >= DEEPEST - 1 or (b"/" in folder and folder.endswith(b"/" + SOURCE_NAME)):
        return None
    key = key_of(name)
    if key == PRESET_NAME:
        return "preset"
    return "batch" if key == BATCH_NAME and folder else None
