"""The daemon as a service of the user's session: launchd on macOS, systemd elsewhere.

`launchd` and `systemd` are pure functions that say what to write and what to run. This module has what both share, and the thin
part that runs it.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from daemon.contract import commands
from daemon.errors import Refusal

#: `forget` runs after the file of an uninstalled service was removed.
Action = Literal["install", "uninstall", "forget", "start", "stop", "restart"]
#: Which program is the service: the hot folder's daemon, or a cluster's worker or scheduler. A machine may have all three.
Role = Literal["daemon", "worker", "scheduler"]

#: EX_OSERR of sysexits.h: the service manager refused.
_EXIT_REFUSED = 71
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Facts:
    """What distinguishes one installation from another; all paths are absolute.

    Attributes:
        python: the interpreter of the environment that the program is installed in.
        home: the folder with inbox and outbox.
        errors: the file for messages that come before the daemon's own log is open.
        role: which program it is.
        network: whether it talks to a cluster.
        hooks: whether the daemon runs commands of the user's own (`hooks` of the settings).
        slots: for the worker of a cluster, how many jobs it runs at once.
        name: for the worker of a cluster, the machine's name there; None: it names itself.
        environ: settings (`MULTIPLANE_…`) and places (`XDG_…_HOME`) of this session that the service should also have.
    """

    python: str
    home: str
    errors: str
    environ: Mapping[str, str]
    role: Role = "daemon"
    network: bool = False
    hooks: bool = False
    slots: int = 1
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the service manager.

    Attributes:
        argv: the program and its arguments.
        tolerated: nonzero exit statuses that mean there was nothing to do.
        until_it_fails: for up to this many seconds, repeat the call until it fails; the failure means that something is gone.
            If 0, make the call once.
        needed: whether a failure ends the action.
    """

    argv: tuple[str, ...]
    tolerated: frozenset[int] = frozenset()
    until_it_fails: float = 0.0
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installed file says: the home that the service serves, the interpreter that runs it, and a worker's options."""

    home: str
    python: str
    slots: int = 1
    name: str | None = None


class Manager(Protocol):
    """A service manager."""

    @property
    def name(self) -> str:
        """The name of the service manager, as people write it."""

    def path(self) -> Path:
        """The path of the service's file."""

    def content(self, facts: Facts) -> bytes:
        """The file's bytes."""

    def read(self, data: bytes) -> Installed:
        """The content of an installed file; ValueError if the file is not ours."""

    def entries(self, data: bytes) -> Mapping[str, object]:
        """The entries of one of our files by name, without comments and variables of the environment."""

    def steps(self, action: Action) -> tuple[Step, ...]:
        """The calls for an action. The file is written before `install`, and removed between `uninstall` and `forget`."""

    def status_argv(self) -> tuple[str, ...]:
        """The command that succeeds if the manager knows the service, and prints its state."""

    def runs(self, answer: str) -> bool:
        """Whether the output of `status_argv` says that the service's process is running."""


def manager(role: Role = "daemon") -> Manager:
    """The service manager of this system, for the service of this program."""
    if sys.platform == "darwin":
        from daemon.platform.service.launchd import Launchd

        return Launchd(role=role)
    from daemon.platform.service.systemd import Systemd

    return Systemd(role=role)


def command(facts: Facts, *more: str) -> list[str]:
    """The command of the service. `-P`: no module is imported from a working directory."""
    named = [] if facts.name is None else ["--name", facts.name]
    verbs: dict[Role, list[str]] = {
        "daemon": ["run"],
        "worker": ["cluster", "worker", "--slots", str(facts.slots), *named],
        "scheduler": ["cluster", "scheduler"],
    }
    return [facts.python, "-P", "-m", "daemon.cli", *verbs[facts.role], "--home", facts.home, *more]


def installed_by(words: Sequence[str]) -> Installed:
    """What the command of an installed service says; ValueError if the command is not ours."""
    if "--home" not in words[:-1]:
        raise ValueError("not a service of Multiplane")
    given = {option: words[words.index(option) + 1] for option in ("--home", "--slots", "--name") if option in words[:-1]}
    return Installed(home=given["--home"], python=words[0], slots=int(given.get("--slots", "1")), name=given.get("--name"))


def perform(steps: Sequence[Step], *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Run the steps in order.

    Raises:
        Refusal: a needed step failed, or this system has no such service manager.
    """
    for step in steps:
        status, said = _call(step.argv)
        deadline = time.monotonic() + step.until_it_fails
        while step.until_it_fails and status == 0 and time.monotonic() < deadline:
            sleep(_LOOK_SECONDS)
            status, said = _call(step.argv)
        if step.needed and not step.until_it_fails and status != 0 and status not in step.tolerated:
            raise Refusal(
                f"{commands.as_code(' '.join(step.argv))} failed: {commands.unmarked(said) or f'exit status {status}'}",
                hint=f"Run it by hand to see more. {commands.command('run')} works without a service manager.",
                exit_status=_EXIT_REFUSED,
            )


def ask(status_argv: Sequence[str]) -> str | None:
    """The answer of the service manager; None if it does not know the service.

    Raises:
        Refusal: this system has no such service manager.
    """
    status, said = _call(status_argv)
    return said if status == 0 else None


def _call(argv: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, check=False)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        # The last two happen if a folder on the PATH is a file, or closed to this user, and no other folder has the program.
        raise Refusal(
            f"there is no {argv[0]} on this machine",
            hint=f"Without a service manager, {commands.command('run')} is the daemon in the foreground.",
            exit_status=_EXIT_REFUSED,
        ) from error
    return done.returncode, (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip()
