"""Puts pictures into the inbox in the documented way: under temporary names first, with the sidecar's rename last."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import typer
import yaml

from daemon.cli import exit_status
from daemon.cli.common import fs, print_error, print_note
from daemon.cli.submitting.given import Dropped
from daemon.cli.submitting.turns import TurnTimeout, turn
from daemon.cli.submitting.unreadable_files import read_fault
from daemon.fs import write_new
from daemon.intake.names import DEPTH_EXTENSIONS, key_of
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES

Identity = tuple[int, int]
#: Seconds to wait for the lock. If this is not enough, the process that holds it was stopped, or its disk does not answer.
_LOCK_SECONDS = 60.0


def sidecar_of(options: dict[str, object]) -> bytes:
    """The content of a sidecar with these fields."""
    data = yaml.safe_dump(options, sort_keys=False, allow_unicode=True).encode()
    if len(data) > MAX_BYTES:
        raise AssertionError("a sidecar of a few options is never that long")
    return data


def drop(
    image: Path,
    options: dict[str, object],
    settings: Settings,
    folder: Path | None = None,
    instead: Callable[[], Dropped | None] | None = None,
) -> Dropped:
    """Put a picture into the inbox, with a new sidecar and its depth picture, if it has one. Returns what to wait for.

    The files are written under temporary names. Then they are renamed, while a lock keeps any other submit from renaming. The
    sidecar comes last: its rename drops the job. Until then, an error or Ctrl-C leaves nothing behind.

    Args:
        image: the picture; a depth picture is a `name.depth.png` or `.tiff` next to it.
        options: the content of the sidecar, with the `id` of the job.
        settings: the settings of the home.
        folder: the inbox, or a folder in it; None: the inbox.
        instead: asked while no other submit can drop anything: returns what there is already instead of this picture, or None.
            None: nothing is asked.

    Raises:
        JobError: the picture, or its depth picture, can no longer be read; others can still be dropped.
        typer.Exit: nothing can be dropped; the reason was printed.
    """
    inbox, given = os.fsencode(folder or settings.paths.inbox), os.fsencode(image.absolute())
    beside_it = depth_of(image)
    depth = os.fsencode(beside_it) if beside_it else None
    try:
        with _all_or_nothing() as ours:
            sources = [given, depth] if depth else [given]
            parts = [_part(inbox, ours) for _ in range(len(sources) + 1)]
            for source, part in zip(sources, parts[:-1], strict=True):
                _copy(source, part)
            write_new(fs, parts[-1], sidecar_of(options), durable=True)
            with turn(fs, settings, b"submit.lock", seconds=_LOCK_SECONDS):
                if instead is not None and (existing := instead()) is not None:
                    for part in parts:
                        fs.unlink(part)
                    return existing
                name = _free_name(inbox, os.fsencode(image.name))
                beside = [os.path.splitext(name)[0] + b".depth" + os.path.splitext(depth)[1]] if depth else []
                targets = [os.path.join(inbox, each) for each in (name, *beside, name + b".yaml")]
                for part, target in zip(parts, targets, strict=True):
                    found = fs.lstat(part)
                    ours[target] = (found.dev, found.ino)
                    fs.rename(part, target)
                    del ours[part]
    except TurnTimeout:
        print_error(
            f"{image.name} cannot be put into the inbox: another submit is running and does not finish; if it hangs, end it",
            "Find it with: ps -ef | grep '[m]ultiplane'",
            file=image,
        )
        raise typer.Exit(1) from None
    except OSError as error:
        why = f"{image.name} cannot be put into the inbox: {error.strerror}"
        print_error(why, _remedy(error, settings.paths.inbox), file=image)
        raise typer.Exit(exit_status.after(error)) from error
    try:
        fs.sync_dir(inbox)
    except OSError as error:
        print_note(f"{image.name} is in the inbox, but a power cut might lose it: {error.strerror}")
    return Dropped(str(options["id"]), targets[-1], image)


def _copy(source: bytes, part: bytes) -> None:
    """Copy a file into the inbox. Raises OSError because of the inbox, or JobError because of the source."""
    found = os.path.realpath(source)
    try:
        fs.copy(found, part)
    except OSError as error:
        try:
            fs.digest(found)  # reads all of it, so it fails again if the source is why
        except OSError as again:
            raise read_fault(Path(os.fsdecode(source)), again) from error
        raise


def _remedy(error: OSError, inbox: Path) -> str:
    if error.errno in exit_status.NO_SPACE:
        return f"Nothing of it was left there. Make room on the disk of {inbox}, then submit it again."
    return f"Check the folder {inbox}."


def depth_of(image: Path) -> Path | None:
    """The absolute path of the depth picture next to a picture, if there is one, whether or not it can be read."""
    stem = os.path.splitext(image.absolute())[0]
    return next((path for suffix in DEPTH_EXTENSIONS if os.path.lexists(path := Path(stem + suffix))), None)


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


def _free_name(inbox: bytes, name: bytes) -> bytes:
    """The picture's name, with a number added if something in the inbox already has that stem, ignoring case."""
    stem, extension = os.path.splitext(name)
    taken = [key_of(entry.name) for entry in fs.scan(inbox)]
    number, free = 1, stem
    while any(other.startswith(key_of(free + b".")) for other in taken):
        number += 1
        free = b"%s-%d" % (stem, number)
    return free + extension
