"""The command `multiplane`: its verbs and what is true for all of them."""

import sys
from typing import Annotated

import typer

from daemon import __version__
from daemon.cli.check import check
from daemon.cli.common import tell_error
from daemon.cli.control import cancel, retry, rm
from daemon.cli.doctor import doctor
from daemon.cli.jobs import jobs
from daemon.cli.models import models
from daemon.cli.run import run
from daemon.cli.schema import schema
from daemon.cli.service import service
from daemon.cli.show import show
from daemon.cli.stats import stats
from daemon.cli.submit import submit
from daemon.cli.waiting import waiting
from daemon.cli.watch import watch
from daemon.errors import Refusal

app = typer.Typer(
    name="multiplane",
    help="A hot folder that turns photos into depth-ordered transparent layers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"multiplane {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    pass


for verb in (run, submit, jobs, show, waiting, watch, stats, cancel, retry, rm, check, schema, doctor):
    app.command()(verb)
app.add_typer(models)
app.add_typer(service)


def main() -> None:
    """Run the command line; every refusal is one sentence and a next step, never a traceback."""
    try:
        app()
    except Refusal as refusal:
        tell_error(refusal.message, refusal.hint)
        sys.exit(refusal.exit_status)
