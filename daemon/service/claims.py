"""Taking what intake calls ready: journal first, then the files.

The order, and why:

1. Look once more: each file is what intake saw. A file that changed waits on.
2. Read the sidecar, decide on spec and id. Nothing is changed yet.
3. `accepted` records, one sync for all. From here each pair is a job, whatever happens.
4. The job's folder (exclusively) and `source/`, made durable: a folder that a power loss takes back takes all in it along.
5. The image, depth picture, twins and, last, the sidecar by rename. A crash leaves some files here and some there; the record
   knows all of them, so the claim is rolled forward.
6. The syncs of `source/`, then of the inbox. Before this the renames may be undone by a power loss; the record still stands,
   the files are still whole.
7. `claimed` records, one sync for all. Only now do the inbox names mean nothing: whatever appears there is a new job.
8. `status.json`, a view.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from loguru import logger

from daemon.contract.names import to_text
from daemon.contract.records import Accepted, AnyRecord, Claimed, ClaimedFile, Job, Role, Withdrawn
from daemon.contract.spec import JobSpec, Mode
from daemon.contract.status import ErrorInfo
from daemon.errors import IdTaken, ImageUnreadable, JobError
from daemon.fs import FileSystem
from daemon.intake.model import Entry, Ready
from daemon.jobs.identity import generated_id
from daemon.outbox import Outbox
from daemon.platform.files import written_elsewhere
from daemon.service.batches import Batches
from daemon.service.ledger import Ledger
from daemon.service.moving import Moved, Mover, PlantedError
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES, JobKind, Sidecar, parse, requested_id, resolve, without_effect

#: Pairs taken with one sync: enough that the syncs do not count, few enough that the loop stays awake to everything else.
GROUP = 256
#: The longest name, in bytes, that common file systems hold.
_NAME_MAX = 255
#: Different pairs of sidecar and preset whose reading is remembered: thousands of pictures mostly share a few.
_MOST_UNDERSTOOD = 256


@dataclass(frozen=True, slots=True)
class Dropped:
    """A pair that could not be taken now, and why, in plain words; `grew`: it had not been complete."""

    pair: Ready
    reason: str
    grew: bool = False


@dataclass(frozen=True, slots=True)
class Taking:
    """What came of an attempt to take pairs."""

    done: tuple[Ready, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True)
class Reading:
    """What the files of a pair ask for: a spec, or why not."""

    spec: JobSpec | None
    mode: Mode | None
    requested_id: str | None
    refusal: ErrorInfo | None
    warnings: tuple[str, ...] = ()
    preset: dict[str, object] | None = None


class Claims:
    """Takes pairs out of the inbox."""

    def __init__(
        self,
        fs: FileSystem,
        settings: Settings,
        ledger: Ledger,
        outbox: Outbox,
        mover: Mover,
        known: Callable[[str], Job | None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        written_elsewhere: Callable[[bytes], bool] = written_elsewhere,
    ) -> None:
        """`known` finds a job that ended long ago, for an id that is taken; `clock` gives the time with its zone."""
        self._fs = fs
        self._settings = settings
        self._ledger = ledger
        self._outbox = outbox
        self._mover = mover
        self._known = known
        self._clock = clock
        self._written_elsewhere = written_elsewhere
        self._inbox = settings.paths.inbox_bytes
        self._batches = Batches(fs, self._inbox, ledger, outbox, mover)
        #: Why accepted jobs are not in the outbox yet, by id.
        self.held: dict[str, str] = {}
        self._understood: dict[tuple[bytes | None, bytes | None, JobKind], Reading] = {}

    def take(self, ready: Sequence[Ready]) -> Taking:
        """Accept and claim at most `GROUP` pairs. What is not as intake saw it stays where it is.

        Raises:
            JournalError: the process must stop.
        """
        reserved, batches = set[str](), dict[bytes, str]()
        accepted: list[tuple[Ready, Accepted]] = []
        dropped: list[Dropped] = []
        for pair in ready[:GROUP]:
            why = self._hindrance(pair)
            if why is None:
                try:
                    accepted.append((pair, self._accept(pair, reserved, batches)))
                    continue
                except OSError as error:
                    logger.warning("cannot read what belongs to {} yet: {}", to_text(pair.image.name), error)
                    why = Dropped(pair, f"it cannot be read now: {error.strerror}")
            dropped.append(why)
        if accepted:
            self._ledger.record(*(record for _, record in accepted))
            self.finish([self._ledger.jobs.live[record.job] for _, record in accepted], again=False)
        return Taking(tuple(pair for pair, _ in accepted), tuple(dropped))

    def finish(self, jobs: Sequence[Job], *, again: bool) -> None:
        """Move the files of accepted jobs; what cannot be moved now stays accepted and is tried again later.

        Raises:
            JournalError: the process must stop.
        """
        if not jobs:
            return
        roomy, planted = self._make_room(jobs, again=again)
        whole: list[Job] = []
        gone: list[Job] = []
        for job in roomy:
            try:
                (whole if self._mover.move(job) is Moved.WHOLE else gone).append(job)
            except (OSError, PlantedError) as error:
                self._hold(job, error)
        try:
            self._mover.settle(whole)
        except OSError as error:
            logger.warning("cannot make the claim of {} jobs durable yet: {}", len(whole), error)
            whole = []
        records: list[AnyRecord] = [Claimed(job=job.job_id) for job in whole]
        records += [Withdrawn(job=job.job_id) for job in (*gone, *planted)]
        if records:
            self._ledger.record(*records)
        for job in (*whole, *gone, *planted):
            self.held.pop(job.job_id, None)
        for job in gone:
            logger.info("{} was taken back before it could be claimed", job.job_id)

    def _hold(self, job: Job, error: Exception) -> None:
        """An accepted job whose files cannot be moved now: said once, shown in the waiting list, tried again later."""
        why = str(getattr(error, "strerror", None) or error)
        if self.held.get(job.job_id) != why:
            logger.warning("cannot take {} yet: {}", job.job_id, error)
        self.held[job.job_id] = why

    def _make_room(self, jobs: Sequence[Job], *, again: bool) -> tuple[list[Job], list[Job]]:
        """The jobs whose folders are there and durable, and those whose id something else has."""
        roomy: list[Job] = []
        planted: list[Job] = []
        for job in jobs:
            try:
                self._mover.make_room(job, again=again)
                roomy.append(job)
            except PlantedError:
                logger.warning("{} is already in the outbox but is none of our jobs; its picture gets another id", job.job_id)
                planted.append(job)
            except OSError as error:
                self._hold(job, error)
        try:
            self._mover.anchor(roomy)
        except OSError as error:
            logger.warning("cannot make the folders of {} jobs durable yet: {}", len(roomy), error)
            roomy = []
        return roomy, planted

    def _hindrance(self, pair: Ready) -> Dropped | None:
        """Why a pair is not what intake saw, or not free; none if nothing speaks against taking it."""
        for entry in pair.entries:
            path = self._path(pair.folder, entry.name)
            try:
                found = self._fs.lstat(path)
            except FileNotFoundError:
                return Dropped(pair, f"{to_text(entry.name)} was taken back")
            except OSError as error:
                return Dropped(pair, f"{to_text(entry.name)} cannot be looked at now: {error.strerror}")
            if found.kind != "file" or (found.dev, found.ino, found.size, found.mtime_ns) != entry.fingerprint:
                grew = found.ino == entry.ino and found.size > entry.size
                return Dropped(pair, f"{to_text(entry.name)} changed while it was being taken", grew)
            if self._written_elsewhere(path):
                return Dropped(pair, f"{to_text(entry.name)} is still open in another program")
        return None

    def _path(self, folder: bytes, name: bytes) -> bytes:
        return os.path.join(self._inbox, folder, name)

    # -- deciding on one pair ---------------------------------------------------------------------------------------------

    def _accept(self, pair: Ready, reserved: set[str], batches: dict[bytes, str]) -> Accepted:
        """The record of a new job.

        Raises:
            OSError: its sidecar or the outbox cannot be read now.
        """
        reading = self._read(pair)
        job_id, refusal = self._name(pair, reading, reserved)
        reserved.add(job_id)
        batch = None
        if pair.control and pair.control.kind == "batch":
            batch = batches.setdefault(pair.folder, self._batches.id_of(pair.folder, self._clock()))
        files, effective = self._files(pair, as_asked=reading.spec is not None and refusal is None)
        return Accepted(
            job=job_id,
            requested_id=reading.requested_id,
            folder=to_text(pair.folder),
            files=files,
            spec=None if refusal else reading.spec,
            mode=reading.mode,
            refusal=refusal or reading.refusal,
            batch=batch,
            effective=effective,
            preset=reading.preset,
            warnings=pair.warnings + reading.warnings,
        )

    def _read(self, pair: Ready) -> Reading:
        """Read the sidecar and the preset or batch file as they are now. The same bytes give the same, shared, answer."""
        own = self._fs.read(self._path(pair.folder, pair.sidecar.name), MAX_BYTES + 1) if pair.sidecar else None
        control = self._fs.read(self._path(pair.folder, pair.control.entry.name), MAX_BYTES + 1) if pair.control else None
        key = (own, control, pair.control.kind if pair.control else "pair")
        reading = self._understood.get(key) or self._understand(pair, own, control)
        if reading.refusal is None and reading.requested_id is None and not reading.warnings:
            # What depends on the bytes alone; sentences name their file.
            if len(self._understood) >= _MOST_UNDERSTOOD:
                self._understood.clear()
            self._understood[key] = reading
        if pair.problem and reading.refusal is None:
            return replace(reading, refusal=ImageUnreadable(pair.problem).info())
        return reading

    def _understand(self, pair: Ready, own_data: bytes | None, control_data: bytes | None) -> Reading:
        asked: str | None = None
        own: Sidecar | None = None
        preset: Sidecar | None = None
        try:
            if pair.sidecar and own_data is not None:
                asked = requested_id(own_data)
                own = parse(own_data, name=to_text(pair.sidecar.name))
            if pair.control and control_data is not None:
                preset = parse(control_data, name=to_text(pair.control.entry.name))
            spec = resolve(
                defaults=self._settings.spec_defaults,
                preset=preset,
                own=own,
                ceiling_seconds=self._settings.worker.max_timeout_seconds,
                kind=pair.control.kind if pair.control else "pair",
                styles=self._settings.styles,
            )
        except JobError as error:
            return Reading(None, None, asked, error.info(), preset=preset.fields if preset else None)
        return Reading(spec, spec.mode, asked, None, without_effect(spec, preset, own))

    def _name(self, pair: Ready, reading: Reading, reserved: set[str]) -> tuple[str, ErrorInfo | None]:
        """The job's id, and the refusal if the one it asked for is taken."""
        wanted = reading.requested_id
        if wanted is None:
            return generated_id(pair.image.name, self._clock()), None
        if not self._is_taken(wanted, reserved):
            return wanted, None
        if self._is_dragged_back(pair, wanted):
            number = 2
            while self._is_taken(f"{wanted[:58]}-{number}", reserved):
                number += 1
            return f"{wanted[:58]}-{number}", None
        error = IdTaken(f'the id "{wanted}" belongs to another job that is still in the outbox')
        return generated_id(pair.image.name, self._clock()), reading.refusal or error.info()

    def _is_taken(self, job_id: str, reserved: set[str]) -> bool:
        return job_id in reserved or job_id in self._ledger.jobs.live or self._outbox.has(job_id)

    def _is_dragged_back(self, pair: Ready, job_id: str) -> bool:
        """Whether the picture is the one of that job, dragged out of its source folder."""
        job = self._ledger.jobs.find(job_id) or self._known(job_id)
        return job is not None and (job.image.to, job.image.size, job.image.mtime_ns) == (
            to_text(pair.image.name),
            pair.image.size,
            pair.image.mtime_ns,
        )

    def _files(self, pair: Ready, *, as_asked: bool) -> tuple[tuple[ClaimedFile, ...], str | None]:
        """The files of the claim, and the name of the effective spec if one is written beside them (`as_asked`: there is one).

        The effective spec gets the name that wins in the inbox (photo.jpg.yaml), or a shorter one if the disk has no room for
        it. If the picture's own sidecar has the name, that one is kept as photo.jpg.yaml.original, which means nothing to the
        inbox.
        """
        effective = _effective_name(pair.image.name) if pair.control and as_asked else None
        files: list[ClaimedFile] = []
        for entry in pair.entries:
            to = _shortened(entry.name, b".original") if entry.name == effective else entry.name
            files.append(_claimed(_role(pair, entry), entry, to))
        return tuple(files), to_text(effective) if effective else None


def _effective_name(image: bytes) -> bytes:
    """The first of the names a sidecar of this picture may have that the disk can hold."""
    stem = os.path.splitext(image)[0]
    names = (image + b".yaml", stem + b".yaml", stem + b".yml")
    return next((name for name in names if len(name) <= _NAME_MAX), names[-1])


def _shortened(name: bytes, ending: bytes) -> bytes:
    """The name with an ending, cut at a character where it would be too long."""
    room = _NAME_MAX - len(ending)
    return (name if len(name) <= room else name[:room].decode(errors="ignore").encode()) + ending


def _role(pair: Ready, entry: Entry) -> Role:
    if entry is pair.image:
        return "image"
    if entry is pair.sidecar:
        return "sidecar"
    return "depth" if entry is pair.depth else "twin"


def _claimed(role: Role, entry: Entry, to: bytes) -> ClaimedFile:
    name = to_text(entry.name)
    new_name = name if to == entry.name else to_text(to)
    return ClaimedFile(role=role, name=name, to=new_name, ino=entry.ino, size=entry.size, mtime_ns=entry.mtime_ns)
