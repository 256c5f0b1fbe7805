"""Completes job ids: the names of the folders in the outbox. `multiplane --install-completion` sets up the shell."""

import os
from pathlib import Path

import typer

from daemon.cli.common import fs, settings_at
from daemon.contract.requests import is_job_id
from daemon.errors import Refusal


def job_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The job ids that begin with `incomplete`, sorted; empty if the outbox cannot be read.

    Completion must be fast, so this reads only the names of the folders, not the state of the jobs.
    """
    home = ctx.params.get("home")
    try:
        outbox = settings_at(Path(home) if home else None).paths.outbox_bytes
        names = [os.fsdecode(entry.name) for entry in fs.scan(outbox) if entry.kind == "directory"]
    except (Refusal, OSError):
        # The verb will report what is wrong. A message printed here would appear inside the line that is being typed.
        return []
    return sorted(name for name in names if name.startswith(incomplete) and is_job_id(name))
