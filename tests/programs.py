"""Programs that stand in the system's place in tests."""

import shlex
import sys
from pathlib import Path


def write_python_program(path: Path, text: str) -> None:
    """Write an executable that runs `text` by this interpreter, also where the interpreter's path has a space.

    A `#!` line ends its program's name at the first space. So the shell starts the interpreter, and to Python that line is a
    string.
    """
    path.write_text(f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} -IS \"$0\" \"$@\"\n' '''\n{text}", encoding="utf-8")
    path.chmod(0o755)
