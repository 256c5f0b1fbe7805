"""submit: dropping pictures the safe way, and waiting for what comes of them."""

import os
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import yaml

from daemon.cli.common import Home, Json, err, fs, out, print_json, settings_in_use, tell_error
from daemon.cli.looking import Looking
from daemon.contract.names import to_text
from daemon.contract.status import ENDED, Status
from daemon.errors import JobError
from daemon.fs import write_atomic
from daemon.intake.names import DEPTH_EXTENSIONS, classify
from daemon.jobs.identity import slug
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES, parse, resolve

_POLL_SECONDS = 0.1
#: Where in the sidecar that is made of the options a mistake is says nothing to who gave options.
_LINE = re.compile(r"^options(, line \d+)?: ")
#: How often it is asked whether the daemon still runs.
_ASK_SECONDS = 5.0
#: The file system's 255 bytes, less a number where the name is taken, and the endings .yaml and .depth.tiff.
_LONGEST_NAME = 230


def submit(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="The pictures.", show_default=False)],
    mode: Annotated[str | None, typer.Option(help="photo-realistic or painterly.")] = None,
    num_layers: Annotated[int | None, typer.Option(help="2 to 12.")] = None,
    style: Annotated[str | None, typer.Option(help="Painterly: a style from config/styles.yaml.")] = None,
    strength: Annotated[float | None, typer.Option(help="Painterly: 0 to 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Painterly: same seed, same painting.")] = None,
    depth: Annotated[str | None, typer.Option(help="auto, file, photo, model or cues.")] = None,
    depth_kind: Annotated[str | None, typer.Option(help="Of the depth picture: disparity or distance.")] = None,
    depth_quality: Annotated[str | None, typer.Option(help="Of a depth model: fast, or best, which looks several times.")] = None,
    split: Annotated[str | None, typer.Option(help="natural, equal or quantile.")] = None,
    priority: Annotated[int | None, typer.Option(help="−10 to 10, higher runs first.")] = None,
    timeout_seconds: Annotated[float | None, typer.Option(help="How long a job may take.")] = None,
    job_id: Annotated[str | None, typer.Option("--id", help="The job's id; for one picture only.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all have ended; exit 1 if one did not complete.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Drop copies of pictures into the inbox, with IMAGE.depth.png if it is beside one. What is not given: as configured."""
    settings = settings_in_use(home)
    wishes: dict[str, object] = {
        "mode": mode, "num_layers": num_layers, "style": style, "strength": strength, "seed": seed, "depth": depth,
        "depth_kind": depth_kind, "depth_quality": depth_quality, "split": split, "priority": priority,
        "timeout_seconds": timeout_seconds,
    }  # fmt: skip
    if job_id and len(images) > 1:
        tell_error("--id names one job, but there are several pictures", "Leave --id out, or submit them one by one.")
        raise typer.Exit(2)
    fields = {name: value for name, value in wishes.items() if value is not None}
    plans = [(image, {**fields, "id": job_id or _new_id(image)}) for image in images]
    for image, wish in plans:
        _check(image, wish, settings)
    ids = [_drop(image, wish, settings) for image, wish in plans]
    if not wait and not Looking(fs, settings).daemon_runs():
        err.print("The daemon is not running; the inbox is looked at when it is (multiplane run).")
    if wait:
        _wait(ids, settings, as_json=json)
    elif json:
        print_json(ids)
    else:
        for one in ids:
            out.print(one, markup=False)


def _new_id(image: Path) -> str:
    """An id that the sidecar may carry: lower case, unlike those the daemon makes."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dt%H%M%S}-{slug(os.fsencode(image.name))}-{secrets.token_hex(4)}"


def _check(image: Path, wish: dict[str, object], settings: Settings) -> None:
    """Refuse here what the daemon would refuse later."""
    if image.is_dir():
        hint = "Name the pictures in it, or drop the folder into the inbox with a job.yaml in it."
        tell_error(f"{image} is a folder, not a picture", hint)
        raise typer.Exit(2)
    if not image.is_file():
        tell_error(f"{image}: there is no such picture", "Check the name and the folder.")
        raise typer.Exit(2)
    if classify(os.fsencode(image.name), in_inbox=True).role != "image":
        tell_error(
            f"{image}: not a picture by its name", "Pictures end in .jpg, .jpeg, .png, .webp, .tif, .tiff, .heic, .heif or .avif."
        )
        raise typer.Exit(2)
    if len(os.fsencode(image.name)) > _LONGEST_NAME:
        tell_error(f"{image.name}: the name is too long", f"Names may have {_LONGEST_NAME} bytes; the YAML file's is longer.")
        raise typer.Exit(2)
    try:
        resolve(
            defaults=settings.spec_defaults,
            preset=None,
            own=parse(_yaml(wish), name="options"),
            ceiling_seconds=settings.worker.max_timeout_seconds,
            kind="pair",
            styles=settings.styles,
        )
    except JobError as error:
        tell_error(_LINE.sub("", error.message), "multiplane submit --help lists the options.")
        raise typer.Exit(2) from None
    if (settings.paths.outbox / str(wish["id"])).exists():
        tell_error(f'the id "{wish["id"]}" belongs to a job in the outbox', "Choose another id, or remove that job first.")
        raise typer.Exit(2)


def _yaml(wish: dict[str, object]) -> bytes:
    data = yaml.safe_dump(wish, sort_keys=False, allow_unicode=True).encode()
    if len(data) > MAX_BYTES:
        raise AssertionError("a sidecar of a few options is never that long")
    return data


def _drop(image: Path, wish: dict[str, object], settings: Settings) -> str:
    """Write under temporary names; rename the picture in, its depth picture, and the sidecar last."""
    inbox, job_id = settings.paths.inbox_bytes, str(wish["id"])
    name = _free_name(inbox, os.fsencode(image.name))
    stem, given = name.rsplit(b".", 1)[0], os.fsencode(image.absolute())
    depth = next(
        (path for suffix in DEPTH_EXTENSIONS if os.path.isfile(path := os.path.splitext(given)[0] + suffix.encode())), None
    )
    try:
        for source, target in ((given, name), (depth, stem + b".depth" + os.path.splitext(depth)[1] if depth else b"")):
            if source:
                temporary = os.path.join(inbox, b".submit-" + secrets.token_hex(8).encode() + b".part")
                fs.copy(source, temporary)
                fs.rename(temporary, os.path.join(inbox, target))
        write_atomic(fs, os.path.join(inbox, name + b".yaml"), _yaml(wish), durable=True)
    except OSError as error:
        tell_error(f"{to_text(name)} cannot be put into the inbox: {error.strerror}", f"Check the folder {settings.paths.inbox}.")
        raise typer.Exit(1) from error
    return job_id


def _free_name(inbox: bytes, name: bytes) -> bytes:
    """The picture's name, or a numbered one where something in the inbox already has that stem."""
    stem, extension = os.path.splitext(name)
    try:
        taken = [entry.name for entry in fs.scan(inbox)]
    except OSError:
        taken = []
    number, free = 1, stem
    while any(other.startswith(free + b".") for other in taken):
        number += 1
        free = b"%s-%d" % (stem, number)
    return free + extension


def _wait(ids: list[str], settings: Settings, *, as_json: bool) -> None:
    looking = Looking(fs, settings)
    ran, asked_at = True, float("-inf")
    ended: dict[str, Status] = {}
    while len(ended) < len(ids):
        if time.monotonic() - asked_at > _ASK_SECONDS:
            asked_at, runs = time.monotonic(), looking.daemon_runs()
            if ran and not runs:
                err.print("The daemon is not running; waiting until it is (multiplane run).")
            ran = runs
        for job_id in ids:
            status = looking.status(job_id) if job_id not in ended else None
            if status and status.state in ENDED:
                ended[job_id] = status
                if not as_json:
                    _tell(status, settings)
        time.sleep(_POLL_SECONDS)
    if as_json:
        print_json([ended[job_id] for job_id in ids])
    if any(status.state != "completed" for status in ended.values()):
        raise typer.Exit(1)


def _tell(status: Status, settings: Settings) -> None:
    if status.state == "completed":
        out.print(f"{status.job_id}: {settings.paths.outbox / status.job_id / 'result'}", markup=False)
    elif status.error:
        tell_error(f"{status.job_id} {status.state}: {status.error.message}", status.error.hint)
