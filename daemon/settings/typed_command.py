"""Commands that a person can run in any terminal: they contain the program's path and what leads to this home."""

import os
import shlex
import sys
from collections.abc import Mapping

from daemon.settings.layout import default_home
from daemon.settings.loading import CONFIG, PREFIX
from daemon.settings.model import Settings

_FOLDERS = f"{PREFIX}FOLDERS__"


def typed_command(settings: Settings, environ: Mapping[str, str], *words: str) -> str:
    """A `multiplane` command for sh, bash, zsh and fish, as one line.

    Args:
        settings: of the home that the command is for.
        environ: the variables that the settings were read from. Those that say where things are become part of the command,
            because the person's terminal may not have them.
        words: the verb and its arguments. The verb must accept `--home`, which is added unless the home is the default one.
    """
    script = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "multiplane")
    program = [script] if os.access(script, os.X_OK) else [os.path.abspath(sys.executable), "-P", "-m", "daemon.cli"]
    home = settings.paths.home
    where = [] if home == default_home().expanduser() else ["--home", str(home)]
    given = {name: value for name, value in sorted(environ.items()) if name == CONFIG or name.startswith(_FOLDERS)}
    if given.get(CONFIG):
        given[CONFIG] = os.path.abspath(os.path.expanduser(given[CONFIG]))
    prefix = [f"{name}={shlex.quote(value)}" for name, value in given.items()]
    return " ".join([*prefix, shlex.join([*program, *words, *where])])
