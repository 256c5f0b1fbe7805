"""Requests from the command line: small files in .state/requests/, each answered by a file next to it.

A request is `<name>.json`, put there by a rename; its answer is `<name>.answer.json`. When a request is done, it is removed
durably before the next one is read. If a crash comes first, the request is carried out again on the same jobs. So every request
must be safe to repeat.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from loguru import logger
from pydantic import ValidationError

from daemon.claiming.redoing import OPTIONS, Redoing, Wish
from daemon.claiming.source_files import preset_of, sidecars_of
from daemon.contract.names import to_bytes, to_text
from daemon.contract.records import Job, Requeued
from daemon.contract.requests import JobAnswer, Request, RequestAnswer, Verb
from daemon.contract.spec import JobSpec
from daemon.contract.status import ErrorInfo
from daemon.contract.words.validation import in_words
from daemon.errors import JobError
from daemon.fs import FileSystem, write_atomic
from daemon.jobs import decide
from daemon.jobs.told import request_answer
from daemon.journal import UnreplayableError
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.running.runner import JobRunner
from daemon.service.removal import Removal
from daemon.settings import Settings
from daemon.sidecar import Sidecar, parse, resolve
from daemon.troubles import Troubles

_MAX_REQUEST_BYTES = 1 << 20
SUFFIX = b".json"
ANSWER_SUFFIX = b".answer.json"
#: Seconds. The command line waits 20 s for its answer; a much older answer will never be read.
_STALE_SECONDS = 600.0
#: Used in place of a request's name if reading the folder fails; no request's name contains a space.
_LOOKING = "looking for requests"


@dataclass
class Requests:
    """Reads and answers requests. `known` finds a job that ended long ago; `batch` finds the jobs of a batch."""

    fs: FileSystem
    settings: Settings
    ledger: Ledger
    outbox: Outbox
    runs: JobRunner
    removal: Removal
    redoing: Redoing
    known: Callable[[str], Job | None]
    batch: Callable[[str], list[Job]]
    #: Requests that are done but could not be removed yet; they are not done again.
    done: set[bytes] = field(default_factory=set)
    #: The jobs of requests that wait: because of copies that are made, or of pictures that are not taken yet.
    held: set[str] = field(default_factory=set)
    clock: Callable[[], float] = time.monotonic
    #: When each answer that nobody has read was first seen, in monotonic seconds: file times are wrong if the clock was set.
    _unfetched: dict[bytes, float] = field(default_factory=dict)
    _troubles: Troubles = field(default_factory=Troubles)

    def handle(self) -> None:
        """Carry out all requests that need not wait for something, in their order, and remove old answers.

        Raises:
            JournalError: the process must stop.
        """
        folder = self.settings.paths.requests_bytes
        try:
            names = sorted(entry.name for entry in self.fs.scan(folder) if entry.kind == "file")
        except OSError as error:
            self._troubles.tell(_LOOKING, f"cannot look for requests: {error}")
            return
        self._troubles.over(_LOOKING)
        self.held.clear()
        for name in names:
            if name.endswith(SUFFIX) and not name.endswith(ANSWER_SUFFIX) and not name.startswith(b"."):
                path = os.path.join(folder, name)
                if name not in self.done:
                    if (answer := self._do(path)) is None:
                        continue
                    self._answer(path, answer)
                    self.done.add(name)
                self._put_away(folder, name)
        self._remove_unread(folder, [name for name in names if name.endswith(ANSWER_SUFFIX)])

    def _remove_unread(self, folder: bytes, answers: list[bytes]) -> None:
        """Remove answers that nobody read for a long time: the command was interrupted, or stopped waiting."""
        now = self.clock()
        self._unfetched = {name: self._unfetched.get(name, now) for name in answers}
        for name, since in self._unfetched.items():
            if now - since > _STALE_SECONDS:
                try:
                    self.fs.unlink(os.path.join(folder, name))
                except OSError as error:
                    logger.debug("an answer that nobody fetched cannot be removed: {}", error)

    def _answer(self, path: bytes, answer: RequestAnswer) -> None:
        try:
            write_atomic(self.fs, path[: -len(SUFFIX)] + ANSWER_SUFFIX, answer.model_dump_json().encode(), durable=False)
        except OSError as error:
            logger.warning("a request is done, but its answer cannot be written: {}", error)

    def _put_away(self, folder: bytes, name: bytes) -> None:
        """Remove a request durably. If it came back after a power loss, it might affect a later job with the same id."""
        try:
            self.fs.unlink(os.path.join(folder, name))
            self.fs.sync_dir(folder)
            self.done.discard(name)
        except OSError as error:
            self._troubles.tell(to_text(name), f"the request {to_text(name)} is done, but cannot be removed: {error}")
        else:
            self._troubles.over(to_text(name))

    def _do(self, path: bytes) -> RequestAnswer | None:
        """Carry out a request. Returns None if it must wait; then nothing was done."""
        try:
            request = Request.model_validate_json(self.fs.read(path, _MAX_REQUEST_BYTES))
        except (OSError, ValidationError) as error:
            logger.warning("the request {} cannot be read: {}", to_text(path), in_words(error))
            return RequestAnswer(problem="the request cannot be read; is this multiplane of the same version as the daemon?")
        ids = list(request.jobs)
        if request.batch is not None:
            jobs = self._of_batch(request.batch)
            if not jobs:
                return RequestAnswer(problem=f"there is no batch {request.batch}")
            if request.verb == "redo":  # of a picture that was redone already, the newest job alone
                older = {job.accepted.redo_of for job in jobs}
                jobs = [job for job in jobs if job.job_id not in older]
            ids += [job.job_id for job in jobs if decide.fits(request.verb, job)]
            if not ids:
                return RequestAnswer(problem=decide.none_fits(request.verb, request.batch, jobs))
        if self._must_wait(request, ids):
            return None
        if request.verb == "redo":
            return self._redo(request, ids, to_text(os.path.basename(path)))
        verbs: dict[Verb, Callable[[Job], decide.Answer]] = {
            "cancel": self._cancel,
            "retry": self._retry,
            "rm": self.removal.remove,
            "prune": partial(self.removal.prune, before=request.before, keep_source=request.keep_source),
        }
        answers: list[JobAnswer] = []
        for job_id in ids:
            job = None
            try:
                job = self.ledger.jobs.find(job_id) or self.known(job_id)
                answer = verbs[request.verb](job) if job else decide.Answer(False, f"there is no job {job_id}")
            except OSError as error:
                answer = decide.Answer(False, f"{job_id}: the disk does not allow it now ({error.strerror}); try again")
            except UnreplayableError as error:
                logger.error("what was asked of {} cannot be recorded: {}", job_id, error)
                answer = decide.Answer(False, f"{job_id}: it cannot be recorded, so nothing was done: {error}")
            if not (request.verb == "cancel" and job and answer.accepted and job.state == "pending"):  # its end was just logged
                logger.info("{}", request_answer(request.verb, job_id, answer.accepted, answer.sentence))
            answers.append(JobAnswer(job_id=job_id, accepted=answer.accepted, sentence=answer.sentence))
        return RequestAnswer(answers=tuple(answers))

    def _must_wait(self, request: Request, ids: Sequence[str]) -> bool:
        """Whether a request about these jobs cannot be carried out yet.

        Copies of the files of a job that is to be removed may still be made, or a job that is to be cancelled may still be in the
        inbox. Later requests about the same jobs wait, too: requests are carried out in the order in which they were made.
        """
        needed = {job.accepted.redo_of for job in self.ledger.jobs.uncopied.values()}
        takes_away = request.verb == "rm" or (request.verb == "prune" and not request.keep_source)
        waits = (
            not self.held.isdisjoint(ids)
            or (takes_away and not needed.isdisjoint(ids))
            or (
                any(self.ledger.jobs.find(job_id) is None for job_id in ids)
                and any(self._is_in_inbox(path) for path in request.in_inbox)
            )
        )
        if waits:
            self.held.update(ids)
        return waits

    def _is_in_inbox(self, path: str) -> bool:
        """Whether a file is still in the inbox. A disk that does not answer says nothing."""
        try:
            self.fs.lstat(os.path.join(self.settings.paths.inbox_bytes, to_bytes(path)))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def _of_batch(self, batch: str) -> list[Job]:
        """The jobs of a batch. A name means the last batch of that name."""
        jobs = self.batch(batch)
        last = max(jobs, key=lambda job: job.sequence, default=None)
        return [job for job in jobs if last and job.accepted.batch == last.accepted.batch]

    def _cancel(self, job: Job) -> decide.Answer:
        answer = decide.cancel(job)
        if answer.records:
            self.ledger.record(*answer.records)
            self.runs.cancel(self.ledger.jobs.live[job.job_id])
        return answer

    def _retry(self, job: Job) -> decide.Answer:
        answer = decide.may_retry(job)
        if not answer.accepted:
            return answer
        if not self.outbox.has(job.job_id):
            return decide.Answer(False, decide.no_folder(job))
        if self.runs.settling.fingerprint(job) is None:
            return decide.Answer(
                False,
                f"{job.job_id} has lost its picture: {job.image.to} is not in its source folder; put it back or drop it again",
            )
        spec, refusal = self._read_again(job)
        value = replace(
            job,
            spec=spec,
            mode=spec.mode if spec else job.mode,
            refusal=refusal,
            state="pending",
            attempts=0,
            retry_at=0.0,
            attempt=None,
            started_at=None,
            completed_at=None,
            last_error=None,
            published=None,
            ended=None,
            discarded=False,
            troubles=(),
            delivered=None,
            pruned_at=None,
        )
        self.ledger.record(Requeued(job=job.job_id, value=value))
        return answer

    def _read_again(self, job: Job) -> tuple[JobSpec | None, ErrorInfo | None]:
        """The spec from the sidecar in source/, which people may have corrected; or None and what is wrong with it."""
        try:
            preset, own = self._asked_by_files(job)
            spec = resolve(
                defaults=self.settings.spec_defaults,
                preset=preset,
                own=own,
                ceiling_seconds=self.settings.worker.max_timeout_seconds,
                kind="preset" if preset else "pair",
                styles=self.settings.styles,
            )
        except JobError as error:
            return None, error.info()
        except OSError:
            # The sidecar is gone from source/ or cannot be read, but the journal has its content.
            return job.spec, job.refusal
        return spec, None

    def _asked_by_files(self, job: Job) -> tuple[Sidecar | None, Sidecar | None]:
        """`sidecars_of`. Whoever throws a refused YAML file away wants the job without it."""
        try:
            return sidecars_of(job, self.outbox)
        except FileNotFoundError:
            if job.spec is not None:
                raise
            return preset_of(job), None

    def _redo(self, request: Request, ids: list[str], name: str) -> RequestAnswer:
        """Make new jobs of copies of these jobs' files. `name`: the request's."""
        try:
            changes = parse(request.settings.encode(), name=OPTIONS)
        except JobError as error:
            return RequestAnswer(problem=error.message)
        found = {job_id: self.ledger.jobs.find(job_id) or self.known(job_id) for job_id in dict.fromkeys(ids)}
        jobs = [job for job in found.values() if job]
        batch_name = request.named
        if request.batch is not None and batch_name is None:
            batch_name = next((job.accepted.name_of_batch for job in jobs if job.accepted.batch), None)
        try:
            answers = self.redoing.redo(jobs, Wish(name, changes, batch_name, request.once))
        except UnreplayableError as error:
            logger.error("what was asked cannot be recorded: {}", error)
            return RequestAnswer(problem=f"it cannot be recorded, so nothing was done: {error}")
        for answer in answers:
            logger.info("{}", request_answer("redo", answer.job_id, answer.accepted, answer.sentence))
        unknown = [job_id for job_id, job in found.items() if job is None]
        answers += [JobAnswer(job_id=job_id, accepted=False, sentence=f"there is no job {job_id}") for job_id in unknown]
        return RequestAnswer(answers=tuple(answers))
