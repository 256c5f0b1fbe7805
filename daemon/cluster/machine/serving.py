"""The process on each machine: a Dask worker that gives seats to attempts, and joins again whenever the scheduler comes back."""

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from distributed import Worker
from distributed.utils import get_ip
from distributed.worker import DEFAULT_METRICS, get_worker
from loguru import logger

from daemon import __version__
from daemon.cluster.machine.about import devices, formats, lists_mark
from daemon.cluster.machine.attempts import MachineSide
from daemon.cluster.machine.joining import why_not_joined
from daemon.cluster.messages import About, program_mark
from daemon.cluster.placement import offered
from daemon.cluster.security import configure, forget_keys, security, server_options
from daemon.contract.words.printable import counted
from daemon.fs import FileSystem, make_folders
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.settings.scheduler_address import host_of, is_loopback
from daemon.supervisor.code import fingerprint

#: Seconds between two tries to join.
_PAUSES = (0.5, 1.0, 2.0, 5.0)
#: Seconds between two looks at the installed models, the disk and the program's files.
_LOOK_SECONDS = 5.0
#: Seconds for the daemons to hear how the last attempts ended, when this process stops.
_FAREWELL_SECONDS = 1.0
#: The exit status that asks for a restart with the program that is on the disk now.
RESTART = 80


class JoinedWorker(Worker):
    """The Dask worker of a machine. `side` has the attempts."""

    def __init__(self, *arguments: Any, side: MachineSide, **more: Any) -> None:  # noqa: ANN401 - what Dask's class takes
        super().__init__(*arguments, **more)
        self.side = side
        self.handlers.update(side.handlers)


async def occupy(attempt: str, home: str, daemon: str) -> None:
    """The task that Dask runs for an attempt: it only holds a slot. The daemon gives the order itself (`daemon.cluster`)."""
    worker = get_worker()
    if isinstance(worker, JoinedWorker):
        await worker.side.seat(attempt, home, daemon)


class Serving:
    """Serves one cluster until a signal says stop.

    Args:
        settings: this machine's settings.
        fs: the disk.
        address: the scheduler's address, checked.
        slots: how many jobs run at once.
        name: the machine's name; it must be unique in the cluster.
        argv: a command that replaces the real worker's, for tests and benchmarks.
    """

    def __init__(
        self, settings: Settings, fs: FileSystem, address: str, *, slots: int, name: str, argv: tuple[str, ...] | None = None
    ) -> None:
        self._settings, self._fs, self._address, self._slots, self._name = settings, fs, address, slots, name
        self._argv = argv
        self._security = security(settings, address)
        paths = settings.paths
        self._inventory = ModelInventory(os.fspath(paths.models), paths.model_lists, paths.style_lists)
        self._program_now: Callable[[], int] = partial(fingerprint, (*paths.own_models, *paths.own_styles))
        self._program = self._program_now()
        self._about = About(
            name=name,
            version=__version__,
            program=program_mark(),
            slots=slots,
            devices=("cpu",),
            formats=formats(settings.worker.ffmpeg),
            lists=lists_mark(paths.own_models, paths.own_styles),
        )
        self._root = _own_folder(fs, paths.state_bytes)
        self._stop = asyncio.Event()
        self._restart = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit status; `RESTART` if the program on the disk was changed."""
        configure(self._settings.cluster.lost_seconds)
        try:
            asyncio.run(self._run())
        finally:
            shutil.rmtree(self._root, ignore_errors=True)
        return RESTART if self._restart else 0

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        threads = self._settings.worker.threads
        self._side = MachineSide(
            self._settings,
            self._fs,
            self._inventory,
            self._root,
            threads=threads if isinstance(threads, int) else max(1, (os.cpu_count() or 1) // self._slots),
            argv=self._argv,
        )
        looking = loop.create_task(self._keep_looking())
        tried = 0
        while not self._stop.is_set():
            try:
                if await self._join():
                    tried = 0
            except (OSError, TimeoutError, ValueError, RuntimeError) as error:
                if tried == 0:
                    logger.warning("the scheduler {} cannot be joined: {}", self._address, why_not_joined(error, self._name))
            if not self._stop.is_set():
                pause = _PAUSES[min(tried, len(_PAUSES) - 1)]
                tried += 1
                try:
                    await asyncio.wait_for(self._stop.wait(), pause)
                except TimeoutError:
                    continue
        looking.cancel()

    async def _join(self) -> bool:
        """Serve until the connection to the scheduler is lost, or until this process stops. Returns whether it had joined."""
        await self._look()
        host = host_of(self._address)
        worker = JoinedWorker(
            self._address,
            side=self._side,
            nthreads=self._slots,
            resources=offered(self._about),
            name=self._name,
            host="127.0.0.1" if is_loopback(host) else get_ip(host),
            protocol=self._address.partition(":")[0],
            memory_limit=0,
            local_directory=os.fsdecode(os.path.join(self._root, b"dask")),
            metrics={**DEFAULT_METRICS, "multiplane": lambda _worker: self._told()},
            heartbeat_interval="1s",
            **server_options(self._security),
        )
        self._worker = worker
        joined = False
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            starting = asyncio.ensure_future(_started(worker))
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                return False
            starting.result()
            joined = True
            logger.info("{} has joined {} with {}", self._name, self._address, counted(self._slots, "slot"))
            finished = asyncio.ensure_future(worker.finished())  # type: ignore[no-untyped-call]
            await asyncio.wait({finished, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                logger.info("stopping")
                await self._side.close()
                await asyncio.sleep(_FAREWELL_SECONDS)
            else:
                logger.warning("the connection to the scheduler {} is lost", self._address)
                await self._side.drop_all()
        finally:
            stopping.cancel()
            await worker.close(timeout=2)
        return joined

    # -- what this machine says about itself --------------------------------------------------------------------------------

    def _told(self) -> dict[str, Any]:
        return self._about.model_copy(update={"jobs": self._side.running, "problem": self._side.problem}).model_dump(mode="json")

    async def _keep_looking(self) -> None:
        found = await asyncio.to_thread(devices)
        self._about = self._about.model_copy(update={"devices": found})
        while True:
            forget_keys()
            await self._look(self._worker if hasattr(self, "_worker") else None)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, worker: Worker | None = None) -> None:
        """Check what is installed, and whether this machine can take jobs. Tell the scheduler what changed."""
        models = tuple(sorted(f"{name}@{revision}" for name, revision in self._inventory.installed().items()))
        before, self._about = self._about, self._about.model_copy(update={"models": models})
        if await asyncio.to_thread(self._program_now) != self._program:
            self._side.take_none("its program was changed, and it restarts when its jobs are done")
            if not self._side.running:
                self._restart = True
                self._stop.set()
        elif self._fs.free_bytes(self._root) < int(self._settings.queue.min_free_bytes):
            self._side.take_none("its disk is full")
        else:
            self._side.take_none(None)
        if worker is not None and offered(before) != offered(self._about) and worker.status.name == "running":
            try:
                await worker.set_resources(**offered(self._about))
            except OSError as error:
                logger.warning("the scheduler could not be told what is installed now: {}", error)


async def _started(worker: Worker) -> None:
    await worker


def _own_folder(fs: FileSystem, state: bytes) -> bytes:
    """Make a folder for this process in the state folder, lock it, and remove those of processes that are gone."""
    above = os.path.join(state, b"cluster")
    make_folders(fs, above)
    for entry in fs.scan(above):
        path = os.path.join(above, entry.name)
        if entry.kind == "directory" and not fs.is_locked(path):
            shutil.rmtree(path, ignore_errors=True)
    own = os.path.join(above, uuid.uuid4().hex.encode())
    make_folders(fs, own)
    fs.lock_folder(own)
    return own
