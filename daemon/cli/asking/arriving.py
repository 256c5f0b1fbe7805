"""Finds the picture in the inbox that will become a job: the daemon has not taken it yet, so no journal knows its id."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from daemon.cli.common import fs
from daemon.contract.names import to_text
from daemon.intake.names import Role, classify, key_of
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES
from daemon.sidecar.reading import requested_id


@dataclass(frozen=True, slots=True)
class Arriving:
    """What waits in the inbox: a sidecar, or a picture without one.

    Attributes:
        path: its path, relative to the inbox.
        job_id: the id that its job will have; None if the daemon will choose one.
        bare: whether it is a picture without a sidecar.
    """

    path: str
    job_id: str | None
    bare: bool = False


def arriving(settings: Settings, name: str) -> Arriving | None:
    """The sidecar in the inbox that asks for this id or belongs to a picture of this name, or the picture; None if none does."""
    inbox, picture = settings.paths.inbox_bytes, key_of(os.fsencode(name))
    named = bare = None
    for folder in _folders(inbox):
        for image in _files(folder, "image"):
            if picture in (key_of(image), os.path.splitext(key_of(image))[0]):
                bare = bare or Arriving(to_text(os.path.relpath(os.path.join(folder, image), inbox)), None, bare=True)
        for sidecar in _files(folder, "sidecar"):
            path = os.path.join(folder, sidecar)
            found = Arriving(to_text(os.path.relpath(path, inbox)), _id_in(path))
            if found.job_id == name:
                return found
            if os.path.splitext(key_of(sidecar))[0] in (picture, os.path.splitext(picture)[0]):
                named = named or found
    return named or bare


def _folders(inbox: bytes) -> Iterator[bytes]:
    yield inbox
    try:
        below = sorted(entry.name for entry in fs.scan(inbox) if entry.kind == "directory" and not entry.name.startswith(b"."))
    except OSError:
        return
    yield from (os.path.join(inbox, name) for name in below)


def _files(folder: bytes, role: Role) -> list[bytes]:
    try:
        names = sorted(entry.name for entry in fs.scan(folder) if entry.kind == "file")
    except OSError:
        return []
    return [name for name in names if classify(name, in_inbox=True).role == role]


def _id_in(path: bytes) -> str | None:
    try:
        return requested_id(fs.read(path, MAX_BYTES))
    except (OSError, ValueError):
        return None
