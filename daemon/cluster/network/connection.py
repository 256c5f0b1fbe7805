"""The daemon's connection to the cluster: a thread with an event loop, which connects to the scheduler whenever it can.

It decides nothing about jobs. The daemon's one thread tells it what to do, and takes its events from `next_event`.
"""

import asyncio
import contextlib
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from distributed import Client
from distributed.security import Security

from daemon.cluster.client import close, connect
from daemon.cluster.messages import Order
from daemon.cluster.network.asking import Asking
from daemon.cluster.network.attempts import Asker, Attempts, clause
from daemon.cluster.network.events import Connected, Disconnected, Event
from daemon.cluster.network.transfer import Transfer
from daemon.cluster.placement import Seek
from daemon.cluster.security import configure, forget_keys

#: Seconds between two looks at which machines there are.
_LOOK_SECONDS = 1.0
#: Seconds between two tries to connect.
_PAUSES = (0.5, 1.0, 2.0, 5.0)
#: Seconds between two looks at the connection.
_TICK = 0.25
#: Seconds after which a thread lets the others run.
_SWITCH_SECONDS = 0.001
#: Seconds for the machines to hear that the daemon stops.
_FAREWELL_SECONDS = 2.0


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
        self._address, self._security, self._lost_seconds, self._wake = address, security, lost_seconds, wake
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        asker = Asker(home, uuid.uuid4().hex)
        self._attempts = Attempts(self._loop, asker, lost_seconds=lost_seconds, transfer=transfer, say=self._say)
        self._asking = Asking(self._loop, asker, self._attempts, lost_seconds=lost_seconds, say=self._say)
        self._stopping = asyncio.Event()

    # -- for the daemon's thread ------------------------------------------------------------------------------------------

    def next_event(self) -> Event | None:
        """The next event; None if there is none."""
        with contextlib.suppress(queue.Empty):
            return self._events.get_nowait()
        return None

    def seek(self, attempt: str, wanted: Seek) -> None:
        """Ask for a seat."""
        self._call(self._attempts.seek, attempt, wanted)

    def give_up(self, attempt: str) -> None:
        """Give back the seat of an attempt, or end the attempt. There are no further events about it."""
        self._call(self._attempts.give_up, attempt)

    def order(self, attempt: str, order: Order) -> None:
        """Give the order to the machine where the attempt has its seat."""
        self._call(self._attempts.order, attempt, order)

    def cancel(self, attempt: str) -> None:
        """Ask an attempt to stop."""
        self._call(self._attempts.cancel, attempt)

    def close(self, seconds: float) -> None:
        """End all attempts and the connection, within so many seconds."""
        with contextlib.suppress(RuntimeError):  # the thread has ended, and its loop is closed
            self._loop.call_soon_threadsafe(self._stopping.set)
        self.join(seconds)

    # -- the thread -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Connect, and connect again, until `close` was called."""
        configure(self._lost_seconds)
        # This thread and the daemon's own take turns often; with Python's 5 ms, each message would wait for a few of them.
        sys.setswitchinterval(_SWITCH_SECONDS)
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        tried = 0
        while not self._stopping.is_set():
            try:
                client = await connect(self._address, self._security, self._lost_seconds)
            except (OSError, TimeoutError, ValueError, RuntimeError) as error:
                if tried == 0:
                    self._say(Disconnected(clause(error)))
                await self._pause(_PAUSES[min(tried, len(_PAUSES) - 1)])
                tried += 1
                continue
            tried = 0
            self._attempts.connected(client)
            try:
                self._say(Connected())
                why = await self._stay_connected(client)
            finally:
                await self._give_up_all()
            if why is not None:
                self._say(Disconnected(why))
            await close(client)
            if why is not None:
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
                    # Kept until the next answer is there, which then shares the texts of its keys with it.
                    seen = looking.result()
                except OSError as error:
                    return clause(error)
                self._asking.see(seen)
                looking, heard = None, now
            if looking is None and now - looked >= _LOOK_SECONDS:
                looked = now
                forget_keys()
                heard = heard or now
                scheduler = client.scheduler
                if scheduler is None:
                    return "the connection is lost"
                looking = asyncio.ensure_future(scheduler.identity(n_workers=-1))
            if heard and now - heard > self._lost_seconds:
                return f"it has been silent for {self._lost_seconds:g} seconds"
            self._attempts.give_back_old_seats(now)
            await self._pause(_TICK)
        return None

    async def _give_up_all(self) -> None:
        """Give up all attempts. Machines end their attempts when they see that nobody names them any more."""
        if self._stopping.is_set():
            await self._attempts.tell_the_end(_FAREWELL_SECONDS)
        await self._asking.disconnected()
        await self._attempts.disconnected()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _say(self, event: Event) -> None:
        self._events.put(event)
        self._wake()

    def _call(self, do: Callable[..., None], *given: object) -> None:
        self._loop.call_soon_threadsafe(do, *given)


def home_mark(home: bytes, boot_id: str) -> str:
    """A name for this home on this machine, the same for each process of the daemon."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{boot_id}:{os.fsdecode(os.path.realpath(home))}").hex
