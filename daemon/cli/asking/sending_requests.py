"""Sends a request to the daemon, and waits for the answer."""

import os
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from daemon.cli.asking.arriving import arriving
from daemon.cli.asking.kept_requests import KeptRequests, request_names
from daemon.cli.common import err, fs, out, print_error, print_json, printable, settings_in_use
from daemon.cli.exit_status import ExitStatus, after
from daemon.cli.job_names import no_such_job
from daemon.cli.job_queries import JobQueries
from daemon.contract.commands import command
from daemon.contract.records import Job
from daemon.contract.requests import JobAnswer, Request, RequestAnswer, Verb, is_job_id
from daemon.fs import make_folders, write_atomic
from daemon.jobs import decide
from daemon.settings import Settings

#: Seconds to wait for a running daemon's answer. After that the verb says that the request will be carried out later.
_PATIENCE_SECONDS = 20.0
_NOT_RUNNING = f"The daemon isn't running. The request is kept and carried out when it starts: {command('run')}."
_KEPT = "the request about {} is kept until the daemon carries it out"
_NO_ANSWER = "The daemon hasn't answered yet. It will carry out the request as soon as it can."
_DECISIONS: dict[str, Callable[[Job], decide.Answer]] = {
    "cancel": decide.cancel,
    "retry": decide.may_retry,
    "rm": decide.may_remove,
    "redo": decide.may_redo,
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing is requested for a job, and a hint. `is_unknown`: there is no such job, or there will be none."""

    job_id: str
    sentence: str
    hint: str | None = None
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: for which jobs it was not even sent, and the daemon's answer for the others.

    `kept`: the ids of the jobs for which the daemon will carry it out later, as far as they are known.
    """

    refused: tuple[Refused, ...] = ()
    answer: RequestAnswer = field(default_factory=RequestAnswer)
    batch: str | None = None
    kept: tuple[str, ...] = ()

    @property
    def is_put_off(self) -> bool:
        """Whether the daemon will carry it out later."""
        return self.answer.problem is not None and is_put_off(self.answer.problem)

    @property
    def exit_status(self) -> ExitStatus:
        """`FAILED` if it was refused for a job; `UNKNOWN` if there is no such job or batch, and nothing else was wrong."""
        no_batch = self.batch is not None and self.answer.problem == f"there is no batch {self.batch}"
        is_known = any(not one.is_unknown for one in self.refused) or not all(one.accepted for one in self.answer.answers)
        if is_known:
            return ExitStatus.FAILED
        if self.refused or no_batch:
            return ExitStatus.UNKNOWN
        return ExitStatus.FAILED if self.answer.problem and not self.is_put_off else ExitStatus.DONE

    def and_then(self, other: "Outcome") -> "Outcome":
        """This outcome and that of a further request as one."""
        answers = self.answer.answers + other.answer.answers
        answer = RequestAnswer(answers=answers, problem=self.answer.problem or other.answer.problem)
        return Outcome(self.refused + other.refused, answer, self.batch, self.kept + other.kept)

    def tell(self, *, as_json: bool) -> None:
        """Print it: for people, or as one JSON document. Like `submit`, it prints the ids of new jobs on standard output."""
        if as_json:
            refusals = tuple(JobAnswer(job_id=one.job_id, accepted=False, sentence=one.sentence) for one in self.refused)
            kept = tuple(JobAnswer(job_id=one, accepted=None, sentence=_KEPT.format(one)) for one in self.kept)
            print_json(self.answer.model_copy(update={"answers": refusals + kept + self.answer.answers}))
            return
        for one in self.refused:
            print_error(one.sentence, one.hint)
        for said in (self.answer.problem, *(answer.sentence for answer in self.answer.answers)):
            if said:
                err.print(printable(said), markup=False)
        for answer in self.answer.answers:
            if answer.new_job is not None:
                out.print(answer.new_job, markup=False)


def ask(home: Path | None, verb: Verb, jobs: list[str], *, as_json: bool, batch: str | None = None) -> None:
    """Request something for jobs, or for a whole batch, print the outcome, and exit with its status if it is not 0."""
    outcome = request(home, verb, jobs, batch=batch)
    outcome.tell(as_json=as_json)
    if outcome.exit_status:
        raise typer.Exit(outcome.exit_status)


def request(
    home: Path | None,
    verb: Verb,
    jobs: list[str],
    *,
    batch: str | None = None,
    changes: str = "",
    named: str | None = None,
    once: bool = False,
) -> Outcome:
    """Request something for jobs, or for a whole batch. `changes`: the `settings` of a `Request`."""
    settings = settings_in_use(home)
    queries = JobQueries(fs, settings)
    asking = _Asking(settings, queries, verb, runs=queries.daemon_runs())
    jobs = list(dict.fromkeys(asking.in_full(job_id) for job_id in jobs))
    refused = {job_id: why for job_id in jobs if (why := asking.refusal(job_id))}
    answer = RequestAnswer()
    asked = tuple(job_id for job_id in jobs if job_id not in refused)
    if batch is not None and (why_not := asking.refusal_of_batch(batch)):
        answer = RequestAnswer(problem=why_not)
    elif asked or batch is not None:
        files = asking.arriving
        wanted = Request(verb=verb, jobs=asked, in_inbox=files, batch=batch, settings=changes, named=named, once=once)
        answer = send(settings, wanted, runs=asking.runs)
    outcome = Outcome(tuple(refused.values()), answer, batch)
    if not outcome.is_put_off:
        return outcome
    kept = (*asked, *(asking.of_batch(batch) if batch is not None else ()))
    return replace(outcome, kept=tuple(dict.fromkeys(kept)))


def is_put_off(problem: str) -> bool:
    """Whether a request with this `problem` in its answer is kept, and the daemon will carry it out later."""
    return problem in (_NOT_RUNNING, _NO_ANSWER)


class _Asking:
    """What can be said about a request before it is sent. If a daemon runs, it decides; if not, the journal does."""

    def __init__(self, settings: Settings, queries: JobQueries, verb: Verb, *, runs: bool) -> None:
        self.runs = runs
        #: The files in the inbox that will become some of the jobs.
        self.arriving: tuple[str, ...] = ()
        self._settings = settings
        self._queries = queries
        self._verb = verb
        self._kept = KeptRequests(settings, queries)

    def in_full(self, name: str) -> str:
        """The id of a job; that of a picture still in the inbox can be cancelled by the picture's name, too."""
        if self._verb != "cancel" or self._known(name) is not None:
            return name
        found = arriving(self._settings, name)
        if found is None or found.job_id is None:
            return name
        self.arriving += (found.path,)
        return found.job_id

    def refusal(self, job_id: str) -> Refused | None:
        """Why this is refused for a job; None if it may be requested. Raises Refusal if the journal is damaged."""
        job = self._known(job_id)
        if job is None:
            return self._unless_arriving(job_id)
        if self.runs:
            return None
        foreseen = self._kept.foreseen(job)
        if foreseen is None:
            return Refused(job_id, f"{job_id} is to be removed already, as soon as the daemon starts", is_unknown=True)
        answer = _DECISIONS[self._verb](foreseen)
        return None if answer.accepted else Refused(job_id, answer.sentence)

    def refusal_of_batch(self, batch: str) -> str | None:
        """Why this is refused for a whole batch; None if it may be requested. Raises Refusal if the journal is damaged."""
        if self.runs:
            return None
        if not (jobs := self._last_batch(batch)):
            return f"there is no batch {batch}"
        foreseen = (self._kept.foreseen(job) for job in jobs)
        return decide.none_fits(self._verb, batch, (job for job in foreseen if job is not None))

    def of_batch(self, batch: str) -> list[str]:
        """The jobs of a batch that a request which was just sent is about. Raises Refusal if the journal is damaged."""
        jobs = self._last_batch(batch)
        # If a daemon runs, the requests were not read before, and the one that was sent is among them.
        foreseen = jobs if self.runs else [self._kept.foreseen(job) for job in jobs]
        return [job.job_id for job in foreseen if job is not None and decide.fits(self._verb, job)]

    def _last_batch(self, batch: str) -> list[Job]:
        jobs = self._queries.history.batch(batch)
        return [job for job in jobs if job.accepted.batch == jobs[-1].accepted.batch]

    def _known(self, job_id: str) -> Job | None:
        return self._queries.job(job_id) if is_job_id(job_id) else None

    def _unless_arriving(self, name: str) -> Refused | None:
        found = arriving(self._settings, name)
        if found is None:
            return Refused(name, *no_such_job(self._queries, name), is_unknown=True)
        path = self._settings.paths.inbox / found.path
        if found.job_id is None:
            hint = f"To take it back, move {path} out of the inbox."
            if not found.bare:
                hint = f"To take it back, move it and {path} out of the inbox."
            return Refused(name, f"{name} is still in the inbox, and has no id yet", hint, is_unknown=True)
        if self._verb == "cancel":
            return None
        hint = f"To take it back: {command('cancel', found.job_id)}."
        return Refused(name, f"{name} is still in the inbox: the daemon has not taken {path} yet", hint, is_unknown=True)


def send(settings: Settings, request: Request, *, runs: bool) -> RequestAnswer:
    """Write the request and wait for its answer. If no answer comes, the request stays there, and the daemon reads it later."""
    folder = settings.paths.requests_bytes
    try:
        make_folders(fs, folder)
        name = os.path.join(folder, _name_after(request_names(folder)))
        write_atomic(fs, name + b".json", request.model_dump_json().encode(), durable=True)
    except OSError as error:
        print_error(
            f"the request cannot reach the daemon: {settings.paths.requests} cannot be written ({error.strerror})",
            "Run this as the user that the daemon runs as, and make sure that the disk can be written and has free space.",
        )
        raise typer.Exit(after(error)) from error
    if not runs:
        return RequestAnswer(problem=_NOT_RUNNING)
    return _await(name + b".answer.json") or RequestAnswer(problem=_NO_ANSWER)


def _name_after(names: Iterable[bytes]) -> bytes:
    """A new name that sorts behind these, also if the clock was set back: the daemon carries out requests in this order."""
    last = max((int(stamp) for name in names if (stamp := name.partition(b"-")[0]).isdigit()), default=0)
    return f"{max(time.time_ns(), last + 1)}-{uuid.uuid4().hex[:8]}".encode()


def _await(path: bytes) -> RequestAnswer | None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = RequestAnswer.model_validate_json(fs.read(path, 64 << 20))
        except FileNotFoundError:
            time.sleep(0.02)
            continue
        fs.unlink(path)
        return answer
    return None
