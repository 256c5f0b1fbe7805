"""redo: new jobs of copies of other jobs' pictures, perhaps with other settings. The old jobs and their results stay."""

import re
from typing import Annotated, get_args

import typer
import yaml

from daemon.cli.common import Home, Json, err, fs, give_up, settings_in_use
from daemon.cli.job_queries import JobQueries
from daemon.cli.options import job_ids
from daemon.cli.sending_requests import ask
from daemon.cli.verbs.upkeep.estimated_jobs import estimated_jobs
from daemon.contract.commands import SHORT, command
from daemon.contract.registry import FORMATS
from daemon.contract.spec import DepthChoice, MotionName
from daemon.errors import JobError, Refusal
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.sidecar import parse
from daemon.sidecar.problems import choice

_HELP = SHORT.fill(f"Job ids, as in {command('jobs')}.")
_SomeArgument = typer.Argument(metavar="ID", help=_HELP, show_default=False, autocompletion=job_ids)
#: How a mistake in the YAML made from the options begins. Its line number means nothing to somebody who typed options.
_LINE = re.compile(r"(^options(, line \d+)?|(?<=; )line \d+): ")
#: The name of the batch that all redone estimates form.
GUESSED = "guessed"


def redo(
    ids: Annotated[list[str] | None, _SomeArgument] = None,
    batch: Annotated[str | None, typer.Option("--batch", help="All ended jobs of this batch: its id or its name.")] = None,
    guessed: Annotated[
        bool, typer.Option("--guessed", help="All completed jobs whose depth was estimated because there was no model.")
    ] = False,
    mode: Annotated[str | None, typer.Option(help="photo-realistic or painterly.")] = None,
    num_layers: Annotated[int | None, typer.Option(help="How many layers to make: 2 to 12.")] = None,
    style: Annotated[str | None, typer.Option(help="Painterly: the name of a style.")] = None,
    strength: Annotated[float | None, typer.Option(help="Painterly: 0 is the photo itself, 1 the loosest painting.")] = None,
    seed: Annotated[int | None, typer.Option(help="Painterly, and --fill model: the same seed gives the same result.")] = None,
    depth: Annotated[str | None, typer.Option(help=f"Where depth comes from: {choice(get_args(DepthChoice))}.")] = None,
    depth_kind: Annotated[str | None, typer.Option(help="How to read the depth picture: disparity or distance.")] = None,
    depth_quality: Annotated[str | None, typer.Option(help="For depth models: fast or best.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Where to cut the depth: natural, equal, quantile, or a list like 0.2,0.5,0.8.")
    ] = None,
    matting: Annotated[str | None, typer.Option(help="How borders get soft: auto or model.")] = None,
    fill: Annotated[str | None, typer.Option(help="How hidden parts are filled: auto or model.")] = None,
    formats: Annotated[
        str | None,
        typer.Option(help=f"What to make besides PNG: {', '.join(each.word for each in FORMATS)}, several with commas, or none."),
    ] = None,
    naming: Annotated[
        str | None, typer.Option(help="What file names in the result begin with: plain (nothing) or photo (its name).")
    ] = None,
    motion: Annotated[str | None, typer.Option(help=f"For formats that move: {choice(get_args(MotionName))}.")] = None,
    seconds: Annotated[float | None, typer.Option(help="For formats that move: length of the loop.")] = None,
    fps: Annotated[int | None, typer.Option(help="For formats that move: frames per second.")] = None,
    amount: Annotated[float | None, typer.Option(help="For formats that move: how far, above 0 and up to 1.")] = None,
    size: Annotated[int | None, typer.Option(help="For formats that move: longer side in pixels, at most.")] = None,
    mesh: Annotated[str | None, typer.Option(help="For glb and usdz: flat planes, or relief, shaped by their depth.")] = None,
    priority: Annotated[int | None, typer.Option(help="−10 to 10, higher runs first.")] = None,
    timeout_seconds: Annotated[float | None, typer.Option(help="How many seconds a job may take.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make new jobs of copies of ended jobs' pictures. The old jobs, their pictures and their results stay.

    A new job has the settings of the old one, as they are in its source/ now, except for those given here.
    """
    given: dict[str, object] = {
        "mode": mode, "num_layers": num_layers, "style": style, "strength": strength, "seed": seed, "depth": depth,
        "depth_kind": depth_kind, "depth_quality": depth_quality, "split": _listed(split), "matting": matting, "fill": fill,
        "formats": None if formats is None else _words(formats), "priority": priority, "timeout_seconds": timeout_seconds,
        "naming": naming, "motion": motion, "seconds": seconds, "fps": fps, "amount": amount, "size": size, "mesh": mesh,
    }  # fmt: skip
    if sum((bool(ids), batch is not None, guessed)) != 1:
        raise typer.BadParameter("name the jobs by their ids, or a batch with --batch, or use --guessed")
    changes = yaml.safe_dump({name: value for name, value in given.items() if value is not None}, allow_unicode=True)
    try:
        parse(changes.encode(), name="options")
    except JobError as error:
        give_up(Refusal(_LINE.sub("", error.message), hint=f"{command('redo', '--help')} lists the options.", exit_status=2))
    chosen, name = ids or [], None
    if guessed:
        settings = settings_in_use(home)
        if depth is None:
            _refuse_another_guess(settings)
        chosen, name = estimated_jobs(JobQueries(fs, settings), settings, asked=depth is not None), GUESSED
        if not chosen:
            err.print("No job is left whose depth was estimated without a model.")
            return
    for part in _parts(chosen) if chosen else [[]]:
        ask(home, "redo", part, as_json=json, batch=batch, changes=changes, named=name, once=guessed)


def _refuse_another_guess(settings: Settings) -> None:
    """Refuse to make estimates anew: without a model, they would only be the same again."""
    paths = settings.paths
    missing = ModelInventory(str(paths.models), paths.model_lists, paths.style_lists).missing_depth_model()
    if missing:
        give_up(
            Refusal(
                "no depth model is installed, so the depth would only be estimated again",
                hint=f"Fetch a model first: {command('models', 'fetch', missing)}.",
                exit_status=1,
            )
        )


def _listed(split: str | None) -> object:
    """The thresholds in `0.2,0.5,0.8` as numbers; any other text unchanged."""
    if split is None:
        return None
    try:
        return [float(part) for part in split.strip("[]").split(",")]
    except ValueError:
        return split


def _words(formats: str) -> list[str]:
    return [] if formats == "none" else [word.strip() for word in formats.strip("[]").split(",")]


def _parts(jobs: list[str], most: int = 10_000) -> list[list[str]]:
    """The jobs in lists that fit into one request each."""
    return [jobs[first : first + most] for first in range(0, len(jobs), most)]
