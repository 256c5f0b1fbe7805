"""Copies of results where the person who submitted the pictures wants them: `submit --output DIR`."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import typer

from daemon.cli.common import fs, print_error, print_note
from daemon.cli.exit_status import ExitStatus, after
from daemon.contract.names import to_text
from daemon.contract.status import Status
from daemon.following.copying import Result, deliver
from daemon.fs import make_folders
from daemon.outbox import Outbox
from daemon.settings import Settings
from daemon.settings.delivery_layout import safe_name


class IfExists(StrEnum):
    """What happens to a picture whose result would get a name that is taken."""

    FAIL = "fail"
    SKIP = "skip"
    NEW = "new"


def wanted(images: Sequence[Path], output: Path, if_exists: IfExists) -> list[Path]:
    """The pictures to submit: all, or with `skip` those without a result in the folder.

    Raises:
        typer.Exit: there is one, and that is an error; it was printed.
    """
    places = {image: output / name_for(image) for image in images}
    if if_exists is IfExists.NEW:
        return list(images)
    there = [image for image, place in places.items() if os.path.lexists(place)]
    if there and if_exists is IfExists.FAIL:
        hint = "Nothing was submitted. Choose another --output, or add --if-exists skip or new."
        print_error(f"{places[there[0]]} is there already", hint)
        raise typer.Exit(ExitStatus.EXISTS)
    for image in there:
        print_note(f"{image} is skipped: {places[image]} is there already.")
    return [image for image in images if image not in there]


def name_for(image: Path) -> str:
    """The name of the folder for the result of a picture."""
    return safe_name(image.stem) or "picture"


def copied(status: Status, settings: Settings, output: Path, image: Path) -> Status:
    """Copy the result of a completed job to the folder, under the name of its picture on the command line.

    Returns the job's status, with the place of the copy as `delivered`.

    Raises:
        typer.Exit: it cannot be copied; the reason was printed, and the result stays in the outbox.
    """
    folder = os.fsencode(output.absolute())
    try:
        make_folders(fs, folder)
        with Outbox(fs, settings.paths.outbox_bytes).held_job(status.job_id, b"result") as result:
            made = Result(status.job_id, status.outputs, status.manifest or "result/layer_manifest.json")
            place = deliver(fs, result, made, folder, (name_for(image),))
    except OSError as error:
        where = settings.paths.outbox / status.job_id / "result"
        print_error(f"the result of {status.job_id} cannot be copied to {output}: {error.strerror}", f"It is in {where}.")
        raise typer.Exit(after(error)) from error
    return status.model_copy(update={"delivered": to_text(place)})
