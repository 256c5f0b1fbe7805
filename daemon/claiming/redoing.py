"""Makes new jobs of copies of other jobs' files: decides what each new job is, and records it. Copies nothing.

The order, and why:

1. Look at the old job's source/, and decide on the spec. Nothing has changed yet.
2. Record `accepted` for all new jobs of a request with one sync. A record names the job that it redoes and the request. So if a
   crash comes before the request is removed, the request is not carried out twice.
3. `daemon.claiming.source_copies` makes the copies, and records `claimed`. After a crash it continues.

Nothing of the old job changes: neither its record nor its files.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from daemon.claiming.acceptance import effective_name
from daemon.claiming.source_files import SOURCE, sidecars_of
from daemon.contract.names import to_bytes, to_text
from daemon.contract.records import Accepted, ClaimedFile, Job
from daemon.contract.requests import JobAnswer
from daemon.contract.spec import JobSpec
from daemon.errors import JobError
from daemon.fs import HeldFolder
from daemon.jobs import decide
from daemon.jobs.identity import generated_id
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.settings import Settings
from daemon.sidecar import Sidecar, resolve, without_effect

#: Fields of the old job's YAML file that do not apply to the new one: an id belongs to one job, and `images` to a folder.
_NOT_COPIED = frozenset({"id", "images"})
#: The name of a request's settings in messages, and how a message about them begins. Nobody sees their lines.
OPTIONS = "options"
_LINE = re.compile(r"^options(, line \d+)?: ")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks of the new jobs.

    Attributes:
        request: its name, which no other request has.
        changes: the fields that should differ from the old job's.
        batch_name: the name of the batch that the new jobs form; None: each belongs to the batch of the job that it redoes.
        once: whether to leave out jobs that another job redoes already.
    """

    request: str
    changes: Sidecar
    batch_name: str | None = None
    once: bool = False


class Redoing:
    """Makes the records of new jobs. `clock` returns the current time with its time zone."""

    def __init__(self, settings: Settings, ledger: Ledger, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._outbox = outbox
        self._clock = clock

    def redo(self, jobs: Sequence[Job], wish: Wish) -> list[JobAnswer]:
        """Record a new job for each of these jobs of which one can be made. Returns one answer for each job, in their order.

        Raises:
            UnreplayableError: the new jobs cannot be recorded; nothing was.
            JournalError: the process must stop.
        """
        made, redone = self._made_before(wish.request), self._redone() if wish.once else {}
        batch = next((job.accepted.batch for job in made.values()), None)
        if wish.batch_name is not None and batch is None:
            batch = generated_id(wish.batch_name.encode() + b".", self._clock())
        records: list[Accepted] = []
        answers: list[JobAnswer] = []
        for job in jobs:
            if job.job_id in made:
                answers.append(_made(job.job_id, made[job.job_id].job_id))
                continue
            if job.job_id in redone:
                sentence = f"{job.job_id} is redone already as {redone[job.job_id]}"
                answers.append(JobAnswer(job_id=job.job_id, accepted=True, sentence=sentence, new_job=redone[job.job_id]))
                continue
            record = self._record_for(job, wish)
            if isinstance(record, decide.Answer):
                answers.append(JobAnswer(job_id=job.job_id, accepted=False, sentence=record.sentence))
                continue
            if wish.batch_name is not None:
                record = replace(record, batch=batch, batch_name=wish.batch_name)
            records.append(record)
            answers.append(_made(job.job_id, record.job))
        if records:
            self._ledger.record(*records)
        return answers

    def _redone(self) -> dict[str, str]:
        """The jobs in memory that were redone, each with the job that redoes it, unless that one failed or was cancelled."""
        jobs = self._ledger.jobs
        several = (job for job in chain(jobs.live.values(), jobs.ended.values()) if job.state not in ("failed", "cancelled"))
        return {job.accepted.redo_of: job.job_id for job in several if job.accepted.redo_of}

    def _made_before(self, request: str) -> dict[str, Job]:
        """The jobs that were made for this request before a crash, by the id of the job that each redoes."""
        jobs = self._ledger.jobs
        several = chain(jobs.live.values(), jobs.ended.values())
        return {job.accepted.redo_of: job for job in several if job.accepted.request == request and job.accepted.redo_of}

    def _record_for(self, job: Job, wish: Wish) -> Accepted | decide.Answer:
        """The record of the new job, or why there is none."""
        if not (answer := decide.may_redo(job)).accepted:
            return answer
        try:
            files = self._files(job)
            spec, warnings = self._spec(job, wish.changes)
        except JobError as error:
            return decide.Answer(False, f"{job.job_id} cannot be redone: {_LINE.sub('', error.message)}")
        except (FileNotFoundError, NotADirectoryError):
            return decide.Answer(False, decide.no_folder(job))
        except OSError as error:
            return decide.Answer(False, f"{job.job_id}: the disk does not allow it now ({error.strerror}); try again")
        if isinstance(files, str):
            why = f"{files} is not in its source folder; put it back, or drop the picture again"
            return decide.Answer(False, f"{job.job_id} cannot be redone: {why}")
        return Accepted(
            job=generated_id(to_bytes(job.image.to), self._clock()),
            files=files,
            spec=spec,
            mode=spec.mode,
            effective=to_text(effective_name(to_bytes(job.image.to))),
            warnings=warnings,
            redo_of=job.job_id,
            request=wish.request,
            batch=job.accepted.batch,
            batch_name=job.accepted.name_of_batch,
            preset_name=job.preset,
        )

    def _files(self, job: Job) -> tuple[ClaimedFile, ...] | str:
        """The files to copy, as they are now; or the name of one that is missing. Hidden metadata may be missing."""
        files: list[ClaimedFile] = []
        with self._outbox.held_job(job.job_id, SOURCE) as source:
            for file in _to_copy(job):
                found = _as_it_is(source, file)
                if found is None and file.role != "twin":
                    return file.to
                if found is not None:
                    files.append(found)
        return tuple(files)

    def _spec(self, job: Job, changes: Sidecar) -> tuple[JobSpec, tuple[str, ...]]:
        """The old job's spec with the changes, and warnings about fields without effect."""
        try:
            preset, own = sidecars_of(job, self._outbox)
            before = {**(preset.fields if preset else {}), **(own.fields if own else {})}
        except OSError:
            if job.spec is None:
                raise
            before = job.spec.model_dump(exclude_none=True)
        base = Sidecar({name: value for name, value in before.items() if name not in _NOT_COPIED}, {}, job.job_id)
        spec = resolve(
            defaults=self._settings.spec_defaults,
            preset=base,
            own=changes,
            ceiling_seconds=self._settings.worker.max_timeout_seconds,
            kind="pair",
            styles=self._settings.styles,
        )
        return spec, without_effect(spec, None, changes)


def _made(old: str, new: str) -> JobAnswer:
    return JobAnswer(job_id=old, accepted=True, sentence=f"{old} is redone as {new}", new_job=new)


def _to_copy(job: Job) -> list[ClaimedFile]:
    """The picture and the depth picture of a job, with the AppleDouble files of both. The spec is written anew."""
    pictures = [file for file in job.accepted.files if file.role in ("image", "depth")]
    pictures.sort(key=lambda file: file.role != "image")
    names = {f"._{file.to}" for file in pictures}
    return pictures + [file for file in job.accepted.files if file.role == "twin" and file.to in names]


def _as_it_is(source: HeldFolder, file: ClaimedFile) -> ClaimedFile | None:
    try:
        found = source.lstat(to_bytes(file.to))
    except FileNotFoundError:
        return None
    if found.kind != "file":
        return None
    return ClaimedFile(role=file.role, name=file.to, to=file.to, ino=found.ino, size=found.size, mtime_ns=found.mtime_ns)
