"""service: runs the daemon as a service of the user's session, under launchd or systemd."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.common import (
    Home,
    Json,
    err,
    fs,
    out,
    print_error,
    print_json,
    printable,
    printable_lines,
    settings_of,
    settings_to_look,
)
from daemon.cli.examples import epilog
from daemon.cli.job_queries import JobQueries
from daemon.cli.service_status import installed, is_managed, look, look_at_service, outdated_entries, status_lines
from daemon.cli.startup_refusal import check_interpreter
from daemon.cli.verbs.models import fetch_default_model
from daemon.cli.verbs.quick_action import install_actions, remove_actions
from daemon.contract.commands import command
from daemon.errors import Refusal
from daemon.fs import make_folders, write_atomic
from daemon.outbox import Health
from daemon.platform.finder.actions import script
from daemon.platform.service import Action, Facts, Manager, Role, manager, perform
from daemon.platform.service.current import current_facts, out_of_date, removal, renewal
from daemon.settings import Settings
from daemon.settings.layout import PROGRAM

service = typer.Typer(name="service", help="Run the daemon in the background, under launchd or systemd.", no_args_is_help=True)

Worker = Annotated[bool, typer.Option("--worker", help="The service of a cluster's worker, instead of the daemon's.")]
Scheduler = Annotated[bool, typer.Option("--scheduler", help="The service of a cluster's scheduler, instead of the daemon's.")]

#: The exit status that the Linux Standard Base gives to “program is not running”.
EXIT_NOT_RUNNING = 3
#: A start loads Python and reads the journal. Even on a busy machine this takes only some seconds.
_START_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_LINGER = "It runs while you are logged in. To keep it running after you log out: loginctl enable-linger"
#: How many bytes at the end of the log are searched for the last lines; more than anybody reads.
_TAIL_BYTES = 1 << 20


@service.command(epilog=epilog("service install"))
def install(
    anyway: Annotated[bool, typer.Option("--anyway", help="Install even in a folder that macOS protects.")] = False,
    quick_action: Annotated[
        bool, typer.Option("--quick-action", help="On a Mac: also install the Finder Quick Action “Make layers” and a droplet.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="With --quick-action: the Quick Action and the droplet wait for the layers and show them."),
    ] = False,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Don't fetch the default depth model if none is installed.")
    ] = False,
    worker: Annotated[
        bool, typer.Option("--worker", help="Install a worker of the cluster that the settings name, instead of the daemon.")
    ] = False,
    slots: Annotated[int, typer.Option("--slots", min=1, max=1024, help="With --worker: how many jobs run here at once.")] = 1,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="With --worker: the machine's name in the cluster. Default: that of its certificate."
        ),
    ] = None,
    scheduler: Annotated[
        bool,
        typer.Option("--scheduler", help="Install the scheduler of the cluster that the settings name, instead of the daemon."),
    ] = False,
    show: Annotated[bool, typer.Option("--print", help="Print the file that would be installed, and change nothing.")] = False,
    home: Home = None,
) -> None:
    """Install the service: it starts the daemon now, at each login and after a crash."""
    if show and quick_action:
        raise typer.BadParameter("--print shows the file of the service alone; leave --quick-action out")
    _check_quick_action(quick_action, wait=wait)
    role = _role(worker=worker, scheduler=scheduler)
    if name is not None and role != "worker":
        raise typer.BadParameter("--name needs --worker")
    settings, its = settings_of(home), manager(role)
    if role != "daemon" and settings.cluster.scheduler is None:
        raise Refusal("the settings name no cluster", hint="Set cluster.scheduler and the certificates first.", exit_status=1)
    facts = current_facts(settings, role, slots=slots, name=name)
    if show:
        # Standard output has only the file, so that it can be piped.
        err.print(f"Would be installed as {printable(str(its.path()))}:", markup=False)
        typer.echo(its.content(facts), nl=False)
        return
    check_interpreter()
    existing = installed(its)
    if existing and not _same(existing.home, settings) and os.path.exists(existing.python):
        raise Refusal(
            f"the service is installed for another home, {existing.home}",
            hint=f"One home is served at a time: {removal(role, existing.home)}",
            exit_status=1,
        )
    if role != "daemon":
        _install_file(its, facts, keep=bool(existing))
        _say_started(settings, role)
        if its.name == "systemd":
            out.print(_LINGER)
        return
    guards = _guards(settings)
    if guards and not anyway:
        raise Refusal(
            f"{guards[0][0]} is in {guards[0][1]}, which macOS protects: a service cannot use it there",
            hint="Move it, or choose another one (for the home: --home and a new folder in your user folder), or use --anyway.",
            exit_status=1,
        )
    if JobQueries(fs, settings).daemon_runs() and not is_managed(its):
        raise Refusal(
            "a daemon already runs for this home, started by hand",
            hint="Stop it first (Ctrl-C where it runs), then install the service.",
            exit_status=75,
        )
    if not no_model:
        fetch_default_model(settings)
    before = JobQueries(fs, settings).health()
    _install_file(its, facts, keep=bool(existing))
    if guards:
        python = os.path.realpath(sys.executable)
        err.print(
            f"{guards[0][0]} lies in {guards[0][1]}: allow {python} in System Settings, Privacy & Security, Full Disk Access."
        )
    _await_start(settings, before)
    if its.name == "systemd":
        out.print(_LINGER)
    if quick_action:
        _install_quick_action(settings, waits=wait)


def _install_file(its: Manager, facts: Facts, *, keep: bool = False) -> None:
    """Write the service's file, and start the service. If that fails, the file is removed, unless `keep`."""
    make_folders(fs, os.fsencode(os.path.dirname(facts.errors)))
    make_folders(fs, os.fsencode(its.path().parent))
    write_atomic(fs, os.fsencode(its.path()), its.content(facts), durable=True)
    try:
        perform(its.steps("install"))
    except Refusal:
        # Otherwise the next login would start what could not be started now.
        if not keep:
            fs.unlink(os.fsencode(its.path()))
        raise
    out.print(f"Installed: {printable(str(its.path()))}", markup=False)
    for name in facts.environ:
        out.print(f"It uses {name} as set here.", markup=False)


@service.command(epilog=epilog("service uninstall"))
def uninstall(
    home: Home = None,
    worker: Worker = False,
    scheduler: Scheduler = False,
) -> None:
    """Stop and remove the service, the Quick Action and the droplet; pictures, results and settings stay."""
    role = _role(worker=worker, scheduler=scheduler)
    settings, its = settings_of(home), manager(role)
    if _check_home(its, settings):
        perform(its.steps("uninstall"))
        fs.unlink(os.fsencode(its.path()))
        perform(its.steps("forget"))
        out.print(f"Removed: {printable(str(its.path()))}", markup=False)
    else:
        err.print("The service is not installed.")
    if role != "daemon":
        return
    for path in remove_actions(Path.home()):
        out.print(f"Removed: {printable(str(path))}", markup=False)


@service.command(epilog=epilog("service start"))
def start(home: Home = None, worker: Worker = False, scheduler: Scheduler = False) -> None:
    """Start the installed service."""
    _act("start", home, _role(worker=worker, scheduler=scheduler))


@service.command(epilog=epilog("service stop"))
def stop(home: Home = None, worker: Worker = False, scheduler: Scheduler = False) -> None:
    """Stop the service; it starts again at the next login."""
    _act("stop", home, _role(worker=worker, scheduler=scheduler))


@service.command(epilog=epilog("service restart"))
def restart(home: Home = None, worker: Worker = False, scheduler: Scheduler = False) -> None:
    """Restart the service, for instance after you changed the settings."""
    _act("restart", home, _role(worker=worker, scheduler=scheduler))


@service.command(epilog=epilog("service status"))
def status(home: Home = None, worker: Worker = False, scheduler: Scheduler = False, json: Json = False) -> None:
    """Show whether the daemon is alive, since when, its last job and its next one; exit 3 if the daemon isn't alive."""
    role = _role(worker=worker, scheduler=scheduler)
    settings, its = settings_to_look(home), manager(role)
    found = look(settings, its, _tell) if role == "daemon" else look_at_service(settings, its, role)
    if json:
        print_json(found)
    else:
        for name, value in status_lines(found):
            out.print(f"{name:>9}  {printable(value)}", markup=False)
    if not found.alive:
        raise typer.Exit(EXIT_NOT_RUNNING)


def _tell(damage: Refusal) -> None:
    """Tell of a damaged file of the journal. The exit status tells only whether the daemon is alive."""
    print_error(damage.message, damage.hint)


@service.command(epilog=epilog("service logs"))
def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines to print.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines until Ctrl-C.")] = False,
    home: Home = None,
) -> None:
    """Print the end of the daemon's log."""
    path = settings_to_look(home).paths.state / "log" / "daemon.log"
    try:
        for text in _tail(path, lines, follow=follow):
            sys.stdout.write(printable_lines(text))
            sys.stdout.flush()
    except FileNotFoundError:
        err.print(f"There is no log yet: {printable(str(path))}", markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        return


def _act(action: Action, home: Path | None, role: Role) -> None:
    settings, its = settings_of(home), manager(role)
    found = installed(its) if _check_home(its, settings) else None
    if found is None:
        raise Refusal("the service is not installed", hint=f"Install it with: {renewal(role)}", exit_status=1)
    if action != "stop" and (entries := outdated_entries(its, settings, role)):
        err.print(printable(f"{out_of_date(entries, role)} Renew it: {renewal(role, found.slots, found.name)}"), markup=False)
    if role == "daemon" and action == "start" and JobQueries(fs, settings).daemon_runs():
        out.print("It is already running.")
        return
    before = JobQueries(fs, settings).health()
    perform(its.steps(action))
    if action == "stop":
        out.print(printable(f"Stopped. It starts again at the next login; {removal(role, found.home)} removes it."), markup=False)
    elif role == "daemon":
        _await_start(settings, before)
    else:
        _say_started(settings, role)


def _say_started(settings: Settings, role: Role) -> None:
    """Say that the service of a cluster's program was started."""
    says = "The worker runs, and joins the cluster when the scheduler answers."
    if role == "scheduler":
        says = f"It runs at {settings.cluster.scheduler}; {command('cluster', 'status')} lists the machines."
    out.print(printable(says), markup=False)


def _await_start(settings: Settings, before: Health | None) -> None:
    """Wait until the daemon reports that it runs. `before`: the content of daemon.json before the start.

    Raises:
        Refusal: the daemon refuses to start, or does not start in time.
    """
    queries, deadline = JobQueries(fs, settings), time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        health = queries.health()
        # A new report is from another process. A later time proves nothing, because the clock may have been set.
        if health and not (before and (health.pid, health.started_at) == (before.pid, before.started_at)):
            if health.state == "refused":
                hint = health.hint or f"See: {command('service', 'logs')}"
                raise Refusal(health.problem or "the daemon refused to start", hint=hint)
            if queries.daemon_runs() and health.state not in ("starting", "stopped"):
                out.print(
                    f"The daemon is running (process {health.pid}) and watches {printable(str(settings.paths.inbox))}",
                    markup=False,
                )
                return
        time.sleep(_LOOK_SECONDS)
    raise Refusal(
        f"the daemon did not start within {_START_SECONDS:.0f} s",
        hint=f"See: {command('service', 'status')}, {command('service', 'logs')}",
        exit_status=1,
    )


def _role(*, worker: bool, scheduler: bool) -> Role:
    if worker and scheduler:
        raise typer.BadParameter("--worker and --scheduler are two services; install one after the other")
    return "worker" if worker else "scheduler" if scheduler else "daemon"


def _check_quick_action(wanted: bool, *, wait: bool) -> None:
    """Refuse what this system does not support, before anything is installed."""
    if wait and not wanted:
        raise typer.BadParameter("--wait needs --quick-action")
    if wanted and sys.platform != "darwin":
        raise Refusal(
            "Quick Actions are part of Finder, and this isn't a Mac",
            hint=f"Leave --quick-action out; {command('submit', 'PICTURE')} drops pictures the same way.",
            exit_status=1,
        )


def _install_quick_action(settings: Settings, *, waits: bool) -> None:
    for path in install_actions(script(current_facts(settings), str(settings.paths.outbox), waits=waits), Path.home()):
        out.print(f"Installed: {printable(str(path))}", markup=False)
    out.print(
        "In Finder, select pictures, then Quick Actions, Make layers; or drop them on the droplet (it can stay in the Dock). "
        "If it isn't in the menu: System Settings, Keyboard, Keyboard Shortcuts, Services, Pictures."
    )


def _guards(settings: Settings) -> list[tuple[str, str]]:
    """Our folders inside a folder that macOS protects: a description of each, and the name of the protected folder."""
    found: list[tuple[str, str]] = []
    if sys.platform == "darwin":
        from daemon.platform.service.launchd import guarded

        paths = settings.paths
        places = [("The program", PROGRAM), ("The home", paths.home), ("The inbox", paths.inbox), ("The outbox", paths.outbox)]
        if paths.deliveries is not None:
            places.append(("The folder for deliveries", paths.deliveries))
        for name, path in places:
            if (folder := guarded(path, Path.home())) is not None:
                found.append((f"{name} ({path})", folder))
    return found


def _check_home(its: Manager, settings: Settings) -> bool:
    """Whether the service is installed for this home.

    Raises:
        Refusal: it is installed for another one.
    """
    found = installed(its)
    # If its interpreter is gone, the service cannot start: the checkout was moved, perhaps together with its home.
    if found and not _same(found.home, settings) and os.path.exists(found.python):
        raise Refusal(
            f"the service is installed for another home, {found.home}",
            hint=f"Name that home: --home {found.home}",
            exit_status=1,
        )
    return found is not None


def _same(home: str, settings: Settings) -> bool:
    return os.path.realpath(home) == os.path.realpath(settings.paths.home)


def _tail(path: Path, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of a file. With `follow`, go on with what is appended, even if a new file takes the name."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _TAIL_BYTES))
        kept = file.read().splitlines(keepends=True)[-lines:] if lines else []
        yield b"".join(kept).decode(errors="replace")
        while follow:
            more = file.read()
            if more:
                yield more.decode(errors="replace")
            elif not _is_at(path, file.fileno()):
                break
            else:
                time.sleep(_LOOK_SECONDS)
    if follow:
        # The log was rotated: read the new file from its beginning.
        yield from _tail(path, sys.maxsize, follow=True)


def _is_at(path: Path, fd: int) -> bool:
    """Whether the open file still has this path. True also while the path has no file, because a new one will soon appear."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return True
