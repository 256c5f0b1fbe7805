"""models: lists models, and fetches, checks and removes their weights.

The pipeline does the work, and the daemon never imports it. So each of these verbs replaces its process by
`python -m pipeline models …`, whose output, exit status and Ctrl-C then belong to the terminal. Other verbs fetch the default
model on their way; they start that program as a child process.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemon.catalogues.models import catalogue
from daemon.cli.common import Home, Json, give_up, settings_of
from daemon.cli.examples import epilog
from daemon.cli.exit_status import ExitStatus
from daemon.cli.options import models as model_names
from daemon.contract.commands import SHORT, command
from daemon.contract.words.printable import quoted
from daemon.errors import Refusal
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.settings.typed_command import commands_here
from daemon.sidecar.problems import did_you_mean

#: 128 + SIGINT, as shells count.
_INTERRUPTED = 130

models = typer.Typer(name="models", help="List models; fetch, check and remove their weights.", no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help=SHORT.fill(f"A model, as in {command('models', 'list')}."),
        show_default=False,
        autocompletion=model_names,
    ),
]


@models.command("list", epilog=epilog("models list"))
def list_(home: Home = None, json: Json = False) -> None:
    """List the models: what they are for, their size and licence, and what is installed."""
    _become(home, "list", *_if(json, "--json"))


@models.command(epilog=epilog("models fetch"))
def fetch(
    name: Name,
    accept_licence: Annotated[
        str | None,
        typer.Option("--accept-licence", metavar="LICENCE", help="Accept a licence that forbids commercial use; give its name."),
    ] = None,
    home: Home = None,
) -> None:
    """Fetch a model's weights from the hub, resuming an interrupted fetch."""
    _must_be_listed(home, name)
    _become(home, "fetch", *([f"--accept-licence={accept_licence}"] if accept_licence is not None else []), "--", name)


@models.command(epilog=epilog("models verify"))
def verify(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One model. Default: all that are installed.", autocompletion=model_names),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare weights, byte for byte, with what was recorded when they were fetched; exit 33 if they were changed."""
    if name is not None:
        _must_be_listed(home, name)
    _become(home, "verify", *_if(json, "--json"), *(["--", name] if name is not None else []))


@models.command(epilog=epilog("models remove"))
def remove(name: Name, home: Home = None) -> None:
    """Remove a model's fetched weights. A folder of your own is never touched."""
    _must_be_listed(home, name)
    _become(home, "remove", "--", name)


def _if(wanted: bool, option: str) -> list[str]:
    return [option] if wanted else []


def _must_be_listed(home: Path | None, name: str) -> None:
    """End the program if no model has this name; why was printed."""
    try:
        known = catalogue(settings_of(home).paths.model_lists).models
    except Refusal as refusal:
        give_up(refusal)
    if name not in known:
        sentence = f"there is no model {quoted(name)}{did_you_mean(name, known)}"
        hint = f"{command('models', 'list')} shows the names."
        give_up(Refusal(sentence, hint=hint, exit_status=ExitStatus.UNKNOWN))


def fetch_default_model(settings: Settings) -> None:
    """Fetch the default depth model if no depth model is installed. If that fails, print why in one line, and return.

    This is for newcomers: as long as no depth model is installed, depth is only estimated. A child process fetches the model, and
    ends when this process ends.

    Raises:
        typer.Exit: the person pressed Ctrl-C.
    """
    paths = settings.paths
    name = ModelInventory(str(paths.models), paths.model_lists, paths.style_lists).missing_depth_model()
    if name is None:
        return
    later = commands_here(paths.home, os.environ).typed("models", "fetch", name)
    # The child reads nothing from its standard input, but treats the end of it as a Ctrl-C.
    with subprocess.Popen(_command(settings, "fetch-default", f"--later={later}"), stdin=subprocess.PIPE) as fetching:
        try:
            status = fetching.wait()
        except KeyboardInterrupt:
            # The terminal sent Ctrl-C to both processes; the child prints what it kept.
            fetching.wait()
            status = _INTERRUPTED
    if status == _INTERRUPTED:
        raise typer.Exit(_INTERRUPTED)


def _become(home: Path | None, verb: str, *arguments: str) -> NoReturn:
    """Replace this process by a models command of the pipeline."""
    argv = _command(settings_of(home), verb, *arguments)
    try:
        os.execv(sys.executable, argv)  # noqa: S606 - an argument list of our own, and no shell
    except OSError as error:
        raise OSError(error.errno, error.strerror, sys.executable) from error  # the system does not name the file


def _command(settings: Settings, verb: str, *arguments: str) -> list[str]:
    """The argument list of a models command of the pipeline, for this home's models.

    It also flushes the output, so that what was printed so far comes before what the command prints.
    """
    paths = settings.paths
    sys.stdout.flush()
    sys.stderr.flush()
    # `-P`: no module is imported from the working directory.
    started = [sys.executable, "-P", "-m", "pipeline", "models", verb, f"--folder={paths.models}"]
    catalogues = (f"--catalogue={path}" for path in paths.model_lists)
    here = commands_here(paths.home, os.environ)
    return [*started, *catalogues, f"--program={here.program}", f"--home={here.home}", *arguments]
