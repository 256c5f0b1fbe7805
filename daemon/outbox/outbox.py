"""The outbox folder: job folders, running attempts, and the views written into it."""

import contextlib
import errno
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

from daemon.contract.commands import SHORT, Commands
from daemon.contract.status import Status
from daemon.fs import FileSystem, HeldFolder, make_folders, removing_tree, write_atomic
from daemon.outbox.ownership import MARKER, Ownership
from daemon.outbox.status_files import Health

WORK = b".work"
_INDEX = b"index.html"
_RESULT = b"result"
#: Seconds of removing at a time. A worker may leave 200,000 files, and removing these takes two seconds or more.
_SLICE = 0.02


def _holds(folder: HeldFolder, name: bytes) -> bool:
    try:
        folder.lstat(name)
    except FileNotFoundError:
        return False
    return True


class NotDurableError(OSError):
    """The result is published, but a power loss might undo that."""


class Outbox:
    """What the daemon writes for people to see. All paths are bytes.

    Args:
        fs: the disk.
        root: the path of the outbox.
        clock: returns monotonic seconds.
        commands: fills in the commands in the views, so that they work in any terminal of the reader.
        ownership: tells whether the outbox belongs to another home. None: that does not matter, because nothing is changed.
    """

    def __init__(
        self,
        fs: FileSystem,
        root: bytes,
        clock: Callable[[], float] = time.monotonic,
        *,
        commands: Commands = SHORT,
        ownership: Ownership | None = None,
    ) -> None:
        self.fs = self._fs = fs
        self.root = root
        self.commands = commands
        self._ownership = ownership
        fs.publish_below(root)
        self.work = os.path.join(root, WORK)
        self._page = b""
        self._clock = clock
        #: Removals from .work/ that are not finished.
        self._leftovers: deque[Iterator[None]] = deque()

    def prepare(self) -> None:
        """Make the folders and the marker, if they are missing."""
        make_folders(self._fs, self.work)
        if self.is_marked():
            return
        if self._ownership is not None:
            self._ownership.take(self.root, durable=True)
        else:
            text = b"This marks the outbox of Multiplane. Please leave it here.\n"
            write_atomic(self._fs, os.path.join(self.root, MARKER), text, durable=True)

    def is_healthy(self) -> bool:
        """Whether the outbox is there, contains its marker, can be read, and does not belong to another home. Never raises."""
        try:
            return self.is_marked() if self._ownership is None else self._ownership.stranger(self.root) is None
        except OSError:
            return False  # no permission, a stale handle, a link to itself: whatever is read there now is not reliable

    def is_marked(self) -> bool:
        """Whether the outbox is there and contains its marker, whichever home it belongs to.

        Raises:
            OSError: this cannot be determined.
        """
        return self._exists(os.path.join(self.root, MARKER))

    def job(self, job_id: str, *more: bytes) -> bytes:
        """The path of a job's folder, or of something in it. `more`: the names below the folder."""
        return os.path.join(self.root, job_id.encode(), *more)

    def hold(self) -> HeldFolder:
        """Open the outbox, and hold it open. This is how to reach a folder that a person may have swapped for a link."""
        return self._fs.hold(self.root)

    def device(self) -> int:
        """The number of the file system that the outbox is on."""
        with self.hold() as held:
            return held.dev

    @contextlib.contextmanager
    def held_job(self, job_id: str, *more: bytes) -> Iterator[HeldFolder]:
        """Hold a job's folder, or a folder inside it, open while the block runs. `more`: the names that lead to the inner folder.

        Raises:
            NotADirectoryError: one of the folders is a link.
            OSError: a folder cannot be opened.
        """
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(self.hold())
            for name in (job_id.encode(), *more):
                folder = stack.enter_context(folder.enter(name))
            yield folder

    def has(self, job_id: str) -> bool:
        """Whether anything in the outbox has this job's name."""
        return self._exists(self.job(job_id))

    def has_folder(self, job_id: str) -> bool:
        """Whether the job's folder is in the outbox. A link in its place does not count."""
        try:
            return self._fs.lstat(self.job(job_id)).kind == "directory"
        except (FileNotFoundError, NotADirectoryError):
            return False

    def surely_has(self, job_id: str) -> bool:
        """Whether the outbox and the job's folder are certainly there. Never raises."""
        try:
            return self.is_healthy() and self.has(job_id)
        except OSError:
            return False

    def has_lost(self, job_id: str) -> bool:
        """Whether the job's folder is missing although the outbox is there.

        Raises:
            OSError: this cannot be determined.
        """
        return not self.has(job_id) and self.is_healthy()

    def has_status(self, job_id: str) -> bool:
        """Whether the job's status.json is there."""
        return self._exists(self.job(job_id, b"status.json"))

    def has_result(self, job_id: str) -> bool:
        """Whether the job's folder contains a `result`."""
        return self._exists(self.job(job_id, b"result"))

    def _exists(self, path: bytes) -> bool:
        try:
            self._fs.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    # -- attempts ---------------------------------------------------------------------------------------------------------

    def new_attempt(self) -> str:
        """Make the folder of an attempt, with its `tmp`. Returns its name in .work/."""
        self._ensure_work_folder()
        name = uuid.uuid4().hex
        self._fs.mkdir(self.attempt(name))
        self._fs.mkdir(os.path.join(self.attempt(name), b"tmp"))
        return name

    def _ensure_work_folder(self) -> None:
        """Make .work/ again if somebody removed it (on a share, for instance). Does nothing while the outbox is missing."""
        if not self._exists(self.work) and self.is_healthy():
            make_folders(self._fs, self.work)

    def attempt(self, name: str) -> bytes:
        """The path of an attempt's folder."""
        return os.path.join(self.work, name.encode())

    def may_have_folder(self, name: str) -> bool:
        """Whether the folder of an attempt is there, or cannot be looked for. A link or a file in its place does not count."""
        try:
            return self._fs.lstat(self.attempt(name)).kind == "directory"
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def has_attempt(self, name: str) -> bool:
        """Whether the result of an attempt is still in .work/."""
        return self._exists(os.path.join(self.attempt(name), b"result"))

    def making_durable(self, attempt: str) -> Iterator[None]:
        """Sync everything that the worker wrote, beside the caller. Yields, without waiting, until that is done."""
        return self._fs.sync_tree_in_background(os.path.join(self.attempt(attempt), b"result"))

    def publish_all(self, results: Sequence[tuple[str, str]]) -> list[OSError | None]:
        """`publish` for several jobs and their attempts, at little more than the cost of one. Returns the error of each."""
        return self._fs.side_by_side([partial(self.publish, job_id, attempt) for job_id, attempt in results])

    def publish(self, job_id: str, attempt: str) -> None:
        """Move an attempt's result into the job's folder with one rename, and sync. If an earlier call moved it, only sync.

        If something already has the name `result` there, it is not ours: it is moved into the attempt's folder, and removed
        with it.

        Raises:
            NotDurableError: the result was moved, but a power loss might undo that; try again later.
            OSError: the result was not moved.
        """
        with self.held_job(job_id) as job:
            if self.has_attempt(attempt):
                with self._fs.hold(self.attempt(attempt)) as made:
                    if made.lstat(_RESULT).kind != "directory":
                        raise NotADirectoryError(errno.ENOTDIR, "what the worker made is not a folder", made.path)
                    if _holds(job, _RESULT):
                        job.move(_RESULT, made, b"planted")
                    made.move(_RESULT, job, _RESULT)
            elif not _holds(job, _RESULT):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.attempt(attempt))
            try:
                job.sync_dir()
            except OSError as error:
                raise NotDurableError(error.errno, error.strerror) from error

    def discard_attempt(self, name: str) -> None:
        """Remove the folder of an attempt, as `remove` does."""
        self.remove(self.attempt(name))

    def remove(self, path: bytes) -> None:
        """Begin to remove something in .work/. What takes longer than a few milliseconds is left to `remove_more`.

        Raises:
            OSError: something cannot be removed; the next start tries again.
        """
        removing = removing_tree(self._fs, path)
        if not self._remove_until(self._clock() + _SLICE, removing):
            self._leftovers.append(removing)

    def remove_more(self) -> bool:
        """Continue removing for a few milliseconds. Returns whether there was anything to remove."""
        if not self._leftovers:
            return False
        try:
            if self._remove_until(self._clock() + _SLICE, self._leftovers[0]):
                self._leftovers.popleft()
        except OSError as error:
            self._leftovers.popleft()
            self._report_leftover(error)
        return True

    def _remove_until(self, until: float, removing: Iterator[None]) -> bool:
        """Remove until this time. Returns whether everything is removed."""
        return all(self._clock() <= until for _ in removing)

    def sweep(self, keep: Collection[str]) -> None:
        """Begin to remove everything that an earlier process left in .work/, except the folders in `keep`.

        What takes longer than a few milliseconds is left to `remove_more`.
        """
        until = self._clock() + _SLICE
        for entry in self._fs.scan(self.work):
            if os.fsdecode(entry.name) not in keep:
                removing = removing_tree(self._fs, os.path.join(self.work, entry.name))
                try:
                    if self._clock() > until or not self._remove_until(until, removing):
                        self._leftovers.append(removing)
                except OSError as error:
                    self._report_leftover(error)

    def _report_leftover(self, error: OSError) -> None:
        """Log that something in .work/ stays. It is in a hidden folder, and the next start tries again."""
        from loguru import logger  # verbs use this class, write no log, and would wait 25 ms for this import

        logger.warning("cannot remove a leftover in {}: {}", os.fsdecode(self.work), error)

    # -- removal ----------------------------------------------------------------------------------------------------------

    def move_aside(self, job_id: str) -> bytes | None:
        """Move a job's folder into .work/ with one rename, and sync. Returns its new path; None if there was no folder."""
        self._ensure_work_folder()
        target = os.path.join(self.work, b"removed-" + uuid.uuid4().hex.encode())
        try:
            self._fs.rename(self.job(job_id), target)
        except FileNotFoundError:
            return None
        self._fs.sync_dir(self.root)
        return target

    def move_result_aside(self, job_id: str) -> bytes | None:
        """Move a job's result into .work/ with one rename, and sync. Returns its new path; None if there was no result."""
        self._ensure_work_folder()
        name = b"removed-" + uuid.uuid4().hex.encode()
        try:
            with self.held_job(job_id) as job, self._fs.hold(self.work) as work:
                job.move(_RESULT, work, name)
                job.sync_dir()
        except FileNotFoundError:
            return None
        return os.path.join(self.work, name)

    # -- views ------------------------------------------------------------------------------------------------------------

    def as_json(self, status: Status) -> bytes:
        """The content of a job's status.json, with the commands in its sentences filled in."""
        return self.commands.fill_all(status).model_dump_json(indent=2).encode() + b"\n"

    def write_status(self, status: Status, *, durable: bool = False) -> None:
        """Write a job's status.json. With `durable`, sync it."""
        data = self.as_json(status)
        with self.held_job(status.job_id) as folder:
            write_atomic(folder, b"status.json", data, durable=durable)

    def write_statuses(self, statuses: Sequence[Status]) -> list[OSError | None]:
        """`write_status`, durably, for several jobs, at little more than the cost of one. Returns the error of each."""
        return self._fs.side_by_side([partial(self.write_status, status, durable=True) for status in statuses])

    def write_health(self, health: Health) -> None:
        """Write daemon.json."""
        data = self.commands.fill_all(health).model_dump_json(indent=2).encode()
        write_atomic(self._fs, os.path.join(self.root, b"daemon.json"), data, durable=False)

    def write_index(self, page: str) -> None:
        """Write index.html if `page` differs from what was last written, or if the file is missing."""
        if page.encode() != self._page or not self.has_index():
            write_atomic(self._fs, os.path.join(self.root, _INDEX), page.encode(), durable=False)
            self._page = page.encode()

    def has_index(self) -> bool:
        """Whether index.html is there."""
        return self._exists(os.path.join(self.root, _INDEX))
