"""Reading a `_preset.yaml` or `job.yaml` as far as intake needs it."""

from collections.abc import Collection
from typing import Literal

from daemon.contract.names import to_text
from daemon.errors import JobError
from daemon.fs import FileSystem
from daemon.intake import Control, Entry
from daemon.sidecar import MAX_BYTES, parse


def read_control(fs: FileSystem, path: bytes, entry: Entry, kind: Literal["preset", "batch"]) -> Control:
    """What the file at `path` says of the pictures beside it; what is wrong with it is said in the answer, nothing is raised.

    A disk or server that refuses the file for a moment is told from what is written in it: the former is asked again.
    """
    try:
        found = parse(fs.read(path, MAX_BYTES + 1), name=to_text(entry.name))
    except JobError as error:
        return Control(kind, entry, problem=error.message)
    except OSError as error:
        return Control(kind, entry, problem=f"{to_text(entry.name)} cannot be read now: {error.strerror}", passing=True)
    images = found.fields.get("images")
    patterns = tuple(str(image) for image in images) if isinstance(images, Collection) else None
    return Control(kind, entry, images=patterns)
