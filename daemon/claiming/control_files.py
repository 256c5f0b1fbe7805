"""Reads a `_preset.yaml` or `job.yaml` as far as intake needs it."""

from collections.abc import Collection
from typing import Literal

from daemon.contract.names import to_text
from daemon.errors import JobError
from daemon.fs import Wanted, read_at
from daemon.intake import Control, Entry
from daemon.sidecar import MAX_BYTES, parse


def read_control(folder: int, entry: Entry, kind: Literal["preset", "batch"]) -> Control:
    """Read a control file in an open folder. Errors are part of the answer; none is raised.

    An error of the disk or server may be temporary. The answer is then marked as `passing`, so that the file is read again. An
    error in the content is not marked.
    """
    wanted = Wanted(entry.size, entry.mtime_ns, entry.ino, entry.dev)
    try:
        found = parse(read_at(folder, entry.name, MAX_BYTES + 1, wanted), name=to_text(entry.name))
    except JobError as error:
        return Control(kind, entry, problem=error.message)
    except OSError as error:
        return Control(kind, entry, problem=f"{to_text(entry.name)} cannot be read now: {error.strerror}", passing=True)
    images = found.fields.get("images")
    patterns = tuple(str(image) for image in images) if isinstance(images, Collection) else None
    return Control(kind, entry, images=patterns)
