"""How far the journal had got, in a file next to its folder. It shows whether the last segment, or its end, is missing.

Each segment confirms the ones before it, but nothing in the folder confirms the last. So each new segment and each clean stop
record the last segment and a record that is certainly on the disk. If this file or its last change is lost, a missing end may
go unnoticed, but nothing becomes wrong.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from daemon.fs import FileSystem, write_atomic

_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """The last segment, and one of its records that is on the disk: the journal cannot end before it."""

    segment: int
    seq: int


_HEAD = TypeAdapter(Head)


def head_path(folder: bytes) -> bytes:
    """Its path, for the journal in this folder."""
    return folder + b".head"


def read_head(fs: FileSystem, folder: bytes) -> Head | None:
    """How far the journal had got; None if that is unknown.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        return _HEAD.validate_json(fs.read(head_path(folder), _MAX_BYTES))
    except (FileNotFoundError, ValidationError):
        return None


def write_head(fs: FileSystem, folder: bytes, head: Head) -> None:
    """Record how far the journal has got. If that fails, the older content stays: it says less, but is not wrong."""
    try:
        write_atomic(fs, head_path(folder), _HEAD.dump_json(head) + b"\n", durable=False)
    except OSError:
        return
