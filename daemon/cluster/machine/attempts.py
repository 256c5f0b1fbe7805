"""One machine of a cluster: the attempts that have a seat here, what the daemon may ask, and what is reported back.

Everything here runs in the event loop of the Dask worker. Files are read and written in other threads, and the supervisor has a
thread of its own.

An attempt is ended as soon as no daemon names it any more: because the daemon said so, because another process of the daemon has
taken over, or because the daemon was silent for `LEASE_SECONDS`. So no worker outlives its daemon by more than that.
"""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from daemon.cluster.files import Incoming, deliver_to_share, fetch_from_share, piece_of_result, sees
from daemon.cluster.machine.supervising import SupervisorThread
from daemon.cluster.messages import (
    LOG_PIECE,
    Asked,
    AttemptReport,
    EndOfAttempt,
    Order,
    Progressed,
    Report,
    StoppedEnd,
    end_of,
)
from daemon.contract.messages import JobCommand
from daemon.errors import DiskFull, SourceChanged, WorkerLost
from daemon.fs import FileSystem
from daemon.jobs.fault import Evidence, Failure, judge
from daemon.platform.encoder import find_ffmpeg
from daemon.platform.memory import available_memory, total_memory
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.supervisor import Completed, Failed, Outcome

#: A daemon that is silent for this many seconds is gone, and its attempts end. It asks every few seconds.
LEASE_SECONDS = 40.0
#: An attempt that has a seat, but no order after this many seconds, gives the seat back: the daemon does not want it.
ORDER_SECONDS = 30.0
#: Seconds between two looks at leases.
_LOOK_SECONDS = 2.0
#: Seconds for what the supervisor's thread told last to be handled.
_SETTLE_SECONDS = 0.1
#: Less free memory than this, in bytes, and the machine is short of it: what the smallest job needs.
_ENOUGH_MEMORY = 500 << 20


@dataclass(eq=False)
class Seated:
    """An attempt on this machine.

    Attributes:
        attempt: its name.
        home, daemon: whose it is (`Asked`).
        order: what to do; None until the daemon has said so.
        incoming: the file that is arriving.
        over: set when its processes are gone, so that its slot is free.
        progress, progress_number: its last progress, and how many there were.
        end: how it ended; None while it runs, or while its result is on its way to the share.
        dropped: whether nobody names it any more.
    """

    attempt: str
    home: str
    daemon: str
    order: Order | None = None
    shared: bool = False
    incoming: Incoming | None = None
    begun: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    progress: Progressed | None = None
    progress_number: int = 0
    end: EndOfAttempt | None = None
    dropped: bool = False


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
        self._settings, self._fs, self._root, self._threads = settings, fs, root, threads
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
        for folder in (b"attempts", b"sources", b"logs"):
            os.makedirs(os.path.join(root, folder), mode=0o700, exist_ok=True)
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
        found = self._report(question)
        if not (found.seats or found.attempts):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(question.seconds), self._news:
                    while not (found.seats or found.attempts):
                        await self._news.wait()
                        found = self._report(question)
        self._heard[question.home] = time.monotonic()
        return found.model_dump_json()

    async def take_order(self, attempt: str, daemon: str, order: str) -> dict[str, Any]:
        """Take the order for an attempt that has a seat here.

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
        if self._fs.free_bytes(self._root) < needed:
            return {"problem": "its disk is full", "code": DiskFull.code}
        for folder in (b"attempts", b"sources"):
            os.mkdir(self._folder(folder, attempt), 0o700)
        one.order = told
        one.shared = await asyncio.to_thread(sees, self._share, told.shared)
        await self._tell()
        if "video" not in told.command.spec.formats:  # a worker that was started before its job cannot start ffmpeg
            self._supervisor.prepare(self._folder(b"attempts", attempt), told.command.warm)
        if one.shared:
            self._spawn(self._fetch(one, told))
        return {"problem": None, "shared": one.shared}

    async def put(self, attempt: str, name: str, offset: int, data: bytes) -> str | None:
        """Write a piece of a source file. Returns the system's error, if there is one."""
        one = self._named(attempt)
        file = next((file for file in one.order.files if file.name == name), None) if one.order else None
        if file is None:
            return "no such file was ordered"
        try:
            if offset == 0:
                one.incoming = await asyncio.to_thread(Incoming, self._folder(b"sources", attempt), file)
            if one.incoming is None:
                return "a piece out of order"
            await asyncio.to_thread(one.incoming.add, offset, bytes(data))
        except OSError as error:
            return error.strerror or str(error)
        return None

    async def run(self, attempt: str, name: str, sha256: str, last: bool) -> str | None:
        """Finish a source file, and run the attempt if it was the last one. Returns what is wrong, if anything is."""
        one = self._named(attempt)
        if one.incoming is None:
            return "a piece out of order"
        try:
            whole = await asyncio.to_thread(one.incoming.finish, sha256)
        except OSError as error:
            return error.strerror or str(error)
        one.incoming = None
        if not whole:
            return f"{name} did not arrive whole"
        if last:
            self._begin(one)
        return None

    async def get(self, attempt: str, path: str, offset: int) -> bytes:
        """A piece of a result's file; empty at its end."""
        self._named(attempt)
        return await asyncio.to_thread(piece_of_result, self._folder(b"attempts", attempt), path, offset)

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

    def _report(self, question: Asked) -> Report:
        mine = [one for one in self._seated.values() if one.home == question.home and not one.dropped]
        seats = tuple(one.attempt for one in mine if one.order is None and one.attempt not in question.attempts)
        told = []
        for attempt, known in question.attempts.items():
            one = self._seated.get(attempt)
            if one is None or one.dropped:
                told.append(AttemptReport(attempt=attempt, gone=True))
                continue
            log = self._log(attempt, known.log)
            moved = one.progress_number > known.progress
            # The log comes before the end, so that it is complete when the job has ended.
            end = one.end if one.end is not None and not known.ended and len(log) < LOG_PIECE else None
            if log or moved or end:
                told.append(
                    AttemptReport(
                        attempt=attempt,
                        progress=one.progress if moved else None,
                        progress_number=one.progress_number,
                        log=log,
                        end=end,
                    )
                )
        return Report(seats=seats, attempts=tuple(told))

    def _log(self, attempt: str, offset: int) -> str:
        try:
            with open(self._folder(b"logs", attempt), "rb") as log:
                log.seek(offset)
                return log.read(LOG_PIECE).decode("latin-1")
        except FileNotFoundError:
            return ""

    async def _fetch(self, one: Seated, order: Order) -> None:
        try:
            if self._share is None or order.shared is None:
                raise AssertionError("there is no share to fetch from")
            sources = self._folder(b"sources", one.attempt)
            wrong = await asyncio.to_thread(fetch_from_share, self._share, order.shared, order.files, sources)
        except OSError as error:
            failed = Failed(
                WorkerLost(f"The files of the job cannot be copied from the share: {error.strerror}.").info(), True, 0.0
            )
            await self._finish(one, end_of(failed, machine=True))
            return
        if wrong is not None:
            await self._finish(one, end_of(Failed(SourceChanged(f"{wrong}.").info(), False, 0.0)))
            return
        self._begin(one)

    def _begin(self, one: Seated) -> None:
        if one.dropped or one.begun or one.order is None:
            return
        one.begun = True
        attempt, order = one.attempt, one.order
        paths = self._settings.paths
        command: JobCommand = order.command.model_copy(
            update={
                # The supervisor tells its jobs apart by their ids; two homes may use the same.
                "job_id": attempt,
                "attempt": os.fsdecode(self._folder(b"attempts", attempt)),
                "source": os.fsdecode(self._folder(b"sources", attempt)),
                "models": str(paths.models),
                "model_lists": paths.model_lists,
                "style_lists": paths.style_lists,
                "threads": self._threads,
                "memory": total_memory(),
                "ffmpeg": find_ffmpeg(self._settings.worker.ffmpeg) if "video" in order.command.spec.formats else None,
            }
        )
        self._supervisor.begin(command, log=self._folder(b"logs", attempt), timeout_seconds=order.timeout_seconds)

    async def _progressed(self, attempt: str, stage: str, fraction: float) -> None:
        if (one := self._seated.get(attempt)) is not None:
            one.progress, one.progress_number = Progressed(stage=stage, fraction=fraction), one.progress_number + 1
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
                folder = self._folder(b"attempts", attempt)
                await asyncio.to_thread(deliver_to_share, self._fs, self._share, one.order.shared, folder)
                delivered = True
            except OSError as error:
                # The daemon fetches the result through the connection instead.
                logger.warning("the result of {} cannot be copied to the share: {}", attempt, error)
        await self._finish(one, end_of(outcome, delivered=delivered, machine=self._is_to_blame(outcome)))

    def _is_to_blame(self, outcome: Outcome) -> bool:
        """Whether this machine is at fault for a failure, by the evidence that it has."""
        if not isinstance(outcome, Failed):
            return False
        failure = Failure(
            outcome.error.code,
            ready=outcome.ready,
            held_when_killed=outcome.held_when_killed,
            held_when_refused=outcome.held_when_refused,
        )
        full = self._fs.free_bytes(self._root) < int(self._settings.queue.min_free_bytes)
        seen = Evidence(changed=self.problem is not None, full=full, short=available_memory() < _ENOUGH_MEMORY)
        return judge(failure, seen) is not None

    async def _finish(self, one: Seated, end: EndOfAttempt) -> None:
        one.end = end
        one.over.set()
        await self._tell()

    async def _drop(self, one: Seated) -> None:
        """End an attempt that nobody names any more, and remove its files."""
        if one.dropped:
            return
        one.dropped = True
        if one.begun and not one.over.is_set():
            self._supervisor.cancel(one.attempt)  # `_ended` goes on from here
        else:
            await self._forget(one)
        await self._tell()

    async def _forget(self, one: Seated) -> None:
        one.over.set()
        if one.incoming is not None:
            one.incoming.close()
        self._supervisor.discard(self._folder(b"attempts", one.attempt))
        self._seated.pop(one.attempt, None)
        await asyncio.to_thread(self._remove, one.attempt)

    def _remove(self, attempt: str) -> None:
        for folder in (b"attempts", b"sources"):
            shutil.rmtree(self._folder(folder, attempt), ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._folder(b"logs", attempt))

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
            if one.end is None:
                one.end = StoppedEnd(seconds=0.0)
            one.over.set()
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

    def _folder(self, kind: bytes, attempt: str) -> bytes:
        return os.path.join(self._root, kind, attempt.encode())
