"""Waits until the jobs of submitted pictures have ended, or until no daemon has run for too long."""

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from daemon.cli.common import fs, give_up, located, out, print_error, print_json, print_note, printable
from daemon.cli.display.render import now
from daemon.cli.exit_status import ExitStatus
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import outbox_trouble, silence
from daemon.cli.submitting.given import Dropped, Entry, Given
from daemon.cli.submitting.result_copies import copied
from daemon.contract.commands import command
from daemon.contract.status import ENDED, Status
from daemon.errors import Refusal
from daemon.jobs.told import BY_REQUEST
from daemon.outbox import status_of
from daemon.platform.service.current import serves, starting
from daemon.settings import Settings

#: A service manager restarts a crashed daemon after 30 s; do not give up before that.
NO_DAEMON_SECONDS = 60.0
_POLL_SECONDS = 0.1
#: Seconds between two checks of whether the daemon runs and what holds it up.
_ASK_SECONDS = 1.0


@dataclass
class _Watched:
    """What has happened so far.

    Attributes:
        ended: the final statuses, by job id.
        gone: ids whose job was removed, or whose picture never became a job.
        printed_reason: the last reason for waiting that was printed; None if there is none now.
        undelivered: ids of jobs whose result could not be delivered yet.
        not_copied: the exit status that says why a result cannot be copied; None if all could.
        idle_since: when the daemon was first found not running, in monotonic seconds; None while it runs.
    """

    ended: dict[str, Status] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    undelivered: set[str] = field(default_factory=set)
    not_copied: ExitStatus | None = None
    printed_reason: str | None = None
    idle_since: float | None = None

    def is_left(self, one: Dropped) -> bool:
        return one.job_id not in self.ended and one.job_id not in self.gone


def wait_for(
    given: Sequence[Given],
    settings: Settings,
    *,
    as_json: bool,
    patience: float,
    output: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Print each job as it ends, or all of them at the end as JSON.

    Exits with 1 if a job failed; else with 74 or 77 if a result cannot be copied; else with 6 if pictures were refused; else with
    3 if a job was cancelled; else with 4 if one was removed; else with 7 if a result is not delivered. However it ends, by Ctrl-C
    and SIGTERM as well, every job is named.

    Args:
        given: the pictures; those that have a job, or will have one, are waited for.
        settings: the settings of the home.
        as_json: print one list, in the order of `given`, with the statuses of the jobs as they ended, or as they are now.
        patience: how many seconds to wait without a running daemon. Then give up with exit 75; the pictures stay in the inbox.
        output: a folder that gets a copy of each result; None: no copies.
        clock: returns monotonic seconds.
        sleep: waits for the given number of seconds.
    """
    queries, watched, asked_at = JobQueries(fs, settings), _Watched(), float("-inf")
    given_up, ended_by = False, None
    # Two pictures may be the same, and then have the same job.
    dropped = list({one.job.job_id: one.job for one in given if one.job is not None}.values())
    try:
        with _ended_by_sigterm():
            while left := [one for one in dropped if watched.is_left(one)]:
                tick = clock()
                expired = watched.idle_since is not None and tick - watched.idle_since >= patience
                # Look once more before giving up: the daemon may have just started, or stopped right after the last job.
                asks = expired or tick - asked_at >= _ASK_SECONDS
                if asks:
                    asked_at = tick
                    _look_at_the_daemon(queries, watched, settings, tick, patience)
                given_up = expired and watched.idle_since is not None
                ended = [
                    (one, status) for one in left if (status := _look_at(one, queries, watched, thoroughly=asks)) is not None
                ]
                for one, status in _delivered(ended, queries, settings, watched, thoroughly=asks):
                    if output is not None and status.state == "completed":
                        status = _copied(status, settings, output, one, watched)
                    watched.ended[one.job_id] = status
                    if not as_json:
                        _print_end(status, settings)
                if given_up:
                    break
                sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        ended_by = ExitStatus.INTERRUPTED
    except _Terminated:
        ended_by = ExitStatus.TERMINATED
    left = [one for one in dropped if watched.is_left(one)]
    if as_json:
        print_json([_told(one, queries, watched, settings) for one in given])
    for one in left:
        print_note(f"{one.job_id} has not ended.")
    if ended_by is not None:
        raise typer.Exit(ended_by)
    if given_up and left:
        what = "the picture waits" if len(left) == 1 else f"{len(left):,} pictures wait"
        print_error(
            f"no daemon has been running for {patience:g} s; {what} for it, and nothing is lost",
            f"Start it with: {starting(installed=serves(settings))}. Then: {command('jobs')}",
        )
        raise typer.Exit(ExitStatus.NO_DAEMON)
    states = {status.state for status in watched.ended.values()}
    worst = (
        ExitStatus.FAILED if "failed" in states else None,
        watched.not_copied,
        ExitStatus.REFUSED if any(one.outcome == "refused" for one in given) else None,
        ExitStatus.CANCELLED if "cancelled" in states else None,
        ExitStatus.UNKNOWN if watched.gone else None,
        ExitStatus.UNDELIVERED if watched.undelivered else None,
    )
    if any(worst):
        raise typer.Exit(next(filter(None, worst)))


class _Terminated(Exception):
    """The program was asked to end, as by `timeout`."""


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Raise `_Terminated` if the program is asked to end meanwhile. Only the main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _copied(status: Status, settings: Settings, output: Path, one: Dropped, watched: _Watched) -> Status:
    """The status with the place of the copy; unchanged if that cannot be made, which is noted and keeps no other job waiting."""
    try:
        return copied(status, settings, output, one.image)
    except typer.Exit as failure:
        watched.not_copied = ExitStatus(failure.exit_code)
        return status


def _told(one: Given, queries: JobQueries, watched: _Watched, settings: Settings) -> Entry:
    """What a program gets about a picture: its job as it ended, or as it is now; or what there is instead of a job."""
    if one.job is not None and (ended := watched.ended.get(one.job.job_id)) is not None:
        return one.told(located(ended, settings))
    if one.job is not None and one.job.job_id in watched.gone:
        return one.told(state="removed")
    return one.told_now(queries, settings)


def _look_at_the_daemon(queries: JobQueries, watched: _Watched, settings: Settings, tick: float, patience: float) -> None:
    """Print why no job progresses: once, and again when the reason changes."""
    if not queries.daemon_runs():
        watched.idle_since = tick if watched.idle_since is None else watched.idle_since
        trouble = outbox_trouble(settings)
        why: str | None = f"The daemon isn't running; waiting {patience:g} s for it: {command('run')}."
        if trouble is not None:
            why = f"The daemon isn't running, and {trouble}; waiting {patience:g} s for it: {command('run')}."
    else:
        watched.idle_since = None
        health = queries.health()
        why = health.problem if health and health.state in ("paused", "offline") else None
        why = silence(settings, health, now()) or why
        why = why and f"Waiting: {why}"
    # Some sentences contain a number of seconds that keeps changing, so compare them without it.
    if why and _kind(why) != watched.printed_reason:
        print_note(why)
    watched.printed_reason = why and _kind(why)


def _kind(sentence: str) -> str:
    return re.sub(r"\d+ s\b", "", sentence)


def _look_at(one: Dropped, queries: JobQueries, watched: _Watched, *, thoroughly: bool) -> Status | None:
    """The status of a job that has ended; None if it has not."""
    status = queries.status(one.job_id)
    if status is None and thoroughly and not os.path.lexists(one.sidecar):
        # The picture was claimed, withdrawn or removed; the journal knows which. Read the journal only now: it then includes a
        # claim made since the sidecar was looked for.
        try:
            job = queries.job(one.job_id)
        except Refusal as refusal:
            give_up(refusal)
        if job is None:
            watched.gone.add(one.job_id)
            print_error(f"{one.job_id}: the picture was taken back, or the job was removed", f"See: {command('jobs')}.")
            return None
        status = status_of(job)
    return status if status and status.state in ENDED else None


def _delivered(
    ended: Iterable[tuple[Dropped, Status]], queries: JobQueries, settings: Settings, watched: _Watched, *, thoroughly: bool
) -> Iterator[tuple[Dropped, Status]]:
    """Those of the ended jobs whose delivery is not about to be made, with statuses that say where they were delivered.

    A delivery that has failed is noted, and not waited for: it is tried again for days.
    """
    journal = None
    for one, status in ended:
        if status.state != "completed" or status.delivered is not None or not settings.deliver.folder:
            yield one, status
        elif thoroughly:
            # Read once for all jobs, and after their statuses: so it says of each of them what is owed.
            if journal is None:
                journal = queries.history.now()
            failures = journal.follow_ups.owed.get((one.job_id, "delivery"))
            if failures == 0:
                continue
            job = queries.job(one.job_id)
            if failures:
                watched.undelivered.add(one.job_id)
                why = dict(job.troubles).get("delivery") if job else None
                print_note(f"{one.job_id}: {why or 'the result could not be delivered yet; it is tried again'}")
            yield one, status if job is None else status_of(job)


def _print_end(status: Status, settings: Settings) -> None:
    if status.state == "completed":
        place = status.delivered or settings.paths.outbox / status.job_id / "result"
        out.print(f"{status.job_id}: {printable(str(place))}", markup=False)
    elif status.error and status.error.message != BY_REQUEST:
        was = "was " if status.state == "cancelled" else ""
        print_error(f"{status.job_id} {was}{status.state}: {status.error.message}", status.error.hint)
    else:
        print_error(f"{status.job_id} was {status.state}", status.error.hint if status.error else None)
