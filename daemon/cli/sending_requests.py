"""Sends a request to the daemon, and waits for the answer."""

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import typer

from daemon.cli.common import err, fs, print_error, print_json, printable, settings_in_use
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
_NO_ANSWER = "The daemon hasn't answered yet. It will carry out the request as soon as it can."
_DECISIONS: dict[str, Callable[[Job], decide.Answer]] = {
    "cancel": decide.cancel,
    "retry": decide.may_retry,
    "rm": decide.may_remove,
    "redo": decide.may_redo,
}


def ask(
    home: Path | None,
    verb: Verb,
    jobs: list[str],
    *,
    as_json: bool,
    batch: str | None = None,
    changes: str = "",
    named: str | None = None,
    once: bool = False,
) -> None:
    """Request something for jobs, or for a whole batch, and print the outcome. `changes`: the `settings` of a `Request`.

    Exits with `FAILED` if it was refused for a job; with `UNKNOWN` if there is no such job or batch, and nothing else was wrong.
    """
    settings = settings_in_use(home)
    queries = JobQueries(fs, settings)
    runs = queries.daemon_runs()
    unknown = {job_id for job_id in jobs if not is_job_id(job_id) or queries.job(job_id) is None}
    refused = {job_id: why for job_id in jobs if (why := _refusal(queries, verb, job_id, runs=runs))}
    if not as_json:
        for sentence, hint in refused.values():
            print_error(sentence, hint)
    answer = RequestAnswer()
    asked = [job_id for job_id in jobs if job_id not in refused]
    if asked or batch is not None:
        request = Request(verb=verb, jobs=tuple(asked), batch=batch, settings=changes, named=named, once=once)
        answer = send(settings, request, runs=runs)
    if as_json:
        refusals = tuple(JobAnswer(job_id=job_id, accepted=False, sentence=why[0]) for job_id, why in refused.items())
        print_json(answer.model_copy(update={"answers": refusals + answer.answers}))
    else:
        for said in (answer.problem, *(one.sentence for one in answer.answers)):
            if said:
                err.print(printable(said), markup=False)
    no_batch = batch is not None and answer.problem == f"there is no batch {batch}"
    if refused.keys() - unknown or not all(one.accepted for one in answer.answers):
        raise typer.Exit(ExitStatus.FAILED)
    if unknown or no_batch:
        raise typer.Exit(ExitStatus.UNKNOWN)
    if answer.problem and not is_put_off(answer.problem):
        raise typer.Exit(ExitStatus.FAILED)


def is_put_off(problem: str) -> bool:
    """Whether a request with this `problem` in its answer is kept, and the daemon will carry it out later."""
    return problem in (_NOT_RUNNING, _NO_ANSWER)


def _refusal(queries: JobQueries, verb: Verb, job_id: str, *, runs: bool) -> tuple[str, str | None] | None:
    """Why this request is refused for a job, and a hint; None if it may be sent.

    An unknown job is always refused here. Anything else is refused here only if no daemon runs that could answer.
    """
    job = queries.job(job_id) if is_job_id(job_id) else None
    if job is None:
        return no_such_job(queries, job_id)
    answer = _DECISIONS[verb](job)
    return None if runs or answer.accepted else (answer.sentence, None)


def send(settings: Settings, request: Request, *, runs: bool) -> RequestAnswer:
    """Write the request and wait for its answer. If no answer comes, the request stays there, and the daemon reads it later."""
    folder = settings.paths.requests_bytes
    name = os.path.join(folder, f"{time.time_ns()}-{uuid.uuid4().hex[:8]}".encode())
    try:
        make_folders(fs, folder)
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
