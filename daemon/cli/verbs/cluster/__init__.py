"""cluster: many machines. Makes keys, runs the scheduler or a worker, and shows which machines there are.

Dask is imported only by the commands that use it: importing it takes a second.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.common import Home, Json, commands, fs, give_up, log_safely, out, print_json, settings_of
from daemon.cli.examples import epilog
from daemon.contract.commands import SHORT, command
from daemon.errors import Refusal
from daemon.settings.scheduler_address import checked_address

if TYPE_CHECKING:
    from daemon.settings import Settings

cluster = typer.Typer(
    name="cluster", help="Run jobs on many machines: make keys, start scheduler and workers.", no_args_is_help=True
)

Address = Annotated[
    str | None,
    typer.Argument(metavar="[tls://HOST:PORT]", help="The scheduler's address. Default: cluster.scheduler of the settings."),
]

_EXAMPLE = "tls://studio.local:8786"


@cluster.command(epilog=epilog("cluster keys"))
def keys(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put them. An authority that is there is used again.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="The machines. Default: this one.")] = None,
    home: Home = None,
) -> None:
    """Make the keys of a cluster: its authority (ca.pem), and a certificate and a private key for each machine."""
    _needs_libraries()
    from daemon.cluster.keys import CA, make_keys
    from daemon.cluster.machine.naming import own_name

    place = os.path.abspath(folder.expanduser())
    try:
        made = make_keys(fs, place, names or [own_name()])
    except Refusal as refusal:
        give_up(refusal)
    for each in made:
        out.print(f"{each.name}: copy these three files to it, and name them in its settings:", markup=False)
        out.print(
            f"cluster:\n  ca: {os.path.join(place, CA)}\n  certificate: {each.certificate}\n  key: {each.key}", markup=False
        )


@cluster.command(epilog=epilog("cluster scheduler"))
def scheduler(address: Address = None, home: Home = None) -> None:
    """Run the scheduler, which decides where jobs run, in the foreground until you stop it (Ctrl-C, SIGTERM)."""
    settings = settings_of(home)
    try:
        where = _address(settings, address, command("cluster", "scheduler", _EXAMPLE))
        _needs_libraries()
        from daemon.cluster.scheduling import run_scheduler

        _log(settings)
        run_scheduler(settings, where)
    except Refusal as refusal:
        give_up(refusal)


@cluster.command(epilog=epilog("cluster worker"))
def worker(
    address: Address = None,
    slots: Annotated[int, typer.Option("--slots", min=1, max=1024, help="How many jobs run here at once.")] = 1,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="This machine's name. Default: that of its certificate.")
    ] = None,
    home: Home = None,
) -> None:
    """Run jobs of the cluster on this machine, in the foreground until you stop it (Ctrl-C, SIGTERM)."""
    settings = settings_of(home)
    try:
        where = _address(settings, address, command("cluster", "worker", _EXAMPLE))
        _needs_libraries()
        from daemon.cluster.machine.joining import name_in_cluster
        from daemon.cluster.machine.serving import RESTART, Serving

        _log(settings)
        status = Serving(settings, fs, where, slots=slots, name=name or name_in_cluster(settings)).run()
    except Refusal as refusal:
        give_up(refusal)
    if status == RESTART and os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - an argument list of our own, and no shell
    raise typer.Exit(status)


@cluster.command(epilog=epilog("cluster status"))
def status(address: Address = None, home: Home = None, json: Json = False) -> None:
    """List the machines of the cluster: slots, versions, devices, models, and the jobs that run there."""
    settings = settings_of(home)
    try:
        where = _address(settings, address, command("cluster", "status", _EXAMPLE))
        _needs_libraries()
        from daemon.cluster.survey import survey, table

        found = survey(settings, where)
    except Refusal as refusal:
        give_up(refusal)
    if json:
        print_json(found)
    else:
        for line in table(found):
            out.print(commands().fill(line), markup=False)


def _address(settings: "Settings", typed: str | None, example: str) -> str:
    """The scheduler's address: the one that was typed, or that of the settings. `example`: the command with an address."""
    if typed is None and settings.cluster.scheduler is None:
        raise Refusal(
            "this home has no cluster: no scheduler is named",
            hint=f"Type its address, as in {example}, or set cluster.scheduler.",
            exit_status=2,
        )
    try:
        return checked_address(typed or settings.cluster.scheduler or "")
    except ValueError as error:
        hint = f"Make keys with {command('cluster', 'keys', 'DIR')} and use tls://."
        raise Refusal(
            f"the address {error}" if str(error).startswith("must") else str(error), hint=hint, exit_status=2
        ) from error


def _needs_libraries() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("distributed", "cryptography") if find_spec(name) is None]
    if missing:
        give_up(
            Refusal(
                f"the libraries for a cluster are missing: {', '.join(missing)}",
                hint="Install them with: pipx install 'multiplane[cluster]'",
            )
        )


def _log(settings: "Settings") -> None:
    """Log to standard error, as the daemon does."""
    from loguru import logger

    logger.remove()
    log_safely(SHORT)
    logger.add(sys.stderr, level=settings.log.level, format="<dim>{time:HH:mm:ss}</dim> <level>{level: <7}</level> {message}")
