"""The program on the disk: whether it is still the program that runs, whether it can start, and its compiled form."""

import compileall
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator

from loguru import logger

from daemon.shipped import CONFIG

#: Seconds. The imports take half a second; a cold home on a network needs a minute.
_START_SECONDS = 60.0
#: The most characters of Python's error output that are shown: people read an exception's last line, not a page.
_LONGEST_REASON = 300
#: What a daemon does first: its imports and its settings. An error is in the last line of its output.
_START = """
import sys
import daemon.cli.verbs.run, daemon.service, pipeline.worker.entry
from daemon.cli.common import settings_at
from daemon.errors import Refusal
from pathlib import Path
try:
    settings_at(Path(sys.argv[1]))
except Refusal as refusal:
    sys.exit(refusal.message)
"""
_SUFFIXES = (".py", ".yaml", ".html", ".css", ".js")


def fingerprint(more: Iterable[str] = ()) -> int:
    """A number that changes with the program's files, its configuration, the interpreter and the installed packages.

    Args:
        more: further files that count as configuration; they need not exist.

    The number depends on sizes and times, not on contents. Computing it takes 2 ms for about 200 files.
    """
    return hash(tuple(sorted(_stamps(more))))


def why_cannot_restart(home: str) -> str | None:
    """Why a daemon for this home could not be started now from what is on the disk; None if it could.

    This takes as long as the daemon's imports.
    """
    command = (sys.executable, "-P", "-c", _START, home)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"its imports did not finish within {_START_SECONDS:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:_LONGEST_REASON]


def compile_program() -> None:
    """Write missing or outdated bytecode of the worker's modules, because a sandboxed worker cannot write its own."""
    for folder in _folders():
        if folder != str(CONFIG) and not compileall.compile_dir(folder, quiet=2):
            logger.debug("{} cannot be compiled in advance; workers start a little later", folder)


def program_files() -> list[tuple[str, str]]:
    """The files that make up the program and its configuration: the name of each, equal on all machines, and its path. Sorted."""
    found = []
    for folder in _folders():
        for base, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            inside = os.path.relpath(base, os.path.dirname(folder))
            found += [(os.path.join(inside, name), os.path.join(base, name)) for name in names if name.endswith(_SUFFIXES)]
    return sorted(found)


def _folders() -> list[str]:
    found: list[str] = []
    for name in ("pipeline", "daemon"):
        spec = importlib.util.find_spec(name)
        found += spec.submodule_search_locations or () if spec else ()
    return [*found, str(CONFIG)]


def _stamps(more: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    for folder in _folders():
        for base, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                if name.endswith(_SUFFIXES):
                    yield from _stamp(os.path.join(base, name))
    yield from _stamp(sys.executable)  # links are followed: an upgrade replaces their target
    for path in more:
        yield from _stamp(path)
    for path in sys.path:
        # Installing or removing a package changes the folder that contains it.
        if os.path.basename(path) in ("site-packages", "dist-packages"):
            yield from _stamp(path)


def _stamp(path: str) -> Iterator[tuple[str, int, int]]:
    try:
        found = os.stat(path)
    except OSError:
        return
    yield path, found.st_mtime_ns, found.st_size
