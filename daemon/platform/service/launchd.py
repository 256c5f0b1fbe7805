"""The LaunchAgent: its property list, and the calls of launchctl(1) in their order.

launchd/io.multiplane.daemon.plist holds the fixed part of the list, with reasons; this module adds what an installation needs.
WatchPaths and QueueDirectories are not used: the daemon watches for itself, and launchd would start it again for every file.
"""

import os
import plistlib
import re
from collections.abc import Mapping
from pathlib import Path
from xml.parsers.expat import ExpatError

from daemon.platform.service import Action, Facts, Installed, Role, Step, command, installed_by
from daemon.shipped import LAUNCHD

LABEL = "io.multiplane.daemon"
TEMPLATE = LAUNCHD / f"{LABEL}.plist"
#: launchctl's "No such process", "Operation now in progress" (it is stopping) and "Could not find specified service".
_NOT_THERE = frozenset({3, 36, 113})
#: ExitTimeOut of the template, plus a margin: then launchd has killed the service, and it is gone.
_GONE_SECONDS = 35.0

#: Folders below the user's that macOS protects (TCC): background programs are denied access there, often without a message.
_GUARDED = {
    "Desktop": "Desktop",
    "Documents": "Documents",
    "Downloads": "Downloads",
    "Library/Mobile Documents": "iCloud Drive",
    "Library/CloudStorage": "cloud storage",
}


class Launchd:
    """launchd, for the current user."""

    name = "launchd"

    def __init__(self, *, uid: int | None = None, user_home: Path | None = None, role: Role = "daemon") -> None:
        self._label = f"io.multiplane.{role}"
        self._domain = f"gui/{os.getuid() if uid is None else uid}"
        self._user_home = user_home or Path.home()

    def path(self) -> Path:
        """~/Library/LaunchAgents/io.multiplane.daemon.plist, or that of another program."""
        return self._user_home / "Library" / "LaunchAgents" / f"{self._label}.plist"

    def content(self, facts: Facts) -> bytes:
        """The property list as XML; see `Facts`.

        `--launchd` tells the daemon who started it. A refusal that only a person can fix then ends with exit status 0, after
        which KeepAlive (SuccessfulExit: false) does not restart it.
        """
        listed = plistlib.loads(TEMPLATE.read_bytes())
        listed["Label"] = self._label
        listed["ProgramArguments"] = command(facts, *(["--launchd"] if facts.role == "daemon" else []))
        listed["StandardErrorPath"] = facts.errors
        # Without a working directory: launchd does not start a service whose working directory is on a disk that is not
        # mounted.
        listed.pop("WorkingDirectory", None)
        if facts.environ:
            listed["EnvironmentVariables"] = dict(facts.environ)
        return plistlib.dumps(listed, sort_keys=False)

    def read(self, data: bytes) -> Installed:
        """The content of an installed list; ValueError if Multiplane did not write it."""
        try:
            return installed_by(plistlib.loads(data)["ProgramArguments"])
        except (ExpatError, plistlib.InvalidFileException, LookupError, TypeError, ValueError) as error:
            raise ValueError("not a LaunchAgent of Multiplane") from error

    def entries(self, data: bytes) -> Mapping[str, object]:
        """The keys of an installed list. `Umask` is left out: a person adds it, and launchd has no other place for it."""
        return {key: value for key, value in plistlib.loads(data).items() if key not in ("EnvironmentVariables", "Umask")}

    def steps(self, action: Action) -> tuple[Step, ...]:
        """The calls for an action.

        `bootout` comes before `bootstrap`, which fails for a label that is loaded. There is a wait between them, because
        bootout returns while the process is still stopping. `enable` is needed because a label that was ever disabled cannot be
        bootstrapped. `kickstart` starts at once what ThrottleInterval would delay. Its -k is not used: it kills without a
        request to stop.
        """
        target, plist = f"{self._domain}/{self._label}", str(self.path())
        unload = (
            Step(("launchctl", "bootout", target), _NOT_THERE),
            Step(("launchctl", "print", target), until_it_fails=_GONE_SECONDS),
        )
        load = (Step(("launchctl", "enable", target)), Step(("launchctl", "bootstrap", self._domain, plist)))
        start = (Step(("launchctl", "kickstart", target)),)
        actions: dict[Action, tuple[Step, ...]] = {
            "install": (*unload, *load),
            "uninstall": unload,
            "forget": (),
            "start": (*unload, *load, *start),
            "stop": unload,
            "restart": (*unload, *load, *start),
        }
        return actions[action]

    def status_argv(self) -> tuple[str, ...]:
        """The command that prints state, pid and last exit code of a loaded service."""
        return ("launchctl", "print", f"{self._domain}/{self._label}")

    def runs(self, answer: str) -> bool:
        """Whether the answer contains the line `state = running`."""
        return re.search(r"^\s*state = running$", answer, re.MULTILINE) is not None


def guarded(path: Path, user_home: Path) -> str | None:
    """The name of the protected folder that contains the path, with links resolved; None if macOS does not protect it."""
    real, home = os.path.realpath(path), os.path.realpath(user_home)
    for folder, name in _GUARDED.items():
        root = os.path.join(home, folder)
        # Mac disks ignore case by default.
        if (real.casefold() + "/").startswith(root.casefold() + "/"):
            return name
    return None
