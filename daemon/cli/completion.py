"""What the shell may put in the place of a job: the ids in the outbox. `multiplane --install-completion` sets the shell up."""

import os
from pathlib import Path

import typer

from daemon.cli.common import fs, settings_at
from daemon.contract.requests import is_job_id
from daemon.errors import Refusal


def job_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids that begin like this, by the names of the folders; none where the outbox cannot be looked into.

    Only names are read: nobody wants to wait for a tabulator, and which of them fits is for the verb to say.
    """
    home = ctx.params.get("home")
    try:
        outbox = settings_at(Path(home) if home else None).paths.outbox_bytes
        names = [os.fsdecode(entry.name) for entry in fs.scan(outbox) if entry.kind == "directory"]
    except (Refusal, OSError):
        # Whatever is wrong is told by the verb; here it would be written into somebody's command line.
        return []
    return sorted(name for name in names if name.startswith(incomplete) and is_job_id(name))
