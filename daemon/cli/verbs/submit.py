"""submit: drops pictures safely into the inbox; with --wait, also waits for their jobs."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.common import Home, Json, fs, home_to_fill, out, print_error, print_json, print_note
from daemon.cli.display.render import now
from daemon.cli.exit_status import ExitStatus
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import standstill
from daemon.cli.options import presets
from daemon.cli.submitting import spec_options as options
from daemon.cli.submitting.dropping import drop, sidecar_of
from daemon.cli.submitting.existing_jobs import ExistingJobs
from daemon.cli.submitting.given import Given
from daemon.cli.submitting.if_exists import IfExists, Plan, WhatIsThere
from daemon.cli.submitting.plain_faults import picture_fault
from daemon.cli.submitting.preset_folders import preset_folder
from daemon.cli.submitting.result_copies import output_folder, prepare
from daemon.cli.submitting.spec_options import spec_fields, without_place
from daemon.cli.submitting.waiting_for_jobs import NO_DAEMON_SECONDS, wait_for
from daemon.contract.commands import command
from daemon.contract.spec import JobSpec
from daemon.errors import JobError
from daemon.jobs.identity import generated_id
from daemon.settings import Settings
from daemon.sidecar import Sidecar, read, resolve


def submit(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="The pictures.", show_default=False, readable=False)],
    mode: options.Mode = None,
    num_layers: options.NumLayers = None,
    style: options.Style = None,
    strength: options.Strength = None,
    seed: options.Seed = None,
    depth: options.Depth = None,
    depth_kind: options.DepthKind = None,
    depth_quality: options.DepthQuality = None,
    naming: options.Naming = None,
    motion: options.Motion = None,
    seconds: options.LoopSeconds = None,
    fps: options.Fps = None,
    amount: options.Amount = None,
    size: options.Size = None,
    mesh: options.Mesh = None,
    split: options.Split = None,
    formats: options.Formats = None,
    matting: options.Matting = None,
    fill: options.Fill = None,
    priority: options.Priority = None,
    timeout_seconds: options.TimeoutSeconds = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Drop into this preset folder of the inbox; the other options add to its _preset.yaml.", autocompletion=presets
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", parser=output_folder, help="Wait, and copy each result to DIR/NAME, after the picture's name."
        ),
    ] = None,
    if_exists: Annotated[
        IfExists | None,
        typer.Option(
            help="If the same picture waits, runs or is completed with the same settings, if DIR has its result, or if the --id "
            "is taken: fail (submit nothing), skip (use what is there), or new (make another; an equal result becomes no second "
            "copy). Jobs that failed or are cancelled do not count. Without it, only a taken --id or DIR/NAME fails.",
            show_default=False,
        ),
    ] = None,
    job_id: Annotated[str | None, typer.Option("--id", help="The job's id; for one picture only.")] = None,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Wait until all jobs have ended and are delivered. Exit status: 1: one failed, 3: cancelled, 4: removed, 7: not "
            "delivered yet.",
        ),
    ] = False,
    patience: Annotated[
        float,
        typer.Option(min=0, help="With --wait: if no daemon runs for this many seconds, give up with exit status 75."),
    ] = NO_DAEMON_SECONDS,
    home: Home = None,
    json: Json = False,
) -> None:
    """Copy pictures into the inbox, each with its depth picture (NAME.depth.png) if there is one.

    Options that you leave out have the defaults in the settings.
    """
    settings = home_to_fill(home)
    given: dict[str, object] = {
        "mode": mode, "num_layers": num_layers, "style": style, "strength": strength, "seed": seed, "depth": depth,
        "depth_kind": depth_kind, "depth_quality": depth_quality, "matting": matting, "fill": fill,
        "priority": priority, "timeout_seconds": timeout_seconds, "motion": motion, "seconds": seconds, "fps": fps,
        "amount": amount, "size": size, "mesh": mesh, "naming": naming,
    }  # fmt: skip
    fields = spec_fields(given, split=split, formats=formats)
    if job_id is not None and not job_id.strip():
        print_error("--id is empty", "Name an id, or leave --id out for a new one.")
        raise typer.Exit(ExitStatus.USAGE)
    if job_id and len(images) > 1:
        print_error("--id names one job, but there are several pictures", "Leave --id out, or submit them one by one.")
        raise typer.Exit(ExitStatus.USAGE)
    folder, control = (settings.paths.inbox, None) if preset is None else preset_folder(settings, preset)
    spec = _resolved(fields if job_id is None else {**fields, "id": job_id}, settings, control)
    refused = [_refusal(image, settings) for image in images]
    good = [image for image, refusal in zip(images, refused, strict=True) if refusal is None]
    done: list[Given] = []
    if good:
        if output is not None:
            prepare(output, settings)
        there = WhatIsThere(settings, ExistingJobs(settings, spec, folder, control, good), if_exists, output)
        plans = iter(there.plans(good, job_id))
        put = partial(_put, there=there, fields=fields, settings=settings, folder=folder)
        try:
            for refusal in refused:
                one = refusal or put(next(plans))
                done.append(one)
        except BaseException:
            _tell_what_was_done(done, images, settings, as_json=json)
            raise
    else:
        done = [refusal for refusal in refused if refusal is not None]
    if all(one.outcome == "refused" for one in done):
        _print(done, settings, as_json=json)
        raise typer.Exit(ExitStatus.USAGE)
    if wait or output is not None:
        if json:
            _say_what_is_waited_for(done)
        wait_for(done, settings, as_json=json, patience=patience, output=output)
        return
    _say_what_holds_them_up(settings)
    _print(done, settings, as_json=json)
    if any(one.outcome == "refused" for one in done):
        raise typer.Exit(ExitStatus.REFUSED)


def _put(plan: Plan, *, there: WhatIsThere, fields: Mapping[str, object], settings: Settings, folder: Path) -> Given:
    """Put a picture into the inbox, or use what is there of it already; or print why it is refused.

    Raises:
        typer.Exit: nothing can be put into the inbox; the reason was printed.
    """
    if plan.skipped is not None:
        return plan.skipped
    chosen = plan.job_id or generated_id(os.fsencode(plan.image.name), datetime.now(UTC))
    instead = partial(there.instead, plan.image, plan.job_id)
    try:
        return Given.of(drop(plan.image, {**fields, "id": chosen}, settings, folder, instead))
    except JobError as fault:
        return _refused(plan.image, fault)


def _refusal(image: Path, settings: Settings) -> Given | None:
    """None if the daemon would take this picture. If not, print why."""
    fault = picture_fault(image, settings)
    return None if fault is None else _refused(image, fault)


def _refused(image: Path, fault: JobError) -> Given:
    print_error(fault.message, fault.info().hint, file=image)
    return Given(image, "refused", error=fault.info())


def _tell_what_was_done(given: Sequence[Given], images: Sequence[Path], settings: Settings, *, as_json: bool) -> None:
    """Tell what is in the inbox although the command ends now, and of which pictures nothing is."""
    for one in given:
        if one.job is not None:
            print_note(f"{one.job.job_id} is already in the inbox.", job_id=one.job.job_id, image=os.path.abspath(one.image))
    if as_json:
        _print([*given, *(Given(image, "left") for image in images[len(given) :])], settings, as_json=True)


def _print(given: Sequence[Given], settings: Settings, *, as_json: bool) -> None:
    """Print what became of each picture: for people, only the ids of their jobs, each once."""
    if as_json:
        queries = JobQueries(fs, settings)
        print_json([one.told_now(queries, settings) for one in given])
        return
    for job_id in dict.fromkeys(one.job.job_id for one in given if one.job is not None):
        out.print(job_id, markup=False)


def _say_what_is_waited_for(given: Sequence[Given]) -> None:
    """Tell a program which pictures were submitted; a person sees them as they end, or when they do not."""
    for job in (one.job for one in given):
        if job is not None and job.is_new:
            print_note(f"{job.image} is submitted as {job.job_id}.", job_id=job.job_id, image=os.path.abspath(job.image))


def _say_what_holds_them_up(settings: Settings) -> None:
    """Say if the pictures are not taken now: no daemon runs, or it stands still."""
    queries = JobQueries(fs, settings)
    halt = standstill(settings, queries, now())
    if halt is not None and halt.lasts:
        print_note(f"The pictures stay in the inbox for now. {halt.sentence}")
    elif not queries.daemon_runs():
        print_note(f"The daemon isn't running; it takes the pictures when it starts: {command('run')}.")


def _resolved(fields: dict[str, object], settings: Settings, control: Sidecar | None) -> JobSpec:
    """What the jobs should do. Options that the daemon would refuse later, for every picture, are refused now."""
    try:
        return resolve(
            defaults=settings.spec_defaults,
            preset=control,
            own=read(sidecar_of(fields), name="options"),
            ceiling_seconds=settings.worker.max_timeout_seconds,
            kind="pair" if control is None else "preset",
            styles=settings.styles,
        )
    except JobError as error:
        print_error(without_place(error.message), f"{command('submit', '--help')} lists the options.")
        raise typer.Exit(ExitStatus.USAGE) from None
