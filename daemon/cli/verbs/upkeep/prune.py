"""prune: removes jobs that ended long ago. The list of `--dry-run` is the list of what is then removed."""

import os
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from daemon.amounts import size
from daemon.cli.answers import PrunedJob, Pruning
from daemon.cli.asking.kept_requests import KeptRequests
from daemon.cli.asking.sending_requests import is_put_off, send
from daemon.cli.common import Home, Json, err, fs, give_up, out, print_json, printable, settings_in_use
from daemon.cli.display.render import cell, local, state_cell
from daemon.cli.exit_status import ExitStatus
from daemon.cli.job_queries import JobQueries
from daemon.cli.options import batches as batch_names
from daemon.clock import rfc3339
from daemon.contract.requests import JobAnswer, Request
from daemon.errors import Refusal
from daemon.journal.history import EndedJob
from daemon.outbox import Outbox
from daemon.settings import Settings

_AGE = re.compile(r"(\d{1,5}) ?([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: Jobs in one request: while the daemon carries it out, it does nothing else.
_AT_ONCE = 50


class EndState(StrEnum):
    """How a job can end."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter("write a number and m, h, d or w (minutes, hours, days or weeks), such as 30d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def prune(
    older_than: Annotated[
        timedelta,
        typer.Option("--older-than", parser=_age, metavar="AGE", help="Only jobs that ended longer ago, such as 30d, 12h or 2w."),
    ],
    state: Annotated[
        list[EndState] | None, typer.Option("--state", help="Only jobs that ended so; may be given several times.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option("--batch", help="Only jobs of this batch: its id, or its folder's name.", autocompletion=batch_names),
    ] = None,
    keep_source: Annotated[
        bool, typer.Option("--keep-source", help="Remove only result/; the pictures in source/ stay.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Remove jobs that ended long ago, with their folders and the original pictures in them, or only their results."""
    settings = settings_in_use(home)
    queries = JobQueries(fs, settings)
    before = datetime.now(UTC) - older_than
    try:
        batches = queries.batches(batch) if batch is not None else None
        if batches is not None and not batches:
            give_up(
                Refusal(
                    f"there is no batch {batch}",
                    hint="Its name is that of its folder, or the id in status.json.",
                    exit_status=ExitStatus.UNKNOWN,
                )
            )
        found = [
            _listed(settings, job, keep_source=keep_source)
            for job in _old(settings, queries, before, state, batches, keep_source=keep_source)
        ]
    except Refusal as refusal:
        give_up(refusal)
    pruning = Pruning(
        dry_run=dry_run,
        before=rfc3339(before),
        keep_source=keep_source,
        jobs=tuple(found),
        bytes=sum(job.bytes for job in found),
    )
    if not dry_run and found:
        pruning = _carried_out(settings, pruning, before, runs=queries.daemon_runs())
    if json:
        print_json(pruning)
    else:
        _print(pruning)
    if pruning.refused or (pruning.problem and not is_put_off(pruning.problem)):
        raise typer.Exit(ExitStatus.FAILED)


def _old(
    settings: Settings,
    queries: JobQueries,
    before: datetime,
    states: Collection[str] | None,
    batches: Collection[str] | None,
    *,
    keep_source: bool,
) -> Iterator[EndedJob]:
    """The jobs to be removed, newest first.

    Raises:
        Refusal: a segment of the journal is damaged.
    """
    outbox = Outbox(fs, settings.paths.outbox_bytes)
    follow_ups = queries.history.now().follow_ups
    kept = KeptRequests(settings, queries)
    for job in queries.history.past():
        is_wanted = (not states or job.state in states) and (batches is None or job.batch in batches)
        is_old = datetime.fromisoformat(job.ended_at) < before and not follow_ups.is_owed(job.job_id)
        if is_wanted and is_old and (not keep_source or outbox.has_result(job.job_id)) and _stays_ended(job, kept):
            yield job


def _stays_ended(job: EndedJob, kept: KeptRequests) -> bool:
    """Whether the job neither runs again nor goes by requests that are carried out before."""
    if not kept.requests:
        return True
    foreseen = kept.foreseen(job.job())
    return foreseen is not None and foreseen.ended is not None


def _listed(settings: Settings, job: EndedJob, *, keep_source: bool) -> PrunedJob:
    folder = os.path.join(settings.paths.outbox_bytes, job.job_id.encode(), *((b"result",) if keep_source else ()))
    return PrunedJob(job_id=job.job_id, state=job.state, completed_at=job.ended_at, batch=job.batch, bytes=_bytes(folder))


def _bytes(folder: bytes) -> int:
    try:
        return sum(entry.taken for entry in fs.tree(folder))
    except OSError:
        return 0  # it is gone, or a link


def _carried_out(settings: Settings, pruning: Pruning, before: datetime, *, runs: bool) -> Pruning:
    """Ask the daemon to remove these jobs. Returns what it did."""
    refused: list[JobAnswer] = []
    problem: str | None = None
    asked: list[str] = []
    ids = [job.job_id for job in pruning.jobs]
    for place in range(0, len(ids), _AT_ONCE):
        some = tuple(ids[place : place + _AT_ONCE])
        answer = send(settings, Request(verb="prune", jobs=some, before=before, keep_source=pruning.keep_source), runs=runs)
        problem = problem or answer.problem
        if answer.problem and not is_put_off(answer.problem):
            break
        refused += [one for one in answer.answers if not one.accepted]
        asked += some
        # A request that was not answered in time is kept, and so are the next ones: there is no use in waiting for each.
        runs = runs and answer.problem is None
    kept = {one.job_id for one in refused}
    removed = set(asked) - kept
    jobs = tuple(job for job in pruning.jobs if job.job_id in removed)
    changes = {"jobs": jobs, "bytes": sum(job.bytes for job in jobs), "refused": tuple(refused), "problem": problem}
    return pruning.model_copy(update=changes)


def _print(pruning: Pruning) -> None:
    if pruning.jobs:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        for job in pruning.jobs:
            table.add_row(state_cell(job.state), cell(job.job_id), local(job.completed_at), size(job.bytes))
        out.print(table, soft_wrap=False)
    for one in pruning.refused:
        err.print(printable(one.sentence), markup=False)
    if pruning.problem:
        err.print(printable(pruning.problem), markup=False)
    single = len(pruning.jobs) == 1
    jobs = "1 job" if single else f"{len(pruning.jobs):,} jobs"
    what = f"the results of {jobs}" if pruning.keep_source else f"{jobs} with {'its' if single else 'their'} original pictures"
    done = "would be removed" if pruning.dry_run else "will be removed" if pruning.problem else "removed"
    err.print(
        f"{what}, {size(pruning.bytes)}: {done}."
        if pruning.jobs
        else "No job is that old. (Jobs whose hook or delivery is not done yet stay.)",
        markup=False,
    )
