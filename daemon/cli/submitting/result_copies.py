"""Copies of results where the person who submitted the pictures wants them: `submit --output DIR`."""

import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import typer

from daemon.cli.common import fs, print_error, print_note
from daemon.cli.exit_status import ExitStatus, after
from daemon.cli.submitting.turns import turn
from daemon.contract.names import to_bytes, to_text
from daemon.contract.status import Status
from daemon.following.copying import UNFINISHED, Result, candidates, deliver
from daemon.fs import make_folders
from daemon.outbox import Outbox
from daemon.settings import Settings
from daemon.settings.delivery_layout import safe_name


def output_folder(text: str) -> Path:
    """The folder that was named. An empty name is refused: in a script, it is a variable that was never set."""
    if not text:
        raise typer.BadParameter("it is empty. Name a folder, or leave --output out.")
    return Path(text)


def prepare(output: Path, settings: Settings) -> None:
    """Make the folder for results, and try whether something can be written there.

    Raises:
        typer.Exit: results cannot be copied there; the reason was printed.
    """
    paths, place = settings.paths, os.path.realpath(os.fspath(output))
    for name, home in (("inbox", paths.inbox), ("outbox", paths.outbox), ("state", paths.state)):
        if os.path.commonpath((place, own := os.path.realpath(os.fspath(home)))) == own:
            print_error(f"--output {output} is inside the {name} of this home", "Choose another folder for the copies.")
            raise typer.Exit(ExitStatus.USAGE)
    folder = os.fsencode(place)
    probe = os.path.join(folder, UNFINISHED + b"probe-" + secrets.token_hex(8).encode())
    try:
        make_folders(fs, folder)
        fs.mkdir(probe)
        fs.rmdir(probe)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            print_error(f"--output {output} is not a folder", "Nothing was submitted. Choose another folder.")
            raise typer.Exit(ExitStatus.USAGE) from error
        print_error(f"--output {output} cannot be written: {error.strerror}", "Nothing was submitted. Choose another folder.")
        raise typer.Exit(after(error)) from error


def names_for(image: Path) -> Iterator[str]:
    """The names that the folder for the result of a picture may get, in order."""
    return (os.fsdecode(name) for name in candidates(os.fsencode(name_for(image))))


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
            # Two submits that wait for the same job would use the same hidden folder.
            with turn(fs, settings, b"copy.lock", seconds=None):
                place = deliver(fs, result, made, folder, (name_for(image),))
    except OSError as error:
        where = settings.paths.outbox / status.job_id / "result"
        print_error(f"the result of {status.job_id} cannot be copied to {output}: {error.strerror}", f"It is in {where}.")
        raise typer.Exit(after(error)) from error
    if os.path.basename(place) != (taken := to_bytes(name_for(image))):
        print_note(f"{image} was copied to {os.fsdecode(place)}: the name {os.fsdecode(taken)} was taken.")
    return status.model_copy(update={"delivered": to_text(place)})
