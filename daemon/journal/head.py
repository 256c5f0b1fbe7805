"""How far the journal had got, kept beside its folder: what tells that the last segment, or its end, is not there any more.

Segments vouch for the ones before them; nothing in the folder vouches for the last. So each new segment and each clean stop note
the last segment and the last record that is surely on the disk. Losing this file, or its last change, only means that less can be
told.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from daemon.fs import FileSystem, write_atomic

_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """The last segment, and a record of it that is on the disk: no earlier end is the journal's end."""

    segment: int
    seq: int


_HEAD = TypeAdapter(Head)


def head_path(folder: bytes) -> bytes:
    """Where it lies, for the journal in this folder."""
    return folder + b".head"


def read_head(fs: FileSystem, folder: bytes) -> Head | None:
    """How far the journal had got; none if that is not known.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        return _HEAD.validate_json(fs.read(head_path(folder), _MAX_BYTES))
    except (FileNotFoundError, ValidationError):
        return None


def write_head(fs: FileSystem, folder: bytes, head: Head) -> None:
    """Write down how far the journal has got. What stays written if that fails tells less, and nothing wrong."""
    try:
        write_atomic(fs, head_path(folder), _HEAD.dump_json(head) + b"\n", durable=False)
    except OSError:
        return
