"""Says which optional packages are missing on this machine, and how to install them."""

import importlib.util
import shlex
import sys
from collections.abc import Sequence

from daemon.contract.commands import as_code
from daemon.contract.registry import FORMATS, OutputFormat


def unwritable(words: Sequence[str] | None = None) -> tuple[OutputFormat, ...]:
    """Those of the named formats (None: of all formats) whose packages are not installed."""
    wanted = [each for each in FORMATS if words is None or each.word in words]
    return tuple(each for each in wanted if each.imported and importlib.util.find_spec(each.imported) is None)


def how_to_install(package: str) -> str:
    """The command that installs a package where this program runs, for a sentence."""
    return as_code(shlex.join([sys.executable, "-m", "pip", "install", package]))
