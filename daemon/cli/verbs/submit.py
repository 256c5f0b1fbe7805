"""submit: drops pictures safely into the inbox; with --wait, also waits for their jobs."""

import os
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
from daemon.cli.submitting.if_exists import IfExists, WhatIsThere
from daemon.cli.submitting.plain_faults import picture_fault
from daemon.cli.submitting.preset_folders import preset_folder
from daemon.cli.submitting.result_copies import output_folder, prepare
from daemon.cli.submitting.spec_options import spec_fields, without_place
from daemon.cli.submitting.waiting_for_jobs import NO_DAEMON_SECONDS, Dropped, wait_for
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
            "is taken: fail (submit nothing), skip (use what is there), or new (make another). Without it, only a taken --id or "
            "DIR/NAME fails.",
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
    good = [image for image in images if _is_good(image, settings)]
    refused = len(good) < len(images)
    if not good:
        raise typer.Exit(ExitStatus.USAGE)
    if output is not None:
        prepare(output, settings)
    there = WhatIsThere(settings, ExistingJobs(settings, spec, folder, control), if_exists, output)
    plans = there.plans(good, job_id)
    dropped: list[Dropped] = []
    for image, wanted_id in plans:
        chosen = wanted_id or generated_id(os.fsencode(image.name), datetime.now(UTC))
        instead = partial(there.instead, image, wanted_id)
        try:
            one = drop(image, {**fields, "id": chosen}, settings, folder, instead)
        except JobError as fault:
            _refuse(image, fault)
            refused = True
            continue
        except typer.Exit:
            for one in dropped:
                print_note(f"{one.job_id} is already in the inbox.")
            raise
        if one.job_id not in [other.job_id for other in dropped]:
            dropped.append(one)
    if not dropped and refused and len(plans) == len(good):
        raise typer.Exit(ExitStatus.USAGE)
    if wait or output is not None:
        for one in dropped if json else ():  # a person sees them as they end, or when they do not
            print_note(f"{one.image} is submitted as {one.job_id}.", job_id=one.job_id, image=os.path.abspath(one.image))
        wait_for(dropped, settings, as_json=json, patience=patience, output=output, refused=refused)
        return
    _say_what_holds_them_up(settings)
    if json:
        print_json([one.job_id for one in dropped])
    else:
        for one in dropped:
            out.print(one.job_id, markup=False)
    if refused:
        raise typer.Exit(ExitStatus.REFUSED)


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


def _is_good(image: Path, settings: Settings) -> bool:
    """Whether the daemon would take this picture. If not, print why."""
    fault = picture_fault(image, settings)
    if fault is not None:
        _refuse(image, fault)
    return fault is None


def _refuse(image: Path, fault: JobError) -> None:
    print_error(fault.message, fault.info().hint, file=image)
