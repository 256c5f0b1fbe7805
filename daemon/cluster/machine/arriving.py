"""The files of a job arrive on this machine: piece by piece from the daemon, or as copies from the share."""

import asyncio

from daemon.cluster.files import Incoming, fetch_from_share
from daemon.cluster.machine.seated import Folders, Seated
from daemon.errors import SourceChanged, WorkerLost
from daemon.supervisor import Failed


async def write_piece(one: Seated, folders: Folders, name: str, offset: int, data: bytes) -> str | None:
    """Write a piece of a source file. Returns the system's error, if there is one."""
    file = next((file for file in one.order.files if file.name == name), None) if one.order else None
    if file is None:
        return "no such file was ordered"
    try:
        if offset == 0:
            one.receive(await asyncio.to_thread(Incoming, folders.source(one.attempt), file))
        if one.incoming is None:
            return "a piece out of order"
        await asyncio.to_thread(one.incoming.add, offset, data)
    except OSError as error:
        return error.strerror or str(error)
    return None


async def finish_file(one: Seated, name: str, sha256: str) -> str | None:
    """Finish a source file. Returns what is wrong, if anything is."""
    if one.incoming is None:
        return "a piece out of order"
    try:
        whole = await asyncio.to_thread(one.incoming.finish, sha256)
    except OSError as error:
        return error.strerror or str(error)
    one.receive(None)
    return None if whole else f"{name} did not arrive whole"


async def copy_from_share(one: Seated, folders: Folders, share: str | None) -> tuple[Failed, bool] | None:
    """Copy all files from the share. Returns why that failed, and whether this machine is at fault; None if it did not."""
    if share is None or one.order is None or one.order.shared is None:
        raise AssertionError("there is no share to fetch from")
    try:
        wrong = await asyncio.to_thread(fetch_from_share, share, one.order.shared, one.order.files, folders.source(one.attempt))
    except OSError as error:
        lost = WorkerLost(f"The files of the job cannot be copied from the share: {error.strerror}.")
        return Failed(lost.info(), True, 0.0), True
    return None if wrong is None else (Failed(SourceChanged(f"{wrong}.").info(), False, 0.0), False)
