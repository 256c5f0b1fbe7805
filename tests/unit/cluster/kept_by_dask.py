"""Prints how many more objects there are after each task, in a scheduler, a worker and a client together.

A program of its own, because Dask's configuration is that of a whole process.
"""

import asyncio
import gc
import uuid

from distributed import Client, Scheduler, Worker
from distributed.security import Security
from loguru import logger

from daemon.cluster.security import configure, forget_keys, server_options

TASKS = 50


async def seat() -> None:
    """A task without work."""


async def kept() -> float:
    """Run some tasks, one after the other."""
    options = server_options(Security(require_encryption=False))
    async with (
        Scheduler(host="tcp://127.0.0.1", port=0, **options) as scheduler,
        Worker(scheduler.address, nthreads=1, memory_limit=0, **options),
        Client(scheduler.address, asynchronous=True, set_as_default=False) as client,
    ):

        async def run() -> int:
            for _ in range(TASKS):
                future = client.submit(seat, key=uuid.uuid4().hex, pure=False)
                await future
                future.release()
                while scheduler.tasks:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.1)
            forget_keys()
            gc.collect()
            return len(gc.get_objects())

        await run()
        before = await run()
        return (await run() - before) / TASKS


logger.remove()
configure(30.0)
print(asyncio.run(kept()))
