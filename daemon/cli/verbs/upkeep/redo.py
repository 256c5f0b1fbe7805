"""redo: new jobs of copies of other jobs' pictures, perhaps with other settings. The old jobs and their results stay."""

import os
from pathlib import Path
from typing import Annotated

import typer
import yaml

from daemon.cli.asking.sending_requests import Outcome, request
from daemon.cli.common import Home, Json, fs, give_up, print_error, print_json, print_note, settings_in_use
from daemon.cli.exit_status import ExitStatus
from daemon.cli.job_queries import JobQueries
from daemon.cli.options import batches, ended_job_ids
from daemon.cli.submitting import spec_options as options
from daemon.cli.submitting.given import Dropped, Given
from daemon.cli.submitting.spec_options import spec_fields, without_place
from daemon.cli.submitting.waiting_for_jobs import NO_DAEMON_SECONDS, wait_for
from daemon.cli.verbs.upkeep.estimated_jobs import estimated_jobs
from daemon.contract.commands import SHORT, command
from daemon.contract.names import to_bytes
from daemon.contract.requests import RequestAnswer
from daemon.errors import JobError, Refusal
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.sidecar import parse

_HELP = SHORT.fill(f"Job ids, as in {command('jobs')}.")
_SomeArgument = typer.Argument(metavar="ID", help=_HELP, show_default=False, autocompletion=ended_job_ids)
#: The name of the batch that all redone estimates form.
GUESSED = "guessed"


def redo(
    ids: Annotated[list[str] | None, _SomeArgument] = None,
    batch: Annotated[
        str | None, typer.Option("--batch", help="All ended jobs of this batch: its id or its name.", autocompletion=batches)
    ] = None,
    guessed: Annotated[
        bool, typer.Option("--guessed", help="All completed jobs whose depth was estimated because there was no model.")
    ] = False,
    mode: options.Mode = None,
    num_layers: options.NumLayers = None,
    style: options.Style = None,
    strength: options.Strength = None,
    seed: options.Seed = None,
    depth: options.Depth = None,
    depth_kind: options.DepthKind = None,
    depth_quality: options.DepthQuality = None,
    split: options.Split = None,
    matting: options.Matting = None,
    fill: options.Fill = None,
    formats: options.Formats = None,
    naming: options.Naming = None,
    motion: options.Motion = None,
    seconds: options.LoopSeconds = None,
    fps: options.Fps = None,
    amount: options.Amount = None,
    size: options.Size = None,
    mesh: options.Mesh = None,
    priority: options.Priority = None,
    timeout_seconds: options.TimeoutSeconds = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the new jobs have ended. Exit status and JSON: as with submit --wait.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(min=0, help="With --wait: if no daemon runs for this many seconds, give up with exit status 75."),
    ] = NO_DAEMON_SECONDS,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make new jobs of copies of ended jobs' pictures. The old jobs, their pictures and their results stay.

    A new job has the settings of the old one, as they are in its source/ now, except for those given here.
    """
    given: dict[str, object] = {
        "mode": mode, "num_layers": num_layers, "style": style, "strength": strength, "seed": seed, "depth": depth,
        "depth_kind": depth_kind, "depth_quality": depth_quality, "matting": matting, "fill": fill, "priority": priority,
        "timeout_seconds": timeout_seconds,
        "naming": naming, "motion": motion, "seconds": seconds, "fps": fps, "amount": amount, "size": size, "mesh": mesh,
    }  # fmt: skip
    if sum((bool(ids), batch is not None, guessed)) != 1:
        raise typer.BadParameter("name the jobs by their ids, or a batch with --batch, or use --guessed")
    changes = yaml.safe_dump(spec_fields(given, split=split, formats=formats), allow_unicode=True)
    try:
        parse(changes.encode(), name="options")
    except JobError as error:
        give_up(Refusal(without_place(error.message), hint=f"{command('redo', '--help')} lists the options.", exit_status=2))
    chosen, name = ids or [], None
    if guessed:
        settings = settings_in_use(home)
        if depth is None:
            _refuse_another_guess(settings)
        chosen, name = estimated_jobs(JobQueries(fs, settings), settings, asked=depth is not None), GUESSED
        if not chosen:
            print_note("No job is left whose depth was estimated without a model.")
            if json:
                print_json([] if wait else RequestAnswer())
            return
    outcome = Outcome(batch=batch)
    for part in _parts(chosen) if chosen else [[]]:
        outcome = outcome.and_then(request(home, "redo", part, batch=batch, changes=changes, named=name, once=guessed))
    if wait:
        _wait_for(outcome, settings_in_use(home), as_json=json, patience=patience)
    else:
        outcome.tell(as_json=json)
    if outcome.exit_status:
        raise typer.Exit(outcome.exit_status)


def _wait_for(outcome: Outcome, settings: Settings, *, as_json: bool, patience: float) -> None:
    """Tell at once what becomes of the request, and then wait for the new jobs. Exits like `submit --wait`."""
    for refused in outcome.refused:
        print_error(refused.sentence, refused.hint)
    made = [one for one in outcome.answer.answers if one.new_job is not None]
    for one in outcome.answer.answers:
        if one.new_job is None:
            print_error(one.sentence)
        else:
            print_note(one.sentence, job_id=one.new_job, redo_of=one.job_id)
    if outcome.answer.problem:
        print_error(outcome.answer.problem)
    new = [Given.of(Dropped(one.new_job, b"", _picture_of(one.job_id, settings))) for one in made if one.new_job is not None]
    wait_for(new, settings, as_json=as_json, patience=patience)
    if outcome.is_put_off:
        raise typer.Exit(ExitStatus.NO_DAEMON)


def _picture_of(job_id: str, settings: Settings) -> Path:
    """The picture that is redone, in the folder of its job; that folder, if its status cannot be read."""
    folder, status = settings.paths.outbox / job_id, JobQueries(fs, settings).status(job_id)
    if status is None or status.source is None:
        return folder
    return folder / "source" / os.fsdecode(to_bytes(status.source.image))


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


def _parts(jobs: list[str], most: int = 10_000) -> list[list[str]]:
    """The jobs in lists that fit into one request each."""
    return [jobs[first : first + most] for first in range(0, len(jobs), most)]
