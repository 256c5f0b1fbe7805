"""show: prints the history of one job, in order."""

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from pydantic import TypeAdapter

from daemon.cli.common import Home, Json, fs, home_to_look, located, out, print_error, print_json, printable
from daemon.cli.display.damaged_history import leaving_out_damage
from daemon.cli.display.render import local, now, progress_text, wrapped
from daemon.cli.exit_status import ExitStatus
from daemon.cli.job_names import no_such_job
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import Standstill, standstill
from daemon.cli.options import job_ids
from daemon.clock import hour, written
from daemon.contract.commands import SHORT, command, unmarked
from daemon.contract.ended.filled_layers import layers_of
from daemon.contract.ended.follow_ups import FollowUpFailed, FollowUpOver, FollowUpOwed
from daemon.contract.ended.pruning import Pruned
from daemon.contract.records import AnyRecord, AttemptEnded, Ended, Job, LiveJob, Publishing, Requeued, Started
from daemon.contract.requests import is_job_id
from daemon.contract.segment_records import SegmentStart
from daemon.contract.status import ENDED, ErrorInfo, Status
from daemon.errors import Internal, SpecInvalid, WorkerCrashed
from daemon.jobs.retry_pause import pause_left_at
from daemon.journal import Entry
from daemon.journal.history import job_of
from daemon.outbox import Outbox, attempt_of, in_line, status_of
from daemon.settings import Settings

#: The most lines of an error's detail; job.log has all of them.
_MAX_LINES = 12
#: Enough for the names of most properties. Two more columns separate the name from the text.
_NAME_COLUMNS = 10
#: The fewest columns for the text, so that even a narrow window shows whole words.
_NARROWEST = 30
#: The errors whose detail people are shown: nobody knows what went wrong, or there is more than fits into a sentence.
_DETAILED = (WorkerCrashed.code, Internal.code, SpecInvalid.code)
_RECORD: TypeAdapter[AnyRecord] = TypeAdapter(AnyRecord)


def show(
    job_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help=SHORT.fill(f"The job's id, as in {command('jobs')}."), show_default=False, autocompletion=job_ids
        ),
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the history of one job: what was asked, what happened when, how it ended."""
    settings = home_to_look(home)
    with leaving_out_damage() as on_damage:
        _show(settings, JobQueries(fs, settings, on_damage), job_id, json=json)


def _show(settings: Settings, queries: JobQueries, job_id: str, *, json: bool) -> None:
    records = queries.history.records_of(job_id) if is_job_id(job_id) else []
    job = job_of(job_id, records)
    if job is None:
        print_error(*no_such_job(queries, job_id))
        raise typer.Exit(ExitStatus.UNKNOWN)
    status, folder = _status(queries, job), settings.paths.outbox / job_id
    lost = _is_lost(Outbox(fs, settings.paths.outbox_bytes), job_id)
    if lost:
        status = without_folder(status, str(settings.paths.outbox))
    story = [entry for entry in records if not isinstance(entry.record, LiveJob | FollowUpOwed)]
    if json:
        events = [{"ts": entry.ts, **_RECORD.dump_python(entry.record, mode="json")} for entry in story]
        print_json({"status": located(status, settings).model_dump(mode="json"), "events": events})
        return
    halt = standstill(settings, queries, now()) if status.state not in ENDED else None
    lines = list(job_lines(status, f"{folder} no longer exists" if lost else str(folder), halt))
    columns = max(_NAME_COLUMNS, *(len(name) for name, _ in lines))
    for name, value in lines:
        _print_property(name, value, columns)
    out.print()
    for entry, number in _numbered(story):
        _print_wrapped(f"{local(entry.ts)}  ", _sentence(entry, number))
    if status.outputs:
        out.print()
        for output in status.outputs:
            out.print(f"{output.bytes:>12,}  {printable(output.path)}", markup=False)


def job_lines(status: Status, folder: str, halt: Standstill | None = None) -> Iterator[tuple[str, str]]:
    """A job's properties: the name and the value of each line. A line without a name continues the one above.

    Args:
        status: the status of the job.
        folder: the job's folder, as a text.
        halt: why jobs make no progress; None if they do.
    """
    yield "job", status.job_id
    yield "picture", status.source.image if status.source else "unknown"
    yield "state", " · ".join(filter(None, (status.state, progress_text(status, halt))))
    if halt:
        yield "", halt.sentence
    if status.attempts > 1:
        running = status.state == "processing"
        yield ("", attempt_of(status.attempts)) if running else ("attempts", str(status.attempts))
    if status.machine and status.state != "processing":
        yield "machine", status.machine
    yield "folder", folder
    if status.spec:
        yield "asked for", f"{status.spec.mode}, {status.spec.num_layers} layers, depth {status.spec.depth}"
    if made := layers_of(status):
        yield "made", made
    # The error of a running job is from an earlier attempt; the history below shows it.
    if status.error and status.state not in ("processing", "completed"):
        yield status.error.code, status.error.message
        for line in _more(status.error):
            yield "", line
        yield "", status.error.hint
    for warning in status.warnings:
        yield "note", warning


def _status(queries: JobQueries, job: Job) -> Status:
    """The current status of a job. The status file has a running job's progress; the journal has the rest."""
    if job.state == "processing":
        return queries.status(job.job_id) or status_of(job)
    second = now().timestamp()
    line = in_line(queries.history.now().queue, pause_left_at(second)) if job.state == "pending" else ()
    position = next((place for other, place in line if other.job_id == job.job_id), None)
    return status_of(job, position=position, at=second)


def without_folder(status: Status, outbox: str) -> Status:
    """The same status, with a hint that the job's folder was removed and must be put back before a retry."""
    if status.error is None or status.state not in ("failed", "cancelled"):
        return status
    hint = f"Its folder was removed from the outbox. Put it back into {outbox}, then run: {command('retry', status.job_id)}."
    return status.model_copy(update={"error": status.error.model_copy(update={"hint": hint})})


def _is_lost(outbox: Outbox, job_id: str) -> bool:
    """Whether the outbox is there, but the job's folder is not. False if the disk does not answer."""
    try:
        return outbox.has_lost(job_id)
    except OSError:
        return False  # this says nothing about the folder


def _more(error: ErrorInfo) -> list[str]:
    """The lines of an error's detail that its message lacks: more mistakes in a sidecar, the worker's last output, a traceback.

    Empty for all other errors, whose sentence says it all: job.log has their details, which only developers need.
    """
    lines = error.detail.splitlines() if error.detail and error.code in _DETAILED else []
    message = unmarked(error.message)
    if error.code == SpecInvalid.code:  # the message names a file only once
        return [line for line in lines if line.partition(", line ")[2] not in message or ", line " not in line][-_MAX_LINES:]
    return [line for line in lines if line not in message][-_MAX_LINES:]


def _print_property(name: str, text: str, columns: int = _NAME_COLUMNS) -> None:
    """Print a name, in `columns` columns, and its value."""
    _print_wrapped(f"{name:>{columns}}  ", text)


def _print_wrapped(begin: str, text: str) -> None:
    """Print `begin` and the text. In a terminal, a long text is broken between words, and its lines are aligned."""
    width = max(_NARROWEST, out.width - len(begin)) if out.is_terminal else sys.maxsize
    for line in wrapped(printable(text), width):
        out.print(f"{begin}{line}", markup=False)
        begin = " " * len(begin)


def _numbered(story: Iterable[Entry]) -> Iterator[tuple[Entry, int]]:
    """The records, each with the number of the job's attempt at that time (1 is the first). Interrupted attempts do not count."""
    number = 0
    for entry in story:
        match entry.record:
            case Requeued():
                number = 0
            case Started(process=None):
                number += 1
        yield entry, number
        if isinstance(entry.record, AttemptEnded) and not entry.record.counts:
            number -= 1


def _sentence(entry: Entry, number: int) -> str:
    match entry.record:
        case Started(process=None, machine=machine):
            where = f" on {machine}" if machine else ""
            return f"{attempt_of(number)} begins{where}" if number > 1 else f"an attempt begins{where}"
        case Started(process=process):
            return f"a worker was started (process {process.pid})" if process else "a worker was started"
        case AttemptEnded(error=None, retry_at=0.0):
            return "the attempt was stopped with the daemon"
        case AttemptEnded(error=error, retry_at=retry_at):
            why = f": {error.message}" if error else ""
            when = f"; the next attempt is at {hour(written(retry_at))}" if retry_at else ""
            return f"the attempt failed{why}{when}"
        case Publishing(processing_seconds=seconds):
            return f"the result was checked after {seconds:.1f} s"
        case Ended(state=state, error=error):
            return f"{state}: {error.message}" if error else state
        case Requeued():
            return "a retry was requested"
        case FollowUpFailed(trouble=trouble):
            return trouble
        case FollowUpOver(what=what, trouble=trouble, delivered=delivered):
            done = f"delivered to {delivered}" if delivered else f"its {what} is done"
            return trouble or done
        case Pruned():
            return "its result was removed because of its age"
        case LiveJob() | SegmentStart():
            return "the daemon started a new journal segment"
        case record:
            return record.event.replace("_", " ")
