"""The systemd user unit: its text, and the calls of systemctl(1) in their order.

launchd/multiplane.service holds the fixed part of the unit, with reasons; this module adds what an installation needs.
"""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from daemon.platform.service import Action, Facts, Installed, Role, Step, command, installed_by
from daemon.shipped import LAUNCHD

UNIT = "multiplane.service"
TEMPLATE = LAUNCHD / UNIT
#: systemctl's "not loaded": there is nothing to reset or to stop.
_NOT_LOADED = frozenset({1, 5})
#: The first restriction of the template's paragraph of restrictions, and what replaces that paragraph if hooks are set.
_RESTRICTION = "NoNewPrivileges=yes"
_UNRESTRICTED = """\
# Hooks are set, and what they start inherits each restriction of the service: without a network, no message leaves; without new
# privileges, neither sudo nor Postfix' sendmail works. So nothing is restricted here. The workers sandbox themselves."""
_WHAT: dict[Role, str] = {"daemon": "hot folder", "worker": "cluster worker of", "scheduler": "cluster scheduler of"}


class Systemd:
    """systemd, the instance of the current user."""

    name = "systemd"

    def __init__(self, *, config_home: Path | None = None, role: Role = "daemon") -> None:
        self._unit = UNIT if role == "daemon" else f"multiplane-{role}.service"
        self._config = config_home or Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")

    def path(self) -> Path:
        """~/.config/systemd/user/multiplane.service, or that of another program, such as multiplane-worker.service."""
        return self._config / "systemd" / "user" / self._unit

    def content(self, facts: Facts) -> bytes:
        """The unit's text; see `Facts`."""
        start = "ExecStart=" + " ".join(map(_word, command(facts)))
        settings = [f"Environment={_word(f'{key}={value}', command=False)}" for key, value in facts.environ.items()]
        paragraphs = TEMPLATE.read_text(encoding="utf-8").rstrip("\n").split("\n\n")
        if facts.hooks:
            paragraphs = [_UNRESTRICTED if _RESTRICTION in each.splitlines() else each for each in paragraphs]
        lines = "\n\n".join(paragraphs).splitlines()
        made = [line if not line.startswith("ExecStart=") else "\n".join((start, *settings)) for line in lines]
        made = [line if not line.startswith("Description=") else _description(facts) for line in made]
        if facts.network:
            made = [f"{line} AF_INET AF_INET6" if line.startswith("RestrictAddressFamilies=") else line for line in made]
        if facts.role != "daemon":
            # Only the daemon reports to systemd.
            made = ["Type=simple" if line == "Type=notify" else line for line in made if not line.startswith("WatchdogSec=")]
        # The first lines of the template are for people who install it by hand.
        return ("\n".join(made[made.index("[Unit]") :]) + "\n").encode()

    def read(self, data: bytes) -> Installed:
        """The content of an installed unit; ValueError if Multiplane did not write it."""
        found = re.search(r"^ExecStart=(.*)$", data.decode(errors="replace"), re.MULTILINE)
        try:
            return installed_by([word.replace("%%", "%").replace("$$", "$") for word in shlex.split(found[1] if found else "")])
        except ValueError as error:
            raise ValueError("not a unit of Multiplane") from error

    def entries(self, data: bytes) -> Mapping[str, object]:
        """The lines of an installed unit by their key; the values of a key that is repeated stand in their order."""
        found: dict[str, list[str]] = {}
        for line in data.decode(errors="replace").splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and key[0] not in "#;" and key != "Environment":
                found.setdefault(key, []).append(value)
        return found

    def steps(self, action: Action) -> tuple[Step, ...]:
        """The calls for an action. A unit that failed too often starts again only after `reset-failed`."""
        user = ("systemctl", "--user")
        reload = Step((*user, "daemon-reload"))
        unit = self._unit
        forget = Step((*user, "reset-failed", unit), _NOT_LOADED)
        actions: dict[Action, tuple[Step, ...]] = {
            "install": (reload, forget, Step((*user, "enable", unit)), Step((*user, "restart", unit))),
            "uninstall": (Step((*user, "disable", "--now", unit), _NOT_LOADED),),
            "forget": (reload, forget),
            "start": (forget, Step((*user, "start", unit))),
            "stop": (Step((*user, "stop", unit), _NOT_LOADED),),
            "restart": (forget, Step((*user, "restart", unit))),
        }
        return actions[action]

    def status_argv(self) -> tuple[str, ...]:
        """The command that prints the state of the unit as `Key=value` lines."""
        return ("systemctl", "--user", "show", self._unit, "--property=ActiveState,SubState,MainPID,ExecMainStatus,UnitFileState")

    def runs(self, answer: str) -> bool:
        """Whether the answer's ActiveState says that it runs."""
        return "ActiveState=active" in answer.splitlines()


def _description(facts: Facts) -> str:
    """The line that `systemctl status` and the system's log show: which service it is, and of which home."""
    home = " ".join(facts.home.splitlines()).replace("%", "%%")
    # Not at the end, where a backslash would continue the line.
    return f"Description=Multiplane, {_WHAT[facts.role]} {home} (photos to layers)"


def _word(text: str, *, command: bool = True) -> str:
    """One word, quoted as systemd.syntax(7) and systemd.service(5) require, so that no character has a special meaning."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    # $ begins a variable only in commands.
    return '"' + (escaped.replace("$", "$$") if command else escaped) + '"'
