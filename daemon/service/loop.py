"""The daemon's loop: gather events, let the core decide, perform. One thread; observers only wake it."""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from types import FrameType

from loguru import logger

from daemon import __version__, clock
from daemon.claiming.batches import Batches
from daemon.claiming.claims import Claims
from daemon.claiming.moving import Mover
from daemon.contract.records import Job
from daemon.errors import Refusal
from daemon.fs import FileSystem, make_folders
from daemon.health.disk_space import DiskSpace
from daemon.health.folder_health import OFFLINE_HINT, FolderHealth
from daemon.health.world import World
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal, JournalError, hold_lock
from daemon.journal.ledger import Ledger
from daemon.notify.user_notifications import UserNotifications
from daemon.outbox import Outbox
from daemon.platform.mounts import mount_of
from daemon.platform.notify.systemd import Notifier
from daemon.platform.process import boot_id
from daemon.running.commands import threads
from daemon.running.model_inventory import ModelInventory
from daemon.running.publishing import KEPT_HINT
from daemon.running.recovery import Recovery
from daemon.running.runner import JobRunner
from daemon.running.sandbox_policy import fence, rules
from daemon.running.warm_workers import WarmWorkers
from daemon.service.hotfolder import HotFolder
from daemon.service.requests import Requests
from daemon.service.trash_actions import TrashActions
from daemon.settings import Settings
from daemon.supervisor import Supervisor, worker_argv
from daemon.views.view_writer import ViewWriter
from daemon.watch import HEALTH_SECONDS
from daemon.watch.bell import Bell

#: Exit status when the journal cannot be written: EX_IOERR of sysexits.h.
EXIT_JOURNAL = 74
#: Exit status when the daemon is to start anew. None of sysexits.h: to launchd and systemd it is a failure like any other, after
#: which they start the service again.
EXIT_ANEW = 80
#: Jobs that end without a worker are ended piece by piece, with the rest of the loop in between.
_OWED_SECONDS = 0.01
#: Jobs that ended last and are asked for to know the outbox by.
_PROVING = 20
#: So often while the disk fails them.
_TROUBLED_SECONDS = 1.0


class Service:
    """One home's daemon, from its start to its end.

    Args:
        settings: of the home.
        fs: the disk.
        argv: the command of a worker, if not the real one; one of one's own is not confined.

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
        if recovered.gap:
            logger.warning("the journal's history is not whole: {}; multiplane doctor says what to do", recovered.gap)
        self._outbox = Outbox(fs, paths.outbox_bytes)
        self._folder_health = presence = FolderHealth(fs, settings, self._outbox)
        if recovered.segment == 0:
            # Before the first segment: a start that is cut off in here begins from the beginning the next time.
            presence.prepare()
        self._journal.begin(recovered.segment + 1, recovered.next_seq, list(jobs.live.values()), jobs.batch_records())
        history = self._history = History(fs, paths.journal_bytes)
        presence.known = lambda: [*jobs.live.values(), *self._ended_before(_PROVING)]
        self._ledger = Ledger(self._journal, jobs)
        self._notifications = UserNotifications(settings, jobs, self._outbox)
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = os.pipe()
        self._notifier = Notifier(os.environ)
        self._stop_signal: int | None = None
        self._runs = JobRunner(fs, settings, self._ledger, self._outbox)
        self._views = ViewWriter(
            self._outbox, self._ledger, self._runs.progress, self._ended_before, settings.digest, self._runs.pauses.left
        )
        self._ledger.subscribe(self._views.heard, self._notifications.heard)
        mover = Mover(
            fs, paths.inbox_bytes, self._outbox, lambda: not mount_of(paths.inbox_bytes).network, settings.limits.max_image_bytes
        )
        self._batches = Batches(fs, paths.inbox_bytes, self._ledger, self._outbox, mover)
        self._claims = Claims(fs, settings, self._ledger, self._outbox, mover, self._batches, history.job)
        self._folder = HotFolder(fs, settings, self._ledger, self._claims, self._batches, self.wake)
        self._runs.settling.grew = lambda job: self._folder.was_incomplete(job, time.monotonic())
        self._runs.returns.told = lambda job: self._folder.came_back(job, time.monotonic())
        self._disk_space = DiskSpace(fs, settings, self._outbox)
        self._trash_actions = TrashActions(fs, self._ledger, self._outbox, self._runs, self._views)
        installed = ModelInventory(os.fspath(paths.models), paths.catalogue)
        make_folders(fs, os.fsencode(paths.models))  # the sandbox opens only folders that exist; models may come later
        self._supervisor = Supervisor(
            self._selector,
            fs,
            rules(settings, threads(settings)),
            argv=argv or worker_argv(),
            on_progress=self._runs.on_progress,
            on_end=self._runs.on_end,
            fence=None if argv else fence(settings, installed),
        )
        self._warm_workers = WarmWorkers(
            settings, self._outbox, jobs, installed, self._supervisor, remaining=self._runs.remaining
        )
        self._runs.bind(self._supervisor, self._warm_workers.take, installed.asked_of, lambda: reversed(self._views.shown()))
        self._runs.world = self._world = World(
            fs, self._outbox, self._disk_space, self._supervisor, busy=self._runs.is_busy, clock=time.monotonic
        )
        self._requests = Requests(fs, settings, self._ledger, self._outbox, self._runs, history.job, history.batch)
        self._requests_bell = Bell(paths.requests_bytes, self.wake)
        self._once = self._recovered = self._published = self._removing = False
        self._woken = True
        self._health_at = float("-inf")
        self._problem: str | None = None

    def _ended_before(self, most: int) -> Iterator[Job]:
        """The jobs that ended last. Damage in an old segment hides what is in it from the page; it stops no work."""
        try:
            yield from islice(self._history.backwards(), most)
        except Refusal as refusal:
            logger.warning("{}; the page cannot show older jobs", refusal.message)
        except OSError as error:
            logger.warning("the journal cannot be read: {}; the page cannot show older jobs", error.strerror)

    # -- the loop -----------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let the loop look at everything again; may be called from any thread."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well as one more byte
            os.write(self._rope, b"!")

    def run(self, *, once: bool = False) -> int:
        """Work until a signal says stop, or, with `once`, until inbox and queue are empty.

        Returns:
            The exit status: 0; 1 if `once` and a job failed; `EXIT_JOURNAL` if the journal cannot be written; `EXIT_ANEW` if the
            daemon is to start anew, since the program on the disk was changed.
        """
        self._once = once
        try:
            with self._listening():
                while self._stop_signal is None and not self._world.restart:
                    self._pass(time.monotonic())
                    self._notifier.went_round(time.monotonic())
                    if once and self._is_done():
                        self._tell_rest()
                        break
                    self._wait(time.monotonic())
                self._stop()
        except JournalError as error:
            # Nothing can be recorded any more; the guardians end the workers, the next start recovers.
            logger.critical("{}; the daemon stops, and goes on from the journal at its next start", error)
            self._views.say(
                "stopped", str(error), "Make sure that the disk of the state folder has room and works, then start again."
            )
            self._views.refresh(time.monotonic(), force=True)
            return EXIT_JOURNAL
        if self._world.restart and self._stop_signal is None:
            return EXIT_ANEW
        return 1 if once and self._runs.failures else 0

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Signals, the wake-up pipe, the requests' bell and the watch, for as long as the block runs."""
        for end in (self._bell, self._rope):
            os.set_blocking(end, False)
        self._selector.register(self._bell, selectors.EVENT_READ, self._drain)
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        rope_before = signal.set_wakeup_fd(self._rope, warn_on_full_buffer=False)
        # The inbox first: if the system has one observer left, it is worth most there.
        self._folder.watch.start()
        self._requests_bell.tend()
        try:
            yield
        finally:
            self._folder.watch.stop()
            self._requests_bell.stop()
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
        due = [self._health_at, self._views.next_write()]
        if self._published or self._removing:
            due.append(now)  # a result is only half checked; or a job ended: a spare to prepare, or the same job to begin again
        jobs = self._ledger.jobs
        if self._recovered and self._problem is None:
            due.append(self._folder.next_turn(now, woken=self._woken))
            if len(jobs.owed) > 0:
                due.append(now + (_OWED_SECONDS if self._runs.problem is None else _TROUBLED_SECONDS))
        if (deadline := self._supervisor.next_deadline()) is not None:
            due.append(deadline)
        if (pause := self._runs.pauses.next_end()) is not None:
            due.append(now + pause)
        if self._runs.settling.unsettled:
            due.append(now + 1.0)
        due += [self._warm_workers.next_look(now), self._disk_space.next_look(now), self._world.next_look()]
        for key, mask in self._selector.select(max(0.0, min(due) - now)):
            key.data(mask)

    def _pass(self, now: float) -> None:
        """One round: everything that is due."""
        self._supervisor.tick()
        if now >= self._health_at:
            self._check_health(now)
        if self._problem is None:
            self._disk_space.look(now)
            self._world.look()
            self._runs.blame.judge()
            self._folder.closed = self._disk_space.problem
            if not self._recovered and not self._recover():
                return
            self._requests.handle()
            if now >= self._folder.next_turn(now, woken=self._woken):
                if self._folder.turn(now, woken=self._woken, clock=time.monotonic):
                    self._woken = False
                self._views.show_waiting(*self._folder.waiting())
            self._runs.settle_accounts()
            if self._disk_space.problem is None and self._world.problem is None:
                self._runs.start_next()
            self._runs.forecast.count_down()
            more = not self._once or self._ledger.jobs.pending > 0
            self._warm_workers.tend(now, wanted=more and self._world.problem is None)
            self._say_how_it_is()
            self._views.show_polled(self._folder.watch.polled)
            self._tell_faults()
        self._published = self._runs.publish_made()
        self._removing = self._outbox.remove_more()
        self._notifications.look()
        self._views.refresh(time.monotonic())

    def _say_how_it_is(self) -> None:
        """Running or paused, and why."""
        room, world, runs = self._disk_space, self._world, self._runs
        if halt := room.problem or world.problem or runs.problem:
            self._views.say("paused", halt, room.hint or world.hint or (KEPT_HINT if halt == runs.results.kept else None))
        elif hindrance := self._folder.hindrance():
            self._views.say("running", hindrance)
        else:
            self._views.say("running", self._folder_health.degraded, self._folder_health.hint)

    def _tell_faults(self) -> None:
        for fault in self._folder.watch.faults:
            logger.warning("{}", fault)
            self._views.fault(fault)
        self._folder.watch.faults.clear()

    def _check_health(self, now: float) -> None:
        """Are inbox and outbox there? While they are not, nothing is taken, started, failed or deleted."""
        self._health_at = now + HEALTH_SECONDS
        before, self._problem = self._problem, self._folder_health.absence(self._folder.watch, self._requests_bell, now)
        if self._problem != before:
            logger.warning("{}", self._problem or "the folders are there again")
        if self._problem:
            self._warm_workers.discard("its folder may be gone")
            self._views.say("offline", self._problem, OFFLINE_HINT)
        elif self._recovered:
            self._claims.try_again()
            self._runs.look_for_returned()
            self._trash_actions.look()
            self._requests.tidy()

    def _recover(self) -> bool:
        """Put the home in order; false if that has to wait until the outbox can be read and written."""
        try:
            Recovery(self._fs, self._ledger, self._outbox, self._claims, self._runs, self._boot).perform()
        except OSError as error:
            self._problem = f"the outbox cannot be read or written: {error.strerror}"
            logger.warning("{}", self._problem)
            self._views.say("offline", self._problem, "Make sure that the daemon may write there and that the disk has room.")
            return False
        self._batches.recover()
        self._folder.remember(time.monotonic())
        self._notifications.catch_up()
        self._recovered = True
        return True

    def _is_done(self) -> bool:
        at_rest = self._recovered and self._problem is None and not self._ledger.jobs.live
        return at_rest and not self._removing and self._folder.is_done()

    def _tell_rest(self) -> None:
        """Say that not everything in the inbox was taken: whoever asked for `once` might think so."""
        _, rest = self._folder.waiting()
        if rest:
            what = "one item stays" if rest == 1 else f"{rest} items stay"
            logger.info("done; {} in the inbox (multiplane waiting says why)", what)

    def _stop(self) -> None:
        """Stop the workers, write the last words. A stopped job is no attempt: it is pending again at the next start."""
        self._notifier.stopping()
        if self._stop_signal is not None:
            logger.info("stopping ({})", signal.Signals(self._stop_signal).name)
        self._runs.stopping = True
        self._warm_workers.discard("the daemon stops")
        self._supervisor.shutdown()
        self._runs.stop()
        self._views.say("starting" if self._world.restart else "stopped")
        self._views.refresh(time.monotonic(), force=True)
        self._journal.close()
