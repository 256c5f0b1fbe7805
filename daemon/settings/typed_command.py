"""Commands that a person can run in a terminal as they are: they name the program and, where needed, this home."""

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
#: Variables that move the settings, the models, and the state of a home on a share out of the user's usual folders.
_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")


def commands_anywhere(home: Path, environ: Mapping[str, str]) -> Commands:
    """Commands that work in any terminal of this user (sh, bash, zsh or fish). They contain the program's path.

    Args:
        home: the home that they must reach, absolute.
        environ: the environment that the settings were read from. The commands set the variables in it that name
            the settings file and folders, because the terminal may lack them.
    """
    return _commands(_program(), home, environ, (CONFIG, *_PLACES))


def commands_here(home: Path, environ: Mapping[str, str]) -> Commands:
    """Commands for the terminal in which this process was started.

    They are as short as is safe. A variable may have been set for this process alone. So the commands set the variables that name
    the settings file or a folder of the home. They name the home unless it is the default and no variable names it. They do not
    set the XDG variables, because the terminal has these.

    Args:
        home: the home that they must reach, absolute.
        environ: the terminal's environment.
    """
    return _commands(program_here(environ), home, environ, (CONFIG,))


def program_here(environ: Mapping[str, str]) -> list[str]:
    """The words that start the program in a terminal with this environment: only its name, if the name finds this program."""
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
