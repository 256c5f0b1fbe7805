"""What the service's file should contain by the current settings, and how an installed file differs from that.

A file is written once, by `service install`. Afterwards the settings, the program or its interpreter may change.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from daemon.contract.commands import command
from daemon.platform.service import Facts, Installed, Manager, Role, manager
from daemon.settings import Settings

#: Variables that move a user's settings, models and state. A service gets them, so that it uses the same files as a terminal.
_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
#: What each service is called in a sentence.
NAMES: dict[Role, str] = {"daemon": "the service", "worker": "the worker's service", "scheduler": "the scheduler's service"}


def current_facts(
    settings: Settings,
    role: Role = "daemon",
    *,
    slots: int = 1,
    name: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Facts:
    """What the service file must contain.

    Args:
        settings: the settings of the home.
        role: which program it starts.
        slots: for a worker, how many jobs it runs at once.
        name: for a worker, the machine's name in the cluster; None: it names itself.
        environ: the environment of the session that installs the service.
    """
    kept = {key: value for key, value in sorted(environ.items()) if key.startswith("MULTIPLANE_") or key in _PLACES}
    kept.pop("MULTIPLANE_HOME", None)
    if kept.get("MULTIPLANE_CONFIG"):
        # An absolute path, because a service has no working directory.
        kept["MULTIPLANE_CONFIG"] = os.path.abspath(os.path.expanduser(kept["MULTIPLANE_CONFIG"]))
    hooks = settings.hooks.on_completed or settings.hooks.on_failed
    return Facts(
        # Do not resolve this link: Python finds the virtual environment's packages through it.
        python=os.path.abspath(sys.executable),
        home=str(settings.paths.home),
        errors=str(settings.paths.state / "log" / ("service.err" if role == "daemon" else f"{role}.err")),
        environ=kept,
        role=role,
        network=settings.cluster.scheduler is not None,
        hooks=role == "daemon" and bool(hooks),
        slots=slots,
        name=name,
    )


def outdated(its: Manager, data: bytes, settings: Settings, role: Role = "daemon") -> tuple[str, ...]:
    """The entries of an installed file that `service install` would write differently now; empty if there are none.

    The variables of the environment are left out, because each session has its own.

    Raises:
        ValueError: the file is not ours.
    """
    installed = its.read(data)
    facts = _spelt_like(installed, current_facts(settings, role, slots=installed.slots, name=installed.name, environ={}))
    before, now = its.entries(data), its.entries(its.content(facts))
    return tuple(key for key in dict.fromkeys((*before, *now)) if before.get(key) != now.get(key))


def _spelt_like(installed: Installed, facts: Facts) -> Facts:
    """The facts with the paths that an installed file has for the same folder and the same interpreter."""
    real = os.path.realpath
    if real(installed.home) == real(facts.home):
        below = facts.errors.removeprefix(facts.home + os.sep)
        errors = facts.errors if below == facts.errors else os.path.join(installed.home, below)
        facts = replace(facts, home=installed.home, errors=errors)
    one, other = installed.python, facts.python
    # Links in one environment to one interpreter, such as python and python3. Other environments may link to it as well.
    if real(one) == real(other) and real(os.path.dirname(one)) == real(os.path.dirname(other)):
        facts = replace(facts, python=one)
    return facts


def serves(settings: Settings, its: Manager | None = None) -> bool:
    """Whether the daemon's service is installed for this home. False if its file cannot be read, or is not ours."""
    its = its or manager()
    try:
        home = its.read(its.path().read_bytes()).home
    except (OSError, ValueError):
        return False
    return os.path.realpath(home) == os.path.realpath(settings.paths.home)


def starting(*, installed: bool) -> str:
    """How to start the daemon, for a sentence. `installed`: as a service."""
    return (
        command("service", "start") if installed else f"{command('run')} (here), or {command('service', 'install')} (permanently)"
    )


def restarting(*, installed: bool) -> str:
    """How to restart the daemon, for a sentence. `installed`: as a service, which may not be the daemon that runs."""
    by_hand = f"Ctrl-C where it runs, then {command('run')}"
    return f"{command('service', 'restart')}, or, if it was started by hand, {by_hand}" if installed else by_hand


def out_of_date(entries: Sequence[str], role: Role = "daemon") -> str:
    """A sentence about a service file that would be written differently now. `entries`: what `outdated` found."""
    changed = f"the settings or the program changed since it was written ({', '.join(entries)})"
    return f"The file of {NAMES[role]} is out of date: {changed}."


def renewal(role: Role, slots: int = 1, name: str | None = None) -> str:
    """The command that installs a service, or writes the file of an installed one anew, for a sentence."""
    worker = command("service", "install", "--worker", "--slots", str(slots))
    if name is not None:
        worker = command("service", "install", "--worker", "--slots", str(slots), "--name", name)
    commands: dict[Role, str] = {
        "daemon": command("service", "install"),
        "worker": worker,
        "scheduler": command("service", "install", "--scheduler"),
    }
    return commands[role]


def removal(role: Role, home: str) -> str:
    """The command that removes the installed service of a home, for a sentence."""
    commands: dict[Role, str] = {
        "daemon": command("service", "uninstall", "--home", home),
        "worker": command("service", "uninstall", "--worker", "--home", home),
        "scheduler": command("service", "uninstall", "--scheduler", "--home", home),
    }
    return commands[role]
