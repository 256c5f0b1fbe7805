"""Opens a picture's file safely before it is decoded, checks it against the limits, and reports damage in one sentence."""

import contextlib
import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from typing import BinaryIO

from PIL import UnidentifiedImageError

from daemon.contract.messages import Limits
from daemon.contract.names import to_text
from daemon.errors import ImageTooLarge, ImageType, ImageUnreadable, JobError, SourceMissing, is_passing
from pipeline.image.cut_off import is_cut_off

_CHUNK = 1 << 20
#: What decoders say about a file that is whole, but of a kind they do not know. libjpeg says "Unsupported marker" of damage.
_UNSUPPORTED = re.compile(r"unsupported(?! marker)|not supported|no codec available", re.IGNORECASE)
TRUNCATED = "truncated"  # start of ImageUnreadable's `detail` if the file ends too early and may still be growing


@contextlib.contextmanager
def open_source(path: bytes) -> Iterator[io.BufferedReader]:
    """Open a regular file for reading. Neither the file, nor its folder, nor the folder above may be a link.

    These two folders are a job's folder and its `source`. Anybody who can write to the outbox can swap either for a link at any
    moment.

    Raises:
        SourceMissing: there is no such file, or one of its two folders is a link.
        ImageUnreadable: it is a link, a folder or a pipe, or is not readable.
        OSError: a disk error that may pass (`is_passing`).
    """
    try:
        # O_NONBLOCK: opening a pipe must not wait until somebody writes into it.
        with _folder_of(path) as folder:
            name = os.path.basename(path)
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    except OSError as reason:
        if is_passing(reason):
            raise
        if reason.errno in (errno.ENOENT, errno.ENOTDIR):
            raise SourceMissing(f"{display_name(path)} no longer exists.") from reason
        why = "is a link, not a file" if reason.errno == errno.ELOOP else f"cannot be opened: {reason.strerror}"
        raise ImageUnreadable(f"{display_name(path)} {why}.") from reason
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImageUnreadable(f"{display_name(path)} is not a regular file.")
    with os.fdopen(descriptor, "rb") as file:
        yield file


@contextlib.contextmanager
def _folder_of(path: bytes) -> Iterator[int]:
    """The folder of a path, open while the block runs; NotADirectoryError if it is a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    above, source = os.path.split(os.path.dirname(path))
    outbox, job = os.path.split(above)
    with contextlib.ExitStack() as opened:
        folder = os.open(outbox or b".", flags)
        opened.callback(os.close, folder)
        for name in filter(None, (job, source)):
            try:
                folder = os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
            except OSError as reason:
                if reason.errno == errno.ELOOP:  # some systems report a link in this way
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from reason
                raise
            opened.callback(os.close, folder)
        yield folder


def digest(path: bytes, limits: Limits) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hexadecimal) of a file, read once in chunks, and never beyond the limit.

    Raises:
        SourceMissing: there is no such file.
        ImageTooLarge: it has more bytes than allowed, or grows beyond the limit while it is read.
        ImageUnreadable: it is not a regular file, or cannot be read.
    """
    with open_source(path) as file, damage_reported(path, file):
        check_limits(path, limits, size=os.fstat(file.fileno()).st_size)
        sha256, size = hashlib.sha256(), 0
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            check_limits(path, limits, size=size)
            sha256.update(chunk)
        return size, sha256.hexdigest()


def check_limits(path: bytes, limits: Limits, *, size: int = 0, pixels: tuple[int, int] = (0, 0)) -> None:
    """Refuse what is too large.

    Args:
        path: named in the message.
        limits: the most bytes and pixels.
        size: bytes of the file.
        pixels: width and height.

    Raises:
        ImageTooLarge: above one of the limits.
    """
    if size > limits.max_bytes:
        raise ImageTooLarge.in_bytes(display_name(path), size, limits.max_bytes)
    width, height = pixels
    if width * height > limits.max_pixels:
        has, most = (f"{pixels / 1e6:,.1f} megapixels" for pixels in (width * height, limits.max_pixels))
        if has == most:  # rounded
            has, most = (f"{pixels:,} pixels" for pixels in (width * height, limits.max_pixels))
        raise ImageTooLarge(f"{display_name(path)} has {width} × {height} pixels ({has}); at most {most} are allowed.")


@contextlib.contextmanager
def damage_reported(path: bytes, file: BinaryIO) -> Iterator[None]:
    """Turn whatever a decoder raises for hostile bytes into one error with one sentence.

    A disk error does not count as damage.
    """
    try:
        yield
    except (JobError, MemoryError):
        raise
    except Exception as reason:  # decoders raise anything from struct.error to AttributeError
        if is_passing(reason):
            raise
        # Pillow also calls a chunk of metadata truncated, in a file that has its end.
        cut_off = is_cut_off(file) or ("truncated" in str(reason).lower() and "chunk" not in str(reason).lower())
        unsupported = _UNSUPPORTED.search(str(reason))
        if unsupported and not cut_off:
            raise ImageType(
                f"{display_name(path)} is a picture of a kind that is not read ({str(reason).strip().rstrip('.')[:200]}).",
                hint="Open it in another program, export it as PNG or TIFF, and drop that.",
                detail=f"{type(reason).__name__}: {reason}",
            ) from reason
        said = str(reason) if not isinstance(reason, UnidentifiedImageError) else "its header cannot be read"
        if cut_off:
            raise ImageUnreadable(
                f"{display_name(path)} is cut off: its end is missing.", detail=f"{TRUNCATED}: {said}"
            ) from reason
        raise ImageUnreadable(
            f"{display_name(path)} is damaged and cannot be decoded.", detail=f"{type(reason).__name__}: {said}"
        ) from reason


def display_name(path: bytes) -> str:
    """The file's name as text, for sentences."""
    return to_text(os.path.basename(path))
