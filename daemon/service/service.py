"""The daemon's loop: gather events, let the core decide, perform. One thread; observers only wake it."""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Iterator, Sequence
from types import FrameType

import psutil
from loguru import logger

from daemon import __version__, clock
from daemon.fs import FileSystem, make_folders, write_atomic
from daemon.jobs.fold import Jobs
from daemon.jobs.queue import next_retry_at
from daemon.journal import History, Journal, JournalError, hold_lock
from daemon.outbox import Outbox
from daemon.platform.process import boot_id
from daemon.service.board import Board
from daemon.service.claims import Claims
from daemon.service.hotfolder import HotFolder
from daemon.service.ledger import Ledger
from daemon.service.moving import Mover
from daemon.service.recovery import Recovery
from daemon.service.requests import Requests
from daemon.service.runs import Runs
from daemon.settings import Settings
from daemon.supervisor import Supervisor, SupervisorRules, worker_argv
from daemon.watch import HEALTH_SECONDS, MARKER
from daemon.watch.bell import Bell

#: Exit status when the journal cannot be written: EX_IOERR of sysexits.h.
EXIT_JOURNAL = 74


class Service:
    """One home's daemon, from its start to its end.

    Args:
        settings: of the home.
        fs: the disk.
        argv: the command of a worker.

    Raises:
        Refusal: another daemon runs here, or the journal is damaged.
    """

    def __init__(self, settings: Settings, fs: FileSystem, *, argv: Sequence[str] | None = None) -> None:
        self._settings = settings
        self._fs = fs
        paths = settings.paths
        make_folders(fs, paths.requests_bytes)
        hold_lock(fs, paths.lock_bytes, os.getpid())
        self._boot = boot_id()
        self._journal = Journal(fs, paths.journal_bytes, clock=clock.now, version=__version__, boot_id=self._boot)
        recovered = self._journal.recover()
        jobs = Jobs()
        for entry in recovered.entries:
            jobs.apply(entry)
        if recovered.report:
            logger.warning("{}", recovered.report)
        self._journal.begin(recovered.segment + 1, recovered.next_seq, list(jobs.live.values()))
        history = History(fs, paths.journal_bytes)
        self._outbox = Outbox(fs, paths.outbox_bytes)
        if recovered.segment == 0:
            self._prepare_home()
        self._ledger = Ledger(self._journal, jobs)
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = os.pipe()
        self._stop_signal: int | None = None
        self._runs = Runs(fs, settings, self._ledger, self._outbox, self._changed)
        self._board = Board(self._outbox, self._ledger, self._runs.progress, history.ended)
        mover = Mover(fs, paths.inbox_bytes, self._outbox)
        self._claims = Claims(fs, settings, self._ledger, self._outbox, mover, history.job)
        self._folder = HotFolder(fs, settings, self._claims, self.wake)
        self._supervisor = Supervisor(
            self._selector,
            fs,
            self._rules(),
            argv=argv or worker_argv(),
            on_progress=self._runs.on_progress,
            on_end=self._runs.on_end,
        )
        self._runs.bind(self._supervisor)
        self._requests = Requests(fs, settings, self._ledger, self._outbox, self._runs, history.job)
        self._recovered = False
        self._woken = True
        self._health_at = float("-inf")
        self._problem: str | None = None

    def _rules(self) -> SupervisorRules:
        worker = self._settings.worker
        return SupervisorRules(
            grace_seconds=worker.grace_seconds,
            shutdown_grace_seconds=worker.shutdown_grace_seconds,
            max_memory_bytes=int(psutil.virtual_memory().total * worker.max_memory_share),
            log_cap_bytes=int(worker.max_log_bytes),
            threads=self._runs.threads(),
        )

    def _prepare_home(self) -> None:
        """On the first start only: later a missing folder is an unmounted one, not to be made anew on the mount point."""
        inbox = self._settings.paths.inbox_bytes
        make_folders(self._fs, inbox)
        text = b"This marks the inbox of Multiplane. Please leave it here.\n"
        write_atomic(self._fs, os.path.join(inbox, MARKER), text, durable=True)
        self._outbox.prepare()

    def _changed(self, job_id: str) -> None:
        self._board.changed(job_id)

    # -- the loop -----------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let the loop look at everything again; may be called from any thread."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well as one more byte
            os.write(self._rope, b"!")

    def run(self, *, once: bool = False) -> int:
        """Work until a signal says stop, or, with `once`, until inbox and queue are empty.

        Returns:
            The exit status: 0; 1 if `once` and a job failed; `EXIT_JOURNAL` if the journal cannot be written.
        """
        try:
            with self._listening():
                while self._stop_signal is None and not (once and self._is_done()):
                    self._pass(time.monotonic())
                    self._wait(time.monotonic())
                self._stop()
        except JournalError as error:
            # Nothing can be recorded any more; the guardians end the workers, the next start recovers.
            logger.critical("{}; the daemon stops, and goes on from the journal at its next start", error)
            self._board.say(
                "stopped", str(error), "Make sure that the disk of the state folder has room and works, then start again."
            )
            self._board.refresh(time.monotonic(), force=True)
            return EXIT_JOURNAL
        return 1 if once and self._runs.failures else 0

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Signals, the wake-up pipe, the requests' bell and the watch, for as long as the block runs."""
        for end in (self._bell, self._rope):
            os.set_blocking(end, False)
        self._selector.register(self._bell, selectors.EVENT_READ, self._drain)
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        rope_before = signal.set_wakeup_fd(self._rope, warn_on_full_buffer=False)
        bell = Bell(self._settings.paths.requests_bytes, self.wake)
        self._folder.watch.start()
        try:
            yield
        finally:
            self._folder.watch.stop()
            bell.stop()
            signal.set_wakeup_fd(rope_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.unregister(self._bell)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop_signal = number

    def _drain(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._bell, 4096):
                self._woken = True

    def _wait(self, now: float) -> None:
        """Sleep until something happens or is due."""
        due = [self._health_at, self._board.next_write()]
        if self._recovered:
            due.append(self._folder.next_look(now, self._pending()))
        if (deadline := self._supervisor.next_deadline()) is not None:
            due.append(deadline)
        if (retry := next_retry_at(self._ledger.jobs.live.values())) is not None:
            due.append(now + max(0.0, retry - time.time()))
        if self._runs.unsettled:
            due.append(now + 1.0)
        for key, mask in self._selector.select(max(0.0, min(due) - now)):
            key.data(mask)

    def _pass(self, now: float) -> None:
        """One round: everything that is due."""
        self._supervisor.tick()
        if now >= self._health_at:
            self._check_health(now)
        if self._problem is None:
            if not self._recovered:
                self._recover()
            self._requests.handle()
            if self._woken or now >= self._folder.next_look(now, self._pending()):
                self._woken = False
                self._folder.look(now, self._pending())
            self._runs.settle_accounts()
            self._runs.start_next()
            self._board.show_waiting(self._folder.waiting(self._pending()))
            self._board.say("paused" if self._runs.problem else "running", self._runs.problem)
        self._board.refresh(time.monotonic())

    def _pending(self) -> int:
        return sum(job.state == "pending" for job in self._ledger.jobs.live.values())

    def _check_health(self, now: float) -> None:
        """Are inbox and outbox there? While they are not, nothing is taken, started, failed or deleted."""
        self._health_at = now + HEALTH_SECONDS
        health = self._folder.watch.health(now)
        before, self._problem = self._problem, None
        if health.state == "offline":
            self._problem = health.problem
        elif not self._outbox.is_healthy():
            self._problem = (
                f"{os.fsdecode(self._outbox.root)} is not there, or is not the outbox (its marker file .multiplane is missing)"
            )
        if self._problem != before:
            logger.warning("{}", self._problem or "the folders are there again")
        if self._problem:
            self._board.say("offline", self._problem, "Nothing is lost; work goes on as soon as the folder is back.")
        elif self._recovered:
            self._claims.finish([job for job in self._ledger.jobs.live.values() if not job.claimed], again=True)

    def _recover(self) -> None:
        Recovery(self._fs, self._ledger, self._outbox, self._claims, self._runs, self._boot).perform()
        self._recovered = True

    def _is_done(self) -> bool:
        return self._recovered and not self._ledger.jobs.live and self._folder.is_done()

    def _stop(self) -> None:
        """Stop the workers, write the last words. A stopped job is no attempt: it is pending again at the next start."""
        if self._stop_signal is not None:
            logger.info("stopping ({})", signal.Signals(self._stop_signal).name)
        self._runs.stopping = True
        self._supervisor.shutdown()
        self._board.say("stopped")
        self._board.refresh(time.monotonic(), force=True)
        self._journal.close()
