"""Keeps a warm worker: a process that has already loaded its libraries, so that the next job need not wait for the loading.

Loading takes half a second of computing for the imports, and several seconds with a model. On a machine with two cores this
would slow down a running job. So a warm worker is started when nothing runs, or shortly before the running job ends. That lead
time depends on how long recent warm workers took to become ready. (A lower priority during the imports would not help: an
ordinary process can lower its priority, but cannot raise it again for the job.)

A warm worker belongs to no job, and no record of the journal names it. If the daemon crashes, the guardian kills the worker, and
the worker also ends when its standard input is closed. The next start removes its folder.
"""

import os
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from daemon.contract.messages import Warm
from daemon.contract.records import Job
from daemon.jobs.fold import Jobs
from daemon.outbox import Outbox
from daemon.platform.memory import available_memory
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.supervisor import Supervisor, WarmWorker
from daemon.troubles import Troubles

#: How many seconds before the end of the running job a warm worker is started, as long as it is unknown how long it takes to
#: become ready: twice the time of its imports on two busy cores.
LEAD_SECONDS: dict[Warm, float] = {"light": 2.0, "depth": 12.0, "painting": 15.0}
#: The kinds in order: each loads everything that the one before it loads, and more.
_KINDS = tuple(LEAD_SECONDS)
#: Once that time is known, a warm worker is started before the end by `_LEAD_SHARE` times the median of the `_LAST_FEW` times:
#: the end of a job is predicted to within about a quarter.
_LEAD_SHARE, _LAST_FEW, _LONGEST_LEAD = 1.5, 5, 60.0
#: Bytes that a warm worker holds: 110, 460 and 530 MB were measured. If less memory is available, it is dismissed; another one is
#: started when three times that is available.
_HOLDS: dict[Warm, int] = {"light": 150 << 20, "depth": 500 << 20, "painting": 600 << 20}
_COMES_BACK = 3
#: The shortest time in seconds between two checks of whether to start one.
_LEAST_PAUSE = 0.05
#: Seconds between two checks of the warm worker's age and of the available memory.
_LOOK_SECONDS = 10.0
#: Seconds between two checks of the program's files. There are about 200, so frequent checks would be half of an idle daemon's
#: work. They are also checked before a warm worker gets a job.
_PROGRAM_SECONDS = 60.0
#: Seconds until another is started after a warm worker died or could not be started: a broken installation must not keep the
#: machine busy.
_PAUSE_SECONDS = 60.0
_SPARE = "the spare"


@dataclass(frozen=True, slots=True)
class KeptWorker:
    """The warm worker: the name of its attempt folder, what it loads, and the program and folders it was started with."""

    name: str
    warm: Warm
    program: tuple[object, ...]


class WarmWorkers:
    """Keeps one warm worker, if the settings ask for one.

    Args:
        settings: the home's settings.
        outbox: where attempt folders are.
        jobs: all jobs, to find the running ones and the next one.
        inventory: the installed models.
        supervisor: starts and ends workers.
        remaining: returns the seconds until the first of the running jobs is done; None if unknown.
        program: returns a number that changes with the program on the disk.
        available: returns how many bytes of memory are available.
    """

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        jobs: Jobs,
        inventory: ModelInventory,
        supervisor: Supervisor,
        *,
        remaining: Callable[[], float | None],
        program: Callable[[], int],
        available: Callable[[], int] = available_memory,
    ) -> None:
        self._settings, self._outbox, self._jobs, self._inventory = settings, outbox, jobs, inventory
        self._supervisor, self._remaining, self._available, self._program = supervisor, remaining, available, program
        self._spare: KeptWorker | None = None
        self._wanted = self._ready = False
        self._troubles = Troubles()
        self._took: dict[Warm, deque[float]] = {warm: deque(maxlen=_LAST_FEW) for warm in LEAD_SECONDS}
        self._not_before = self._looked = self._program_looked = float("-inf")

    def lead_seconds(self, warm: Warm) -> float:
        """How many seconds before the end of the running job to start a worker with `warm`."""
        took = self._took[warm]
        return statistics.median(took) * _LEAD_SHARE if took else LEAD_SECONDS[warm]

    def take(self, asked: Warm) -> str | None:
        """Hand over the warm worker to a job that starts now and needs `asked`.

        Returns the name of the worker's attempt folder; None if the job needs a new worker. A warm worker that is still loading
        is handed over as well, unless it loads more than the job needs.
        """
        spare = self._spare
        seen = self._seen(spare) if spare is not None else None
        if spare is None or seen is None:
            return None
        if not self._outbox.may_have_folder(spare.name):
            self.discard("its folder is gone")
            return None
        if spare.program != self._started_from():
            self.discard("the program or its configuration changed")
            return None
        if not seen.ready and _KINDS.index(spare.warm) > _KINDS.index(asked):
            self.discard(f"it is still loading for {spare.warm}")
            return None
        if not seen.ready:
            # It was started too late: it needs at least this long to become ready.
            self._took[spare.warm].append(min(max(seen.age_seconds, self.lead_seconds(spare.warm)), _LONGEST_LEAD))
        self._spare = None
        return spare.name

    def maintain(self, now: float, *, wanted: bool = True) -> None:
        """Start, replace or dismiss the warm worker as needed.

        Args:
            now: monotonic seconds.
            wanted: whether another job may arrive.
        """
        self._wanted = wanted and self._settings.worker.spare
        spare = self._spare
        seen = self._seen(spare) if spare is not None else None
        if spare is not None and seen is None:
            self._forget(spare)
            self._not_before = now + _PAUSE_SECONDS
        elif spare is not None and seen is not None:
            self._judge(spare, seen, now)
        if self._spare is None and self._wanted and now >= self._not_before:
            self._prepare(now)

    def next_look(self, now: float) -> float:
        """When to call `maintain` at the latest, in monotonic seconds. The caller also calls it when a running job ends.

        A warm worker that is there needs no check at a certain time: the loop calls `maintain` often enough anyway.
        """
        if self._spare is not None:
            return float("inf")
        if not self._wanted or self._not_before > now:
            return self._not_before if self._wanted else float("inf")
        left = self._remaining()
        return float("inf") if left is None else now + max(left - self.lead_seconds(self._warm()), _LEAST_PAUSE)

    def discard(self, why: str) -> None:
        """Dismiss the warm worker, if there is one."""
        if self._spare is not None:
            logger.debug("the warm worker is dismissed: {}", why)
            self._supervisor.discard(self._outbox.attempt(self._spare.name))
            self._forget(self._spare)

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _seen(self, spare: KeptWorker) -> WarmWorker | None:
        """What the supervisor knows about the warm worker; None if it died."""
        folder = self._outbox.attempt(spare.name)
        return next((each for each in self._supervisor.warm_workers() if each.attempt == folder), None)

    def _judge(self, spare: KeptWorker, seen: WarmWorker, now: float) -> None:
        if seen.ready and not self._ready:
            self._ready = True
            self._took[spare.warm].append(min(seen.age_seconds, _LONGEST_LEAD))
        wanted = self._warm()
        if _KINDS.index(wanted) > _KINDS.index(spare.warm) and self._jobs.processing and self._is_time(wanted):
            self.discard(f"the next job asks for more than {spare.warm}")
        elif now >= self._looked + _LOOK_SECONDS:
            self._looked = now
            if self._available() < _HOLDS[spare.warm]:
                self._not_before = now + _LOOK_SECONDS
                self.discard("memory is short")
            elif seen.age_seconds >= self._settings.worker.spare_seconds:
                self.discard("it is old")
            elif now >= self._program_looked + _PROGRAM_SECONDS:
                self._program_looked = now
                if spare.program != self._started_from():
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
            self._spare = KeptWorker(name, warm, self._started_from())
            self._ready, self._program_looked = False, now
            self._supervisor.prepare(self._outbox.attempt(name), warm=warm)
            self._troubles.over(_SPARE)
        except OSError as error:
            self._troubles.tell(_SPARE, f"no warm worker can be started: {error.strerror}")
            self._not_before = now + _PAUSE_SECONDS
            if self._spare is not None:
                self._forget(self._spare)
        self._looked = now

    def _is_time(self, warm: Warm) -> bool:
        """Whether to start a warm worker now: no job runs, or the first of the running ones is about to end.

        If the end is unknown, as for the first job of a kind, the answer is yes if another job waits. The start takes part of a
        core from the running job for a while, but otherwise the next job would wait for the whole start.
        """
        if not self._jobs.processing:
            return True
        left = self._remaining()
        return self._following() is not None if left is None else left <= self.lead_seconds(warm)

    def _started_from(self) -> tuple[object, ...]:
        """What a worker started now depends on: the program, and the folders that its sandbox admits.

        If either changes, a warm worker started before the change must not be used.
        """
        return self._program(), self._inventory.identities()

    def _following(self) -> Job | None:
        return next(iter(self._jobs.queue), None)

    def _warm(self) -> Warm:
        following = self._following()
        return "light" if following is None else self._inventory.warm_for(following)

    def _forget(self, spare: KeptWorker) -> None:
        self._spare = None
        try:
            self._outbox.discard_attempt(spare.name)
        except OSError as error:
            # The folder is hidden, and the next start removes it.
            logger.warning("cannot remove {}: {}", os.fsdecode(self._outbox.attempt(spare.name)), error)
