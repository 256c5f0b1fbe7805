"""Programs that tests run: copies of this one, and stand-ins for programs of the system."""

import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: The packages, and what `daemon/shipped` links to.
_PARTS = ("daemon", "pipeline", "config", "launchd")


def copy_program(target: Path, *more: str) -> Path:
    """Copy the program as a checkout has it, without compiled Python files and without the inbox.

    Links stay links, so that the copy reads its own `config`.

    Args:
        target: a folder, made here.
        more: further files and folders of the checkout.

    Returns:
        `target`.
    """
    for part in (*_PARTS, *more):
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target / part)
    return target


def write_python_program(path: Path, text: str) -> None:
    """Write an executable that runs `text` with this interpreter, even if the interpreter's path contains a space.

    In a `#!` line, the program's name ends at the first space. So the file is a shell script whose first command starts the
    interpreter. To Python, that command is a string.
    """
    path.write_text(f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} -IS \"$0\" \"$@\"\n' '''\n{text}", encoding="utf-8")
    path.chmod(0o755)


def write_pth(path: Path, folders: Iterable[str | Path], *lines: str) -> None:
    """Write a `.pth` file that adds folders to the end of an environment's search path.

    Python 3.11 reads such files in the locale's encoding, which is ASCII in the C locale; so a folder with another letter in its
    name is written as a statement, with escapes.

    Args:
        path: in the environment's `site-packages`.
        folders: in the order of the search.
        lines: further lines.
    """
    add = f"import sys; sys.path.extend({[str(folder) for folder in folders]!a})"
    path.write_text("".join(f"{line}\n" for line in (add, *lines)), encoding="ascii")
