"""When the daemon refuses to start: shows people and programs the reason, and exits as the service manager expects."""

import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

import typer
from loguru import logger

from daemon import __version__, clock
from daemon.cli.common import fs, print_error
from daemon.cli.exit_status import NO_PERMISSION, NO_SPACE
from daemon.cli.job_queries import JobQueries
from daemon.errors import Refusal
from daemon.journal import JournalError
from daemon.journal.lock import is_running_elsewhere
from daemon.outbox import Health, Outbox
from daemon.outbox.ownership import Ownership, who
from daemon.platform.files import permission_hint
from daemon.platform.reach import HINT, why_not_run
from daemon.settings import Settings
from daemon.settings.loading import load_what_is_right
from daemon.settings.typed_command import commands_anywhere

#: EX_NOPERM and EX_IOERR of sysexits.h. Only a person can fix the first (systemd's unit lists it in RestartPreventExitStatus);
#: the second may pass, so a service manager starts the daemon again.
EXIT_PERMISSION, EXIT_DISK = 77, 74
_NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)


def explained(error: OSError | JournalError) -> Refusal:
    """The refusal that tells people about a disk error, or about an error of the journal."""
    cause = error if isinstance(error, OSError) else error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    if isinstance(error, JournalError):
        message = str(error)
    else:
        message = f"{_named(error)} cannot be read or written: {error.strerror}"
    if number in _NO_FOLDER:
        hint = (
            "A file or a link is where a folder belongs. Move it away, or name another folder in the settings (folders), or "
            "another home with --home or MULTIPLANE_HOME."
        )
        return Refusal(message, hint=hint)
    if isinstance(cause, OSError) and _is_unmounted(cause.filename):
        return Refusal(message, hint="Connect the disk or the share. A service then starts automatically.", exit_status=EXIT_DISK)
    if number == errno.EROFS:
        hint = "Its disk is mounted read-only: mount it so that it can be written, then start again."
        return Refusal(message, hint=hint, exit_status=EXIT_PERMISSION)
    if isinstance(cause, OSError) and cause.filename == sys.executable and (barred := _barred()) is not None:
        return barred
    if number in NO_PERMISSION:
        return Refusal(message, hint=f"{_sentence(permission_hint())}.", exit_status=EXIT_PERMISSION)
    return Refusal(message, hint="Make sure that the disk works and has free space, then start again.", exit_status=EXIT_DISK)


def check_interpreter() -> None:
    """Check that this user can start the program's interpreter: workers are started with it, and so is a service.

    Raises:
        Refusal: this user cannot.
    """
    if (barred := _barred()) is not None:
        raise barred


def _barred() -> Refusal | None:
    if (barred := why_not_run(sys.executable)) is None:
        return None
    return Refusal(f"no program of Multiplane can be started: {barred}", hint=HINT, exit_status=EXIT_PERMISSION)


def _named(error: OSError) -> str:
    if isinstance(error.filename, (bytes, str)):
        return os.fsdecode(error.filename)
    return "a file" if error.errno in NO_SPACE else "the home folder"  # the system names no file while one is being written


def _is_unmounted(path: object) -> bool:
    """Whether a path is on a volume that macOS has not mounted.

    The system then reports a missing permission, because nobody may create folders in /Volumes.
    """
    parts = Path(os.fsdecode(path)).parts if isinstance(path, (bytes, str)) else ()
    return parts[:2] == ("/", "Volumes") and len(parts) > 2 and not os.path.lexists(os.path.join(*parts[:3]))


def refuse(refusal: Refusal, settings: Settings | None, *, home: Path | None, launchd: bool) -> NoReturn:
    """Write the reason to daemon.json and the log, print it, and exit.

    launchd restarts after every failure, so under launchd a refusal that only a person can fix exits with status 0.

    Args:
        refusal: the reason.
        settings: the settings of the home; None if the settings are wrong.
        home: as given with --home.
        launchd: whether launchd started this process.
    """
    passing = refusal.exit_status == EXIT_DISK
    if settings:
        # This goes into the log; the message is printed on the terminal below.
        logger.bind(printed=True).critical("{} {}", refusal.message, refusal.hint)
    settings = settings or _what_is_right(home)
    if settings and not passing:
        _show(refusal, settings)
    print_error(refusal.message, refusal.hint)
    raise typer.Exit(0 if launchd and not passing else refusal.exit_status)


def _show(refusal: Refusal, settings: Settings) -> None:
    """Write daemon.json, unless it belongs to another daemon: one that runs in this home, or that of the outbox's own home."""
    now = clock.now()
    health = Health(
        version=__version__,
        pid=os.getpid(),
        state="refused",
        alive_at=now,
        started_at=now,
        problem=refusal.message,
        hint=refusal.hint,
    )
    paths = settings.paths
    try:
        ownership = Ownership(fs, who(fs, paths))
        outbox = Outbox(fs, paths.outbox_bytes, commands=commands_anywhere(paths.home, os.environ), ownership=ownership)
        if outbox.is_healthy() and not is_running_elsewhere(fs, paths.lock_bytes, os.getpid()):
            outbox.write_health(health)
    except OSError as error:
        logger.warning("cannot write daemon.json: {}", error)


def _what_is_right(home: Path | None) -> Settings | None:
    """The settings of a home without what is wrong in them; None if a daemon runs there, or if nothing can be loaded."""
    try:
        settings, _refusal = load_what_is_right(home, os.environ)
    except Refusal:
        return None
    try:
        return None if JobQueries(fs, settings).daemon_runs() else settings
    except OSError as error:
        logger.warning("cannot ask whether a daemon runs: {}", error)
        return None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
