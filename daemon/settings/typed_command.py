"""Commands that a person can run in a terminal as they are: they name the program and what leads to this home."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from daemon.contract.commands import Commands
from daemon.settings.layout import default_home
from daemon.settings.loading import CONFIG, HOME, PREFIX

_FOLDERS = f"{PREFIX}FOLDERS__"
#: Where the settings, the models and the state of a home on a share lie, if not in the user's usual folders.
_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")


def commands_anywhere(home: Path, environ: Mapping[str, str]) -> Commands:
    """Commands for any terminal of this user, in sh, bash, zsh and fish: with the program's path and all that it depends on.

    Args:
        home: the home that they must reach, absolute.
        environ: what its settings were read from. What says where things lie goes along, since the terminal may not have it.
    """
    return _commands(_program(), home, environ, (CONFIG, *_PLACES))


def commands_here(home: Path, environ: Mapping[str, str]) -> Commands:
    """Commands for the terminal in which this process was started.

    They are as short as is safe. A variable that we see may have been set for this one process: the home is always named if a
    bare command could mean another one, and so is the settings file. Which folders belong to the user is the terminal's affair.

    Args:
        home: the home that they must reach, absolute.
        environ: the terminal's environment.
    """
    return _commands(program_here(environ), home, environ, (CONFIG,))


def program_here(environ: Mapping[str, str]) -> list[str]:
    """The program as it can be started in the terminal with this environment: by its name alone if that finds this program."""
    found = shutil.which("multiplane", path=environ.get("PATH", ""))
    is_ours = found is not None and os.path.isabs(found) and os.path.realpath(found) == os.path.realpath(_script())
    return ["multiplane"] if is_ours else _program()


def _commands(program: list[str], home: Path, environ: Mapping[str, str], variables: tuple[str, ...]) -> Commands:
    given = {name: value for name, value in sorted(environ.items()) if name in variables or name.startswith(_FOLDERS)}
    if given.get(CONFIG):
        given[CONFIG] = os.path.abspath(os.path.expanduser(given[CONFIG]))
    is_default = home == default_home().expanduser() and HOME not in environ
    return Commands(
        program=" ".join((*(f"{name}={shlex.quote(value)}" for name, value in given.items()), shlex.join(program))),
        home="" if is_default else shlex.join(("--home", str(home))),
    )


def _script() -> str:
    return os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "multiplane")


def _program() -> list[str]:
    script = _script()
    return [script] if os.access(script, os.X_OK) else [os.path.abspath(sys.executable), "-P", "-m", "daemon.cli"]
