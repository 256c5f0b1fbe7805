"""Keeps asking each machine of the cluster what is new. The question is also the daemon's sign of life."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from loguru import logger
from pydantic import ValidationError

from daemon.cluster.messages import About, Asked, Report
from daemon.cluster.network.attempts import Asker, Attempts, clause
from daemon.cluster.network.events import Event, MachinesSeen
from daemon.contract.words.validation import in_words

#: Seconds that a machine may take to answer if nothing is new.
_ASK_SECONDS = 5.0


class Asking:
    """The machines of one connection. Everything runs in the loop of the network thread.

    Args:
        loop: that loop.
        asker: who asks.
        attempts: receives what the machines report.
        lost_seconds: a machine that is silent for this long has lost its attempts.
        say: tells the daemon's thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        asker: Asker,
        attempts: Attempts,
        *,
        lost_seconds: float,
        say: Callable[[Event], None],
    ) -> None:
        self._loop, self._asker, self._attempts, self._lost_seconds, self._say = loop, asker, attempts, lost_seconds, say
        #: The machines, by address: what they say, since when they are silent, and the task that asks them.
        self._machines: dict[str, About] = {}
        self._heard: dict[str, float] = {}
        self._askers: dict[str, asyncio.Task[None]] = {}

    def see(self, identity: dict[str, Any]) -> None:
        """Take what the scheduler says about its workers."""
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
        now = time.monotonic()
        self._say(
            MachinesSeen(
                {
                    address: (about, now - self._heard.get(address, now) < self._lost_seconds / 2)
                    for address, about in self._machines.items()
                }
            )
        )

    async def disconnected(self) -> None:
        """Ask no more."""
        askers = tuple(self._askers.values())
        for task in askers:
            task.cancel()
        await asyncio.gather(*askers, return_exceptions=True)
        self._askers.clear()
        self._machines.clear()

    async def _keep_asking(self, address: str) -> None:
        """Ask a machine what is new, as long as it belongs to the cluster or has an attempt of ours."""
        while address in self._machines or self._attempts.known(address):
            asked = Asked(
                home=self._asker.home,
                daemon=self._asker.daemon,
                attempts=self._attempts.known(address),
                seconds=min(_ASK_SECONDS, self._lost_seconds / 3),
            )
            try:
                async with asyncio.timeout(self._lost_seconds):
                    answer = await self._attempts.rpc(address).multiplane_report(asked=asked.model_dump_json())
                    report = Report.model_validate_json(answer)
            except (OSError, TimeoutError) as error:
                if address not in self._machines:
                    self._attempts.lose_all(address, "it has left the cluster")
                elif time.monotonic() - self._heard[address] >= self._lost_seconds:
                    why = f"it has been silent for {self._lost_seconds:g} seconds ({clause(error)})"
                    self._attempts.lose_all(address, why)
                await asyncio.sleep(min(1.0, self._lost_seconds / 10))
                continue
            except (ValidationError, RuntimeError, ValueError, TypeError, KeyError) as error:
                self._attempts.lose_all(address, f"it does not report as it should: {in_words(error)}")
                await asyncio.sleep(1.0)
                continue
            self._heard[address] = time.monotonic()
            about = self._machines.get(address)
            self._attempts.take(address, about.name if about is not None else address, report)
        del self._askers[address]
