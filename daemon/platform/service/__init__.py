"""The daemon as a service of the user's session: launchd on macOS, systemd elsewhere.

What is written and what is run are pure functions in `launchd` and `systemd`; this is what both share, and the
thin part that runs it.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from daemon.errors import Refusal

#: `forget` comes after the file of an uninstalled service was removed.
Action = Literal["install", "uninstall", "forget", "start", "stop", "restart"]

#: EX_OSERR of sysexits.h: the service manager refused.
_EXIT_REFUSED = 71
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Facts:
    """What makes one installation different from another; all paths are absolute.

    Attributes:
        python: the interpreter of the environment that the program is installed in.
        home: the folder with inbox and outbox.
        errors: the file for what is said before the daemon's own log is open.
        environ: settings (`MULTIPLANE_…`) and places (`XDG_…_HOME`) that the service is to have as this session has them.
    """

    python: str
    home: str
    errors: str
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the service manager.

    Attributes:
        argv: the program and its arguments.
        tolerated: exit statuses beside 0 that mean there was nothing to do.
        until_it_fails: seconds in which it is repeated until it fails: the wait for something to be gone. 0: it is run once.
        needed: whether a failure ends the action.
    """

    argv: tuple[str, ...]
    tolerated: frozenset[int] = frozenset()
    until_it_fails: float = 0.0
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Installed:
    """What the installed file says: which home it serves, with which interpreter."""

    home: str
    python: str


class Manager(Protocol):
    """A service manager."""

    @property
    def name(self) -> str:
        """As people call it."""

    def path(self) -> Path:
        """Where the service's file lies."""

    def content(self, facts: Facts) -> bytes:
        """The file's bytes."""

    def read(self, data: bytes) -> Installed:
        """What an installed file says; ValueError if it is none of ours."""

    def steps(self, action: Action) -> tuple[Step, ...]:
        """The calls that make it so; the file is written before `install`, and removed between `uninstall` and `forget`."""

    def question(self) -> tuple[str, ...]:
        """The call that succeeds if the service is known to the manager and prints how it is."""

    def runs(self, answer: str) -> bool:
        """Whether the answer to the question says that the service's process runs."""


def manager() -> Manager:
    """The one of this system."""
    if sys.platform == "darwin":
        from daemon.platform.service.launchd import Launchd

        return Launchd()
    from daemon.platform.service.systemd import Systemd

    return Systemd()


def command(facts: Facts, *more: str) -> list[str]:
    """The command of the service. `-P`: nothing in a working directory can pass for a module."""
    return [facts.python, "-P", "-m", "daemon.cli", "run", "--home", facts.home, *more]


def perform(steps: Sequence[Step], *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Run the steps in order.

    Raises:
        Refusal: a needed one failed, or there is no such service manager here.
    """
    for step in steps:
        status, said = _call(step.argv)
        deadline = time.monotonic() + step.until_it_fails
        while step.until_it_fails and status == 0 and time.monotonic() < deadline:
            sleep(_LOOK_SECONDS)
            status, said = _call(step.argv)
        if step.needed and not step.until_it_fails and status != 0 and status not in step.tolerated:
            raise Refusal(
                f"`{' '.join(step.argv)}` failed: {said or f'exit status {status}'}",
                hint="Run it by hand to see more. `multiplane run` works without a service manager.",
                exit_status=_EXIT_REFUSED,
            )


def ask(question: Sequence[str]) -> str | None:
    """The answer of the service manager; none if it does not know the service.

    Raises:
        Refusal: there is no such service manager here.
    """
    status, said = _call(question)
    return said if status == 0 else None


def _call(argv: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        # The last two where a folder on the PATH is a file, or closed to this user, and no other has the program.
        raise Refusal(
            f"there is no {argv[0]} on this machine",
            hint="Without a service manager, `multiplane run` is the daemon in the foreground.",
            exit_status=_EXIT_REFUSED,
        ) from error
    return done.returncode, (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip()
