"""A thread with a supervisor: it runs the attempts of one machine as the daemon runs its own, with all limits and the sandbox."""

import os
import queue
import selectors
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from loguru import logger

from daemon.contract.messages import JobCommand, Warm
from daemon.errors import WorkerCrashed
from daemon.fs import FileSystem
from daemon.platform.memory import available_memory
from daemon.running.kept_templates import KeptTemplates
from daemon.running.model_inventory import ModelInventory
from daemon.running.worker_limits import sandbox_policy, supervisor_rules
from daemon.settings import Settings
from daemon.supervisor import Failed, Outcome, Supervisor, worker_argv
from daemon.supervisor.code import fingerprint
from daemon.wakeup import Wakeup

#: The longest time in seconds between two looks of the thread at its templates.
_LOOK_SECONDS = 5.0


class SupervisorThread(threading.Thread):
    """Runs attempts. Its methods may be called from any thread; what it tells is called in its own thread.

    Args:
        settings: this machine's settings.
        fs: the disk.
        inventory: the installed models.
        root: the folder with everything that jobs read and write here.
        threads: how many threads each job uses.
        on_progress: called with attempt, stage and fraction.
        on_end: called with attempt and outcome.
        argv: a command that replaces the real worker's; such a worker gets no sandbox and no template. None: the real worker.
    """

    def __init__(
        self,
        settings: Settings,
        fs: FileSystem,
        inventory: ModelInventory,
        root: bytes,
        *,
        threads: int,
        on_progress: Callable[[str, str, float], None],
        on_end: Callable[[str, Outcome], None],
        argv: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(name="supervisor", daemon=True)
        self._settings, self._inventory = settings, inventory
        self.on_progress, self.on_end = on_progress, on_end
        self._program = partial(fingerprint, (*settings.paths.own_models, *settings.paths.own_styles))
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._wakeup = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wakeup.read_end, selectors.EVENT_READ, self._wakeup.drain)
        policy = None
        if argv is None and (policy := sandbox_policy(settings, inventory)) is not None:
            # Jobs read their pictures from this machine's own folder, and nothing of the outbox.
            policy = replace(policy, read=(*policy.read, os.path.realpath(os.fsdecode(root))))
        self._supervisor = Supervisor(
            self._selector,
            fs,
            supervisor_rules(settings, threads),
            argv=argv or worker_argv(),
            policy=policy,
            forks=argv is None,
        )
        self._supervisor.subscribe(self)
        self._templates = KeptTemplates(
            self._supervisor.templates,
            started_from=lambda: (self._program(), inventory.identities()),
            available=available_memory,
            enabled=settings.worker.spare and argv is None,
        )
        self._stopping = False

    # -- for other threads ------------------------------------------------------------------------------------------------

    def prepare(self, attempt: bytes, warm: Warm) -> None:
        """Start the worker of this attempt folder already, while the job's files are still on their way."""
        self._call(partial(self._prepare, attempt, warm))

    def begin(self, command: JobCommand, *, log: bytes, timeout_seconds: float) -> None:
        """Run a job. If it cannot be started, it ends as `Failed`."""
        self._call(partial(self._begin, command, log, timeout_seconds))

    def cancel(self, attempt: str) -> None:
        """Ask an attempt to stop, if it runs."""
        self._call(lambda: self._supervisor.cancel(attempt))

    def discard(self, attempt: bytes) -> None:
        """End the worker that was prepared for this attempt folder, if it got no job."""
        self._call(lambda: self._supervisor.discard(attempt))

    def stop(self) -> None:
        """End everything within the grace period, and the thread with it. Use `join` to wait."""
        self._call(self._end_soon)

    # -- the thread -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until `stop` was called."""
        while not self._stopping:
            self._supervisor.tick()
            now = time.monotonic()
            self._templates.look(now)
            deadline = self._supervisor.next_deadline()
            wait = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, max(0.0, deadline - now))
            for key, mask in self._selector.select(wait):
                key.data(mask)
            while not self._calls.empty():
                self._calls.get()()
        self._supervisor.shutdown()

    def _prepare(self, attempt: bytes, warm: Warm) -> None:
        self._templates.drop_useless()
        self._templates.want(warm, time.monotonic())
        try:
            self._supervisor.prepare(attempt, warm=warm)
        except OSError as error:
            logger.warning("no worker can be prepared: {}", error.strerror)  # `begin` tries again, and reports it

    def _begin(self, command: JobCommand, log: bytes, timeout_seconds: float) -> None:
        try:
            self._supervisor.start(command, log=log, timeout_seconds=timeout_seconds)
        except OSError as error:
            info = WorkerCrashed(f"no worker can be started: {error.strerror or error}").info()
            self.on_end(command.job_id, Failed(info, True, 0.0, ready=False))

    def _end_soon(self) -> None:
        self._stopping = True

    def _call(self, do: Callable[[], object]) -> None:
        self._calls.put(do)
        self._wakeup.wake()
