"""cancel, retry and rm: what is asked of the daemon about jobs."""

from typing import Annotated

import typer

from daemon.cli.asking import ask
from daemon.cli.common import Home, Json

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="Job ids, as in `multiplane jobs`.", show_default=False)]


def cancel(ids: Ids, home: Home = None, json: Json = False) -> None:
    """Cancel pending or running jobs. Their pictures stay in source/."""
    ask(home, "cancel", ids, as_json=json)


def retry(ids: Ids, home: Home = None, json: Json = False) -> None:
    """Run failed or cancelled jobs again, reading source/ anew, so that a sidecar can be corrected there first."""
    ask(home, "retry", ids, as_json=json)


def rm(ids: Ids, home: Home = None, json: Json = False) -> None:
    """Remove ended jobs and their folders, the original pictures in source/ included."""
    ask(home, "rm", ids, as_json=json)
