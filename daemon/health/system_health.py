"""Collects evidence about failures (`daemon.jobs.fault` judges it), and pauses the queue while the machine is at fault.

The questions are: are the program, its interpreter and its configuration still those that this daemon was started from? Is there
disk space? Can a file really be written into the outbox? Does a worker without a job (a canary) start and become ready? While
the queue pauses, the cause is checked again after growing pauses. Work resumes automatically when the cause is gone.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import Literal

from loguru import logger

from daemon.fs import FileSystem, write_new
from daemon.health.disk_space import DiskSpace
from daemon.jobs import fault
from daemon.jobs.fault import Cause, Evidence, Failure
from daemon.outbox import Outbox
from daemon.platform.memory import available_memory
from daemon.platform.reach import why_not_run
from daemon.supervisor import Supervisor

#: Seconds between two checks of the cause of a pause: short at first, because a person who fixed it does not want to wait; then
#: longer, so as not to keep a troubled machine busy.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
#: After this many seconds without a fault of the machine, the time between checks starts from the shortest again.
_WELL_SECONDS = 60.0
#: Seconds between two checks of the program's files. They are also checked before each start of a job.
_PROGRAM_SECONDS = 60.0
#: A program that is being replaced, file by file, counts as complete when no file has changed for this many seconds.
_SETTLE_SECONDS = 2.0
#: Seconds between two checks of whether the last job has ended, before a restart.
_BUSY_SECONDS = 0.5
#: After memory ran out, this many bytes must be free again: what the smallest job needs.
_ENOUGH_MEMORY = 500 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: Size of the test file in bytes: more than any file system stores within its metadata.
_PROBE_BYTES = 8192
_PROBE = b".multiplane-probe"

Undecided = Literal["undecided"]
UNDECIDED: Undecided = "undecided"


class Canary:
    """A worker without a job. It is started to find out whether workers can start; if they can, it becomes ready."""

    def __init__(self, outbox: Outbox, supervisor: Supervisor) -> None:
        self._outbox, self._supervisor = outbox, supervisor
        self._name: str | None = None
        #: Why the last canary did not become ready; None if it did.
        self.why_not: str | None = None

    @property
    def is_pending(self) -> bool:
        """Whether a canary is running and has not answered yet."""
        return self._name is not None

    def send(self) -> None:
        """Start a canary, unless one is running. If it cannot be started, `why_not` says why at once."""
        if self._name is not None:
            return
        try:
            self._name = self._outbox.new_attempt()
            # As a program: a template could fork workers even if no program could be started any more.
            self._supervisor.prepare(self._outbox.attempt(self._name), as_program=True)
        except OSError as error:
            self._end(why_not_run(sys.executable) or error.strerror or str(error))

    def look(self) -> None:
        """Check whether the canary became ready or died."""
        if self._name is None:
            return
        folder = self._outbox.attempt(self._name)
        seen = next((each for each in self._supervisor.warm_workers() if each.attempt == folder), None)
        if seen is None:
            self._end(self._supervisor.how_it_died(folder))
        elif seen.ready:
            self._supervisor.discard(folder)
            self._end(None)

    def _end(self, why_not: str | None) -> None:
        self.why_not = why_not
        if self._name is not None:
            with contextlib.suppress(OSError):  # it is hidden, and removed at the next start
                self._outbox.discard_attempt(self._name)
            self._name = None


class SystemHealth:
    """Finds out whether the machine is at fault for a failure, and pauses the queue while it is.

    Args:
        fs: the disk.
        outbox: where files are written to test the disk.
        room: the check of disk space.
        supervisor: starts canaries.
        program: returns a number that changes when the program on the disk changes.
        why_cannot_restart: returns a clause that says why the program on the disk cannot start; None if it can.
        available: returns how many bytes of memory are available.
        clock: returns monotonic seconds.
        fresh_seconds: jobs may start without another check of the program for so many seconds after the last.

    Attributes:
        restart: whether the daemon should restart with the program that is on the disk now.
    """

    def __init__(
        self,
        fs: FileSystem,
        outbox: Outbox,
        room: DiskSpace,
        supervisor: Supervisor,
        *,
        program: Callable[[], int],
        why_cannot_restart: Callable[[], str | None],
        available: Callable[[], int] = available_memory,
        clock: Callable[[], float],
        fresh_seconds: float = 0.0,
    ) -> None:
        self._fs, self._outbox, self._disk_space = fs, outbox, room
        self._program, self._why_cannot_restart = program, why_cannot_restart
        self._available, self._clock = available, clock
        self._canary = Canary(outbox, supervisor)
        self._own = self._seen = program()
        self._fresh_seconds, self._program_at = fresh_seconds, clock()
        self._cause: Cause | None = None
        self._pause = _FIRST_PAUSE
        #: Whether a canary was sent to find out whether workers can start again.
        self._asked = False
        self._next, self._well_since = clock() + _PROGRAM_SECONDS, clock()
        self.restart = False

    @property
    def problem(self) -> str | None:
        """A clause that says why nothing is started; None if nothing is wrong."""
        return None if self._cause is None else self._cause.problem

    @property
    def hint(self) -> str | None:
        """What a person can do about the problem."""
        return None if self._cause is None else self._cause.hint

    # -- what the jobs ask ------------------------------------------------------------------------------------------------

    def may_start(self) -> bool:
        """Whether a job may start. Checks the program first, because it may have been replaced a moment ago."""
        is_fresh = self._clock() - self._program_at < self._fresh_seconds
        if self._cause is None and not is_fresh and self._is_program_changed():
            self.pause_for(fault.program_changed())
        return self._cause is None

    def judge(self, failure: Failure, *, ask: bool = True) -> Cause | Undecided | None:
        """The cause of a failure: None if the job is at fault, `UNDECIDED` if that depends on a canary that is running.

        If the machine is at fault, the queue pauses from now on. `ask`: whether a canary may be sent.
        """
        suspicious = failure.code in fault.SUSPICIOUS
        trouble = self._try_writing() if suspicious else None
        writing = None if trouble is None else trouble.strerror or str(trouble)
        if trouble is not None and trouble.errno in _NO_ROOM and self._disk_space.fills(failure.attempt):
            writing = None  # the attempt's own files filled the disk
        seen = Evidence(
            changed=self._is_program_changed(),
            full=suspicious and self._disk_space.lacks(failure.attempt),
            short=failure.held_when_refused is not None and self._available() < _ENOUGH_MEMORY,
            writing=writing,
        )
        cause = fault.judge(failure, seen)
        if cause is not None:
            self.pause_for(cause)
        elif suspicious and ask:
            self._canary.send()
            return self.answer(failure)
        return cause

    def answer(self, failure: Failure) -> Cause | Undecided | None:
        """The cause of an undecided failure, as `judge` returns it: `UNDECIDED` until the canary has answered."""
        if self._canary.is_pending:
            return UNDECIDED
        # The program may have been changed since the canary was sent.
        cause = fault.judge(failure, Evidence(changed=self._is_program_changed(), starting=self._canary.why_not))
        if cause is not None:
            self.pause_for(cause)
        return cause

    def pause_for(self, cause: Cause) -> None:
        """Pause the queue until this cause is gone. Does nothing for a full disk, which `DiskSpace` handles.

        If no worker starts under a changed program, the change is the cause.
        """
        if cause.kind == "room" or self._cause is not None:
            return
        if cause.kind == "start" and self._is_program_changed():
            cause = fault.program_changed()
        now = self._clock()
        if now - self._well_since >= _WELL_SECONDS:
            self._pause = _FIRST_PAUSE
        self._cause, self._next = cause, now + self._pause
        logger.warning("paused: {}", cause.problem)

    def doubt_disk(self) -> None:
        """Pause the queue if nothing can be written into the outbox. Call this when a result could not be published."""
        if self._cause is None and (trouble := self._try_writing()) is not None and trouble.errno not in _NO_ROOM:
            self.pause_for(fault.not_writable(trouble.strerror or str(trouble)))

    # -- time -------------------------------------------------------------------------------------------------------------

    def look(self, *, busy: bool) -> None:
        """If it is time, check whether the cause of the pause is still there, or whether the program changed.

        `busy`: whether a worker has a job.
        """
        self._canary.look()
        now = self._clock()
        if now < self._next or self._canary.is_pending:
            return
        if self._cause is None:
            self._next = now + _PROGRAM_SECONDS
            self.may_start()
        elif self._cause.kind == "program":
            self._look_at_program(now, busy=busy)
        elif self._cause.kind == "start":
            self._look_at_start(now)
        elif self._cause.kind == "writing":
            trouble = self._try_writing()
            self._again(now, None if trouble is None else fault.not_writable(trouble.strerror or str(trouble)))
        else:
            self._again(now, self._cause if self._available() < _ENOUGH_MEMORY else None)

    def next_look(self) -> float:
        """When to call `look` at the latest, in monotonic seconds.

        Infinite while a canary runs, because its answer wakes the loop, and while nothing is wrong: the loop calls `look` often
        enough anyway.
        """
        return float("inf") if self._canary.is_pending or self._cause is None else self._next

    def _look_at_program(self, now: float, *, busy: bool) -> None:
        program = self._program()
        if program == self._own:
            self._again(now, None)
        elif program != self._seen:
            self._seen, self._next = program, now + _SETTLE_SECONDS
        elif busy:
            self._next = now + _BUSY_SECONDS
        elif (why := self._why_cannot_restart()) is not None:
            self._again(now, fault.program_changed(why))
        else:
            logger.warning("the program or its configuration was changed: the daemon restarts")
            self.restart = True

    def _look_at_start(self, now: float) -> None:
        if self._is_program_changed():
            # Nothing is learned from a canary: workers of another program may never become ready under this daemon.
            self._asked = False
            self._again(now, fault.program_changed())
        elif self._asked:
            self._asked = False
            self._again(now, fault.no_start(self._canary.why_not) if self._canary.why_not is not None else None)
        else:
            self._asked, self._next = True, now
            self._canary.send()

    def _is_program_changed(self) -> bool:
        self._program_at = self._clock()
        return self._program() != self._own

    def _again(self, now: float, cause: Cause | None) -> None:
        """Note the result of a check: the cause found now, perhaps a different one than before; None if there is none."""
        if cause is None:
            logger.warning("work resumes; this is over: {}", self.problem)
            self._well_since, self._next = now, now + _PROGRAM_SECONDS
        else:
            if self._cause is not None and cause.problem != self._cause.problem:
                logger.warning("paused: {}", cause.problem)
            self._next = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._cause = cause

    def _try_writing(self) -> OSError | None:
        """Create a file where results are made, move it to where they are published, and remove it. Returns the error, if any.

        If the outbox is away, this does nothing and returns None: `FolderHealth` handles that.
        """
        if not self._outbox.is_healthy():
            return None
        shown = os.path.join(self._outbox.root, _PROBE)
        name: str | None = None
        try:
            name = self._outbox.new_attempt()
            made = os.path.join(self._outbox.attempt(name), b"probe")
            write_new(self._fs, made, os.urandom(_PROBE_BYTES), durable=True)
            self._fs.rename(made, shown)
            self._fs.unlink(shown)
        except OSError as error:
            return error
        finally:
            if name is not None:
                with contextlib.suppress(OSError):
                    self._outbox.discard_attempt(name)
        return None
