"""run: the daemon in the foreground, as launchd and systemd want it."""

import os
import sys
from typing import Annotated

import typer
from loguru import logger

from daemon.cli.common import Home, fs, give_up, settings_of
from daemon.errors import Refusal
from daemon.fs import make_folders
from daemon.settings import Settings


def run(
    once: Annotated[bool, typer.Option("--once", help="Stop when inbox and queue are empty; exit 1 if a job failed.")] = False,
    home: Home = None,
) -> None:
    """Run the daemon in the foreground until it is told to stop (Ctrl-C, SIGTERM)."""
    # Only this verb pays for the daemon; the others start without it.
    from daemon.service import Service

    settings = settings_of(home)
    _start_log(settings)
    try:
        service = Service(settings, fs)
    except Refusal as refusal:
        logger.critical("{} {}", refusal.message, refusal.hint)
        give_up(refusal)
    logger.info("watching {}; results appear in {}", settings.paths.inbox, settings.paths.outbox)
    raise typer.Exit(service.run(once=once))


def _start_log(settings: Settings) -> None:
    """Log to the terminal and to .state/log/daemon.log."""
    folder = os.path.join(settings.paths.state_bytes, b"log")
    make_folders(fs, folder)
    log = settings.log
    logger.remove()
    logger.add(sys.stderr, level=log.level, format="<dim>{time:HH:mm:ss}</dim> <level>{level: <7}</level> {message}")
    logger.add(
        os.path.join(os.fsdecode(folder), "daemon.log"),
        level=log.level,
        rotation=int(log.rotate_bytes),
        retention=log.keep_files,
        format="{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level} {message}",
    )
