"""The daemon's parts on a simulated disk: everything except the watch, the processes and the loop, which have stand-ins.

`Users` holds what people did and may expect. `SimulatedDaemon` is the daemon from one start to its end.
"""

import functools
import hashlib
import os
import selectors
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from loguru import logger
from simdisk import SimDisk

from daemon.claiming.claims import GROUP
from daemon.clock import rfc3339
from daemon.contract.manifest import Manifest
from daemon.contract.messages import JobCommand, Result
from daemon.contract.names import to_bytes
from daemon.contract.records import Process
from daemon.contract.requests import Request
from daemon.contract.status import Output, Source, Status
from daemon.errors import ImageType, ImageUnreadable, WorkerCrashed
from daemon.fs.compose import write_all
from daemon.intake.model import Control, Entry, Ready
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.running.model_inventory import ModelInventory
from daemon.running.recovery import Recovery
from daemon.running.runner import JobRunner
from daemon.service.ended_jobs import EndedBefore
from daemon.service.parts import Home, Machine, wire
from daemon.settings import Settings, load
from daemon.supervisor import Cancelled, Completed, Failed, Stopped, SupervisorRules
from daemon.supervisor.starting.templates import Templates
from tests.manifests import manifest_of_layers

logger.remove()

SETTINGS = load(Path("/studio"), {"MULTIPLANE_CONFIG": "/dev/null"})
PATHS = SETTINGS.paths
INBOX, OUTBOX, REQUESTS = PATHS.inbox_bytes, PATHS.outbox_bytes, PATHS.requests_bytes
INSTALLED = ModelInventory(os.fspath(PATHS.models))
BOOT = "boot of the simulation"
#: Small, so that a short life sees new segments begin.
RECORDS_PER_SEGMENT = 15


@dataclass
class Users:
    """What people did and may expect. Contents are unique, so a file is known by its bytes.

    Attributes:
        dropped: every file dropped into the inbox, by content: its name.
        removed: contents that somebody asked to have removed; they may be gone.
        seconds: the wall clock, since 1970.
        crashes: how often the picture with this content has crashed its worker.
        in_hurry: pictures that would take for ever end at once.
        redone: how often somebody asked for a redo of the job with this picture, or that has this depth picture.
        told: how often the command of the settings ran to its end for each job.
        settings: the settings of the home.
    """

    dropped: dict[bytes, bytes] = field(default_factory=dict)
    removed: set[bytes] = field(default_factory=set)
    seconds: float = 1_700_000_000.0
    crashes: dict[bytes, int] = field(default_factory=dict)
    in_hurry: bool = False
    asked: int = 0
    redone: dict[bytes, int] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    settings: Settings = SETTINGS

    def copy(self) -> "Users":
        return replace(
            self,
            dropped=dict(self.dropped),
            removed=set(self.removed),
            crashes=dict(self.crashes),
            redone=dict(self.redone),
            told=Counter(self.told),
        )

    def drop(self, disk: SimDisk, name: bytes, data: bytes) -> None:
        assert data not in self.dropped
        self.dropped[data] = name
        disk.clock_ns = max(disk.clock_ns, int(self.seconds * 1e9))
        disk.put(os.path.join(INBOX, name), data)

    def ask(self, disk: SimDisk, verb: str, *jobs: str, **more: object) -> None:
        self.asked += 1
        for job in jobs if verb in ("rm", "redo") or (verb == "prune" and not more.get("keep_source")) else ():
            source = os.path.join(OUTBOX, job.encode(), b"source")
            contents = {node.data for _path, node in disk.walk(source) if node.kind == "file"}
            if verb == "redo":
                self.redone |= {content: self.redone.get(content, 0) + 1 for content in contents}
            else:
                self.removed |= contents
        disk.put(
            os.path.join(REQUESTS, b"%04d.json" % self.asked), Request(verb=verb, jobs=jobs, **more).model_dump_json().encode()
        )


class ToldCommand:
    """A command of the settings; it ends with the first look at it."""

    last_line = ""

    def __init__(self, users: Users, job_id: str) -> None:
        self._users, self._job_id, self._ended = users, job_id, False

    def poll(self) -> int:
        self._users.told[self._job_id] += not self._ended
        self._ended = True
        return 0

    def kill(self) -> None:
        """Do nothing: it has ended."""

    def is_gone(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing: nothing is open."""


def at_once(do: Callable[[], None]) -> Iterator[None]:
    """Replaces the thread for work beside the loop."""
    do()
    yield from ()


class NoWakeup:
    """Replaces the wake-up pipe: nothing is watched."""

    def wake(self) -> None:
        raise AssertionError("nothing is watched here")


class AlwaysHealthy:
    """Replaces `SystemHealth`: nothing is ever wrong with the machine, so every failure is the job's."""

    def may_start(self) -> bool:
        return True

    def judge(self, _failure: object, *, ask: bool) -> None:
        """The job is at fault, whether or not a canary may be sent."""

    def pause_for(self, _cause: object) -> None:
        """Do nothing: every cause passes at once."""

    def doubt_disk(self) -> None:
        """Do nothing: the disk works."""


class Workers:
    """Replaces the supervisor: a worker writes a small real result, and its messages arrive with the next ticks.

    A picture says in its first word what becomes of it: `good`, `crash-N` (the first N attempts), `bad`, `slow` (till cancelled),
    `half` (its writer is not done, it cannot be read yet), `torn` (its end is missing).
    """

    def __init__(self, fs: SimDisk, users: Users) -> None:
        self._fs, self._users = fs, users
        # This selector holds no descriptor.
        self.templates = Templates(selectors.SelectSelector(), (), SupervisorRules(), lambda: 0.0, possible=False)
        self._running: dict[str, list] = {}
        self.started: list[str] = []

    def subscribe(self, listener: JobRunner) -> None:
        self._listener = listener

    def start(self, command: JobCommand, *, log: bytes, timeout_seconds: float, as_program: bool) -> Process:
        assert timeout_seconds > 0
        fs = self._fs
        try:
            fd = fs.append(log)
            fs.write(fd, b"a worker began\n")
            fs.close(fd)
        except OSError:
            pass  # a job without a log is a job
        attempt, picture = os.fsencode(command.attempt), os.path.join(os.fsencode(command.source), to_bytes(command.image))
        self.started.append(command.job_id)
        self._running[command.job_id] = [0, self._work(command, attempt, fs.read(picture, 1 << 20))]
        return Process(pid=2**22 + len(self.started), created=1.0, boot_id=BOOT, group=2**22, guardian_created=1.0)

    def _work(self, command: JobCommand, attempt: bytes, picture: bytes) -> object:
        word = picture.split()[0]
        if word.startswith(b"crash-") and self._users.crashes.get(picture, 0) < int(word[6:]):
            self._users.crashes[picture] = self._users.crashes.get(picture, 0) + 1
            return Failed(WorkerCrashed("it fell over").info(), True, 0.5)
        if word == b"bad":
            return Failed(ImageType("it is no picture").info(), False, 0.1)
        if word == b"half":
            return Failed(ImageUnreadable("it is cut off").info(), False, 0.1)
        if word == b"torn":
            return Failed(ImageUnreadable("its end is missing", detail="truncated").info(), False, 0.1)
        if word == b"slow" and not self._users.in_hurry:
            return None
        try:
            return Completed(write_result(self._fs, attempt, command.image, picture), 1.5, 1000)
        except OSError as error:
            return Failed(WorkerCrashed(f"it could not write: {error.strerror}").info(), True, 0.5)

    def cancel(self, job_id: str) -> bool:
        if job_id not in self._running:
            return False
        self._running[job_id] = [1, Cancelled(0.7)]
        return True

    def shutdown(self) -> None:
        for job_id in list(self._running):
            del self._running[job_id]
            self._listener.on_end(job_id, Stopped(0.3))

    def tick(self) -> None:
        for job_id, state in list(self._running.items()):
            state[0] += 1
            if state[0] == 1:
                self._listener.on_progress(job_id, "fill", 0.5)
            elif state[1] is not None:
                del self._running[job_id]
                self._listener.on_end(job_id, state[1])


def write_result(fs: SimDisk, attempt: bytes, image: str, picture: bytes) -> Result:
    """A result of a few files, as a worker writes it: nothing is synced."""
    folder = os.path.join(attempt, b"result")
    contents, result = made_of(image, picture)
    fs.mkdir(folder)
    fs.mkdir(os.path.join(folder, b"preview"))
    for name, data in contents.items():
        fd = fs.create(os.path.join(folder, name))
        write_all(fs, fd, data)
        fs.close(fd)
    return result


@functools.cache
def made_of(image: str, picture: bytes) -> tuple[dict[bytes, bytes], Result]:
    """The files that the worker makes from a picture, and what it reports about them."""
    contents = {
        b"Layer_1_background.png": b"far " + picture,
        b"Layer_2_foreground.png": b"near " + picture,
        b"preview/a.js": b"//" + picture,
    }
    manifest = manifest_of_layers({name.decode(): contents[name] for name in sorted(contents)[:2]})
    contents[b"layer_manifest.json"] = manifest.model_dump_json().encode()
    outputs = tuple(
        Output(path=f"result/{name.decode()}", kind="layer", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in contents.items()
    )
    source = Source(image=image, bytes=len(picture), sha256=hashlib.sha256(picture).hexdigest(), width=4, height=2)
    return contents, Result(source=source, outputs=outputs, manifest="result/layer_manifest.json")


class SimulatedDaemon:
    """The daemon on a disk, from one start to its end."""

    def __init__(self, disk: SimDisk, users: Users) -> None:
        self.disk, self.users = disk, users
        self._monotonic = 0.0

    def start(self) -> None:
        """What `Service` does before its first scan."""
        fs = self.disk
        self.journal = Journal(
            fs,
            PATHS.journal_bytes,
            clock=self._now,
            version="1",
            boot_id=BOOT,
            records_per_segment=RECORDS_PER_SEGMENT,
        )
        recovered = self.journal.recover()
        jobs = Jobs()
        for entry in recovered.entries:
            jobs.apply(entry)
        self.outbox = Outbox(fs, OUTBOX, lambda: self._monotonic)
        if recovered.segment == 0:
            self.outbox.prepare()
        self.journal.begin(recovered.segment + 1, recovered.next_seq, list(jobs.live.values()), jobs.other_records())
        self.history = History(fs, PATHS.journal_bytes)
        self.ledger = Ledger(self.journal, jobs)
        self.workers = Workers(fs, self.users)
        parts = wire(
            Home(fs, self.users.settings, BOOT, self.journal, self.ledger, self.outbox, self.history, EndedBefore(self.history)),
            Machine(
                selector=selectors.SelectSelector(),
                wakeup=NoWakeup(),
                supervisor=self.workers,
                system_health=AlwaysHealthy(),
                inventory=INSTALLED,
                program=lambda: 1,
                inbox_is_local=lambda: True,
                clock=lambda: self._monotonic,
                wall_clock=lambda: self.users.seconds,
                in_background=at_once,
                start_hook=lambda argv, _message, _environment, _folder: ToldCommand(self.users, os.path.basename(argv[-1])),
            ),
        )
        self.deliveries, self.hooks = parts.deliveries, parts.hooks
        self.runs, self.views, self.claims, self.requests = parts.runs, parts.views, parts.claims, parts.requests
        self.copies = parts.copies
        self.recovered = False

    def _now(self) -> str:
        return rfc3339(datetime.fromtimestamp(self.users.seconds, UTC))

    def turn(self) -> None:
        """One pass of the loop, a few seconds after the one before."""
        self.users.seconds += 4.0
        self._monotonic += 4.0
        self.workers.tick()
        if not self.recovered and not self._recover():
            return
        self.claims.finish(list(self.ledger.jobs.unclaimed.values()), again=True)
        self.requests.handle()
        while self.copies.advance():
            pass
        self.runs.end_removed_returns()
        ready = self.ready()
        if ready:
            self.claims.claim(ready[:GROUP])
        self.runs.end_without_worker()
        self.runs.start_next()
        self.runs.check_and_publish()
        self.deliveries.look(self._monotonic)
        self.hooks.look(self._monotonic)
        if not self.users.in_hurry:
            self.views.refresh(self._monotonic, force=True)

    def stop(self) -> None:
        """What `Service` does at an orderly stop."""
        self.runs.begin_stop()
        self.workers.shutdown()
        self.runs.stop()
        self.views.refresh(self._monotonic, force=True)
        self.journal.close()

    def _recover(self) -> bool:
        wall_clock = lambda: self.users.seconds  # noqa: E731
        recovery = Recovery(self.disk, self.ledger, self.outbox, self.claims, self.runs, BOOT, wall_clock=wall_clock)
        try:
            recovery.perform()
        except OSError:
            return False  # the outbox cannot be read now; the next round tries again
        self.recovered = True
        return True

    def ready(self) -> list[Ready]:
        """The pairs in the inbox; a picture in the folder `quick` falls under its preset."""
        found = {path: node for path, node in self.disk.walk(INBOX) if node.kind == "file"}
        pairs = []
        for path in sorted(path for path in found if path.endswith(b".jpg")):
            folder = os.path.relpath(os.path.dirname(path), INBOX)
            folder = b"" if folder == b"." else folder
            stem = path[:-4]
            image, sidecar, depth = (self._entry(found, name) for name in (path, stem + b".yaml", stem + b".depth.png"))
            control = self._entry(found, os.path.join(INBOX, folder, b"_preset.yaml")) if folder else None
            twin = self._entry(found, os.path.join(os.path.dirname(path), b"._" + os.path.basename(path)))
            if self._awaits_rest(folder, image):
                continue
            if not os.path.basename(path).startswith(b"._") and (sidecar or control):
                twins = (twin,) if twin else ()
                pairs.append(Ready(folder, image, sidecar, depth, twins, control and Control("preset", control), (), 0.0))
        return pairs

    def _awaits_rest(self, folder: bytes, image: Entry) -> bool:
        """Whether a picture came back because its end is missing, and neither changed since nor had its time."""
        for job in self.ledger.jobs.returned.values():
            if (to_bytes(job.accepted.folder), to_bytes(job.image.name)) == (folder, image.name):
                return (image.size, image.mtime_ns) == (job.back.size, job.back.mtime_ns) and self.users.seconds < job.back.until
        return False

    def _entry(self, found: dict, path: bytes) -> Entry | None:
        if path not in found:
            return None
        stat = self.disk.stat(path)
        return Entry(os.path.basename(path), "file", stat.dev, stat.ino, stat.size, stat.mtime_ns)

    def rest(self, most: int = 120) -> None:
        """Run until there is nothing left to do."""
        self.users.in_hurry = True
        for _ in range(most):
            self.users.seconds += 30.0  # so that no pause takes many rounds
            self._monotonic += 30.0
            self.turn()
            done = not self.ledger.jobs.live and self.deliveries.is_done() and self.hooks.is_done()
            if done and not self.ready() and not self._has_requests():
                return
            if any(job.state == "processing" for job in self.ledger.jobs.live.values()):
                self._cancel_the_endless()
        raise AssertionError(f"it never comes to rest: {self.ledger.jobs.live}")

    def _cancel_the_endless(self) -> None:
        for job_id, state in self.workers._running.items():
            if state[1] is None:
                self.workers._running[job_id] = [1, Cancelled(0.7)]

    def _has_requests(self) -> bool:
        names = [entry.name for entry in self.disk.scan(REQUESTS)]
        return any(name.endswith(b".json") and not name.endswith(b".answer.json") for name in names)


def new_disk() -> SimDisk:
    """The folders of a home after its first start; everything is durable."""
    disk = SimDisk()
    for path in (b"/studio", INBOX, os.path.join(INBOX, b"quick"), OUTBOX, PATHS.state_bytes, REQUESTS):
        disk.make(path)
    disk.put(os.path.join(INBOX, b"quick", b"_preset.yaml"), b"num_layers: 3\n")
    return disk


# -- what must hold -------------------------------------------------------------------------------------------------------


def check_visible(disk: SimDisk, *, statuses: bool = True) -> None:
    """At any moment: a result is complete or absent, a status as well, and `completed` has its result.

    Args:
        disk: as it is now.
        statuses: whether a status may not be damaged; it may right after a power loss, being no more than a view.
    """
    for entry in disk.scan(OUTBOX):
        folder = os.path.join(OUTBOX, entry.name)
        if entry.kind != "directory" or entry.name.startswith(b"."):
            continue
        names = {found.name for found in disk.scan(folder)}
        if b"result" in names:
            check_whole(disk, os.path.join(folder, b"result"))
        if b"status.json" not in names:
            continue
        try:
            status = status_of(disk.read(os.path.join(folder, b"status.json"), 1 << 20))
        except ValueError:
            assert not statuses, f"the status of {entry.name!r} is damaged"
            continue
        assert status.job_id == entry.name.decode()
        if status.state == "completed":
            assert b"result" in names or status.pruned_at, f"{entry.name!r} says completed and has no result"
            for output in status.outputs:
                data = disk.read(os.path.join(folder, output.path.encode()), 1 << 20)
                assert (len(data), hashlib.sha256(data).hexdigest()) == (output.bytes, output.sha256), output.path


@functools.cache
def status_of(data: bytes) -> Status:
    """A parsed status file; cached, because thousands of disks hold the same few."""
    return Status.model_validate_json(data)


@functools.cache
def manifest_of(data: bytes) -> Manifest:
    """A parsed manifest; cached, because thousands of disks hold the same few."""
    return Manifest.model_validate_json(data)


def check_whole(disk: SimDisk, result: bytes) -> None:
    manifest = manifest_of(disk.read(os.path.join(result, b"layer_manifest.json"), 1 << 20))
    for layer in manifest.layers:
        data = disk.read(os.path.join(result, layer.file.encode()), 1 << 20)
        assert hashlib.sha256(data).hexdigest() == layer.sha256, f"{result!r} is half done: {layer.file}"
    assert disk.read(os.path.join(result, b"preview/a.js"), 1 << 20).startswith(b"//"), f"{result!r} is half done"


def check_kept(disk: SimDisk, users: Users, *, places: int = 1) -> None:
    """Everything dropped is complete in the inbox or in a source folder, in at most this many places, copies apart."""
    found: dict[bytes, list[bytes]] = {}
    for path, node in disk.walk():
        here = path.startswith(INBOX + b"/") or (
            path.startswith(OUTBOX + b"/") and b"/source/" in path and b"/.work/" not in path
        )
        if here and node.kind == "file" and not os.path.basename(path).startswith(b".tmp-"):
            found.setdefault(node.data, []).append(path)
    for content, name in users.dropped.items():
        at = found.get(content, [])
        least = 0 if content in users.removed else 1
        assert least <= len(at) <= places + users.redone.get(content, 0), f"{name!r} is in {at}"


def check_ended(simulated: SimulatedDaemon, *, everything: bool = True) -> None:
    """When nothing is left to do: every job ended once, in the journal and its status; one job for each drop and redo.

    Args:
        simulated: at rest.
        everything: whether every picture that was dropped must have become a job.
    """
    disk, users = simulated.disk, simulated.users
    check_visible(disk)
    check_kept(disk, users)
    pictures: dict[bytes, list[str]] = {}
    jobs = check_history(simulated)
    for entry in disk.scan(OUTBOX):
        if entry.kind != "directory" or entry.name.startswith(b"."):
            continue
        job = jobs.find(entry.name.decode())
        assert job is not None, f"{entry.name!r} is nobody's"
        assert job.ended is not None, f"{entry.name!r} has not ended"
        status = status_of(disk.read(os.path.join(OUTBOX, entry.name, b"status.json"), 1 << 20))
        assert (status.state, status.completed_at) == (job.state, job.completed_at), f"the status of {entry.name!r} is stale"
        assert (status.error is None) == (status.state == "completed")
        names = {found.name for found in disk.scan(os.path.join(OUTBOX, entry.name))}
        assert (b"result" in names) == (status.state == "completed" and not status.pruned_at), (
            f"{entry.name!r}: {status.state} with {names}"
        )
        assert not any(name.startswith(b".tmp-") for name in names if not name.startswith(b".tmp-status")), names
        source = os.path.join(OUTBOX, entry.name, b"source")
        for file in disk.scan(source):
            if file.name.endswith(b".jpg") and not file.name.startswith(b"._"):
                pictures.setdefault(disk.read(os.path.join(source, file.name), 1 << 20), []).append(entry.name.decode())
    for content, became in pictures.items():
        assert len(became) == 1 + users.redone.get(content, 0), f"{content!r} became {became}"
    for content, name in users.dropped.items():
        if (
            everything
            and name.endswith(b".jpg")
            and not os.path.basename(name).startswith(b"._")
            and content not in users.removed
        ):
            assert content in pictures, f"{name!r} was never done"
    assert disk.scan(os.path.join(OUTBOX, b".work")) == [], "attempts are left behind"


def check_history(simulated: SimulatedDaemon) -> Jobs:
    """Every sequence number occurs once, every job ended as often as requested, and no id is used twice at a time."""
    jobs = Jobs(keep=None)
    open_jobs: set[str] = set()
    numbers: set[int] = set()
    for entry in simulated.history.entries():
        assert entry.seq not in numbers, f"record {entry.seq} came twice"
        numbers.add(entry.seq)
        jobs.apply(entry)
        record = entry.record
        match record.event:
            case "accepted" | "requeued":
                assert record.job not in open_jobs, f"{record.job} began twice"
                open_jobs.add(record.job)
            case "live":
                # Also of a job whose own record was read by a life that ended before it was durable.
                open_jobs.add(record.job)
            case "ended" | "withdrawn":
                assert record.job in open_jobs, f"{record.job} ended twice"
                open_jobs.remove(record.job)
    assert not open_jobs
    return jobs
