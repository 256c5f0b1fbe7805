"""models: lists models, and fetches, checks and removes their weights.

The pipeline does the work, and the daemon never imports it. So this process turns into `python -m pipeline models …`, and its
output, exit status and Ctrl-C belong to the terminal.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemon.cli.common import Home, Json, settings_of

models = typer.Typer(name="models", help="List models; fetch, check and remove their weights.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model, as in `multiplane models list`.", show_default=False)]


@models.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List the models: what they are for, their size and licence, and what is installed."""
    _become(home, "list", *_if(json, "--json"))


@models.command()
def fetch(
    name: Name,
    accept_licence: Annotated[
        str | None,
        typer.Option("--accept-licence", metavar="LICENCE", help="Accept a licence that forbids commercial use, by its name."),
    ] = None,
    home: Home = None,
) -> None:
    """Fetch a model's weights from the hub, resuming an interrupted fetch. The only verb that uses the network."""
    _become(home, "fetch", *([f"--accept-licence={accept_licence}"] if accept_licence is not None else []), "--", name)


@models.command()
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model. Default: all that are installed.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare weights, byte for byte, with what was recorded when they were fetched; exit 33 if they were changed."""
    _become(home, "verify", *_if(json, "--json"), *(["--", name] if name is not None else []))


@models.command()
def remove(name: Name, home: Home = None) -> None:
    """Remove a model's fetched weights. A folder of your own is never touched."""
    _become(home, "remove", "--", name)


def _if(wanted: bool, option: str) -> list[str]:
    return [option] if wanted else []


def _become(home: Path | None, verb: str, *arguments: str) -> NoReturn:
    """Replace this process by the pipeline's program, with this home's models folder."""
    paths = settings_of(home).paths
    sys.stdout.flush()
    sys.stderr.flush()
    # `-P`: no module is imported from the working directory.
    command = [sys.executable, "-P", "-m", "pipeline", "models", verb, f"--folder={paths.models}"]
    command += [*(f"--catalogue={path}" for path in paths.model_lists), *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - an argument list of our own, and no shell
