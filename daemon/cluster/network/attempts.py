"""The attempts that have or seek a seat on some machine, from the daemon's request to the end that it is told."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future
from loguru import logger

from daemon.cluster.machine.serving import occupy
from daemon.cluster.messages import AttemptReport, CompletedEnd, Known, Order, Report, outcome_of
from daemon.cluster.network.events import Event, Moved, Over, Printed, SeatLost, SeatTaken, SlotFree
from daemon.cluster.network.transfer import Transfer
from daemon.cluster.placement import Seek
from daemon.errors import WorkerLost
from daemon.supervisor import Cancelled, Failed, Outcome

#: A seat that was not taken after this many seconds is given back, and sought anew: a slot elsewhere may have become free.
_SEAT_SECONDS = 15.0


@dataclass(frozen=True)
class Asker:
    """Who asks: `home` identifies the home; `daemon`, this process of its daemon."""

    home: str
    daemon: str


class _Attempt:
    """An attempt that has or seeks a seat. `address` and `machine`: where, once it has one."""

    def __init__(self, name: str, future: Future[Any]) -> None:
        self.name, self.future = name, future
        self.since = time.monotonic()
        self.address: str | None = None
        self.machine = ""
        self.ordered = False
        self.ending = False
        self.log = self.progress = 0
        self.transfer: asyncio.Task[None] | None = None


class Attempts:
    """All attempts of one connection. Everything runs in the loop of the network thread.

    Args:
        loop: that loop.
        asker: who asks.
        lost_seconds: a machine that is silent for this long has lost its attempts.
        transfer: moves files.
        say: tells the daemon's thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        asker: Asker,
        *,
        lost_seconds: float,
        transfer: Transfer,
        say: Callable[[Event], None],
    ) -> None:
        self._loop, self._asker, self._lost_seconds = loop, asker, lost_seconds
        self._transfer, self._say = transfer, say
        self._client: Client | None = None
        self._attempts: dict[str, _Attempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connected(self, client: Client) -> None:
        """Use this client from now on."""
        self._client = client

    async def tell_the_end(self, seconds: float) -> None:
        """Tell the machines to end all attempts, because the daemon stops; give up after so many seconds."""
        told = [self._end_on(one) for one in self._attempts.values() if one.address is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*told, return_exceptions=True)

    async def disconnected(self) -> None:
        """Forget everything. Machines end their attempts when they see that nobody names them any more."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._attempts.clear()
        self._client = None

    def rpc(self, address: str | None) -> Any:  # noqa: ANN401 - its methods are the machine's handlers
        """The handlers of the machine at this address. Raises ConnectionError without a connection."""
        if self._client is None or address is None:
            raise ConnectionError("there is no connection")
        return self._client.rpc(address)

    # -- seats ------------------------------------------------------------------------------------------------------------

    def seek(self, attempt: str, wanted: Seek) -> None:
        """Ask for a seat."""
        client = self._client
        if client is None or client.status != "running":
            self._say(SeatLost(attempt))
            return
        future = client.submit(
            occupy,
            attempt,
            self._asker.home,
            self._asker.daemon,
            key=attempt,
            pure=False,
            retries=0,
            resources=dict(wanted.resources),
            workers=list(wanted.addresses),
            allow_other_workers=False,
        )
        self._attempts[attempt] = one = _Attempt(attempt, future)
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

    def give_back_old_seats(self, now: float) -> None:
        """Give back the seats that nobody took, so that they are sought anew."""
        for one in tuple(self._attempts.values()):
            if one.address is None and now - one.since > _SEAT_SECONDS:
                self._forget(one)
                self._say(SeatLost(one.name))

    def give_up(self, attempt: str) -> None:
        """Give back the seat of an attempt, or end the attempt. There are no further events about it."""
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
                await self.rpc(one.address).multiplane_cancel(attempt=one.name)

    # -- what a machine reports -------------------------------------------------------------------------------------------

    def known(self, address: str) -> dict[str, Known]:
        """The attempts that have their seat on this machine, and what is known of each."""
        return {
            one.name: Known(log=one.log, progress=one.progress, ended=one.ending)
            for one in self._attempts.values()
            if one.address == address
        }

    def take(self, address: str, machine: str, report: Report) -> None:
        """Take what the machine of this name at this address reports."""
        for name in report.seats:
            one = self._attempts.get(name)
            if one is None or one.address is not None:
                # Dask has run a task again, or the seat was given back meanwhile.
                self._spawn(self._refuse(address, name))
                continue
            one.address = address
            one.machine = machine
            self._say(SeatTaken(name, address))
        for told in report.attempts:
            one = self._attempts.get(told.attempt)
            if one is not None and one.address == address:
                self._take_news(one, told)

    async def _refuse(self, address: str, name: str) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._lost_seconds):
                await self.rpc(address).multiplane_cancel(attempt=name)

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

    def lose_all(self, address: str, why: str) -> None:
        """Give up all attempts on a machine; `why`, a clause."""
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

    def order(self, attempt: str, order: Order) -> None:
        """Give the order to the machine where the attempt has its seat."""
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
            failed = await self._transfer.send(
                self.rpc(one.address), one.name, one.machine, order.command.job_id, self._asker.daemon, order
            )
        except (OSError, TimeoutError) as error:
            # While nobody names the attempt any more, the machine ends it.
            self._lose(one, f"the job's files could not be sent to it ({clause(error)})")
            return
        one.transfer = None
        if failed is not None:
            self._end(one, failed)
            await self._end_on(one)

    async def _fetch(self, one: _Attempt, end: CompletedEnd) -> None:
        try:
            failed = await self._transfer.fetch(self.rpc(one.address), one.name, end.result)
        except (OSError, TimeoutError) as error:
            self._lose(one, f"the result could not be fetched from it ({clause(error)})")
            return
        self._end(one, failed or outcome_of(end, one.machine))

    def cancel(self, attempt: str) -> None:
        """Ask an attempt to stop."""
        one = self._attempts.get(attempt)
        if one is None:
            return
        if one.transfer is not None and one.address is not None:
            # Its files are on their way, so no process runs, or none runs any more.
            self._end(one, Cancelled(0.0))
        if one.address is not None:
            self._spawn(self._end_on(one))

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.opt(exception=error).error("the connection to the cluster has a mistake")


def clause(error: BaseException) -> str:
    """What an error of the connection says, in one line."""
    text = str(error).strip().splitlines()
    return text[0] if text else "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
