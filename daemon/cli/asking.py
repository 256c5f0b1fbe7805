"""Asking the daemon: drop a request, wait for its answer."""

import os
import time
import uuid
from pathlib import Path

import typer

from daemon.cli.common import err, fs, print_json, printable, settings_of, tell_error
from daemon.cli.looking import Looking
from daemon.contract.requests import Request, RequestAnswer, Verb, is_job_id
from daemon.fs import make_folders, write_atomic

#: How long a running daemon may take to answer before the verb says that the request stays.
_PATIENCE_SECONDS = 20.0


def ask(home: Path | None, verb: Verb, jobs: list[str], *, as_json: bool, batch: str | None = None) -> None:
    """Ask for something about jobs, or all of a batch, and print what became of it; exit 1 if it was refused for any job."""
    settings = settings_of(home)
    for job_id in jobs:
        if not is_job_id(job_id):
            tell_error(f"there is no job {job_id!a}: no id looks like that", "multiplane jobs lists them.")
            raise typer.Exit(1)
    folder = settings.paths.requests_bytes
    make_folders(fs, folder)
    name = os.path.join(folder, f"{time.time_ns()}-{uuid.uuid4().hex[:8]}".encode())
    write_atomic(fs, name + b".json", Request(verb=verb, jobs=tuple(jobs), batch=batch).model_dump_json().encode(), durable=True)
    if not Looking(fs, settings).daemon_runs():
        _put_off("The daemon is not running; this will be done when it starts (multiplane run).", as_json=as_json)
        return
    answer = _await(name + b".answer.json")
    if answer is None:
        _put_off("The daemon has not answered yet; it will do this as soon as it can.", as_json=as_json)
        return
    if as_json:
        print_json(answer)
    else:
        if answer.problem:
            err.print(printable(answer.problem), markup=False)
        for one in answer.answers:
            err.print(printable(one.sentence), markup=False)
    if answer.problem or not all(one.accepted for one in answer.answers):
        raise typer.Exit(1)


def _put_off(sentence: str, *, as_json: bool) -> None:
    """Say that the request stays."""
    if as_json:
        print_json(RequestAnswer(problem=sentence))
    else:
        err.print(sentence)


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
