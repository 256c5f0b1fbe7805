"""show: the story of one job, in order."""

import sys
import textwrap
from typing import Annotated

import typer
from pydantic import TypeAdapter

from daemon.cli.cells import local
from daemon.cli.common import Home, Json, fs, out, print_json, printable, settings_in_use, tell_error
from daemon.cli.completing import job_ids
from daemon.cli.looking import Looking
from daemon.cli.naming import no_such_job
from daemon.contract.records import AnyRecord, AttemptEnded, Ended, LiveJob, Publishing, Requeued, SegmentStart, Started
from daemon.contract.requests import is_job_id
from daemon.contract.status import ErrorInfo
from daemon.journal import Entry
from daemon.outbox import status_of

#: Of an error's detail; job.log has all of it.
_MOST_LINES = 12
#: Columns that are left for a text behind its beginning, so that a narrow window shows words at all.
_NARROWEST = 30
_RECORD: TypeAdapter[AnyRecord] = TypeAdapter(AnyRecord)


def show(
    job_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="The job's id, as in `multiplane jobs`.", show_default=False, autocompletion=job_ids),
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """Tell the story of one job: what was asked, what happened when, how it ended."""
    settings = settings_in_use(home)
    looking = Looking(fs, settings)
    job = looking.job(job_id) if is_job_id(job_id) else None
    if job is None:
        tell_error(*no_such_job(looking, job_id))
        raise typer.Exit(1)
    status = looking.status(job_id) if not job.ended else None
    status = status or status_of(job)
    story = [entry for entry in looking.history.story(job_id) if not isinstance(entry.record, LiveJob)]
    if json:
        events = [{"ts": entry.ts, **_RECORD.dump_python(entry.record, mode="json")} for entry in story]
        print_json({"status": status.model_dump(mode="json"), "events": events})
        return
    lines = [
        ("job", status.job_id),
        ("picture", status.source.image if status.source else "unknown"),
        ("state", status.state),
        ("folder", str(settings.paths.outbox / job_id)),
    ]
    if status.spec:
        lines.append(("asked for", f"{status.spec.mode}, {status.spec.num_layers} layers, depth {status.spec.depth}"))
    for name, value in lines:
        _tell(name, value)
    if status.error and status.state != "completed":
        _tell(status.error.code, status.error.message)
        for line in _more(status.error):
            _tell("", line)
        _tell("", status.error.hint)
    for warning in status.warnings:
        _tell("note", warning)
    out.print()
    for entry in story:
        _hanging(f"{local(entry.ts)}  ", _sentence(entry))
    if status.outputs:
        out.print()
        for output in status.outputs:
            out.print(f"{output.bytes:>12,}  {output.path}", markup=False)


def _more(error: ErrorInfo) -> list[str]:
    """What the message leaves out: the other mistakes in a sidecar, or the last lines that the worker printed."""
    lines = error.detail.splitlines() if error.detail else []
    return [line for line in lines if line not in error.message][-_MOST_LINES:]


def _tell(name: str, text: str) -> None:
    """A name and what there is to say of it."""
    _hanging(f"{name:>10}  ", text)


def _hanging(begin: str, text: str) -> None:
    """A text behind its beginning; in a terminal a long one goes on below where it began, broken between words."""
    width = max(_NARROWEST, out.width - len(begin)) if out.is_terminal else sys.maxsize
    for line in textwrap.wrap(printable(text), width, break_long_words=False, break_on_hyphens=False) or [""]:
        out.print(f"{begin}{line}", markup=False)
        begin = " " * len(begin)


def _sentence(entry: Entry) -> str:
    match entry.record:
        case Started(process=None):
            return "an attempt begins"
        case Started(process=process):
            return f"a worker was started (process {process.pid})" if process else "a worker was started"
        case AttemptEnded(error=error):
            return f"the attempt came to nothing: {error.message}" if error else "the attempt was stopped with the daemon"
        case Publishing(processing_seconds=seconds):
            return f"the result was checked after {seconds:.1f} s"
        case Ended(state=state, error=error):
            return f"{state}: {error.message}" if error else state
        case Requeued():
            return "somebody asked for it to run again"
        case LiveJob() | SegmentStart():
            return "the daemon started a new journal segment"
        case record:
            return record.event.replace("_", " ")
