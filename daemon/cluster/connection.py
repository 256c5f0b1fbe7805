"""The daemon's connection to the cluster: a thread with an event loop, which asks Dask for seats and talks to the machines.

It decides nothing about jobs. The daemon's one thread tells it what to do, and takes its events from `next_event`.
"""

import asyncio
import contextlib
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from distributed import Client, Future
from distributed.security import Security
from loguru import logger
from pydantic import ValidationError

from daemon.cluster.events import (
    Connected,
    Disconnected,
    Event,
    MachinesSeen,
    Moved,
    Over,
    Printed,
    SeatLost,
    SeatTaken,
    SlotFree,
)
from daemon.cluster.machine.serving import occupy
from daemon.cluster.messages import About, Asked, AttemptReport, CompletedEnd, Known, Order, Report, outcome_of
from daemon.cluster.placement import Seek
from daemon.cluster.security import configure
from daemon.cluster.transfer import Transfer
from daemon.errors import WorkerLost
from daemon.supervisor import Cancelled, Failed, Outcome

#: Seconds that a machine may take to answer if nothing is new. Each question is also the daemon's sign of life.
_ASK_SECONDS = 5.0
#: Seconds between two looks at which machines there are.
_LOOK_SECONDS = 1.0
#: Seconds between two tries to connect.
_PAUSES = (0.5, 1.0, 2.0, 5.0)
#: Seconds between two looks at the connection.
_TICK = 0.25
#: A seat that was not taken after this many seconds is given back, and sought anew: a slot elsewhere may have become free.
_SEAT_SECONDS = 15.0


class _Attempt:
    """An attempt that has or seeks a seat. `address` and `machine`: where, once it has one."""

    def __init__(self, name: str, job_id: str, future: Future[Any]) -> None:
        self.name, self.job_id, self.future = name, job_id, future
        self.since = time.monotonic()
        self.address: str | None = None
        self.machine = ""
        self.ordered = False
        self.ending = False
        self.log = self.progress = 0
        self.transfer: asyncio.Task[None] | None = None


class Connection(threading.Thread):
    """The connection to one cluster.

    Args:
        address: the scheduler's address.
        security: the certificates.
        home: identifies the home.
        lost_seconds: a machine that is silent for this long has lost its attempts.
        transfer: moves files.
        wake: called after each event, from this thread.
    """

    def __init__(
        self,
        address: str,
        security: Security,
        home: str,
        *,
        lost_seconds: float,
        transfer: Transfer,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(name="cluster", daemon=True)
        self._address, self._security, self._home, self._lost_seconds = address, security, home, lost_seconds
        self._transfer, self._wake = transfer, wake
        self._daemon = uuid.uuid4().hex
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._attempts: dict[str, _Attempt] = {}
        #: The machines, by address: what they say, since when they are silent, and the task that asks them.
        self._machines: dict[str, About] = {}
        self._heard: dict[str, float] = {}
        self._askers: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    # -- for the daemon's thread ------------------------------------------------------------------------------------------

    def next_event(self) -> Event | None:
        """The next event; None if there is none."""
        with contextlib.suppress(queue.Empty):
            return self._events.get_nowait()
        return None

    def seek(self, attempt: str, wanted: Seek) -> None:
        """Ask for a seat."""
        self._call(self._seek, attempt, wanted)

    def give_up(self, attempt: str) -> None:
        """Give back the seat of an attempt, or end the attempt. There are no further events about it."""
        self._call(self._give_up, attempt)

    def order(self, attempt: str, order: Order) -> None:
        """Give the order to the machine where the attempt has its seat."""
        self._call(self._order, attempt, order)

    def cancel(self, attempt: str) -> None:
        """Ask an attempt to stop."""
        self._call(self._cancel, attempt)

    def close(self, seconds: float) -> None:
        """End all attempts and the connection, within so many seconds."""
        with contextlib.suppress(RuntimeError):  # the thread has ended, and its loop is closed
            self._loop.call_soon_threadsafe(self._stopping.set)
        self.join(seconds)

    # -- the thread -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Connect, and connect again, until `close` was called."""
        configure(self._lost_seconds)
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        tried = 0
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(self._lost_seconds):
                    client = await Client(
                        self._address,
                        asynchronous=True,
                        security=self._security,
                        set_as_default=False,
                        timeout=self._lost_seconds,
                        direct_to_workers=False,
                    )
            except (OSError, TimeoutError, ValueError, RuntimeError) as error:
                if tried == 0:
                    self._say(Disconnected(_clause(error)))
                await self._pause(_PAUSES[min(tried, len(_PAUSES) - 1)])
                tried += 1
                continue
            tried, self._client = 0, client
            try:
                self._say(Connected())
                why = await self._stay_connected(client)
            finally:
                await self._disconnect(client)
            if why is not None:
                self._say(Disconnected(why))
                await self._pause(_PAUSES[0])

    async def _stay_connected(self, client: Client) -> str | None:
        """Look at the machines until the connection is lost. Returns why, a clause; None if this process stops."""
        looked = heard = 0.0
        looking: asyncio.Task[dict[str, Any]] | None = None
        while not self._stopping.is_set():
            now = time.monotonic()
            if client.status != "running":
                return "the connection is lost"
            if looking is not None and looking.done():
                try:
                    self._see(looking.result())
                except OSError as error:
                    return _clause(error)
                looking, heard = None, now
            if looking is None and now - looked >= _LOOK_SECONDS:
                looked = now
                heard = heard or now
                scheduler = client.scheduler
                if scheduler is None:
                    return "the connection is lost"
                looking = asyncio.ensure_future(scheduler.identity(n_workers=-1))
            if heard and now - heard > self._lost_seconds:
                return f"it has been silent for {self._lost_seconds:g} seconds"
            self._give_back_old_seats(now)
            await self._pause(_TICK)
        return None

    async def _disconnect(self, client: Client) -> None:
        """Give up everything. Machines end their attempts when they see that nobody names them any more."""
        if self._stopping.is_set():
            told = [self._end_on(one) for one in self._attempts.values() if one.address is not None]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    await asyncio.gather(*told, return_exceptions=True)
        for task in (*self._askers.values(), *self._tasks):
            task.cancel()
        await asyncio.gather(*self._askers.values(), *self._tasks, return_exceptions=True)
        self._askers.clear()
        self._attempts.clear()
        self._machines.clear()
        self._client = None
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(5.0):
                await client.close(timeout=2)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    # -- seats ------------------------------------------------------------------------------------------------------------

    def _seek(self, attempt: str, wanted: Seek) -> None:
        client = self._client
        if client is None or client.status != "running":
            self._say(SeatLost(attempt))
            return
        future = client.submit(
            occupy,
            attempt,
            self._home,
            self._daemon,
            key=attempt,
            pure=False,
            retries=0,
            resources=dict(wanted.resources),
            workers=list(wanted.addresses),
            allow_other_workers=False,
        )
        self._attempts[attempt] = one = _Attempt(attempt, wanted.job_id, future)
        self._spawn(self._follow(one))

    async def _follow(self, one: _Attempt) -> None:
        """Wait until Dask says that the seat is over."""
        try:
            error = await one.future.exception()
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            error = cancelled
        finally:
            one.future.release()
        if self._attempts.get(one.name) is not one:
            return
        if not one.ordered:
            self._forget(one)
            self._say(SeatLost(one.name))
        elif error is not None:
            # The worker may still be there and report the end itself; but Dask does not know it any more, so it is leaving.
            self._lose(one, "it has left the cluster")
        else:
            self._say(SlotFree(one.name))

    def _give_back_old_seats(self, now: float) -> None:
        for one in tuple(self._attempts.values()):
            if one.address is None and now - one.since > _SEAT_SECONDS:
                self._forget(one)
                self._say(SeatLost(one.name))

    def _give_up(self, attempt: str) -> None:
        if (one := self._attempts.get(attempt)) is not None:
            self._forget(one)
            if one.address is not None:
                self._spawn(self._end_on(one))

    def _forget(self, one: _Attempt) -> None:
        """Name this attempt no more, so that its machine ends it."""
        self._attempts.pop(one.name, None)
        one.future.release()
        if one.transfer is not None:
            one.transfer.cancel()

    async def _end_on(self, one: _Attempt) -> None:
        """Tell the machine of an attempt to end it. It would also notice by itself that nobody names the attempt any more."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._lost_seconds):
                await self._rpc(one.address).multiplane_cancel(attempt=one.name)

    # -- machines ---------------------------------------------------------------------------------------------------------

    def _see(self, identity: dict[str, Any]) -> None:
        machines: dict[str, About] = {}
        for address, worker in identity["workers"].items():
            told = worker.get("metrics", {}).get("multiplane")
            try:
                machines[address] = About.model_validate(told)
            except ValidationError:
                logger.debug("{} is no machine of ours", address)
        self._machines = machines
        for address in machines:
            if address not in self._askers:
                self._heard[address] = time.monotonic()
                self._askers[address] = self._loop.create_task(self._keep_asking(address))
        self._say_machines()

    def _say_machines(self) -> None:
        now = time.monotonic()
        self._say(
            MachinesSeen(
                {
                    address: (about, now - self._heard.get(address, now) < self._lost_seconds / 2)
                    for address, about in self._machines.items()
                }
            )
        )

    async def _keep_asking(self, address: str) -> None:
        """Ask a machine what is new, as long as it belongs to the cluster or has an attempt of ours."""
        while address in self._machines or any(one.address == address for one in self._attempts.values()):
            known = {
                one.name: Known(log=one.log, progress=one.progress, ended=one.ending)
                for one in self._attempts.values()
                if one.address == address
            }
            asked = Asked(home=self._home, daemon=self._daemon, attempts=known, seconds=min(_ASK_SECONDS, self._lost_seconds / 3))
            try:
                async with asyncio.timeout(self._lost_seconds):
                    report = Report.model_validate_json(await self._rpc(address).multiplane_report(asked=asked.model_dump_json()))
            except (OSError, TimeoutError) as error:
                if address not in self._machines:
                    self._lose_all(address, "it has left the cluster")
                elif time.monotonic() - self._heard[address] >= self._lost_seconds:
                    self._lose_all(address, f"it has been silent for {self._lost_seconds:g} seconds ({_clause(error)})")
                await asyncio.sleep(min(1.0, self._lost_seconds / 10))
                continue
            except (ValidationError, RuntimeError, ValueError, TypeError, KeyError) as error:
                self._lose_all(address, f"it does not report as it should: {str(error).splitlines()[0]}")
                await asyncio.sleep(1.0)
                continue
            self._heard[address] = time.monotonic()
            self._take(address, report)
        del self._askers[address]

    def _take(self, address: str, report: Report) -> None:
        for name in report.seats:
            one = self._attempts.get(name)
            if one is None or one.address is not None:
                # Dask has run a task again, or the seat was given back meanwhile.
                self._spawn(self._refuse(address, name))
                continue
            one.address = address
            one.machine = self._machines[address].name if address in self._machines else address
            self._say(SeatTaken(name, address))
        for told in report.attempts:
            one = self._attempts.get(told.attempt)
            if one is not None and one.address == address:
                self._take_news(one, told)

    async def _refuse(self, address: str, name: str) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._lost_seconds):
                await self._rpc(address).multiplane_cancel(attempt=name)

    def _take_news(self, one: _Attempt, told: AttemptReport) -> None:
        if told.gone:
            if one.ordered and not one.ending:
                self._lose(one, "it knows nothing of the attempt any more; was its program restarted?")
            return
        if told.log:
            output = told.log.encode("latin-1", "replace")
            one.log += len(told.log)
            self._say(Printed(one.name, output))
        if told.progress is not None and told.progress_number > one.progress:
            one.progress = told.progress_number
            self._say(Moved(one.name, told.progress.stage, told.progress.fraction))
        if told.end is not None and not one.ending:
            one.ending = True
            self._say(SlotFree(one.name))
            outcome = outcome_of(told.end, one.machine)
            if isinstance(told.end, CompletedEnd) and not told.end.delivered:
                one.transfer = self._spawn(self._fetch(one, told.end))
            else:
                self._end(one, outcome)

    def _lose_all(self, address: str, why: str) -> None:
        for one in [one for one in self._attempts.values() if one.address == address]:
            if one.ordered:
                self._lose(one, why)
            else:
                self._forget(one)
                self._say(SeatLost(one.name))

    def _lose(self, one: _Attempt, why: str) -> None:
        name = one.machine or "a machine"
        self._end(one, Failed(WorkerLost(f"The machine {name} was lost: {why}.").info(), True, 0.0, elsewhere=name))

    def _end(self, one: _Attempt, outcome: Outcome) -> None:
        if self._attempts.get(one.name) is one:
            transfer, one.transfer = one.transfer, None
            self._forget(one)
            if transfer is not None and transfer is not asyncio.current_task():
                transfer.cancel()
            self._say(Over(one.name, outcome))

    # -- orders and files -------------------------------------------------------------------------------------------------

    def _order(self, attempt: str, order: Order) -> None:
        one = self._attempts.get(attempt)
        if one is None or one.address is None:
            error = WorkerLost("The machine was lost before the job began.").info()
            self._say(Over(attempt, Failed(error, True, 0.0, elsewhere="")))
            return
        one.ordered = True
        one.transfer = self._spawn(self._send(one, order))

    async def _send(self, one: _Attempt, order: Order) -> None:
        """Give the order, and send the files unless the machine fetches them from the share."""
        try:
            failed = await self._transfer.send(self._rpc(one.address), one.name, one.machine, one.job_id, self._daemon, order)
        except (OSError, TimeoutError) as error:
            # While nobody names the attempt any more, the machine ends it.
            self._lose(one, f"the job's files could not be sent to it ({_clause(error)})")
            return
        one.transfer = None
        if failed is not None:
            self._end(one, failed)
            await self._end_on(one)

    async def _fetch(self, one: _Attempt, end: CompletedEnd) -> None:
        try:
            failed = await self._transfer.fetch(self._rpc(one.address), one.name, end.result)
        except (OSError, TimeoutError) as error:
            self._lose(one, f"the result could not be fetched from it ({_clause(error)})")
            return
        self._end(one, failed or outcome_of(end, one.machine))

    def _cancel(self, attempt: str) -> None:
        one = self._attempts.get(attempt)
        if one is None:
            return
        if one.transfer is not None and one.address is not None:
            # Its files are on their way, so no process runs, or none runs any more.
            self._end(one, Cancelled(0.0))
        if one.address is not None:
            self._spawn(self._end_on(one))

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _rpc(self, address: str | None) -> Any:  # noqa: ANN401 - its methods are the machine's handlers
        if self._client is None or address is None:
            raise ConnectionError("there is no connection")
        return self._client.rpc(address)

    def _say(self, event: Event) -> None:
        self._events.put(event)
        self._wake()

    def _call(self, do: Callable[..., None], *given: object) -> None:
        self._loop.call_soon_threadsafe(do, *given)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.opt(exception=error).error("the connection to the cluster has a mistake")


def home_mark(home: bytes, boot_id: str) -> str:
    """A name for this home on this machine, the same for each process of the daemon."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{boot_id}:{os.fsdecode(os.path.realpath(home))}").hex


def _clause(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
