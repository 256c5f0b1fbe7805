"""Waits for submitted pictures until every job has ended, or until waiting makes no sense."""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import typer

from daemon.cli.common import err, fs, give_up, out, print_json, printable, tell_error
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import silence
from daemon.cli.render import now
from daemon.contract.commands import command
from daemon.contract.status import ENDED, Status
from daemon.errors import Refusal
from daemon.outbox import status_of
from daemon.settings import Settings

#: A service manager restarts a crashed daemon after 30 s; do not give up before that.
NO_DAEMON_SECONDS = 60.0
#: EX_TEMPFAIL of sysexits.h: the pictures are fine, and a later try may work.
EXIT_NO_DAEMON = 75
_POLL_SECONDS = 0.1
#: Seconds between two checks of whether the daemon runs and what holds it up.
_ASK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Dropped:
    """A picture in the inbox: the id its job will have, and the path of its sidecar until it is taken."""

    job_id: str
    sidecar: bytes


@dataclass
class _Watched:
    """What has happened to each job so far. `gone`: removed, or never became a job."""

    ended: dict[str, Status] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    told: str | None = None
    idle_since: float | None = None

    def is_left(self, one: Dropped) -> bool:
        return one.job_id not in self.ended and one.job_id not in self.gone


def wait_for(
    dropped: Sequence[Dropped],
    settings: Settings,
    *,
    as_json: bool,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Print each job as it ends, or all of them at the end as JSON. Exit 1 if a job did not complete.

    Args:
        dropped: what to wait for.
        settings: of the home.
        as_json: print the statuses of the jobs that ended, in their order, as one list.
        patience: seconds without a running daemon after which to give up with exit 75; the pictures stay in the inbox.
        clock: returns monotonic seconds.
        sleep: waits for that many seconds.
    """
    queries, seen, asked_at = JobQueries(fs, settings), _Watched(), float("-inf")
    given_up = False
    while left := [one for one in dropped if seen.is_left(one)]:
        tick = clock()
        expired = seen.idle_since is not None and tick - seen.idle_since >= patience
        # Look once more before giving up: the daemon may have just started, or stopped right after the last job.
        asks = expired or tick - asked_at >= _ASK_SECONDS
        if asks:
            asked_at = tick
            _look_at_the_daemon(queries, seen, settings, tick, patience)
        given_up = expired and seen.idle_since is not None
        for one in left:
            _look_at(one, queries, seen, settings, thoroughly=asks, as_json=as_json)
        if given_up:
            break
        sleep(_POLL_SECONDS)
    if as_json:
        print_json([seen.ended[one.job_id] for one in dropped if one.job_id in seen.ended])
    left = [one for one in dropped if seen.is_left(one)]
    if left:
        what = "the picture waits" if len(left) == 1 else f"{len(left):,} pictures wait"
        tell_error(
            f"no daemon has been running for {patience:g} s; {what} for it, and nothing is lost",
            f"Start it with: {command('run')} (here), or {command('service', 'start')}. Then: {command('jobs')}",
        )
        raise typer.Exit(EXIT_NO_DAEMON)
    if seen.gone or any(status.state != "completed" for status in seen.ended.values()):
        raise typer.Exit(1)


def _look_at_the_daemon(queries: JobQueries, seen: _Watched, settings: Settings, tick: float, patience: float) -> None:
    """Say why nothing progresses: once, and again when the reason changes."""
    if not queries.daemon_runs():
        seen.idle_since = tick if seen.idle_since is None else seen.idle_since
        why: str | None = f"The daemon isn't running; waiting {patience:g} s for it: {command('run')}."
    else:
        seen.idle_since = None
        health = queries.health()
        why = health.problem if health and health.state in ("paused", "offline") else None
        why = silence(settings, health, now()) or why
        why = why and f"Waiting: {why}"
    # Some sentences contain a number of seconds, so compare them without numbers: each kind is printed once.
    if why and _kind(why) != seen.told:
        err.print(printable(why), markup=False)
    seen.told = why and _kind(why)


def _kind(sentence: str) -> str:
    return re.sub(r"\d+ s\b", "", sentence)


def _look_at(one: Dropped, queries: JobQueries, seen: _Watched, settings: Settings, *, thoroughly: bool, as_json: bool) -> None:
    status = queries.status(one.job_id)
    if status is None and thoroughly and not os.path.lexists(one.sidecar):
        # It was taken, taken back or removed; the journal knows which. The journal was read second, so it has any claim in
        # between.
        try:
            job = queries.job(one.job_id)
        except Refusal as refusal:
            give_up(refusal)
        if job is None:
            seen.gone.add(one.job_id)
            tell_error(f"{one.job_id}: the picture was taken back, or the job was removed", f"See: {command('jobs')}.")
            return
        status = status_of(job)
    if status and status.state in ENDED:
        seen.ended[one.job_id] = status
        if not as_json:
            _tell(status, settings)


def _tell(status: Status, settings: Settings) -> None:
    if status.state == "completed":
        out.print(f"{status.job_id}: {settings.paths.outbox / status.job_id / 'result'}", markup=False)
    elif status.error:
        tell_error(f"{status.job_id} {status.state}: {status.error.message}", status.error.hint)
    else:
        tell_error(f"{status.job_id} was {status.state}")
