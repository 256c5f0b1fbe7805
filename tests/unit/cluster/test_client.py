"""A client of a scheduler that never answers, or dies, is closed without a warning of Python's."""

import asyncio
import gc
import socket
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from distributed.security import Security

from daemon.cluster.client import close, connect

SCHEDULER = """
import asyncio
from distributed import Scheduler
from daemon.cluster.security import configure
configure(30.0)

async def serve():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()

asyncio.run(serve())
"""


def without_warnings(steps) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(1) as own:  # this thread may have a loop already, that of Playwright
            own.submit(lambda: asyncio.run(steps())).result()
        gc.collect()
    assert [str(each.message) for each in warned if "never awaited" in str(each.message)] == []


def test_a_client_whose_scheduler_never_answers_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:

        async def give_up() -> None:
            connecting = asyncio.ensure_future(connect(f"tcp://127.0.0.1:{silent.getsockname()[1]}", Security(), 60.0))
            await asyncio.sleep(0.05)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting

        without_warnings(give_up)


def test_a_client_whose_scheduler_was_killed_is_closed(monkeypatch) -> None:
    monkeypatch.setattr("daemon.cluster.client._CLOSE_SECONDS", 0.1)  # it takes all of them
    with subprocess.Popen([sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True) as scheduler:
        address = scheduler.stdout.readline().strip()

        async def lose() -> None:
            client = await connect(address, Security(), 60.0)
            scheduler.kill()
            while client.status == "running":
                await asyncio.sleep(0.01)
            await close(client)

        try:
            without_warnings(lose)
        finally:
            scheduler.kill()
