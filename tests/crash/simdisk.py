"""A disk in memory that forgets what was not synced: `daemon.fs.FileSystem` for the crash tests.

What a crash may do to it:

- *Bytes* written since the file's last `sync` are there, not there or zero, page by page, and the file's length is anything
  between the old and the new one.
- *Names*: each name of each folder has, since the folder's last `sync_dir`, a history of what it stood for; after a crash it
  stands for any of these, whatever the other names do. So a rename may be seen under both names.
- One thing holds by itself, as in every file system with a journal of its own: a rename does not take the old name away
  before the new one is there, and a folder never has two names. If the folder that got the new name was itself not
  durable, all in it is lost; and who syncs the old name's folder first has lost the file.

Every operation that changes something is counted; `before` is called ahead of each with its number, its name and its path, and
may raise to let it fail, or snapshot the disk with `copy_disk`; `before_look` likewise for what only looks.
"""

import errno
import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from daemon.fs import DirEntry, Stat, TreeEntry
from daemon.fs.compose import sync_tree
from tests.path_based_folder import ByPath

PAGE = 512
DEVICE = 1


class PowerLossError(BaseException):
    """The machine is off; no running code may catch this."""


@dataclass(eq=False, slots=True)
class File:
    """A file's bytes as programs see them, and as they are on the disk."""

    ino: int
    data: bytes = b""
    durable: bytes = b""
    mtime_ns: int = 0

    kind = "file"


@dataclass(eq=False, slots=True)
class Folder:
    """A folder's names as programs see them. `past`: for each name changed since the last sync, all its targets, in order."""

    ino: int
    names: dict[bytes, "Node"] = field(default_factory=dict)
    past: dict[bytes, list["Node | None"]] = field(default_factory=dict)
    mtime_ns: int = 0

    kind = "directory"


@dataclass(eq=False, slots=True)
class Link:
    """A symbolic link; here it leads nowhere."""

    ino: int
    mtime_ns: int = 0

    kind = "symlink"


Node = File | Folder | Link


@dataclass(frozen=True)
class Rename:
    """The old name may be gone (`old_step` of its history) only if the new one exists (`new_step` of its history)."""

    old: tuple[Folder, bytes, int]
    new: tuple[Folder, bytes, int]
    is_folder: bool

    def later(self, folder: Folder, name: bytes, steps: int) -> "Rename":
        """The same for a history of that name that begins this many steps later."""
        old, new = (
            (place, its, step - steps if (place, its) == (folder, name) else step) for place, its, step in (self.old, self.new)
        )
        return Rename(old, new, self.is_folder)


def error(number: int, path: bytes = b"") -> OSError:
    return OSError(number, os.strerror(number), path)


class SimDisk:
    """The simulated disk; see the module. `device_of(path)` may put folders on other file systems."""

    def __init__(self) -> None:
        self._inos = 1
        self.root = Folder(1)
        self.renames: list[Rename] = []
        self.operations = 0
        self.looks = 0
        self.dead = False
        self.clock_ns = 1_700_000_000_000_000_000
        self.before: Callable[[int, str, bytes], None] = lambda _number, _name, _path: None
        self.before_look: Callable[[int, str, bytes], None] = lambda _number, _name, _path: None
        self.shorten: Callable[[int, bytes], bytes] = lambda _number, data: data
        self.inbox_device: tuple[bytes, int] | None = None
        self._open: dict[int, tuple[File, bytes]] = {}
        self._fd = 100
        self._locks: set[bytes] = set()

    # -- finding ----------------------------------------------------------------------------------------------------------

    def _ino(self) -> int:
        self._inos += 1
        return self._inos

    def _tick(self) -> int:
        self.clock_ns += 1_000_000
        return self.clock_ns

    def _node(self, path: bytes) -> Node:
        node: Node = self.root
        for part in path.split(b"/"):
            if not part:
                continue
            if type(node) is not Folder:
                raise error(errno.ENOTDIR, path)
            try:
                node = node.names[part]
            except KeyError:
                raise error(errno.ENOENT, path) from None
        return node

    def _folder(self, path: bytes) -> Folder:
        node = self._node(path)
        if not isinstance(node, Folder):
            raise error(errno.ENOTDIR, path)
        return node

    def _file(self, path: bytes) -> File:
        node = self._node(path)
        if isinstance(node, Link):
            raise error(errno.ELOOP, path)
        if not isinstance(node, File):
            raise error(errno.EISDIR, path)
        return node

    def _place(self, path: bytes) -> tuple[Folder, bytes]:
        folder, name = os.path.split(path)
        if len(name) > 255:
            raise error(errno.ENAMETOOLONG, path)
        return self._folder(folder), name

    def _set(self, folder: Folder, name: bytes, node: Node | None) -> int:
        """Point a name to something else; returns the step in its history."""
        past = folder.past.setdefault(name, [folder.names.get(name)])
        past.append(node)
        if node is None:
            folder.names.pop(name, None)
        else:
            folder.names[name] = node
        folder.mtime_ns = self._tick()
        return len(past) - 1

    def _step(self, name: str, path: bytes) -> int:
        """Count an operation, and call the test's hook."""
        if self.dead:
            raise PowerLossError
        self.operations += 1
        self.before(self.operations, name, path)
        return self.operations

    def _opened(self, file: File, path: bytes) -> int:
        self._fd += 1
        self._open[self._fd] = (file, path)
        return self._fd

    def _device(self, path: bytes) -> int:
        if self.inbox_device and path.startswith(self.inbox_device[0]):
            return self.inbox_device[1]
        return DEVICE

    # -- what changes something -----------------------------------------------------------------------------------------

    def publish_below(self, root: bytes) -> None:
        """Do nothing: there are no modes here."""

    def own_below(self, root: bytes) -> None:
        """Modes do not matter here."""

    def create(self, path: bytes) -> int:
        self._step("create", path)
        folder, name = self._place(path)
        if name in folder.names:
            raise error(errno.EEXIST, path)
        file = File(self._ino(), mtime_ns=self._tick())
        self._set(folder, name, file)
        return self._opened(file, path)

    def append(self, path: bytes) -> int:
        self._step("append", path)
        folder, name = self._place(path)
        if name in folder.names:
            return self._opened(self._file(path), path)
        file = File(self._ino(), mtime_ns=self._tick())
        self._set(folder, name, file)
        return self._opened(file, path)

    def write(self, fd: int, data: bytes) -> int:
        file, path = self._open[fd]
        taken = self.shorten(self._step("write", path), data)
        file.data += taken
        file.mtime_ns = self._tick()
        return len(taken)

    def copy(self, source: bytes, target: bytes) -> str:
        reading = self._file(source)
        self._step("copy", target)
        folder, name = self._place(target)
        if name in folder.names:
            raise error(errno.EEXIST, target)
        file = File(self._ino(), mtime_ns=reading.mtime_ns)
        self._set(folder, name, file)
        file.data = reading.data[: len(reading.data) // 2]
        self._step("copy", target)  # half of it may be what stays
        file.data = file.durable = reading.data
        return hashlib.sha256(file.data).hexdigest()

    def sync(self, fd: int) -> None:
        file, path = self._open[fd]
        self._step("sync", path)
        file.durable = file.data

    def close(self, fd: int) -> None:
        del self._open[fd]

    def rename(self, source: bytes, target: bytes) -> None:
        self._step("rename", target)
        (old, name), (new, new_name) = self._place(source), self._place(target)
        if name not in old.names:
            raise error(errno.ENOENT, source)
        if self._device(source) != self._device(target):
            raise error(errno.EXDEV, source)
        node, there = old.names[name], new.names.get(new_name)
        if isinstance(there, Folder) and (not isinstance(node, Folder) or there.names):
            raise error(errno.ENOTEMPTY if isinstance(node, Folder) else errno.EISDIR, target)
        if there is node:
            return
        arrival = self._set(new, new_name, node)
        departure = self._set(old, name, None)
        self.renames.append(Rename((old, name, departure), (new, new_name, arrival), isinstance(node, Folder)))

    def link(self, source: bytes, target: bytes) -> None:
        self._step("link", target)
        (old, name), (new, new_name) = self._place(source), self._place(target)
        if name not in old.names:
            raise error(errno.ENOENT, source)
        if new_name in new.names:
            raise error(errno.EEXIST, target)
        if self._device(source) != self._device(target):
            raise error(errno.EXDEV, source)
        self._set(new, new_name, old.names[name])

    def unlink(self, path: bytes) -> None:
        self._step("unlink", path)
        folder, name = self._place(path)
        if name not in folder.names:
            raise error(errno.ENOENT, path)
        if isinstance(folder.names[name], Folder):
            raise error(errno.EISDIR, path)
        self._set(folder, name, None)

    def mkdir(self, path: bytes) -> None:
        self._step("mkdir", path)
        folder, name = self._place(path)
        if name in folder.names:
            raise error(errno.EEXIST, path)
        self._set(folder, name, Folder(self._ino(), mtime_ns=self._tick()))

    def rmdir(self, path: bytes) -> None:
        self._step("rmdir", path)
        folder, name = self._place(path)
        if self._folder(path).names:
            raise error(errno.ENOTEMPTY, path)
        self._set(folder, name, None)

    def sync_dir(self, path: bytes) -> None:
        folder = self._folder(path)
        self._step("sync_dir", path)
        for rename in self.renames:
            if rename.is_folder and folder in (rename.old[0], rename.new[0]):
                for other, name, _step in (rename.old, rename.new):
                    other.past.pop(name, None)
        folder.past.clear()
        self.renames = [r for r in self.renames if folder not in (r.old[0], r.new[0])]

    def sync_many(self, paths: Sequence[bytes]) -> None:
        for path in paths:
            if isinstance(self._node(path), Folder):
                self.sync_dir(path)
            else:
                self.sync_file(path)

    def sync_file(self, path: bytes) -> None:
        file = self._file(path)
        self._step("sync_file", path)
        file.durable = file.data

    def sync_file_in_background(self, path: bytes) -> Iterator[None]:
        self.sync_file(path)
        yield

    def sync_tree_in_background(self, path: bytes) -> Iterator[None]:
        sync_tree(self, path)
        yield from ()

    def side_by_side(self, calls: Sequence[Callable[[], None]]) -> list[OSError | None]:
        errors: list[OSError | None] = []
        for call in calls:
            try:
                call()
                errors.append(None)
            except OSError as error:
                errors.append(error)
        return errors

    def unlink_in_background(self, path: bytes) -> Iterator[None]:
        self.unlink(path)
        yield

    def hold(self, path: bytes) -> ByPath:
        return ByPath(self, path)

    def is_at(self, fd: int, path: bytes) -> bool:
        try:
            return self._node(path) is self._open[fd][0]
        except (FileNotFoundError, NotADirectoryError):
            return False

    def lock(self, path: bytes) -> int | None:
        if path in self._locks:
            return None
        fd = self.append(path)
        self._locks.add(path)
        return fd

    def lock_folder(self, path: bytes) -> int | None:
        if path in self._locks:
            return None
        self._folder(path)
        self._locks.add(path)
        return self._opened(File(0), path)

    def is_locked(self, path: bytes) -> bool:
        self._folder(path)
        return path in self._locks

    # -- what only looks --------------------------------------------------------------------------------------------------

    def _look(self, name: str, path: bytes) -> None:
        if self.dead:
            raise PowerLossError
        self.looks += 1
        self.before_look(self.looks, name, path)

    def lstat(self, path: bytes) -> Stat:
        self._look("lstat", path)
        return self.stat(path)

    def stat(self, path: bytes) -> Stat:
        """`lstat` for the test itself."""
        node = self._node(path)
        size = len(node.data) if isinstance(node, File) else 0
        return Stat(node.kind, self._device(path), node.ino, size, node.mtime_ns)

    def scan(self, path: bytes) -> list[DirEntry]:
        self._look("scan", path)
        return [DirEntry(name, node.kind) for name, node in self._folder(path).names.items()]

    def read(self, path: bytes, limit: int) -> bytes:
        self._look("read", path)
        return self._file(path).data[:limit]

    def digest(self, path: bytes) -> str:
        self._look("digest", path)
        return hashlib.sha256(self._file(path).data).hexdigest()

    def digest_in_pieces(self, path: bytes) -> Iterator[str | None]:
        yield self.digest(path)

    def grant_owner_access(self, path: bytes) -> None:
        """Do nothing: there are no modes here."""

    def tree(self, path: bytes) -> Iterator[TreeEntry]:
        left: list[tuple[list[bytes], bytes]] = [([], path)]
        for trail, folder in left:
            for entry in self.scan(folder):
                child = os.path.join(folder, entry.name)
                size = self.lstat(child).size
                yield TreeEntry(trail, entry.name, entry.kind, size, size)
                if entry.kind == "directory":
                    left.append(([*trail, entry.name], child))

    def free_bytes(self, path: bytes) -> int:
        return 1 << 40

    def free_files(self, path: bytes) -> int | None:
        return None

    # -- other programs and people ----------------------------------------------------------------------------------------

    def put(self, path: bytes, data: bytes) -> None:
        """Create a durable file as somebody else."""
        folder, name = self._place(path)
        now = self._tick()
        folder.names[name] = File(self._ino(), data, data, now)
        self._for_good(folder, name)

    def make(self, path: bytes) -> None:
        """Create a durable folder as somebody else."""
        folder, name = self._place(path)
        folder.names[name] = Folder(self._ino(), mtime_ns=self._tick())
        self._for_good(folder, name)

    def take(self, path: bytes) -> None:
        """Remove a file or folder durably, as somebody else."""
        folder, name = self._place(path)
        del folder.names[name]
        self._for_good(folder, name)

    def write_on(self, data: bytes, more: bytes) -> bool:
        """Write through somebody's open handle, wherever the file is now; `data` is its content so far. False if it is gone."""
        for _path, node in self.walk():
            if isinstance(node, File) and node.data == data:
                node.data = node.durable = more
                node.mtime_ns = self._tick()
                return True
        return False

    def carry(self, path: bytes, target: bytes) -> None:
        """Move a file durably, as somebody else."""
        node = self._file(path)
        self.take(path)
        folder, name = self._place(target)
        folder.names[name] = node
        self._for_good(folder, name)

    def _for_good(self, folder: Folder, name: bytes) -> None:
        """Make a name durable as it is now, and what was moved away from it durable where it went (third rule)."""
        folder.past.pop(name, None)
        for rename in [r for r in self.renames if r.old[:2] == (folder, name)]:
            self.renames.remove(rename)
            place, new_name, step = rename.new
            past = place.past.get(new_name, [])
            del past[:step]
            if len(past) == 1:
                del place.past[new_name]
            self.renames = [r.later(place, new_name, step) for r in self.renames]

    def read_file(self, path: bytes) -> bytes:
        """`read` for the test itself."""
        return self._file(path).data

    def walk(self, path: bytes = b"/") -> Iterator[tuple[bytes, Node]]:
        """Every path and what is there."""
        yield from _below(path.rstrip(b"/"), self._folder(path))

    # -- crashes ----------------------------------------------------------------------------------------------------------

    def copy_disk(self) -> "SimDisk":
        """A copy of the disk with the same unsynced changes; nothing is open or locked on it."""
        disk = SimDisk()
        disk._inos, disk.clock_ns, disk.inbox_device = self._inos, self.clock_ns, self.inbox_device
        twins: dict[int, Node] = {}
        disk.root = _twin(self.root, twins)
        disk.renames = [
            Rename(_moved(r.old, twins), _moved(r.new, twins), r.is_folder)
            for r in self.renames
            if id(r.old[0]) in twins and id(r.new[0]) in twins
        ]
        return disk

    def after_kill(self) -> "SimDisk":
        """Only the process died: everything written is there, and unsynced changes are still unsynced."""
        return self.copy_disk()

    def after_power_loss(self, chance: random.Random | None = None, *, keep: float = 0.0) -> "SimDisk":
        """What is on the disk. Without `chance`, nothing unsynced; with it, each change survives with probability `keep`."""
        disk = self.copy_disk()
        chosen: dict[tuple[int, bytes], int] = {}
        folders = list(_folders(disk.root))
        for folder in folders:
            for name, past in folder.past.items():
                stays = chance is not None and chance.random() < keep
                chosen[id(folder), name] = chance.randrange(1, len(past)) if chance and stays else 0
        _keep_renames(disk.renames, chosen)
        for folder in folders:
            for name, past in folder.past.items():
                node = past[chosen[id(folder), name]]
                if node is None:
                    folder.names.pop(name, None)
                else:
                    folder.names[name] = node
            folder.past = {}
        disk.renames = []
        for file in {id(node): node for _, node in disk.walk() if isinstance(node, File)}.values():
            file.data = file.durable = _torn(file, chance, keep)
        return disk


def _below(path: bytes, folder: Folder) -> Iterator[tuple[bytes, Node]]:
    for name, node in list(folder.names.items()):
        child = path + b"/" + name
        yield child, node
        if type(node) is Folder:
            yield from _below(child, node)


def _twin(node: Node, twins: dict[int, Node]) -> Node:
    if id(node) in twins:
        return twins[id(node)]
    if isinstance(node, File):
        twins[id(node)] = twin = File(node.ino, node.data, node.durable, node.mtime_ns)
    elif isinstance(node, Link):
        twins[id(node)] = twin = Link(node.ino, node.mtime_ns)
    else:
        twins[id(node)] = twin = Folder(node.ino, mtime_ns=node.mtime_ns)
        twin.names = {name: _twin(child, twins) for name, child in node.names.items()}
        twin.past = {name: [child and _twin(child, twins) for child in past] for name, past in node.past.items()}
    return twin


def _moved(place: tuple[Folder, bytes, int], twins: dict[int, Node]) -> tuple[Folder, bytes, int]:
    folder, name, step = place
    return twins[id(folder)], name, step


def _folders(root: Folder) -> Iterator[Folder]:
    """All folders, including those that only exist in a name's history."""
    seen: set[int] = set()
    todo: list[Node | None] = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, Folder) and id(node) not in seen:
            seen.add(id(node))
            todo += [*node.names.values(), *(child for past in node.past.values() for child in past)]
            yield node


def _keep_renames(renames: list[Rename], chosen: dict[tuple[int, bytes], int]) -> None:
    """Undo departures without arrival, and arrivals of folders without departure, until all rules hold."""
    changed = True
    while changed:
        changed = False
        for rename in renames:
            old, new = (id(rename.old[0]), rename.old[1]), (id(rename.new[0]), rename.new[1])
            gone, there = chosen.get(old, 0) >= rename.old[2], chosen.get(new, 0) >= rename.new[2]
            if gone and not there:
                chosen[old] = rename.old[2] - 1
                changed = True
            elif rename.is_folder and there and not gone:
                chosen[new] = rename.new[2] - 1
                changed = True


def _torn(file: File, chance: random.Random | None, keep: float) -> bytes:
    """The content of a file of which only `durable` is certain."""
    if chance is None or file.data == file.durable:
        return file.durable
    shorter, longer = sorted((len(file.durable), len(file.data)))
    length = longer if chance.random() < keep else chance.randint(shorter, longer)
    old, new = file.durable.ljust(length, b"\0"), file.data.ljust(length, b"\0")
    pages = range(0, length, PAGE)
    return b"".join((new if chance.random() < keep else old)[at : at + PAGE] for at in pages)[:length]
