"""The executor that runs jobs on the machines of a cluster. `Connection` talks to them; this decides, in the daemon's one thread.

A job begins in two steps. First a seat is sought for it: until a machine has one, the job stays pending, and the journal says
nothing. Then the runner starts it like any other job, and the machine gets its order.
"""

import os
import selectors
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from loguru import logger

from daemon.cluster.files import described, shared_paths
from daemon.cluster.known_machines import KnownMachines
from daemon.cluster.machine.about import lists_mark
from daemon.cluster.messages import Order, program_mark
from daemon.cluster.network.connection import Connection, home_mark
from daemon.cluster.network.events import (
    Connected,
    Disconnected,
    MachinesSeen,
    Moved,
    Over,
    Printed,
    SeatLost,
    SeatTaken,
    SlotFree,
)
from daemon.cluster.network.transfer import Transfer
from daemon.cluster.placement import Fit, Machine, Seek, avoids_all, misplaced, seek
from daemon.cluster.security import security
from daemon.contract.commands import command as shown
from daemon.contract.records import Job, Process
from daemon.fs import FileSystem
from daemon.jobs.retry_pause import PauseLeft
from daemon.outbox import Outbox
from daemon.platform.memory import total_memory
from daemon.running.executor import JobListener, Place, Trouble
from daemon.running.job_command import command
from daemon.running.late_writes import Fingerprint
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.supervisor import Failed, Outcome, Stopped
from daemon.supervisor.joblog import JobLog
from daemon.wakeup import Wakeup

#: At most so many pending jobs are looked at, so that those behind jobs that wait for a certain machine get a turn as well.
_LOOKED_AT = 200
#: Events handled in one pass. The loop has other work.
_EVENTS_AT_ONCE = 500
#: Seconds to wait at a stop until the machines were told.
_STOP_SECONDS = 8.0


@dataclass(frozen=True)
class _Sought:
    """A seat that was asked for. `address`: where it was taken; None: not yet."""

    attempt: str
    seek: Seek
    address: str | None = None


@dataclass(frozen=True)
class _Running:
    """An attempt that has its order. `slot`: whether it still occupies its slot."""

    job_id: str
    attempt: str
    address: str
    log: JobLog
    slot: bool = True


class ClusterExecutor:
    """See `daemon.running.executor.Executor`.

    Args:
        settings: the home's settings, which name a scheduler.
        fs: the disk.
        outbox: where attempts and jobs are.
        inventory: the models that are listed here.
        selector: the daemon's loop is woken through it.
        boot_id: of this machine.

    Raises:
        Refusal: the certificates cannot be used.
    """

    is_here = False

    def __init__(
        self,
        settings: Settings,
        fs: FileSystem,
        outbox: Outbox,
        inventory: ModelInventory,
        selector: selectors.BaseSelector,
        boot_id: str,
    ) -> None:
        cluster = settings.cluster
        if cluster.scheduler is None:
            raise AssertionError("no cluster is configured")
        self._settings, self._fs, self._outbox, self._inventory = settings, fs, outbox, inventory
        self._address = cluster.scheduler
        self._share = None if cluster.shared_folder is None else os.fspath(cluster.shared_folder.expanduser())
        self._machines = KnownMachines(
            program_mark(),
            lists_mark(settings.paths.own_models, settings.paths.own_styles),
            None if settings.worker.device in ("auto", "cpu") else settings.worker.device,
            inventory,
            self._taken,
        )
        self._listener: JobListener | None = None
        wakeup = Wakeup()
        selector.register(wakeup.read_end, selectors.EVENT_READ, wakeup.drain)
        self._connection = Connection(
            cluster.scheduler,
            security(settings, cluster.scheduler),
            home_mark(os.fsencode(settings.paths.home), boot_id),
            lost_seconds=cluster.lost_seconds,
            transfer=Transfer(fs, outbox, int(settings.limits.max_output_bytes)),
            wake=wakeup.wake,
        )
        self._memory = total_memory()
        self._connected = False
        self._why_not = "it has not answered yet"
        self._sought: dict[str, _Sought] = {}
        self._running: dict[str, _Running] = {}
        #: The jobs of running attempts, by attempt.
        self._job_of: dict[str, str] = {}
        self._lacking: dict[str, str] = {}

    # -- what the runner asks ---------------------------------------------------------------------------------------------

    @property
    def most(self) -> int:
        """See `Executor.most`. The next job has its slot while the result of the last one is on its way."""
        return max(1, 2 * self._machines.slots)

    @property
    def trouble(self) -> Trouble | None:
        """See `Executor.trouble`."""
        if self._connected:
            return None
        return Trouble(
            f"the cluster's scheduler {self._address} does not answer: {self._why_not}",
            f"Start it with {shown('cluster', 'scheduler')}, or check the connection; work then resumes automatically.",
        )

    def subscribe(self, listener: JobListener) -> None:
        """See `Executor.subscribe`. Also begins to connect."""
        if self._listener is not None:
            raise AssertionError("the cluster has its listener already")
        self._listener = listener
        self._connection.start()

    def candidates(self, queue: Iterable[Job], paused_for: PauseLeft, at_work: int) -> Iterable[Job]:
        """See `Executor.candidates`. Seats are sought for the jobs that come first."""
        if not self._connected:
            return ()
        waiting = {job.job_id: job for job in self._first(queue, paused_for)}
        for job_id in [job_id for job_id in self._sought if job_id not in waiting]:
            self._give_up(job_id)
        self._lacking = {}
        machines = self._machines.now()
        if any(machine.free for machine in machines):
            unseated = [one.seek for one in self._sought.values() if one.address is None]
            for job_id in list(misplaced([(one, self._fit(waiting[one.job_id])) for one in unseated], machines)):
                self._give_up(job_id)
        self._seat_in_order(waiting)
        fits = ((job_id, self._fit(job)) for job_id, job in waiting.items() if job_id not in self._sought)
        pending = [one.seek for one in self._sought.values() if one.address is None]
        for wanted in list(seek(fits, pending, machines)):
            attempt = self._outbox.new_attempt()
            self._sought[wanted.job_id] = _Sought(attempt, wanted)
            self._connection.seek(attempt, wanted)
        return [job for job_id, job in waiting.items() if job_id in self._sought and self._sought[job_id].address]

    def _seat_in_order(self, waiting: Mapping[str, Job]) -> None:
        """Let those who come first in the queue have the seats that were taken: machines take theirs in any order.

        `waiting`: the jobs of the queue in order.
        """
        seated = [job_id for job_id in waiting if job_id in self._sought and self._sought[job_id].address]
        for job_id, job in waiting.items():
            if not seated:
                return
            if job_id in seated:
                seated.remove(job_id)
                continue
            usable = self._usable(job)
            other = next((each for each in reversed(seated) if self._sought[each].address in usable), None)
            if other is None:
                continue
            mine, seat = self._sought.get(job_id), self._sought[other]
            if mine is not None and self._usable(waiting[other]).issuperset(mine.seek.addresses):
                self._sought[other] = replace(mine, seek=replace(mine.seek, job_id=other))
            else:
                if mine is not None:
                    self._give_up(job_id)
                del self._sought[other]
            self._sought[job_id] = replace(seat, seek=replace(seat.seek, job_id=job_id))
            seated.remove(other)

    def _usable(self, job: Job) -> set[str]:
        """The addresses of the machines that fit a job. Those that it avoids are left out, unless it avoids all."""
        fits = self._fit(job)
        shunned = avoids_all(job.job_id, fits)
        return {machine.address for machine in fits.machines if shunned or job.job_id not in machine.avoided_by}

    def place(self, job: Job) -> Place:
        """See `Executor.place`."""
        one = self._sought[job.job_id]
        return Place(one.attempt, self._machines.name(one.address))

    def start(self, job: Job, place: Place, seen: Fingerprint) -> Process | None:
        """See `Executor.start`."""
        one = self._sought.pop(job.job_id)
        told = command(
            job,
            self._outbox,
            self._settings,
            attempt=place.attempt,
            seen=seen,
            warm=self._inventory.warm_for(job),
            memory=self._memory,  # the machine replaces it
        )
        try:
            files = described(self._outbox, job.job_id, told.image, told.depth_picture)
        except OSError:
            self._connection.give_up(place.attempt)
            raise
        log = JobLog(self._fs, int(self._settings.worker.max_log_bytes))
        log.open(self._outbox.job(job.job_id, b"job.log"))
        self._running[job.job_id] = _Running(job.job_id, place.attempt, one.address or "", log)
        self._job_of[place.attempt] = job.job_id
        order = Order(
            command=told,
            timeout_seconds=job.spec.timeout_seconds if job.spec else self._settings.worker.max_timeout_seconds,
            files=files,
            shared=shared_paths(self._share, self._outbox.root, job.job_id, place.attempt),
        )
        self._connection.order(place.attempt, order)
        return None

    def cancel(self, job_id: str) -> None:
        """See `Executor.cancel`."""
        if (one := self._running.get(job_id)) is not None:
            self._connection.cancel(one.attempt)

    @property
    def lacking(self) -> Mapping[str, str]:
        """See `Executor.lacking`."""
        return self._lacking

    def tick(self) -> None:
        """See `Executor.tick`."""
        for _ in range(_EVENTS_AT_ONCE):
            event = self._connection.next_event()
            if event is None:
                if not self._connection.is_alive():
                    raise RuntimeError("the thread that talks to the cluster has ended")
                return
            match event:
                case Connected():
                    self._connected = True
                    logger.info("connected to the cluster at {}", self._address)
                case Disconnected(why=why):
                    self._disconnected(why)
                case MachinesSeen(machines=machines):
                    self._machines.see(
                        {address: Machine(address, about, reached=ok) for address, (about, ok) in machines.items()}
                    )
                case SeatTaken(attempt=attempt, address=address):
                    if (sought := self._seat(attempt)) is not None:
                        self._sought[sought.seek.job_id] = replace(sought, address=address)
                case SeatLost(attempt=attempt):
                    if (sought := self._seat(attempt)) is not None:
                        self._give_up(sought.seek.job_id)
                case Moved(attempt=attempt, stage=stage, fraction=fraction):
                    if (job_id := self._job_of.get(attempt)) is not None:
                        self._listening().on_progress(job_id, stage, fraction)
                case Printed(attempt=attempt, output=output):
                    if (job_id := self._job_of.get(attempt)) is not None:
                        self._running[job_id].log.feed(output)
                case SlotFree(attempt=attempt):
                    if (job_id := self._job_of.get(attempt)) is not None:
                        self._running[job_id] = replace(self._running[job_id], slot=False)
                case Over(attempt=attempt, outcome=outcome):
                    if (job_id := self._job_of.get(attempt)) is not None:
                        self._over(job_id, outcome)

    def next_deadline(self) -> float | None:
        """See `Executor.next_deadline`. Events wake the loop."""
        return None

    def shutdown(self) -> None:
        """See `Executor.shutdown`."""
        self._connection.close(_STOP_SECONDS)
        self._disconnected("the daemon stops")

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _first(self, queue: Iterable[Job], paused_for: PauseLeft) -> Iterator[Job]:
        """The first jobs of the queue that do not pause, and those that have or seek a seat."""
        looked = 0
        for job in queue:
            if job.job_id in self._sought or looked < _LOOKED_AT:
                if paused_for(job) <= 0:
                    looked += 1
                    yield job
            elif looked >= _LOOKED_AT:
                return

    def _fit(self, job: Job) -> Fit:
        found = self._machines.fit(self._inventory.needs(job), job.spec.formats if job.spec else ())
        if found.lacking is not None:
            self._lacking[job.job_id] = found.lacking
        return found

    def _taken(self) -> Iterator[str]:
        """The address of each slot that is taken."""
        yield from (one.address for one in self._running.values() if one.slot)
        yield from (one.address for one in self._sought.values() if one.address)

    def _seat(self, attempt: str) -> _Sought | None:
        return next((one for one in self._sought.values() if one.attempt == attempt), None)

    def _give_up(self, job_id: str) -> None:
        one = self._sought.pop(job_id)
        self._connection.give_up(one.attempt)
        self._discard(one.attempt)

    def _discard(self, attempt: str) -> None:
        try:
            self._outbox.discard_attempt(attempt)
        except OSError as error:
            # It is hidden, and removed at the next start.
            logger.warning("cannot remove the attempt {}: {}", attempt, error)

    def _over(self, job_id: str, outcome: Outcome) -> None:
        one = self._running.pop(job_id)
        del self._job_of[one.attempt]
        one.log.close()
        if isinstance(outcome, Failed) and outcome.elsewhere:
            self._machines.avoid(outcome.elsewhere, job_id)
        self._listening().on_end(job_id, outcome)

    def _disconnected(self, why: str) -> None:
        if self._connected:
            logger.warning("the connection to the cluster at {} is lost: {}", self._address, why)
        self._connected, self._why_not = False, why
        self._machines.forget()
        self._lacking = {}
        for job_id in tuple(self._sought):
            self._discard(self._sought.pop(job_id).attempt)
        for job_id in tuple(self._running):
            self._over(job_id, Stopped(0.0))

    def _listening(self) -> JobListener:
        if self._listener is None:
            raise AssertionError("nobody listens to the cluster")
        return self._listener
