"""The words with which a person starts this program. Imports little, because `multiplane --help` waits for it."""

import os
import shutil
import sys
from collections.abc import Mapping


def program_here(environ: Mapping[str, str]) -> list[str]:
    """The words that start the program in a terminal with this environment: only its name, if the name finds this program."""
    found = shutil.which("multiplane", path=environ.get("PATH", ""))
    is_ours = found is not None and os.path.isabs(found) and os.path.realpath(found) == os.path.realpath(_script())
    return ["multiplane"] if is_ours else program()


def program() -> list[str]:
    """The words that start the program in any terminal: the path of its script or, if there is none, interpreter and module."""
    script = _script()
    return [script] if os.access(script, os.X_OK) else [os.path.abspath(sys.executable), "-P", "-m", "daemon.cli"]


def _script() -> str:
    return os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "multiplane")
