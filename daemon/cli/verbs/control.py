"""cancel, retry and rm: requests to the daemon about jobs."""

from typing import Annotated

import typer

from daemon.cli.asking.sending_requests import ask
from daemon.cli.common import Home, Json
from daemon.cli.options import batches, ended_job_ids, failed_job_ids, live_job_ids
from daemon.contract.commands import SHORT, command

_HELP = SHORT.fill(f"Job ids, as in {command('jobs')}.")
EndedIds = Annotated[list[str], typer.Argument(metavar="ID", help=_HELP, show_default=False, autocompletion=ended_job_ids)]
LiveIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help=_HELP, show_default=False, autocompletion=live_job_ids)]
FailedIds = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help=_HELP, show_default=False, autocompletion=failed_job_ids)
]
Batch = Annotated[
    str | None,
    typer.Option("--batch", help="All jobs of this batch: its id, or the name of its folder.", autocompletion=batches),
]


def cancel(ids: LiveIds = None, batch: Batch = None, home: Home = None, json: Json = False) -> None:
    """Cancel pending or running jobs. Their pictures stay in source/."""
    ask(home, "cancel", _some(ids, batch), batch=batch, as_json=json)


def retry(ids: FailedIds = None, batch: Batch = None, home: Home = None, json: Json = False) -> None:
    """Run failed or cancelled jobs again with what is in source/ now. Correct a wrong YAML file there first."""
    ask(home, "retry", _some(ids, batch), batch=batch, as_json=json)


def rm(ids: EndedIds, home: Home = None, json: Json = False) -> None:
    """Remove ended jobs with their folders, including the original pictures in source/."""
    ask(home, "rm", ids, as_json=json)


def _some(ids: list[str] | None, batch: str | None) -> list[str]:
    if not ids and batch is None:
        raise typer.BadParameter("name the jobs by their ids, or a batch with --batch")
    return ids or []
