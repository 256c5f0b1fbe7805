"""Commands that a person can run in a terminal as they are: they name the program and, where needed, this home."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from daemon.contract.commands import Commands
from daemon.settings.layout import default_home
from daemon.settings.program import program, program_here
from daemon.settings.sources import CONFIG, HOME, PREFIX

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
    return _commands(program(), home, environ, (CONFIG, *_PLACES))


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


def _commands(words: list[str], home: Path, environ: Mapping[str, str], variables: tuple[str, ...]) -> Commands:
    given = {name: value for name, value in sorted(environ.items()) if name in variables or name.startswith(_FOLDERS)}
    if given.get(CONFIG):
        given[CONFIG] = os.path.abspath(os.path.expanduser(given[CONFIG]))
    is_default = home == default_home().expanduser() and HOME not in environ
    return Commands(
        program=" ".join((*(f"{name}={shlex.quote(value)}" for name, value in given.items()), shlex.join(words))),
        home="" if is_default else shlex.join(("--home", str(home))),
    )
