"""submit: drops pictures safely into the inbox; with --wait, also waits for their jobs."""

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

import typer
import yaml

from daemon.cli.common import Home, Json, err, fs, out, print_error, print_json, printable, settings_in_use, too_large
from daemon.cli.job_queries import JobQueries
from daemon.cli.waiting_for_jobs import NO_DAEMON_SECONDS, Dropped, wait_for
from daemon.contract.commands import command
from daemon.contract.spec import DepthChoice, MotionName
from daemon.errors import JobError
from daemon.fs import make_folders, write_new
from daemon.intake.names import DEPTH_EXTENSIONS, IMAGE_EXTENSIONS, classify, key_of
from daemon.jobs.identity import slug
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES, parse, resolve
from daemon.sidecar.problems import choice

Identity = tuple[int, int]
#: How an error in the sidecar made from the options begins. Its line number means nothing to somebody who typed options.
_LINE = re.compile(r"^options(, line \d+)?: ")
#: Seconds between two tries to take the lock. Another submit holds it only for a few renames.
_LOCK_POLL_SECONDS = 0.02
#: Seconds to wait for the lock. If this is not enough, the process that holds it was stopped, or its disk does not answer.
_LOCK_SECONDS = 60.0
#: Errors of a home that belongs to somebody else, or of a disk without locks. submit then works without the lock.
_NO_LOCK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
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
    motion: Annotated[str | None, typer.Option(help=f"For formats that move: {choice(get_args(MotionName))}.")] = None,
    seconds: Annotated[float | None, typer.Option(help="For formats that move: length of the loop.")] = None,
    fps: Annotated[int | None, typer.Option(help="For formats that move: frames per second.")] = None,
    amount: Annotated[float | None, typer.Option(help="For formats that move: how far, above 0 to 1.")] = None,
    size: Annotated[int | None, typer.Option(help="For formats that move: longer side in pixels, at most.")] = None,
    mesh: Annotated[str | None, typer.Option(help="For glb and usdz: flat planes, or relief, shaped by their depth.")] = None,
    split: Annotated[str | None, typer.Option(help="Where to cut the depth: natural, equal or quantile.")] = None,
    matting: Annotated[str | None, typer.Option(help="How borders get soft: auto, or model (a matting model).")] = None,
    fill: Annotated[str | None, typer.Option(help="How hidden parts are filled: auto, or model (paints large ones).")] = None,
    priority: Annotated[int | None, typer.Option(help="−10 to 10, higher runs first.")] = None,
    timeout_seconds: Annotated[float | None, typer.Option(help="How many seconds a job may take.")] = None,
    job_id: Annotated[str | None, typer.Option("--id", help="The job's id; for one picture only.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all jobs have ended; exit 1 if one did not complete.")] = False,
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
        "depth_kind": depth_kind, "depth_quality": depth_quality, "motion": motion, "seconds": seconds,
        "fps": fps, "amount": amount, "size": size, "mesh": mesh, "split": split, "matting": matting, "fill": fill,
        "priority": priority, "timeout_seconds": timeout_seconds,
    }  # fmt: skip
    if job_id and len(images) > 1:
        print_error("--id names one job, but there are several pictures", "Leave --id out, or submit them one by one.")
        raise typer.Exit(2)
    fields = {name: value for name, value in given.items() if value is not None}
    plans = [(image, {**fields, "id": job_id or _new_id(image)}) for image in images]
    for image, options in plans:
        _check(image, options, settings)
    dropped: list[Dropped] = []
    for image, options in plans:
        try:
            dropped.append(drop(image, options, settings))
        except typer.Exit:
            for one in dropped:
                err.print(f"{one.job_id} is already in the inbox.", markup=False)
            raise
    if not wait and not JobQueries(fs, settings).daemon_runs():
        err.print(printable(f"The daemon isn't running; it takes the pictures when it starts: {command('run')}."), markup=False)
    if wait:
        wait_for(dropped, settings, as_json=json, patience=patience)
    elif json:
        print_json([one.job_id for one in dropped])
    else:
        for one in dropped:
            out.print(one.job_id, markup=False)


def _new_id(image: Path) -> str:
    """A new job id for the sidecar. It is in lower case; the ids that the daemon generates are not."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dt%H%M%S}-{slug(os.fsencode(image.name))}-{secrets.token_hex(4)}"


def _check(image: Path, options: dict[str, object], settings: Settings) -> None:
    """Refuse now what the daemon would refuse later."""
    if image.is_dir():
        hint = "Name the pictures in it, or drop the folder into the inbox with a job.yaml in it."
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
    for path in filter(None, (image, _depth_of(image))):
        if (large := too_large(path, settings)) is not None:
            print_error(large.message, large.info().hint)
            raise typer.Exit(2)
    if len(os.fsencode(image.name)) > _LONGEST_NAME:
        print_error(
            f"{image.name}: the name is too long",
            f"Names may have at most {_LONGEST_NAME} bytes, because the YAML file's name is longer.",
        )
        raise typer.Exit(2)
    try:
        resolve(
            defaults=settings.spec_defaults,
            preset=None,
            own=parse(_yaml(options), name="options"),
            ceiling_seconds=settings.worker.max_timeout_seconds,
            kind="pair",
            styles=settings.styles,
        )
    except JobError as error:
        print_error(_LINE.sub("", error.message), f"{command('submit', '--help')} lists the options.")
        raise typer.Exit(2) from None
    if (settings.paths.outbox / str(options["id"])).exists():
        print_error(f'the id "{options["id"]}" belongs to a job in the outbox', "Choose another id, or remove that job first.")
        raise typer.Exit(2)


def _yaml(options: dict[str, object]) -> bytes:
    data = yaml.safe_dump(options, sort_keys=False, allow_unicode=True).encode()
    if len(data) > MAX_BYTES:
        raise AssertionError("a sidecar of a few options is never that long")
    return data


def drop(image: Path, options: dict[str, object], settings: Settings) -> Dropped:
    """Put a picture into the inbox, with a new sidecar and its depth picture, if it has one. Returns what to wait for.

    The files are written under temporary names. Then they are renamed, while a lock keeps any other submit from renaming. The
    sidecar comes last: its rename drops the job. Until then, an error or Ctrl-C leaves nothing behind.

    Args:
        image: the picture; a depth picture is a `name.depth.png` or `.tiff` next to it.
        options: the content of the sidecar, with the `id` of the job.
        settings: the settings of the home.

    Raises:
        typer.Exit: the picture cannot be dropped; the reason was printed.
    """
    inbox, given = settings.paths.inbox_bytes, os.fsencode(image.absolute())
    beside_it = _depth_of(image)
    depth = os.fsencode(beside_it) if beside_it else None
    try:
        with _all_or_nothing() as ours:
            sources = [given, depth] if depth else [given]
            parts = [_part(inbox, ours) for _ in range(len(sources) + 1)]
            for source, part in zip(sources, parts[:-1], strict=True):
                fs.copy(os.path.realpath(source), part)
            write_new(fs, parts[-1], _yaml(options), durable=True)
            with _submit_lock(settings):
                name = _free_name(inbox, os.fsencode(image.name))
                beside = [os.path.splitext(name)[0] + b".depth" + os.path.splitext(depth)[1]] if depth else []
                targets = [os.path.join(inbox, each) for each in (name, *beside, name + b".yaml")]
                for part, target in zip(parts, targets, strict=True):
                    found = fs.lstat(part)
                    ours[target] = (found.dev, found.ino)
                    fs.rename(part, target)
                    del ours[part]
    except _LockTimeout:
        print_error(
            f"{image.name} cannot be put into the inbox: another submit is running and does not finish; if it hangs, end it",
            "Find it with: ps -ef | grep '[m]ultiplane'",
        )
        raise typer.Exit(1) from None
    except OSError as error:
        print_error(f"{image.name} cannot be put into the inbox: {error.strerror}", f"Check the folder {settings.paths.inbox}.")
        raise typer.Exit(1) from error
    try:
        fs.sync_dir(inbox)
    except OSError as error:
        err.print(f"{image.name} is in the inbox, but a power cut might lose it: {error.strerror}", markup=False)
    return Dropped(str(options["id"]), targets[-1])


def _depth_of(image: Path) -> Path | None:
    """The absolute path of the depth picture next to a picture, if there is one."""
    stem = os.path.splitext(image.absolute())[0]
    return next((path for suffix in DEPTH_EXTENSIONS if (path := Path(stem + suffix)).is_file()), None)


def _part(inbox: bytes, ours: dict[bytes, Identity | None]) -> bytes:
    """A temporary name in the inbox that nobody else will use."""
    path = os.path.join(inbox, b".submit-" + secrets.token_hex(8).encode() + b".part")
    ours[path] = None
    return path


@contextlib.contextmanager
def _all_or_nothing() -> Iterator[dict[bytes, Identity | None]]:
    """Yield a dict of our files in the inbox, which the caller keeps up to date. If the block fails, these files are removed.

    The keys are paths. The value is None for a temporary name. For a name that others may use, it is the file's device and
    inode, so that nobody else's file is removed by mistake.
    """
    ours: dict[bytes, Identity | None] = {}
    try:
        yield ours
    except BaseException:
        for path, identity in ours.items():
            # Go on with the others if one cannot be removed. If one is missing, it was claimed or never written.
            with contextlib.suppress(OSError):
                found = fs.lstat(path)
                if identity in (None, (found.dev, found.ino)):
                    fs.unlink(path)
        raise


class _LockTimeout(Exception):
    """Another submit has held the lock for too long."""


@contextlib.contextmanager
def _submit_lock(settings: Settings) -> Iterator[None]:
    """Hold the lock of submit. Without it, two processes could choose the same name, and one would replace the other's picture.

    Raises:
        OSError: the lock cannot be taken.
        _LockTimeout: another submit has held it for too long.
    """
    path, held = os.path.join(settings.paths.state_bytes, b"submit.lock"), None
    deadline = time.monotonic() + _LOCK_SECONDS
    try:
        make_folders(fs, settings.paths.state_bytes)
        while (held := fs.lock(path)) is None:
            if time.monotonic() > deadline:
                raise _LockTimeout
            time.sleep(_LOCK_POLL_SECONDS)
    except OSError as error:
        if error.errno not in _NO_LOCK:
            raise
    try:
        yield
    finally:
        if held is not None:
            fs.close(held)


def _free_name(inbox: bytes, name: bytes) -> bytes:
    """The picture's name, with a number added if something in the inbox already has that stem, ignoring case."""
    stem, extension = os.path.splitext(name)
    taken = [key_of(entry.name) for entry in fs.scan(inbox)]
    number, free = 1, stem
    while any(other.startswith(key_of(free + b".")) for other in taken):
        number += 1
        free = b"%s-%d" % (stem, number)
    return free + extension
