"""run: runs the daemon in the foreground, as launchd and systemd expect it."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from loguru import logger

from daemon.cli.common import Home, fs, log_safely, settings_at
from daemon.cli.job_queries import JobQueries
from daemon.cli.startup_refusal import check_interpreter, explained, refuse
from daemon.cli.verbs.models import fetch_default_model
from daemon.contract.commands import command
from daemon.errors import Refusal
from daemon.fs import make_folders
from daemon.fs.modes import OWN
from daemon.journal import JournalError
from daemon.platform.service.launchd import LABEL
from daemon.settings import Settings
from daemon.settings.typed_command import commands_anywhere

if TYPE_CHECKING:
    pass

Launchd = Annotated[bool, typer.Option("--launchd", hidden=True, help="Started by launchd: see `refuse`.")]


def run(
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Stop when nothing is left but files that need a person, such as a picture without its YAML file; "
            "exit 1 if a job failed.",
        ),
    ] = False,
    no_model: Annotated[
        bool,
        typer.Option("--no-model", help="On a terminal: don't fetch the default depth model if none is installed."),
    ] = False,
    home: Home = None,
    launchd: Launchd = False,
) -> None:
    """Run the daemon in the foreground until you stop it (Ctrl-C, SIGTERM)."""
    # Imported here, so that other verbs need not load the daemon.
    from daemon.service import EXIT_RESTART, assemble

    # launchd puts the service's name into the environment of what it starts. Programs started from Terminal get a "0" there.
    launchd = launchd or os.environ.get("XPC_SERVICE_NAME") == LABEL
    settings = None
    try:
        settings = settings_at(home)
        _start_log(settings, terminal=not launchd)
        check_interpreter()
        if not no_model and sys.stdin.isatty() and sys.stderr.isatty() and not JobQueries(fs, settings).daemon_runs():
            fetch_default_model(settings)
        service = assemble(settings, fs)
    except Refusal as refusal:
        refuse(refusal, settings, home=home, launchd=launchd)
    except (OSError, JournalError) as error:
        refuse(explained(error), settings, home=home, launchd=launchd)
    logger.info("watching {}; results appear in {}", settings.paths.inbox, settings.paths.outbox)
    status = service.run(once=once)
    if status == EXIT_RESTART and not (launchd or os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())):
        # In a terminal nobody would restart it. A service manager does, and it reads its service file again first.
        _restart()
    raise typer.Exit(status)


def _restart() -> None:
    """Replace this process by the program that is on the disk now, with the same arguments."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Do not start a fetch now: nobody may be at the terminal any more.
    options = [] if "--no-model" in sys.orig_argv else ["--no-model"]
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], *options])  # noqa: S606 - no shell is wanted
    except OSError as error:
        logger.critical("the daemon cannot restart itself: {}; start it with: {}", error.strerror, command("run"))


def _start_log(settings: Settings, *, terminal: bool) -> None:
    """Log to .state/log/daemon.log and, with `terminal`, to standard error.

    launchd would collect standard error in a file that grows for ever.
    """
    folder = os.path.join(settings.paths.state_bytes, b"log")
    log = settings.log
    logger.remove()
    # The log is read in any terminal.
    log_safely(commands_anywhere(settings.paths.home, os.environ))
    if terminal:
        logger.add(
            sys.stderr,
            level=log.level,
            format="<dim>{time:HH:mm:ss}</dim> <level>{level: <7}</level> {message}",
            filter=lambda record: not record["extra"].get("printed"),
        )
    make_folders(fs, folder)
    logger.add(
        os.path.join(os.fsdecode(folder), "daemon.log"),
        level=log.level,
        rotation=int(log.rotate_bytes),
        retention=log.keep_files,
        format="{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level} {message}",
        opener=lambda path, flags: os.open(path, flags, OWN.file),
    )
