"""Sends the files of a job to a machine, and fetches its result, piece by piece. Runs in the network thread's loop."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from daemon.cluster.files import Changed, Received, make_way, pieces_of_source, wanted
from daemon.cluster.messages import FIRST, PIECE, TOGETHER, Order, SentFile
from daemon.contract.messages import Result
from daemon.errors import BY_CODE, DiskFull, Internal, JobError, SourceChanged, WorkerLost
from daemon.fs import FileSystem
from daemon.outbox import Outbox
from daemon.running.publishing import disk_trouble
from daemon.supervisor import Failed

#: Seconds for one piece. 4 MB in this time is a fifth of what the slowest Wi-Fi moves.
_PIECE_SECONDS = 60.0


class Transfer:
    """Moves files of one home. `max_bytes`: the largest result."""

    def __init__(self, fs: FileSystem, outbox: Outbox, max_bytes: int) -> None:
        self._fs, self._outbox, self._max_bytes = fs, outbox, max_bytes

    async def send(self, rpc: Any, attempt: str, machine: str, job_id: str, daemon: str, order: Order) -> Failed | None:  # noqa: ANN401
        """Give an order to a machine, and send the files unless it has them. Returns why that failed; None if it did not.

        Raises:
            OSError, TimeoutError: the machine does not answer.
        """
        try:
            small = await asyncio.to_thread(_small_files, self._outbox, job_id, order)
        except Changed as changed:
            return Failed(SourceChanged(f"{changed} changed while it was sent to {machine}.").info(), False, 0.0)
        except _OwnDisk as trouble:
            return Failed(Internal(f"The job's files cannot be read: {trouble}.").info(), True, 0.0)
        async with asyncio.timeout(_PIECE_SECONDS):
            answer = await rpc.multiplane_order(attempt=attempt, daemon=daemon, order=order.model_dump_json(), files=small)
        if answer["problem"] is not None:
            kind = BY_CODE.get(str(answer.get("code")), WorkerLost)
            return _refused(kind(f"The machine {machine} cannot take the job: {answer['problem']}."), machine)
        if answer["shared"] or small:
            return None
        for number, file in enumerate(order.files):
            try:
                wrong = await self._send_file(rpc, attempt, job_id, file, last=number == len(order.files) - 1)
            except Changed:
                return Failed(SourceChanged(f"{file.name} changed while it was sent to {machine}.").info(), False, 0.0)
            except _OwnDisk as trouble:
                return Failed(Internal(f"{file.name} cannot be read: {trouble}.").info(), True, 0.0)
            if wrong is not None:
                kind = DiskFull if "space" in wrong else WorkerLost
                return _refused(kind(f"The machine {machine} cannot take {file.name}: {wrong}."), machine)
        return None

    async def _send_file(self, rpc: Any, attempt: str, job_id: str, file: SentFile, *, last: bool) -> str | None:  # noqa: ANN401
        pieces = pieces_of_source(self._outbox, job_id, file)
        sha256 = ""
        try:
            while (piece := await asyncio.to_thread(_next, pieces)) is not None:
                offset, data, sha256 = piece
                async with asyncio.timeout(_PIECE_SECONDS):
                    wrong = await rpc.multiplane_put(attempt=attempt, name=file.name, offset=offset, data=data)
                if wrong is not None:
                    return str(wrong)
        finally:
            pieces.close()  # type: ignore[attr-defined]
        async with asyncio.timeout(_PIECE_SECONDS):
            wrong = await rpc.multiplane_run(attempt=attempt, name=file.name, sha256=sha256, last=last)
        return None if wrong is None else str(wrong)

    async def fetch(self, rpc: Any, attempt: str, result: Result) -> Failed | None:  # noqa: ANN401
        """Fetch a result into the attempt's folder. Returns why that failed; None if it did not.

        Whether the files are what the machine says is checked later, with those of any other result.

        Raises:
            OSError, TimeoutError: the machine does not answer.
        """
        folder = self._outbox.attempt(attempt)
        try:
            left = self._max_bytes
            files = wanted(result, self._max_bytes)
            await asyncio.to_thread(_on_own_disk, make_way, self._fs, folder)
            for start in range(0, len(files), TOGETHER):
                group = files[start : start + TOGETHER]
                async with asyncio.timeout(_PIECE_SECONDS):
                    first = await rpc.multiplane_get_first(attempt=attempt, paths=[path for path, _ in group])
                if len(first) != len(group):
                    raise ConnectionError("it sent other files than those that it was asked for")
                whole, large = list[tuple[str, bytes]](), list[tuple[str, int | None]]()
                for (path, size), piece in zip(group, map(bytes, first), strict=True):
                    if len(piece) == FIRST:
                        large.append((path, size))
                    else:
                        whole.append((path, piece[: 1 + (left if size is None else size)]))
                left -= await asyncio.to_thread(_on_own_disk, _write, self._fs, folder, whole)
                for path, size in large:
                    left -= await self._fetch_file(rpc, attempt, folder, path, left if size is None else size)
        except JobError as error:
            return Failed(error.info(), error.retryable, 0.0, result.source)
        except _OwnDisk as trouble:
            own = disk_trouble(trouble.error)
            return Failed(own.info(), own.retryable, 0.0, result.source)
        return None

    async def _fetch_file(self, rpc: Any, attempt: str, folder: bytes, path: str, most: int) -> int:  # noqa: ANN401
        """Fetch a file of at most so many bytes. Returns how many it has."""
        received = await asyncio.to_thread(_on_own_disk, Received, self._fs, folder, path)
        size = 0
        try:
            while size <= most:
                async with asyncio.timeout(_PIECE_SECONDS):
                    piece = bytes(await rpc.multiplane_get(attempt=attempt, path=path, offset=size))
                if not piece:
                    break
                await asyncio.to_thread(_on_own_disk, received.add, piece[: most + 1 - size])
                size += len(piece)
                if len(piece) < PIECE and size >= most:
                    break
        finally:
            await asyncio.to_thread(received.close)
        return size


def _small_files(outbox: Outbox, job_id: str, order: Order) -> dict[str, tuple[bytes, str]]:
    """The files of an order with their SHA-256, by name, if together they are no more than a piece; otherwise nothing.

    Raises:
        Changed: a file is not the one that was described.
        _OwnDisk: a file cannot be read.
    """
    if order.shared is not None or sum(file.bytes for file in order.files) > PIECE:
        return {}
    found = {}
    for file in order.files:
        data, sha256 = b"", ""
        pieces = pieces_of_source(outbox, job_id, file)
        while (piece := _next(pieces)) is not None:
            data, sha256 = data + piece[1], piece[2]
        found[file.name] = data, sha256
    return found


def _write(fs: FileSystem, folder: bytes, files: Iterable[tuple[str, bytes]]) -> int:
    """Write small files of a result. Returns how many bytes they have."""
    total = 0
    for path, data in files:
        received = Received(fs, folder, path)
        try:
            received.add(data)
        finally:
            received.close()
        total += len(data)
    return total


class _OwnDisk(Exception):
    """The daemon's own disk, not the connection, reported an error."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.error = error


def _on_own_disk(do: Any, *given: Any) -> Any:  # noqa: ANN401 - calls anything
    try:
        return do(*given)
    except OSError as error:
        raise _OwnDisk(error) from error


def _next(pieces: Iterator[tuple[int, bytes, str]]) -> tuple[int, bytes, str] | None:
    """The next piece; None at the end."""
    try:
        return next(pieces, None)
    except OSError as error:
        raise _OwnDisk(error) from error


def _refused(error: JobError, machine: str) -> Failed:
    return Failed(error.info(), True, 0.0, elsewhere=machine)
