"""The status of the service: what is installed, whether it runs, and what the daemon reports."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal

from pydantic import Field

from daemon.cli.common import fs
from daemon.cli.display.render import LAST_HEARD, ago, duration, local, now
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import SnapshotReader, outbox_trouble, standstill_of
from daemon.contract.commands import command
from daemon.contract.status import Frozen, State
from daemon.errors import Refusal
from daemon.jobs.retry_pause import pause_left
from daemon.outbox import SILENT_SECONDS, Health
from daemon.outbox.ownership import said_of_stranger
from daemon.platform.service import Installed, Manager, Role, ask
from daemon.platform.service.current import out_of_date, outdated, renewal
from daemon.settings import Settings

_MAX_BYTES = 1 << 20


class JobAtAGlance(Frozen):
    """One job in the service status."""

    job_id: str
    state: State
    at: str | None = Field(None, description="when it ended, UTC, RFC 3339")


class ServiceStatus(Frozen):
    """What `service status --json` prints."""

    schema_version: int = 1
    manager: Literal["launchd", "systemd"]
    role: Role = Field("daemon", description="which service it is; of a worker and a scheduler, only the service is known")
    file: str
    installed: bool
    installed_home: str | None = None
    outdated: tuple[str, ...] = Field(
        (), description="the entries of the file that `service install` would write differently now"
    )
    renewal: str | None = Field(None, description="the command that writes an outdated file anew")
    managed: bool | None = Field(description="whether the service manager runs the service; null if there is no service manager")
    home: str
    alive: bool = Field(
        description="whether a daemon runs for this home and wrote daemon.json within the last minute; of a worker and a "
        "scheduler, whether the service manager runs it"
    )
    health: Health | None
    running: bool = Field(False, description="whether a daemon runs for this home, even if it is silent")
    has_run: bool = Field(False, description="whether a daemon ever ran here")
    problem: str | None = Field(
        None, description="why `health` is missing or out of date although a daemon runs, or none can start"
    )
    last_job: JobAtAGlance | None = None
    next_job: JobAtAGlance | None = None
    waiting_total: int = Field(0, description="how many entries the waiting list has")


def look_at_service(settings: Settings, its: Manager, role: Role) -> ServiceStatus:
    """The current status of a service, without what the daemon itself reports."""
    file = installed(its)
    try:
        managed: bool | None = is_managed(its)
    except Refusal:
        managed = None
    entries = outdated_entries(its, settings, role)
    return ServiceStatus(
        manager="launchd" if its.name == "launchd" else "systemd",
        role=role,
        file=str(its.path()),
        installed=file is not None,
        installed_home=file.home if file else None,
        outdated=entries,
        renewal=renewal(role, file.slots, file.name) if file and entries else None,
        managed=managed,
        home=str(settings.paths.home),
        alive=managed is True,
        health=None,
    )


def look(settings: Settings, its: Manager, on_damage: Callable[[Refusal], None] | None = None) -> ServiceStatus:
    """The current status of the daemon and its service. `on_damage`: as for `JobQueries`."""
    queries = JobQueries(fs, settings, on_damage)
    snapshot = SnapshotReader(settings, queries).look(now())
    health = snapshot.health
    service = look_at_service(settings, its, "daemon")
    queue = list(queries.history.now().queue)
    # Other jobs overtake a job that pauses before its next attempt, so it is next only if no other job waits.
    waiting = next((job for job in queue if not pause_left(job, now().timestamp())), next(iter(queue), None))
    ended = next(iter(queries.history.ended(1)), None)
    reported = {
        "alive": snapshot.alive and health is not None and health.silent_seconds(now()) <= SILENT_SECONDS,
        "health": health,
        "running": snapshot.alive,
        "has_run": health is not None or _has_run(settings),
        "problem": snapshot.problem or (None if snapshot.alive else _why_not(settings, queries, health)),
        "last_job": JobAtAGlance(job_id=ended.job_id, state=ended.state, at=ended.completed_at) if ended else None,
        "next_job": JobAtAGlance(job_id=waiting.job_id, state=waiting.state) if waiting else None,
        "waiting_total": snapshot.waiting_total,
    }
    return service.model_copy(update=reported)


def _has_run(settings: Settings) -> bool:
    """Whether a daemon left traces here. One that was refused for its folders left only its log."""
    return settings.paths.journal.is_dir() or (settings.paths.state / "log" / "daemon.log").exists()


def _why_not(settings: Settings, queries: JobQueries, health: Health | None) -> str | None:
    """Why no daemon can start, as far as the outbox says; None if it does not, or if the daemon itself has said why."""
    if health is not None and health.state == "refused":
        return None
    owner = queries.stranger()
    return outbox_trouble(settings) if owner is None else said_of_stranger("outbox", settings.paths.outbox_bytes, owner)


def status_lines(found: ServiceStatus) -> Iterator[tuple[str, str]]:
    """The status for people: the name and the value of each line. A line without a name continues the one above."""
    health, at = found.health, now()
    if not found.installed:
        yield "service", f"not installed ({renewal(found.role)})"
    elif found.installed_home and os.path.realpath(found.installed_home) != os.path.realpath(found.home):
        yield "service", f"installed for another home, {found.installed_home}"
    else:
        runs = {True: "running", False: "not running", None: f"{found.manager} cannot be asked here"}[found.managed]
        yield "service", f"installed for {found.manager}, {runs}"
        if found.outdated:
            yield "", out_of_date(found.outdated, found.role)
            yield "", f"Renew it: {found.renewal}"
    if found.role != "daemon":
        return
    if found.alive and health and not found.problem:
        since = duration(at.timestamp() - seconds(health.started_at))
        yield "daemon", f"alive, {health.state}, process {health.pid}, since {local(health.started_at)} ({since})"
    elif found.running:
        yield "daemon", f"runs, last response {local(health.alive_at)} ({ago(health.alive_at, at)})" if health else "runs"
    elif health and health.state == "refused":
        yield "daemon", f"refused to start at {local(health.alive_at)}"
    elif health:
        yield "daemon", f"not running; last seen {local(health.alive_at)} ({ago(health.alive_at, at)})"
    else:
        yield "daemon", "not running" if found.has_run else "never ran"
    if found.problem:
        yield "problem", found.problem
    # The problem of a daemon that no longer runs does not matter now, unless it is why the daemon refused to start.
    elif health and health.problem and (found.alive or health.state == "refused"):
        yield "problem", health.problem
        if health.hint:
            yield "", health.hint
    if found.last_job and found.last_job.at:
        yield "last job", f"{found.last_job.job_id} {found.last_job.state}, {ago(found.last_job.at, at)}"
    halt = standstill_of(health, alive=found.running, problem=found.problem if found.running else None)
    if health and health.processing and found.running:
        yield "running", ", ".join(health.processing) + (f" · {LAST_HEARD}" if halt and halt.stale else "")
    following = found.next_job.job_id if found.next_job else "nothing in line"
    yield "next", f"{following} · {halt.word}" if found.next_job and halt else following
    if found.waiting_total:
        yield "waiting", f"{found.waiting_total:,} in the inbox ({command('waiting')} says why)"


def installed(its: Manager) -> Installed | None:
    """The content of the installed service file; None if there is none.

    Raises:
        Refusal: Multiplane did not make the file with that name.
    """
    try:
        return its.read(fs.read(os.fsencode(its.path()), _MAX_BYTES))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Refusal(f"{its.path()} is {error}", hint="Look at it, and remove it if nobody needs it.", exit_status=1) from error


def outdated_entries(its: Manager, settings: Settings, role: Role) -> tuple[str, ...]:
    """The entries of the installed file that `service install` would write differently now; empty if none is for this home.

    Raises:
        Refusal: Multiplane did not make the file with that name.
    """
    file = installed(its)
    if file is None or os.path.realpath(file.home) != os.path.realpath(settings.paths.home):
        return ()
    return outdated(its, fs.read(os.fsencode(its.path()), _MAX_BYTES), settings, role)


def is_managed(its: Manager) -> bool:
    """Whether the service manager runs the daemon.

    Raises:
        Refusal: this system has no such service manager.
    """
    answer = ask(its.status_argv())
    return answer is not None and its.runs(answer)


def seconds(moment: str) -> float:
    """Seconds since 1970 of an RFC 3339 time."""
    return datetime.fromisoformat(moment).timestamp()
