"""The spare: one worker that stands ready, so that the next job has a process of its own and does not wait for it.

When it is started matters on two cores: its imports are half a second of computing (several with a model) that a running job
would share its cores with. So it is started when nothing runs, or when the running job is about to end. (A lower priority for
the time of the imports would be no way out: an ordinary process may lower its priority, but not raise it again for the job.)

A spare belongs to no job and no record of the journal names it: after a crash its guardian ends it, its closed standard input
does so too, and the next start sweeps its folder.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from loguru import logger

from daemon.jobs.fold import Jobs
from daemon.outbox import Outbox
from daemon.service.installed import Installed
from daemon.settings import Settings
from daemon.supervisor import Supervisor
from daemon.supervisor.code import fingerprint
from daemon.supervisor.supervisor import Warm

#: How long before the end of the running job a spare is started, seconds: twice what its imports take on two busy cores.
LEAD_SECONDS: dict[Warm, float] = {"light": 2.0, "model": 10.0}
#: What a spare holds, bytes: measured 110 MB and 700 MB. Where less is free it gives way; it comes back at three times that.
_HOLDS: dict[Warm, int] = {"light": 150 << 20, "model": 800 << 20}
_COMES_BACK = 3
#: How often age and memory are looked at.
_LOOK_SECONDS = 10.0
#: After a spare died or could not be started: one attempt a minute keeps a broken installation from keeping the machine busy.
_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """The spare that there is: its attempt folder's name, what it has loaded, and the program it was started from."""

    name: str
    warm: Warm
    program: int


class Spares:
    """Keeps one spare, if the settings want one.

    Args:
        remaining: seconds until the running jobs are done, by the first of them; none if that is not known.
        available: bytes of memory that are free for use.
    """

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        jobs: Jobs,
        installed: Installed,
        supervisor: Supervisor,
        *,
        remaining: Callable[[], float | None],
        available: Callable[[], int] = lambda: int(psutil.virtual_memory().available),
        program: Callable[[], int] = fingerprint,
    ) -> None:
        self._settings, self._outbox, self._jobs, self._installed = settings, outbox, jobs, installed
        self._supervisor, self._remaining, self._available, self._program = supervisor, remaining, available, program
        self._spare: Waiting | None = None
        self._not_before = self._looked = float("-inf")

    def take(self) -> str | None:
        """The attempt folder whose worker stands ready, for the job that starts now; none if there is none."""
        spare = self._spare
        if spare is None or not self._is_alive(spare):
            return None
        if not os.path.isdir(self._outbox.attempt(spare.name)):
            self.discard("its folder is gone")
            return None
        if spare.program != self._program():
            self.discard("the program or its configuration changed")
            return None
        self._spare = None
        return spare.name

    def tend(self, now: float, *, wanted: bool = True) -> None:
        """See that there is a spare, and a good one. `now`: monotonic seconds; `wanted`: another job may come."""
        spare = self._spare
        if spare is not None and not self._is_alive(spare):
            self._forget(spare)
            self._not_before = now + _PAUSE_SECONDS
        elif spare is not None:
            self._judge(spare, now)
        if self._spare is None and wanted and self._settings.worker.spare and now >= self._not_before:
            self._prepare(now)

    def next_look(self, now: float) -> float:
        """When `tend` is due by time alone, monotonic seconds; the end of a running job is news of its own."""
        if self._spare is not None:
            return self._looked + _LOOK_SECONDS
        return self._not_before if self._settings.worker.spare and self._not_before > now else float("inf")

    def discard(self, why: str) -> None:
        """Do without the spare there is."""
        if self._spare is not None:
            logger.debug("the spare worker is let go: {}", why)
            self._supervisor.discard(self._outbox.attempt(self._spare.name))
            self._forget(self._spare)

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _is_alive(self, spare: Waiting) -> bool:
        return any(each.attempt == self._outbox.attempt(spare.name) for each in self._supervisor.spares())

    def _judge(self, spare: Waiting, now: float) -> None:
        wanted = self._warm()
        if wanted == "model" and spare.warm == "light" and self._jobs.processing and self._is_time(wanted):
            self.discard("the next job needs a model")
        elif now >= self._looked + _LOOK_SECONDS:
            self._looked = now
            age = next(each.age_seconds for each in self._supervisor.spares() if each.attempt == self._outbox.attempt(spare.name))
            if self._available() < _HOLDS[spare.warm]:
                self._not_before = now + _LOOK_SECONDS
                self.discard("memory is short")
            elif age >= self._settings.worker.spare_seconds:
                self.discard("it is old")
            elif spare.program != self._program():
                self.discard("the program or its configuration changed")

    def _prepare(self, now: float) -> None:
        warm = self._warm()
        if not self._is_time(warm):
            return
        if self._available() < _HOLDS[warm] * _COMES_BACK:
            self._not_before = now + _LOOK_SECONDS
            return
        try:
            name = self._outbox.new_attempt()
            self._spare = Waiting(name, warm, self._program())
            self._supervisor.prepare(self._outbox.attempt(name), warm=warm)
        except OSError as error:
            logger.warning("no spare worker can be started: {}", error.strerror)
            self._not_before = now + _PAUSE_SECONDS
            if self._spare is not None:
                self._forget(self._spare)
        self._looked = now

    def _is_time(self, warm: Warm) -> bool:
        """Nothing runs, or what runs is about to end."""
        if not self._jobs.processing:
            return True
        left = self._remaining()
        return left is not None and left <= LEAD_SECONDS[warm]

    def _warm(self) -> Warm:
        following = next(iter(self._jobs.queue), None)
        return "model" if following is not None and self._installed.needs_model(following) else "light"

    def _forget(self, spare: Waiting) -> None:
        self._spare = None
        try:
            self._outbox.discard_attempt(spare.name)
        except OSError as error:
            # Out of sight, and swept at the next start.
            logger.warning("cannot remove {}: {}", os.fsdecode(self._outbox.attempt(spare.name)), error)
