"""Completes job ids: the names of the folders in the outbox. `multiplane --install-completion` sets up the shell."""

import os
from pathlib import Path

import typer

from daemon.cli.common import fs, settings_at
from daemon.contract.requests import is_job_id
from daemon.errors import Refusal


def job_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids that begin with `incomplete`, from the names of the folders; none if the outbox cannot be read.

    Only names are read, because completion must be fast. The verb then says which of them fits.
    """
    home = ctx.params.get("home")
    try:
        outbox = settings_at(Path(home) if home else None).paths.outbox_bytes
        names = [os.fsdecode(entry.name) for entry in fs.scan(outbox) if entry.kind == "directory"]
    except (Refusal, OSError):
        # The verb reports what is wrong; here it would be written into the command line.
        return []
    return sorted(name for name in names if name.startswith(incomplete) and is_job_id(name))
