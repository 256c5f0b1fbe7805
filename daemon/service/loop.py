"""The daemon's loop: gathers events, lets the pure modules decide, and acts. It has one thread; observers only wake it."""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Iterator
from types import FrameType

from loguru import logger

from daemon.contract.commands import command
from daemon.following.deliveries import DELIVERY_HINT
from daemon.health.disk_space import DiskSpace
from daemon.health.folder_health import FolderHealth
from daemon.journal import JournalError
from daemon.platform.notify.systemd import Notifier
from daemon.running.publishing import KEPT_HINT
from daemon.running.recovery import Recovery
from daemon.service.parts import Home, Machine, Parts
from daemon.troubles import Troubles
from daemon.watch import HEALTH_SECONDS
from daemon.watch.folder_watch import FolderWatch

#: Exit status when the journal cannot be written: EX_IOERR of sysexits.h.
EXIT_JOURNAL = 74
#: Exit status for a restart with a new program. sysexits.h does not define it, so launchd and systemd take it for an ordinary
#: failure and start the service again.
EXIT_RESTART = 80
#: Seconds until the next pass, if there are jobs left that end without a worker.
_OWED_SECONDS = 0.01
#: Seconds until the next pass, if nothing is left to do for results but to wait for the disk.
_SYNC_SECONDS = 0.01
#: Seconds between two tries while the disk reports errors.
_TROUBLED_SECONDS = 1.0
_RECOVERY = "recovery"


class Service:
    """The daemon of one home, from its start to its end. `daemon.service.assembly.assemble` builds it."""

    def __init__(self, home: Home, machine: Machine, parts: Parts, folder_health: FolderHealth, disk_space: DiskSpace) -> None:
        self._fs, self._boot, self._journal = home.fs, home.boot_id, home.journal
        self._ledger, self._outbox = home.ledger, home.outbox
        self._selector, self._wakeup = machine.selector, machine.wakeup
        self._executor, self._system_health = parts.executor, machine.system_health
        self._folder_health, self._disk_space = folder_health, disk_space
        self._runs, self._views, self._folder, self._claims = parts.runs, parts.views, parts.folder, parts.claims
        self._copies = parts.copies
        self._batches, self._trash_actions, self._requests = parts.batches, parts.trash_actions, parts.requests
        self._notifications, self._warm_workers = parts.notifications, parts.warm_workers
        self._deliveries, self._hooks, self._retention = parts.deliveries, parts.hooks, parts.retention
        self._metrics = parts.metrics
        self._request_watch = FolderWatch(home.settings.paths.requests_bytes, self._wakeup.wake)
        self._notifier = Notifier(os.environ)
        self._stop_signal: int | None = None
        self._once = self._recovered = self._published = self._removing = self._copying = False
        self._health_at = float("-inf")
        #: Why nothing can be done now: a folder is missing, or the home could not be recovered yet.
        self._problem: str | None = None
        self._absent: str | None = None
        self._troubles = Troubles()

    # -- the loop -----------------------------------------------------------------------------------------------------------

    def run(self, *, once: bool = False) -> int:
        """Work until a signal says stop or, with `once`, until inbox and queue are empty.

        Returns:
            The exit status: 0; 1 if `once` and a job failed; `EXIT_JOURNAL` if the journal cannot be written; `EXIT_RESTART` if
                the daemon should restart because the program on the disk was changed.
        """
        self._once = once
        try:
            with self._listening():
                while self._stop_signal is None and not self._system_health.restart:
                    self._pass(time.monotonic())
                    self._notifier.loop_ran(time.monotonic())
                    if once and self._is_done():
                        self._log_what_waits()
                        break
                    self._wait(time.monotonic())
                self._stop()
        except JournalError as error:
            # Nothing can be recorded any more. When this process ends, the guardians end the workers; the next start recovers.
            logger.critical("{}; the daemon stops. {}", error, error.hint)
            self._views.say("stopped", str(error), error.hint)
            self._views.refresh(time.monotonic(), force=True)
            self._metrics.write()
            return EXIT_JOURNAL
        if self._system_health.restart and self._stop_signal is None:
            return EXIT_RESTART
        return 1 if once and self._runs.failures else 0

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Listen to signals, the wake-up pipe, the requests folder and the inbox while the block runs."""
        self._selector.register(self._wakeup.read_end, selectors.EVENT_READ, self._wakeup.drain)
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        previous_fd = signal.set_wakeup_fd(self._wakeup.write_end, warn_on_full_buffer=False)
        # Watch the inbox first: if the system can give only one more observer, it is most useful there.
        self._folder.watch.start()
        self._request_watch.ensure_watching()
        try:
            yield
        finally:
            self._folder.watch.stop()
            self._request_watch.stop()
            signal.set_wakeup_fd(previous_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.unregister(self._wakeup.read_end)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop_signal = number

    def _wait(self, now: float) -> None:
        """Sleep until something happens or is due.

        What is due at regular times is due when the folders are checked: one wake-up for all of it. Waking a processor that
        rested for seconds may cost an idle daemon more than the work itself. The other times here are those of work in hand.
        """
        due = [self._health_at, self._views.next_write()]
        if self._published or self._removing or self._copying:
            # A result is half checked, files are half copied or removed; or a job ended, so more may be due.
            syncing = self._published and not (self._removing or self._copying) and self._runs.results.only_sync
            due.append(now + _SYNC_SECONDS if syncing else now)
        jobs = self._ledger.jobs
        if self._recovered and self._problem is None:
            due.append(self._folder.next_turn(now, woken=self._wakeup.is_set))
            if len(jobs.workerless) > 0:
                due.append(now + (_OWED_SECONDS if self._runs.problem is None else _TROUBLED_SECONDS))
            due += [part.next_look(now) for part in (self._deliveries, self._hooks, self._retention)]
        if (deadline := self._executor.next_deadline()) is not None:
            due.append(deadline)
        if (pause := self._runs.pauses.next_end()) is not None:
            due.append(now + pause)
        if self._runs.settling.unsettled:
            due.append(now + 1.0)
        due += [self._warm_workers.next_look(now), self._disk_space.next_look(now), self._system_health.next_look()]
        for key, mask in self._selector.select(max(0.0, min(due) - now)):
            key.data(mask)

    def _pass(self, now: float) -> None:
        """Do everything that is due."""
        self._executor.tick()
        if is_regular := now >= self._health_at:
            self._check_health(now)
            self._views.report_alive()
        if self._problem is None:
            self._disk_space.look(now)
            self._system_health.look(busy=self._runs.is_busy())
            self._runs.failure_handler.judge()
            self._folder.close(self._disk_space.problem)
            if not self._recovered and not self._recover():
                return
            if is_regular or self._wakeup.is_set or (self._requests.held and not self._ledger.jobs.uncopied):
                self._requests.handle()
            self._copying = self._disk_space.problem is None and self._copies.advance()
            if now >= self._folder.next_turn(now, woken=self._wakeup.is_set):
                if self._folder.turn(now, woken=self._wakeup.is_set, clock=time.monotonic):
                    self._wakeup.answered()
                self._views.show_waiting(self._folder.waiting())
            self._runs.end_without_worker()
            if self._disk_space.problem is None and self._system_health.problem is None:
                self._runs.start_next()
            self._views.show_lacking(self._executor.lacking)
            self._runs.forecast.count_down()
            more = not self._once or self._ledger.jobs.pending > 0
            self._warm_workers.maintain(now, wanted=more and self._executor.is_here and self._system_health.problem is None)
            self._report_state()
            self._views.show_polled(self._folder.watch.polled)
            self._report_faults()
        self._published = self._runs.check_and_publish()
        self._removing = self._outbox.remove_more()
        if self._recovered and self._problem is None:
            self._deliveries.look(now)
            self._hooks.look(now)
            self._retention.look(now)
        self._notifications.look()
        self._views.refresh(time.monotonic())
        self._metrics.look(now)

    def _report_state(self) -> None:
        """Report whether the daemon is running or paused, and why."""
        room, system_health, runs = self._disk_space, self._system_health, self._runs
        if halt := room.problem or system_health.problem or runs.problem:
            trouble = self._executor.trouble
            kept = KEPT_HINT if halt == runs.results.kept else trouble.hint if trouble and halt == trouble.problem else None
            self._views.say("paused", halt, room.hint or system_health.hint or kept)
            return
        waits = self._folder.reason_to_wait() or self._copies.reason_to_wait()
        undelivered = self._deliveries.problem()
        problem = "; ".join(filter(None, (waits or self._folder_health.degraded, undelivered)))
        hint = None if waits else self._folder_health.hint
        self._views.say("running", problem or None, hint or (DELIVERY_HINT if undelivered else None))

    def _report_faults(self) -> None:
        for fault in self._folder.watch.faults:
            logger.warning("{}", fault)
            self._views.fault(fault)
        self._folder.watch.faults.clear()

    def _check_health(self, now: float) -> None:
        """Check that inbox and outbox are there.

        While one of them is missing, no picture is claimed, no job starts or fails, and nothing is deleted.

        Raises:
            JournalError: the journal is no longer there.
        """
        self._health_at = now + HEALTH_SECONDS
        self._journal.check()
        before = self._absent
        self._absent = self._problem = self._folder_health.absence(self._folder.watch, self._request_watch, now)
        if self._absent != before:
            logger.warning("{}", self._absent or "the folders are there again")
        if self._problem:
            self._warm_workers.discard("its folder may be gone")
            self._views.say("offline", self._problem, self._folder_health.absence_hint)
        elif self._recovered:
            self._claims.try_again()
            self._runs.end_removed_returns()
            self._trash_actions.look()

    def _recover(self) -> bool:
        """Recover the home. Returns False if that must wait until the outbox can be read and written."""
        try:
            Recovery(self._fs, self._ledger, self._outbox, self._claims, self._runs, self._boot).perform()
        except OSError as error:
            self._problem = f"the outbox cannot be read or written: {error.strerror}"
            self._troubles.tell(_RECOVERY, self._problem)
            self._views.say(
                "offline", self._problem, "Make sure that the daemon may write there and that the disk has free space."
            )
            return False
        self._troubles.over(_RECOVERY)
        self._batches.recover()
        self._folder.remember(time.monotonic())
        self._notifications.catch_up()
        self._recovered = True
        return True

    def _is_done(self) -> bool:
        at_rest = self._recovered and self._problem is None and not self._ledger.jobs.live
        followed = self._deliveries.is_done() and self._hooks.is_done() and self._retention.is_done()
        return at_rest and followed and not self._removing and self._folder.is_done()

    def _log_what_waits(self) -> None:
        """Log how many items stay in the inbox, if any: with `once`, people might think that all were processed."""
        waiting = self._folder.waiting()
        rest = waiting.total
        if not rest:
            return
        first = waiting.items[0]
        what = "one item stays" if rest == 1 else f"{rest:,} items stay"
        more = "" if rest == 1 else f"; {command('waiting')} lists them all"
        logger.info("done; {} in the inbox: {} ({}){}", what, first.path, first.reason, more)

    def _stop(self) -> None:
        """Stop the workers and write the final state. A stopped job becomes pending again; its attempt does not count."""
        self._notifier.stopping()
        if self._stop_signal is not None:
            logger.info("stopping ({})", signal.Signals(self._stop_signal).name)
        self._hooks.stop()
        self._runs.begin_stop()
        self._warm_workers.discard("the daemon stops")
        self._executor.shutdown()
        self._runs.stop()
        self._deliveries.stop()
        self._views.say("starting" if self._system_health.restart else "stopped")
        self._views.refresh(time.monotonic(), force=True)
        self._metrics.write()
        self._journal.close()
