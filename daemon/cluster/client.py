"""Our connection to a scheduler as its client. It is always closed, also if the scheduler is gone or never answers.

Nothing else makes a client of Dask: its own is closed when Python forgets it, by a coroutine that nobody can await by then, and
Python warns of that on standard error.
"""

import asyncio
import contextlib

from distributed import Client
from distributed.security import Security

#: Seconds for Dask's own way to close, and for all of it. It takes up to two seconds if the scheduler is gone.
_CLOSE_SECONDS, _MOST_SECONDS = 2.0, 5.0


class ClosedClient(Client):
    """A client that `close` has closed before Python forgets it."""

    def __del__(self) -> None:
        """Do nothing; see above."""


async def connect(address: str, protection: Security, seconds: float) -> Client:
    """Connect to the scheduler at this address; `close` closes the connection.

    Raises:
        OSError: it does not let us in, or cannot be reached.
        TimeoutError: it does not answer within so many seconds.
        ValueError, RuntimeError: Dask cannot use the address, or what the scheduler answers.
    """
    client = ClosedClient(  # type: ignore[no-untyped-call]
        address, asynchronous=True, security=protection, set_as_default=False, timeout=seconds, direct_to_workers=False
    )
    try:
        async with asyncio.timeout(seconds):
            await client
    except BaseException:
        await close(client)
        raise
    return client


async def close(client: Client) -> None:
    """Close the connection within some seconds."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_MOST_SECONDS):
            await client.close(timeout=_CLOSE_SECONDS)
