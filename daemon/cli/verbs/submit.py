"""submit: drops pictures safely into the inbox; with --wait, also waits for their jobs."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

import typer

from daemon.cli.common import Home, Json, fs, out, print_error, print_json, print_note, settings_in_use
from daemon.cli.display.render import now
from daemon.cli.exit_status import ExitStatus
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import standstill
from daemon.cli.submitting.dropping import depth_of, drop, sidecar_of
from daemon.cli.submitting.plain_faults import plain_fault
from daemon.cli.submitting.preset_folders import preset_folder
from daemon.cli.submitting.result_copies import IfExists, wanted
from daemon.cli.submitting.waiting_for_jobs import NO_DAEMON_SECONDS, Dropped, wait_for
from daemon.contract.commands import command
from daemon.contract.spec import DepthChoice, Format, MotionName
from daemon.errors import JobError
from daemon.intake.names import IMAGE_EXTENSIONS, classify
from daemon.jobs.identity import generated_id
from daemon.settings import Settings
from daemon.sidecar import Sidecar, read, resolve
from daemon.sidecar.problems import choice

#: How an error in the sidecar made from the options begins. Its line number means nothing to somebody who typed options.
_LINE = re.compile(r"(^options(, line \d+)?|(?<=; )line \d+): ")
#: The file system's 255 bytes, minus a number in case the name is taken, and the endings .yaml and .depth.tiff.
_LONGEST_NAME = 230


def submit(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="The pictures.", show_default=False)],
    mode: Annotated[str | None, typer.Option(help="photo-realistic or painterly.")] = None,
    num_layers: Annotated[int | None, typer.Option(help="How many layers to make: 2 to 12.")] = None,
    style: Annotated[str | None, typer.Option(help="Painterly: the name of a style.")] = None,
    strength: Annotated[float | None, typer.Option(help="Painterly: 0 is the photo itself, 1 the loosest painting.")] = None,
    seed: Annotated[int | None, typer.Option(help="Painterly, and --fill model: the same seed gives the same result.")] = None,
    depth: Annotated[str | None, typer.Option(help=f"Where depth comes from: {choice(get_args(DepthChoice))}.")] = None,
    depth_kind: Annotated[str | None, typer.Option(help="How to read the depth picture: disparity or distance.")] = None,
    depth_quality: Annotated[
        str | None, typer.Option(help="For depth models: fast, or best, which averages several passes.")
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
    split: Annotated[
        str | None,
        typer.Option(help="Where to cut the depth: natural, equal, quantile, or numbers between 0 and 1 such as 0.3,0.6."),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(help=f"What to make besides the PNG layers: {choice(get_args(Format))}; several as a,b; or none."),
    ] = None,
    matting: Annotated[str | None, typer.Option(help="How borders get soft: auto, or model (a matting model).")] = None,
    fill: Annotated[str | None, typer.Option(help="How hidden parts are filled: auto, or model (paints large ones).")] = None,
    priority: Annotated[int | None, typer.Option(help="−10 to 10, higher runs first.")] = None,
    timeout_seconds: Annotated[float | None, typer.Option(help="How many seconds a job may take.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Drop into this preset folder of the inbox; the other options add to its _preset.yaml.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Wait, and copy each result to DIR/NAME, after the picture's name.")
    ] = None,
    if_exists: Annotated[
        IfExists,
        typer.Option(help="If DIR/NAME or the --id is there already: fail, skip the picture, or take a new name."),
    ] = IfExists.FAIL,
    job_id: Annotated[str | None, typer.Option("--id", help="The job's id; for one picture only.")] = None,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Wait until all jobs have ended and are delivered. Exit status: 1: one failed, 3: cancelled, 4: removed.",
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
    settings = settings_in_use(home)
    given: dict[str, object] = {
        "mode": mode, "num_layers": num_layers, "style": style, "strength": strength, "seed": seed, "depth": depth,
        "depth_kind": depth_kind, "depth_quality": depth_quality, "matting": matting, "fill": fill,
        "priority": priority, "timeout_seconds": timeout_seconds, "split": split and _split(split),
        "formats": None if formats is None else [word for word in formats.split(",") if word not in ("", "none")],
        "motion": motion, "seconds": seconds, "fps": fps, "amount": amount, "size": size, "mesh": mesh,
        "naming": naming,
    }  # fmt: skip
    if job_id is not None and not job_id.strip():
        print_error("--id is empty", "Name an id, or leave --id out for a new one.")
        raise typer.Exit(2)
    if job_id and len(images) > 1:
        print_error("--id names one job, but there are several pictures", "Leave --id out, or submit them one by one.")
        raise typer.Exit(2)
    fields = {name: value for name, value in given.items() if value is not None}
    folder, control = (settings.paths.inbox, None) if preset is None else preset_folder(settings, preset)
    if output is not None:
        images = wanted(images, output, if_exists)
    if job_id and _is_taken(job_id, settings):
        job_id = _instead(job_id, if_exists)
        images = images if job_id != "" else []
    plans = [(image, {**fields, "id": job_id or generated_id(os.fsencode(image.name), datetime.now(UTC))}) for image in images]
    for image, options in plans:
        _check(image, options, settings, control)
    dropped: list[Dropped] = []
    for image, options in plans:
        try:
            dropped.append(drop(image, options, settings, folder))
        except typer.Exit:
            for one in dropped:
                print_note(f"{one.job_id} is already in the inbox.")
            raise
    wait = wait or output is not None
    if not wait:
        _say_what_holds_them_up(settings)
    if wait:
        wait_for(dropped, settings, as_json=json, patience=patience, output=output)
    elif json:
        print_json([one.job_id for one in dropped])
    else:
        for one in dropped:
            out.print(one.job_id, markup=False)


def _say_what_holds_them_up(settings: Settings) -> None:
    """Say if the pictures are not taken now: no daemon runs, or it stands still."""
    queries = JobQueries(fs, settings)
    halt = standstill(settings, queries, now())
    if halt is not None and halt.lasts:
        print_note(f"The pictures stay in the inbox for now. {halt.sentence}")
    elif not queries.daemon_runs():
        print_note(f"The daemon isn't running; it takes the pictures when it starts: {command('run')}.")


def _split(text: str) -> object:
    """The option as the sidecar has it: a word, or a list of numbers."""
    try:
        return [float(each) for each in text.split(",")]
    except ValueError:
        return text


def _is_taken(job_id: str, settings: Settings) -> bool:
    return (settings.paths.outbox / job_id).exists()


def _instead(job_id: str, if_exists: IfExists) -> str | None:
    """What to use instead of an id that is taken: None for a new one, empty to submit nothing."""
    match if_exists:
        case IfExists.FAIL:
            hint = "Choose another id, remove that job first, or add --if-exists skip or new."
            print_error(f'the id "{job_id}" belongs to a job in the outbox', hint)
            raise typer.Exit(ExitStatus.EXISTS)
        case IfExists.SKIP:
            print_note(f"{job_id} is there already.")
            return ""
        case IfExists.NEW:
            return None


def _check(image: Path, options: dict[str, object], settings: Settings, control: Sidecar | None) -> None:
    """Refuse now what the daemon would refuse later."""
    if len(os.fsencode(image.name)) > _LONGEST_NAME:
        print_error(
            f"{image.name}: the name is too long",
            f"Names may have at most {_LONGEST_NAME} bytes, because the YAML file's name is longer.",
        )
        raise typer.Exit(2)
    if image.is_dir():
        hint = f"Name the pictures in it, or drop it into a folder of {settings.paths.inbox} that has a _preset.yaml."
        print_error(f"{image} is a folder, not a picture", hint)
        raise typer.Exit(2)
    if not image.is_file():
        print_error(f"{image}: no such file", "Check the name and the folder.")
        raise typer.Exit(2)
    if classify(os.fsencode(image.name), in_inbox=True).role not in ("image", "raw"):
        print_error(
            f"{image}: the name isn't a picture's",
            f"Pictures end in {', '.join(IMAGE_EXTENSIONS[:-1])} or {IMAGE_EXTENSIONS[-1]}.",
        )
        raise typer.Exit(2)
    for path in filter(None, (image, depth_of(image))):
        if (fault := plain_fault(path, settings)) is not None:
            print_error(fault.message, fault.info().hint)
            raise typer.Exit(2)
    try:
        resolve(
            defaults=settings.spec_defaults,
            preset=control,
            own=read(sidecar_of(options), name="options"),
            ceiling_seconds=settings.worker.max_timeout_seconds,
            kind="pair" if control is None else "preset",
            styles=settings.styles,
        )
    except JobError as error:
        print_error(_LINE.sub("", error.message), f"{command('submit', '--help')} lists the options.")
        raise typer.Exit(2) from None
