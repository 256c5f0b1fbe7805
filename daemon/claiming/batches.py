"""Batch folders: the id that their jobs share, and the removal of the folder when all its pictures are taken.

A plain folder inside a folder with a preset is a batch as well, only without a job.yaml.

The order of the removal:

1. Record `batch_closing`. If a crash follows, recovery completes the removal.
2. Rename job.yaml, if there is one, into the source/ of the batch's last job, and sync.
3. Remove the empty folder.
4. Record `batch_closed`.

If the folder contains anything but job.yaml and a file manager's hidden files, it stays: no file of a person is removed.
"""

import contextlib
import errno
import os
from collections.abc import Collection, Iterator
from datetime import datetime

from loguru import logger

from daemon.claiming.moving import Mover
from daemon.contract.batch_records import BatchClosed, BatchClosing
from daemon.contract.names import to_bytes, to_text
from daemon.fs import FileSystem, HeldFolder, Wanted
from daemon.intake.names import is_batch_file, is_system_file
from daemon.jobs.fold import Batch
from daemon.jobs.identity import generated_id
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox


class Batches:
    """The batch folders of one inbox."""

    def __init__(self, fs: FileSystem, inbox: bytes, ledger: Ledger, outbox: Outbox, mover: Mover) -> None:
        self._fs = fs
        self._inbox = inbox
        self._ledger = ledger
        self._outbox = outbox
        self._mover = mover

    def id_of(self, folder: bytes, now: datetime) -> str:
        """The id of the batch in this folder: a new one if none of its pictures has been taken yet.

        The id contains the time, so the same folder dropped again on another day is a new batch.
        """
        batch = self._ledger.jobs.batches.get(to_text(folder))
        return batch.batch if batch and not batch.closing else generated_id(folder.rpartition(b"/")[2] + b".", now)

    def close(self, folder: bytes) -> str | None:
        """End the batch in this folder, and remove the folder. Returns None if that worked, otherwise a clause that says why not.

        Raises:
            JournalError: the process must stop.
        """
        batch = self._ledger.jobs.batches.get(to_text(folder))
        if batch is None:
            return "its jobs are no longer known: remove it"
        try:
            if not self._outbox.has(batch.last_job):
                return f"its job.yaml stays because the folder of its last job, {batch.last_job}, is not in the outbox: remove it"
            with self._held(folder) as (_above, held):
                left = self._not_ours(held)
            if left is not None:
                return f"the folder stays because of {to_text(left)}"
            if not batch.closing:
                self._ledger.record(BatchClosing(job=batch.last_job, folder=batch.folder, batch=batch.batch))
            self._perform(batch)
        except OSError as error:
            return f"the folder cannot be removed: {error.strerror}"
        return None

    def recover(self) -> None:
        """Complete the removals that an earlier process began.

        Raises:
            JournalError: the process must stop.
        """
        for batch in [batch for batch in self._ledger.jobs.batches.values() if batch.closing]:
            try:
                self._perform(batch)
            except OSError as error:
                logger.warning("the batch folder {} cannot be removed yet: {}", batch.folder, error)

    def forget_all_but(self, folders: Collection[bytes]) -> None:
        """End every batch whose folder is not among `folders`: somebody removed it. A later folder of that name is a new batch.

        Raises:
            JournalError: the process must stop.
        """
        gone = [b for b in self._ledger.jobs.batches.values() if to_bytes(b.folder) not in folders]
        if gone:
            self._ledger.record(*(BatchClosed(job=batch.last_job, folder=batch.folder) for batch in gone))

    def _not_ours(self, folder: HeldFolder) -> bytes | None:
        """The first file that is neither job.yaml nor a file manager's, so the folder must stay. None if there is none."""
        names = [entry.name for entry in folder.scan()]
        return next((name for name in sorted(names) if not is_system_file(name) and not is_batch_file(name)), None)

    @contextlib.contextmanager
    def _held(self, name: bytes) -> Iterator[tuple[HeldFolder, HeldFolder]]:
        """The folder that contains a batch folder, and the batch folder itself, held open while the block runs."""
        with contextlib.ExitStack() as held:
            above = folder = held.enter_context(self._fs.hold(self._inbox))
            for part in name.split(b"/"):
                above, folder = folder, held.enter_context(folder.enter(part))
            yield above, folder

    def _perform(self, batch: Batch) -> None:
        name = to_bytes(batch.folder)
        try:
            with self._held(name) as (above, folder):
                if self._not_ours(folder) is None and self._outbox.has(batch.last_job):
                    self._file(folder, batch.last_job)
                    above.rmdir(name.rpartition(b"/")[2])
                    above.sync_dir()
                    logger.info(
                        "all pictures of the batch {} are taken; its empty folder was removed from the inbox", batch.folder
                    )
        except OSError as error:
            # The folder is gone, or somebody has just put something in it or in its place. Then it is that person's folder.
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        self._ledger.record(BatchClosed(job=batch.last_job, folder=batch.folder))

    def _file(self, folder: HeldFolder, job_id: str) -> None:
        """Move job.yaml into source/, and remove the hidden files that a file manager left in the folder."""
        with self._outbox.held_job(job_id, b"source") as source:
            for entry in folder.scan():
                if is_system_file(entry.name):
                    folder.unlink(entry.name)
                else:
                    found = folder.lstat(entry.name)
                    wanted = Wanted(found.size, found.mtime_ns, found.ino, found.dev)
                    self._mover.move_file(folder, entry.name, source, _free_name(source, entry.name), wanted)
            source.sync_dir()
            folder.sync_dir()


def _free_name(source: HeldFolder, name: bytes) -> bytes:
    """The name, with a number added if it is taken in source/."""
    stem, ending = os.path.splitext(name)
    taken = {entry.name for entry in source.scan()}
    names = (name, *(b"%s-%d%s" % (stem, number, ending) for number in range(2, len(taken) + 3)))
    return next(free for free in names if free not in taken)
