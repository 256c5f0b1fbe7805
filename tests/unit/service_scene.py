"""The daemon's parts in one process, on a real disk that can fail on request; without workers and waiting."""

import errno
import os
import selectors
import time
from pathlib import Path

from daemon.contract.records import Accepted, Claimed, ClaimedFile, Job, Process, Started
from daemon.contract.spec import JobSpec
from daemon.fs import LocalFiles, make_folders
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.running.model_inventory import ModelInventory
from daemon.service.ended_jobs import EndedBefore
from daemon.service.parts import Home, Machine, wire
from daemon.settings import load
from daemon.settings.typed_command import commands_anywhere
from daemon.supervisor import SupervisorRules
from daemon.supervisor.starting.templates import Templates
from tests.path_based_folder import ByPath

NOW = "2026-01-31T12:00:00.000Z"
SETTINGS = {"MULTIPLANE_CONFIG": os.devnull}


class Files(LocalFiles):
    """The real disk; an operation on a path that contains these bytes fails while `failing` lists it."""

    def __init__(self) -> None:
        self.failing: dict[str, tuple[int, bytes]] = {}
        #: Ends of paths whose disk does not answer.
        self.stale: set[bytes] = set()
        #: Ends of paths that may not be looked at.
        self.denied: set[bytes] = set()

    def hold(self, path):
        return ByPath(self, path)

    def lstat(self, path):
        if path.endswith(tuple(self.stale)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        if path.endswith(tuple(self.denied)):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)
        return super().lstat(path)

    def _may(self, name: str, path: bytes) -> None:
        number, part = self.failing.get(name, (0, b""))
        if number and part in path:
            raise OSError(number, os.strerror(number), path)

    def rename(self, source, target):
        self._may("rename", source)
        super().rename(source, target)

    def link(self, source, target):
        self._may("link", source)
        os.link(source, target, follow_symlinks=False)

    def copy(self, source, target):
        if "copy" in self.failing:
            Path(os.fsdecode(target)).write_bytes(b"half")
        self._may("copy", source)
        return super().copy(source, target)

    def rmdir(self, path):
        self._may("rmdir", path)
        super().rmdir(path)

    def fill(self, operation: str, part: bytes = b"") -> None:
        """From now on the disk has no space for it."""
        self.failing[operation] = (errno.ENOSPC, part)


class Workers:
    """Replaces the supervisor; its workers never send anything."""

    def __init__(self) -> None:
        self.commands = []
        # This selector holds no descriptor.
        self.templates = Templates(selectors.SelectSelector(), (), SupervisorRules(), time.monotonic, possible=False)
        self.cancelled = []

    def subscribe(self, listener) -> None:
        self.listener = listener

    def start(self, command, **_more) -> Process:
        self.commands.append(command)
        return Process(pid=1, created=0.0, boot_id="b", group=1, guardian_created=0.0)

    def cancel(self, job_id) -> bool:
        self.cancelled.append(job_id)
        return True


class NoWakeup:
    """Replaces the wake-up pipe, and holds no descriptors."""

    def wake(self) -> None:
        raise AssertionError("nothing is watched here")


class AlwaysHealthy:
    """A `SystemHealth` that never finds anything wrong, so that every failure is the job's own."""

    def may_start(self) -> bool:
        return True

    def judge(self, _failure, *, ask: bool) -> None:
        """The job is at fault, whether or not a canary may be sent."""

    def pause_for(self, _cause) -> None:
        """Do nothing: every cause passes at once."""

    def doubt_disk(self) -> None:
        """Do nothing: the disk works."""


class Scene:
    """One home and the parts of its daemon, on a disk that can fail on request, or on the given one."""

    def __init__(self, home: Path, fs: LocalFiles | None = None, *, settings: dict[str, str] | None = None, **machine) -> None:
        self.fs = fs or Files()
        self.settings = load(home, SETTINGS | (settings or {}))
        paths = self.settings.paths
        self.inbox, self.root = home / "inbox", home / "outbox"
        self.requests_folder = Path(os.fsdecode(paths.requests_bytes))
        for folder in (paths.inbox_bytes, paths.requests_bytes):
            make_folders(self.fs, folder)
        self.outbox = Outbox(self.fs, paths.outbox_bytes, commands=commands_anywhere(paths.home, os.environ))
        self.outbox.prepare()
        #: The time that records get.
        self.now_as_text = lambda: NOW
        self.journal = Journal(self.fs, paths.journal_bytes, clock=lambda: self.now_as_text(), version="1", boot_id="b")
        self.journal.recover()
        self.jobs = Jobs()
        self.journal.begin(1, 1, [])
        self.ledger = Ledger(self.journal, self.jobs)
        self.history = History(self.fs, paths.journal_bytes)
        self.workers = Workers()
        #: A test may set both clocks.
        self.clock, self.wall_clock = time.monotonic, time.time
        self.parts = parts = wire(
            Home(self.fs, self.settings, "b", self.journal, self.ledger, self.outbox, self.history, EndedBefore(self.history)),
            Machine(
                selector=selectors.DefaultSelector(),
                wakeup=NoWakeup(),
                supervisor=self.workers,
                system_health=self.make_system_health(),
                inventory=ModelInventory(os.fspath(paths.models)),
                program=lambda: 1,
                inbox_is_local=lambda: True,
                clock=lambda: self.clock(),
                wall_clock=lambda: self.wall_clock(),
                **machine,
            ),
        )
        self.runs, self.views, self.folder, self.claims = parts.runs, parts.views, parts.folder, parts.claims
        self.mover, self.batches, self.requests = parts.mover, parts.batches, parts.requests
        self.trash_actions = parts.trash_actions
        self._now = 0.0

    def make_system_health(self) -> object:
        """The judge of failures; here every failure is the job's own."""
        return AlwaysHealthy()

    def pending(self, *job_ids: str, **accepted) -> list[Job]:
        """Add jobs whose picture and sidecar are in source/."""
        for job_id in job_ids:
            source = self.root / job_id / "source"
            source.mkdir(parents=True)
            files = []
            for role, name, data in (
                ("image", f"{job_id}.jpg", b"a picture"),
                ("sidecar", f"{job_id}.jpg.yaml", b"depth: cues\n"),
            ):
                (source / name).write_bytes(data)
                found = (source / name).stat()
                files.append(
                    ClaimedFile(role=role, name=name, to=name, ino=found.st_ino, size=len(data), mtime_ns=found.st_mtime_ns)
                )
            said = {"job": job_id, "files": tuple(files), "spec": JobSpec()} | accepted
            self.ledger.record(Accepted(**said), Claimed(job=job_id))
        return [self.jobs.live[job_id] for job_id in job_ids]

    def processing(self, job_id: str) -> Job:
        """Add a job that a worker has."""
        self.pending(job_id)
        attempt = self.outbox.new_attempt()
        process = Process(pid=1, created=0.0, boot_id="b", group=1, guardian_created=0.0)
        self.ledger.record(Started(job=job_id, attempt=attempt, process=process))
        return self.jobs.live[job_id]

    def refresh(self) -> None:
        """Write the views, as the loop does at each health check."""
        self._now += 10.0
        self.views.report_alive()
        self.views.refresh(self._now)

    def status(self, job_id: str) -> str:
        """The content of status.json."""
        return (self.root / job_id / "status.json").read_text()
