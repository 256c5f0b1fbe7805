"""Fetching the default depth model for a person who starts here: without one, a bare photo is cut by an estimate."""

import os
import subprocess
import sys

import typer

from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.settings.typed_command import typed_command

#: 128 + SIGINT, as shells count.
INTERRUPTED = 130


def fetch_default_model(settings: Settings) -> None:
    """Fetch it if no depth model is installed, or say in one line why that cannot be done now; either way the caller goes on.

    The work is the pipeline's, in a process of its own that ends with this one.

    Raises:
        typer.Exit: the person pressed Ctrl-C.
    """
    paths = settings.paths
    name = ModelInventory(str(paths.models), paths.catalogue).missing_depth_model()
    if name is None:
        return
    command = [sys.executable, "-P", "-m", "pipeline", "models", "fetch-default", f"--folder={paths.models}"]
    command += [f"--catalogue={paths.catalogue}", f"--later={typed_command(settings, os.environ, 'models', 'fetch', name)}"]
    sys.stdout.flush()
    sys.stderr.flush()
    # It reads no line of its standard input, but takes the end of it as a Ctrl-C.
    with subprocess.Popen(command, stdin=subprocess.PIPE) as fetching:
        try:
            status = fetching.wait()
        except KeyboardInterrupt:
            # The terminal sent it to both; the other one says what was kept.
            fetching.wait()
            status = INTERRUPTED
    if status == INTERRUPTED:
        raise typer.Exit(INTERRUPTED)
