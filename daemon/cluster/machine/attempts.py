"""One machine of a cluster: the attempts that have a seat here, what the daemon may ask, and what is reported back.

Everything here runs in the event loop of the Dask worker. Files are read and written in other threads, and the supervisor has a
thread of its own.

An attempt is ended as soon as no daemon names it any more: because the daemon said so, because another process of the daemon has
taken over, or because the daemon was silent for `LEASE_SECONDS`. So no worker outlives its daemon by more than that.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

from loguru import logger

from daemon.cluster.files import deliver_to_share, first_pieces, piece_of_result, sees
from daemon.cluster.machine.arriving import copy_from_share, finish_file, write_piece
from daemon.cluster.machine.blame import is_to_blame
from daemon.cluster.machine.seated import Folders, Seated, report
from daemon.cluster.machine.supervising import SupervisorThread
from daemon.cluster.messages import (
    Asked,
    EndOfAttempt,
    Order,
    Progressed,
    StoppedEnd,
    end_of,
)
from daemon.contract.messages import JobCommand
from daemon.errors import DiskFull, WorkerLost
from daemon.fs import FileSystem
from daemon.platform.encoder import find_ffmpeg
from daemon.platform.memory import total_memory
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.supervisor import Completed, Outcome

#: A daemon that is silent for this many seconds is gone, and its attempts end. It asks every few seconds.
LEASE_SECONDS = 40.0
#: An attempt that has a seat, but no order after this many seconds, gives the seat back: the daemon does not want it.
ORDER_SECONDS = 30.0
#: Seconds between two looks at leases.
_LOOK_SECONDS = 2.0
#: Seconds in which progress is gathered before it is told: the daemon shows it twice a second.
_PROGRESS_SECONDS = 0.5
#: Seconds in which other news is gathered.
_GATHER_SECONDS = 0.005
#: Seconds for what the supervisor's thread told last to be handled.
_SETTLE_SECONDS = 0.1


class MachineSide:
    """The attempts of this machine.

    Args:
        settings: this machine's settings.
        fs: the disk.
        inventory: the installed models.
        root: a folder of this process alone, on a local disk, for everything that attempts read and write.
        threads: how many threads each job uses.
        argv: see `SupervisorThread`.
    """

    def __init__(
        self,
        settings: Settings,
        fs: FileSystem,
        inventory: ModelInventory,
        root: bytes,
        *,
        threads: int,
        argv: tuple[str, ...] | None = None,
    ) -> None:
        self._settings, self._fs, self._threads = settings, fs, threads
        self._folders = Folders(fs, root)
        self._share = None if settings.cluster.shared_folder is None else os.fspath(settings.cluster.shared_folder.expanduser())
        self._loop = asyncio.get_running_loop()
        self._seated: dict[str, Seated] = {}
        #: When each home was heard last, in monotonic seconds.
        self._heard: dict[str, float] = {}
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        #: A clause that says why this machine takes no jobs; None if it does.
        self.problem: str | None = None
        self._closing = False
        self._progress_due = False
        self._supervisor = SupervisorThread(
            settings,
            fs,
            inventory,
            root,
            threads=threads,
            on_progress=lambda *told: self._soon(self._progressed, *told),
            on_end=lambda *told: self._soon(self._ended, *told),
            argv=argv,
        )
        self._supervisor.start()
        self._spawn(self._watch_leases())

    @property
    def running(self) -> tuple[str, ...]:
        """The ids of the jobs that run here."""
        return tuple(one.order.command.job_id for one in self._seated.values() if one.order and not one.over.is_set())

    @property
    def handlers(self) -> dict[str, Callable[..., Coroutine[Any, Any, Any]]]:
        """What a daemon may ask, for the handlers of a Dask worker."""
        return {
            "multiplane_report": self.report,
            "multiplane_order": self.take_order,
            "multiplane_put": self.put,
            "multiplane_run": self.run,
            "multiplane_get": self.get,
            "multiplane_get_first": self.get_first,
            "multiplane_cancel": self.cancel,
        }

    def take_none(self, why: str | None) -> None:
        """Take no jobs from now on; `why`: a clause. None: take jobs again."""
        self.problem = why

    # -- seats ------------------------------------------------------------------------------------------------------------

    async def seat(self, attempt: str, home: str, daemon: str) -> None:
        """Hold a slot for an attempt until its processes are gone, or until it is clear that it gets no order.

        An attempt that had a seat here before, as when Dask runs a task again, gets none.
        """
        if self._closing:
            await asyncio.Event().wait()  # until Dask cancels it, and runs it elsewhere
        if attempt in self._seated:
            return
        one = self._seated[attempt] = Seated(attempt, home, daemon)
        self._heard.setdefault(home, time.monotonic())
        await self._tell()
        try:
            await asyncio.wait_for(self._ordered_or_over(one), ORDER_SECONDS)
        except TimeoutError:
            logger.info("attempt {} got no order", attempt)
            await self._drop(one)
        await one.over.wait()

    async def _ordered_or_over(self, one: Seated) -> None:
        async with self._news:
            await self._news.wait_for(lambda: one.order is not None or one.over.is_set())

    # -- what a daemon asks -----------------------------------------------------------------------------------------------

    async def report(self, asked: str) -> str:
        """What is new for a daemon (`Asked` to `Report`). Waits until something is, or the time is over."""
        question = Asked.model_validate_json(asked)
        self._heard[question.home] = time.monotonic()
        for one in tuple(self._seated.values()):
            unnamed = one.attempt not in question.attempts and one.order is not None
            if one.home == question.home and (one.daemon != question.daemon or unnamed):
                await self._drop(one)
        found = report(self._seated, question, self._folders)
        if not (found.seats or found.attempts):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(question.seconds), self._news:
                    while not (found.seats or found.attempts):
                        await self._news.wait()
                        found = report(self._seated, question, self._folders)
            if found.seats or found.attempts:
                # When an attempt ends, the next one has its seat a moment later.
                await asyncio.sleep(_GATHER_SECONDS)
                found = report(self._seated, question, self._folders)
        self._heard[question.home] = time.monotonic()
        return found.model_dump_json()

    async def take_order(
        self, attempt: str, daemon: str, order: str, files: dict[str, tuple[bytes, str]] | None = None
    ) -> dict[str, Any]:
        """Take the order for an attempt that has a seat here. `files`: its files with their SHA-256, if they are small.

        Returns `problem`: why it cannot be done, None if it can; `code`: the code of that error; and `shared`: whether the files
        are fetched from the share, so that the daemon need not send them.
        """
        one = self._seated.get(attempt)
        if one is None or one.dropped or one.daemon != daemon or one.order is not None:
            return {"problem": "it has no seat for this attempt any more", "code": WorkerLost.code}
        told = Order.model_validate_json(order)
        if self.problem is not None:
            return {"problem": self.problem, "code": WorkerLost.code}
        needed = sum(file.bytes for file in told.files) + int(self._settings.queue.min_free_bytes)
        if self._folders.free_bytes() < needed:
            return {"problem": "its disk is full", "code": DiskFull.code}
        self._folders.make(attempt)
        one.accept(told)
        one.use_share(await asyncio.to_thread(sees, self._share, told.shared))
        await self._tell()
        if "video" not in told.command.spec.formats:  # a worker that was started before its job cannot start ffmpeg
            self._supervisor.prepare(self._folders.attempt(attempt), told.command.warm)
        if one.shared:
            self._spawn(self._fetch(one))
        elif files:
            for number, (name, (data, sha256)) in enumerate(files.items(), start=1):
                wrong = await self.put(attempt, name, 0, data) or await self.run(attempt, name, sha256, number == len(files))
                if wrong is not None:
                    code = DiskFull.code if "space" in wrong else WorkerLost.code
                    return {"problem": f"{name} could not be written: {wrong}", "code": code}
        return {"problem": None, "shared": one.shared}

    async def put(self, attempt: str, name: str, offset: int, data: bytes) -> str | None:
        """Write a piece of a source file. Returns the system's error, if there is one."""
        return await write_piece(self._named(attempt), self._folders, name, offset, bytes(data))

    async def run(self, attempt: str, name: str, sha256: str, last: bool) -> str | None:
        """Finish a source file, and run the attempt if it was the last one. Returns what is wrong, if anything is."""
        one = self._named(attempt)
        wrong = await finish_file(one, name, sha256)
        if wrong is None and last:
            self._begin(one)
        return wrong

    async def get(self, attempt: str, path: str, offset: int) -> bytes:
        """A piece of a result's file; empty at its end."""
        self._named(attempt)
        return await asyncio.to_thread(piece_of_result, self._folders.attempt(attempt), path, offset)

    async def get_first(self, attempt: str, paths: list[str]) -> list[bytes]:
        """The beginnings of several files of a result."""
        self._named(attempt)
        return await asyncio.to_thread(first_pieces, self._folders.attempt(attempt), paths)

    async def cancel(self, attempt: str) -> None:
        """Ask an attempt to stop. One that has not begun ends at once."""
        one = self._seated.get(attempt)
        if one is None or one.dropped:
            return
        if one.begun:
            self._supervisor.cancel(attempt)
        else:
            await self._drop(one)

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _named(self, attempt: str) -> Seated:
        one = self._seated.get(attempt)
        if one is None or one.dropped or one.order is None:
            raise FileNotFoundError(f"attempt {attempt} is not on this machine")
        return one

    async def _fetch(self, one: Seated) -> None:
        failed = await copy_from_share(one, self._folders, self._share)
        if failed is None:
            self._begin(one)
        else:
            await self._finish(one, end_of(failed[0], machine=failed[1]))

    def _begin(self, one: Seated) -> None:
        if one.dropped or one.begun or one.order is None:
            return
        one.begin()
        attempt, order = one.attempt, one.order
        paths = self._settings.paths
        command: JobCommand = order.command.model_copy(
            update={
                # The supervisor tells its jobs apart by their ids; two homes may use the same.
                "job_id": attempt,
                "attempt": os.fsdecode(self._folders.attempt(attempt)),
                "source": os.fsdecode(self._folders.source(attempt)),
                "models": str(paths.models),
                "model_lists": paths.model_lists,
                "style_lists": paths.style_lists,
                "threads": self._threads,
                "memory": total_memory(),
                "ffmpeg": find_ffmpeg(self._settings.worker.ffmpeg) if "video" in order.command.spec.formats else None,
            }
        )
        self._supervisor.begin(command, log=self._folders.log(attempt), timeout_seconds=order.timeout_seconds)

    async def _progressed(self, attempt: str, stage: str, fraction: float) -> None:
        if (one := self._seated.get(attempt)) is not None:
            one.advance(Progressed(stage=stage, fraction=fraction))
            if not self._progress_due:
                self._progress_due = True
                await asyncio.sleep(_PROGRESS_SECONDS)
                self._progress_due = False
                await self._tell()

    async def _ended(self, attempt: str, outcome: Outcome) -> None:
        one = self._seated.get(attempt)
        if one is None:
            return
        if one.dropped:
            await self._forget(one)
            return
        one.over.set()
        delivered = False
        if isinstance(outcome, Completed) and one.shared and one.order and one.order.shared and self._share:
            try:
                folder = self._folders.attempt(attempt)
                await asyncio.to_thread(deliver_to_share, self._fs, self._share, one.order.shared, folder)
                delivered = True
            except OSError as error:
                # The daemon fetches the result through the connection instead.
                logger.warning("the result of {} cannot be copied to the share: {}", attempt, error)
        await self._finish(one, end_of(outcome, delivered=delivered, machine=self._to_blame(outcome)))

    def _to_blame(self, outcome: Outcome) -> bool:
        return is_to_blame(outcome, changed=self.problem is not None, full=self._is_full())

    def _is_full(self) -> bool:
        return self._folders.free_bytes() < int(self._settings.queue.min_free_bytes)

    async def _finish(self, one: Seated, end: EndOfAttempt) -> None:
        one.finish(end)
        await self._tell()

    async def _drop(self, one: Seated) -> None:
        """End an attempt that nobody names any more, and remove its files."""
        if one.dropped:
            return
        one.drop()
        if one.begun and not one.over.is_set():
            self._supervisor.cancel(one.attempt)  # `_ended` goes on from here
        else:
            await self._forget(one)
        await self._tell()

    async def _forget(self, one: Seated) -> None:
        one.over.set()
        if one.incoming is not None:
            one.incoming.close()
        self._supervisor.discard(self._folders.attempt(one.attempt))
        self._seated.pop(one.attempt, None)
        await asyncio.to_thread(self._folders.remove, one.attempt)

    async def _watch_leases(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            for one in tuple(self._seated.values()):
                if now - self._heard.get(one.home, 0.0) > LEASE_SECONDS:
                    logger.warning("the daemon of {} is silent; its attempt {} ends", one.home, one.attempt)
                    await self._drop(one)

    async def drop_all(self) -> None:
        """End all attempts, because the connection to the scheduler is lost, and the daemon counts them as interrupted."""
        for one in tuple(self._seated.values()):
            await self._drop(one)

    async def close(self) -> None:
        """End everything, because this process stops. Attempts end as `Stopped`, and daemons that ask in time hear of it."""
        self._closing = True
        self.take_none("it stops")
        await asyncio.to_thread(self._stop)
        await asyncio.sleep(_SETTLE_SECONDS)  # the ends that the supervisor reported last
        for one in self._seated.values():
            one.finish(StoppedEnd(seconds=0.0))
        await self._tell()
        for task in self._tasks:
            task.cancel()

    def _stop(self) -> None:
        self._supervisor.stop()
        self._supervisor.join()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _soon(self, do: Callable[..., Coroutine[Any, Any, None]], *told: object) -> None:
        """Run a coroutine in the loop. Called by the supervisor's thread."""
        self._loop.call_soon_threadsafe(lambda: self._spawn(do(*told)))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
