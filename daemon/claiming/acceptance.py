"""Decides which job a pair becomes: its id, and its spec or the reason why it is refused. Changes nothing."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from daemon.claiming.batches import Batches
from daemon.claiming.inbox_folders import InboxFolders
from daemon.contract.commands import command
from daemon.contract.names import to_text
from daemon.contract.records import Accepted, ClaimedFile, Job, Retaken, Role
from daemon.contract.spec import JobSpec, Mode
from daemon.contract.status import ErrorInfo
from daemon.errors import IdTaken, ImageTooLarge, ImageUnreadable, JobError
from daemon.intake.model import Control, Entry, Ready
from daemon.jobs import decide
from daemon.jobs.identity import generated_id
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES, JobKind, Sidecar, read, requested_id, resolve, without_effect

#: The longest name, in bytes, that common file systems allow.
_NAME_MAX = 255
#: How many combinations of sidecar and preset are cached after parsing: thousands of pictures usually share a few.
_MAX_UNDERSTOOD = 256


@dataclass(frozen=True)
class Reading:
    """What the YAML files of a pair ask for: a spec, or the reason why there is none.

    Attributes:
        spec: None if the pair is refused.
        mode: the mode that the spec asks for.
        requested_id: the id that the sidecar asks for, if any.
        refusal: None if there is a spec.
        warnings: about fields without effect.
        preset: the fields of the preset or batch file, if there is one.
    """

    spec: JobSpec | None
    mode: Mode | None
    requested_id: str | None
    refusal: ErrorInfo | None
    warnings: tuple[str, ...] = ()
    preset: dict[str, object] | None = None


class Acceptance:
    """Makes the records of new jobs.

    `known` finds a job by id even if it ended long ago; `clock` returns the current time with its time zone, `monotonic`
    monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        outbox: Outbox,
        batches: Batches,
        known: Callable[[str], Job | None],
        clock: Callable[[], datetime],
        folders: InboxFolders,
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._outbox = outbox
        self._batches = batches
        self._known = known
        self._clock = clock
        self._folders = folders
        self._monotonic = monotonic
        self._understood: dict[tuple[bytes | None, bytes | None, JobKind], Reading] = {}

    def record_for(self, pair: Ready, reserved: set[str], batches: dict[bytes, str]) -> Accepted | Retaken:
        """The record that accepts a pair.

        It is `Retaken` if a job had returned the picture to the inbox to wait for its missing end, otherwise `Accepted`.

        Args:
            pair: a pair that is ready to be taken.
            reserved: ids already given to other pairs of the same group; this job's id is added.
            batches: the batch ids of the same group, by folder; the id of this pair's batch is added.

        Raises:
            OSError: the sidecar or the outbox cannot be read at the moment.
        """
        reading = self._read(pair)
        known = self._waiting(pair, reading)
        job_id, refusal = (known.job_id, None) if known else self._name(pair, reading, reserved)
        reserved.add(job_id)
        batch = None
        if pair.control and pair.control.kind == "batch" and not pair.from_job:
            batch = batches.setdefault(pair.folder, self._batches.id_of(pair.folder, self._clock()))
        batch = known.accepted.batch if known else batch
        files, effective = self._files(pair, as_asked=reading.spec is not None and refusal is None)
        record = Accepted(
            job=job_id,
            requested_id=reading.requested_id,
            folder=to_text(pair.folder),
            folder_ino=self._folders.open(pair.folder).ino if pair.folder else 0,
            files=files,
            spec=None if refusal else reading.spec,
            mode=reading.mode,
            refusal=refusal or reading.refusal,
            batch=batch,
            effective=effective,
            preset=reading.preset,
            warnings=pair.warnings + reading.warnings,
            written=self._was_written_lately(pair),
            owner=self._folders.open(pair.folder).owner(pair.image.name),
        )
        return Retaken(job=job_id, value=record) if known else record

    def _was_written_lately(self, pair: Ready) -> bool:
        """Whether intake saw the picture being written, so lately that its rest may still come."""
        return pair.image_written is not None and self._monotonic() - pair.image_written < decide.REST_SECONDS

    def _waiting(self, pair: Ready, reading: Reading) -> Job | None:
        """The job that returned this picture to the inbox; None if there is none, or if the sidecar now asks for another id."""
        place = (to_text(pair.folder), to_text(pair.image.name))
        for job in self._ledger.jobs.returned.values():
            if (job.accepted.folder, job.image.name) == place and job.accepted.requested_id == reading.requested_id:
                return job
        return None

    def _read(self, pair: Ready) -> Reading:
        """Read the sidecar and the preset or batch file of a pair. Pairs whose files have equal bytes share one answer."""
        own = self._bytes(pair.folder, pair.sidecar) if pair.sidecar and not pair.from_job else None
        control = self._bytes(_place_of(pair.control, pair), pair.control.entry) if pair.control else None
        key = (own, control, _kind(pair))
        reading = self._understood.get(key) or self._understand(pair, own, control)
        if reading.refusal is None and reading.requested_id is None and not reading.warnings:
            # Only answers that depend on the bytes alone are cached: refusals and warnings name their file.
            if len(self._understood) >= _MAX_UNDERSTOOD:
                self._understood.clear()
            self._understood[key] = reading
        if reading.refusal is None and (refusal := self._refusal(pair)) is not None:
            return replace(reading, refusal=refusal.info())
        return reading

    def _refusal(self, pair: Ready) -> JobError | None:
        """Why the pictures of a pair cannot be used, judged without reading them; None if nothing is wrong so far."""
        if pair.problem:
            return ImageUnreadable(pair.problem, hint=ImageUnreadable.hint_if_empty)
        most = self._settings.limits.max_image_bytes
        for entry in (pair.image, pair.depth):
            if entry is not None and entry.size > most:
                return ImageTooLarge.in_bytes(to_text(entry.name), entry.size, most)
        return None

    def _bytes(self, folder: bytes, entry: Entry) -> bytes:
        return self._folders.open(folder).read(entry.name, MAX_BYTES + 1, self._folders.wanted(entry))

    def _understand(self, pair: Ready, own_data: bytes | None, control_data: bytes | None) -> Reading:
        asked: str | None = None
        own: Sidecar | None = None
        preset: Sidecar | None = None
        try:
            if pair.sidecar and own_data is not None:
                asked = requested_id(own_data)
                own = read(own_data, name=to_text(pair.sidecar.name))
            if pair.control and control_data is not None:
                preset = read(control_data, name=to_text(pair.control.entry.name))
            spec = resolve(
                defaults=self._settings.spec_defaults,
                preset=preset,
                own=own,
                ceiling_seconds=self._settings.worker.max_timeout_seconds,
                kind=_kind(pair),
                styles=self._settings.styles,
            )
        except JobError as error:
            return Reading(None, None, asked, error.info(), preset=preset.fields if preset else None)
        return Reading(spec, spec.mode, asked, None, without_effect(spec, preset, own))

    def _name(self, pair: Ready, reading: Reading, reserved: set[str]) -> tuple[str, ErrorInfo | None]:
        """The job's id, and a refusal if the id that the sidecar asks for is taken; otherwise None."""
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
        hint = f"Choose another id, or remove the other job ({command('rm', wanted)}), and drop the picture again."
        error = IdTaken(f'the id "{wanted}" belongs to another job that is still in the outbox', hint=hint)
        return generated_id(pair.image.name, self._clock()), reading.refusal or error.info()

    def _is_taken(self, job_id: str, reserved: set[str]) -> bool:
        return job_id in reserved or job_id in self._ledger.jobs.live or self._outbox.has(job_id)

    def _is_dragged_back(self, pair: Ready, job_id: str) -> bool:
        """Whether somebody dragged this picture out of the source folder of that job."""
        job = self._ledger.jobs.find(job_id) or self._known(job_id)
        return job is not None and (job.image.to, job.image.size, job.image.mtime_ns) == (
            to_text(pair.image.name),
            pair.image.size,
            pair.image.mtime_ns,
        )

    def _files(self, pair: Ready, *, as_asked: bool) -> tuple[tuple[ClaimedFile, ...], str | None]:
        """The files of the claim, and the name for the effective spec. The name is None if no effective spec is written.

        An effective spec is written if a preset or batch applies and the job has a spec (`as_asked`). It gets the sidecar name
        that ranks first in the inbox (photo.jpg.yaml), or a shorter name if that is too long for the disk. If the picture's own
        sidecar has that name, the sidecar is kept as photo.jpg.yaml.original, a name that intake does not read.
        """
        effective = effective_name(pair.image.name) if pair.control and as_asked else None
        files: list[ClaimedFile] = []
        for entry in pair.entries:
            to = _shortened(entry.name, b".original") if entry.name == effective else entry.name
            files.append(_claimed(_role(pair, entry), entry, to))
        return tuple(files), to_text(effective) if effective else None


def _place_of(control: Control, pair: Ready) -> bytes:
    """The folder that contains the preset or batch file of a pair."""
    return pair.folder if control.folder is None else control.folder


def _kind(pair: Ready) -> JobKind:
    """Whose rules the preset or batch file of a pair follows. A folder that is a batch by a preset has no file of its own."""
    if pair.control is None:
        return "pair"
    return pair.control.kind if pair.control.folder is None else "preset"


def effective_name(image: bytes) -> bytes:
    """The name for a sidecar of this picture: the one that ranks highest among those short enough for the disk."""
    stem = os.path.splitext(image)[0]
    names = (image + b".yaml", stem + b".yaml", stem + b".yml")
    return next((name for name in names if len(name) <= _NAME_MAX), names[-1])


def _shortened(name: bytes, ending: bytes) -> bytes:
    """The name with an ending added. If that would be too long, the name is cut first, but never within a character."""
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
