"""The journal's head: a file next to its folder that says how far the journal had got.

Each segment names the one before it, but no segment names the last one. So the head shows whether the last segment, or its end,
is missing. It is written when a segment begins and when the daemon stops cleanly. If the head or its last change is lost, a
missing end may go unnoticed, but nothing else goes wrong.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from daemon.fs import FileSystem, write_atomic

_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """The number of the last segment, and the `seq` of one of its records on the disk. The journal must reach this record."""

    segment: int
    seq: int


_HEAD = TypeAdapter(Head)


def head_path(folder: bytes) -> bytes:
    """The path of the head, for the journal in this folder."""
    return folder + b".head"


def read_head(fs: FileSystem, folder: bytes) -> Head | None:
    """How far the journal had got; None if the file is missing or invalid.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        return _HEAD.validate_json(fs.read(head_path(folder), _MAX_BYTES))
    except (FileNotFoundError, ValidationError):
        return None


def write_head(fs: FileSystem, folder: bytes, head: Head) -> None:
    """Record how far the journal has got. If that fails, the older head stays: it claims less, but nothing wrong."""
    try:
        write_atomic(fs, head_path(folder), _HEAD.dump_json(head) + b"\n", durable=False)
    except OSError:
        return
