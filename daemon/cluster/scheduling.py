"""The scheduler's process. It decides where, and nothing else: it keeps no record, and can be restarted at any time."""

import asyncio
import contextlib
import signal

from distributed import Scheduler
from distributed.security import Security
from loguru import logger

from daemon.cluster.security import configure, forget_keys, security, server_options
from daemon.settings import Settings
from daemon.settings.scheduler_address import host_of, is_loopback

#: Seconds between two times at which Dask forgets old keys.
_FORGET_SECONDS = 10.0


def run_scheduler(settings: Settings, address: str) -> None:
    """Serve at this address until SIGTERM or SIGINT.

    Raises:
        Refusal: the connections would not be protected.
        OSError: the address cannot be used.
    """
    protection = security(settings, address)
    configure(settings.cluster.lost_seconds)
    asyncio.run(_serve(address, protection))


async def _serve(address: str, protection: Security) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    scheme, host = address.partition("://")[0], host_of(address)
    # All interfaces of this machine, because its name may stand for several; only those with a certificate can connect.
    local = "127.0.0.1" if is_loopback(host) else "0.0.0.0"  # noqa: S104
    async with Scheduler(
        host=f"{scheme}://{local}",
        port=int(address.rpartition(":")[2]),
        protocol=scheme,
        contact_address=address,
        **server_options(protection),
    ):
        logger.info("the scheduler is at {}", address)
        while not stop.is_set():
            forget_keys()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _FORGET_SECONDS)
        logger.info("stopping")
