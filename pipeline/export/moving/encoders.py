"""Encodes frames as MP4, with what this machine has.

H.264, which everything plays, comes from macOS (AVFoundation, through OpenCV) or from an `ffmpeg` with libx264 that the job
names. An `ffmpeg` that has only libvpx writes VP9, and so does OpenCV's own encoder everywhere else. All files say which matrix
turns their samples into colours.

Every video stores colour differences at half the size (4:2:0), as averages. Players enlarge them in different ways: least squares
for bilinear interpolation would be 1.2 to 2.1 dB better in a player that does that, 0.3 to 1.8 dB worse in one that uses cubics,
and 2.4 to 3.7 dB worse in one that repeats. The first frame is the photo; by libx264, it differs by little else.
"""

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.contract.bounds import MAX_OF_A_WORD
from daemon.errors import Internal
from pipeline.export.moving import mp4

Pixels = NDArray[np.uint8]
Kind = Literal["avfoundation", "ffmpeg", "ffmpeg-vp9", "vp9"]
"""What encodes. macOS and an ffmpeg with libx264 write H.264. An ffmpeg that has only libvpx writes VP9
("ffmpeg-vp9"), and so does OpenCV where there is neither ("vp9")."""

_X264 = ("libx264", "-preset", "faster", "-crf", "16", "-x264-params", "zones=0,0,q=4")
"""With crf 16, the brightness of a frame differs from the drawn one by more than 40 dB; with quantizer 4 that of the first one by
56 to 57 dB, and its RGB by less than 1 dB more than 4:2:0 costs where that is most (41 to 50 dB for photos of 0.14 to 0.31
megapixels, whose frames are twice as large). That adds 64 to 158 KB to a frame of the size of such a photo.
"""
_LIBVPX = (
    "libvpx-vp9", "-b:v", "0", "-crf", "10", "-deadline", "realtime", "-cpu-used", "6", "-row-mt", "1", "-tile-columns", "2",
)  # fmt: skip
"""The brightness of the first frame, which libvpx favours by itself, comes out at 51 to 53 dB, and its RGB above 40 dB even for a
noisy photo; with crf 16, which takes 0.6 of the bytes, that one has 39.6. Regions of interest change no key frame."""
_RAISED = np.array([1.0, 0.0, 1.0, 0.0])
"""Added to blue, green and red before OpenCV encodes VP9. It rounds brightness and both colour differences down, by half a level
on average, which by BT.601's matrix takes 1.4 levels from red and 1.6 from blue. One level more gives most of that back."""
_LED_BY = 24
"""Grey frames before the first, which are cut off again. libvpx encodes the first of all frames poorly (42 to 45 dB), because its
control of the rate knows nothing yet; every twelfth frame is a key frame, and the third of them is as good as it gets (49 dB)."""
_NO_ROOM = 1 << 20  # with fewer free bytes than this, a file that could not be written was too large for the disk
_VERSION = re.compile(r"ffmpeg version (\S+)")


def choose(ffmpeg: str | None) -> Kind:
    """What encodes on this machine. `ffmpeg`: the path of a program that the worker may start; None if there is none."""
    if sys.platform == "darwin" and cv2.CAP_AVFOUNDATION in cv2.videoio_registry.getWriterBackends():
        return "avfoundation"
    can = _asked(ffmpeg)[1] if ffmpeg is not None else b""
    return "ffmpeg" if b" libx264 " in can else "ffmpeg-vp9" if b" libvpx-vp9 " in can else "vp9"


def programs(ffmpeg: str | None) -> dict[str, str]:
    """The version of the program that encodes, for the manifest; empty if none but the installed packages takes part."""
    return {"ffmpeg": _asked(ffmpeg)[0]} if ffmpeg is not None and choose(ffmpeg) in ("ffmpeg", "ffmpeg-vp9") else {}


def encode(target: Path, frames: Iterable[Pixels], *, size: tuple[int, int], fps: int, kind: Kind, ffmpeg: str | None) -> None:
    """Write a file. The frames are uint8 (H, W, 3), sRGB, and each is encoded before the next is drawn.

    Args:
        target: a new file.
        frames: the frames.
        size: width and height of all frames; both even.
        fps: frames per second.
        kind: as `choose` returned it.
        ffmpeg: the program, for that kind.

    Raises:
        Internal: the encoder failed; the detail has its own words.
        OSError: the disk is full.
    """
    if kind in ("ffmpeg", "ffmpeg-vp9") and ffmpeg is not None:
        _by_ffmpeg(target, frames, arguments(ffmpeg, _X264 if kind == "ffmpeg" else _LIBVPX, size, fps, target))
        return
    backend, code = (cv2.CAP_AVFOUNDATION, "avc1") if kind == "avfoundation" else (cv2.CAP_FFMPEG, "vp09")
    writer = cv2.VideoWriter(str(target), backend, cv2.VideoWriter.fourcc(*code), fps, size)
    if not writer.isOpened():
        raise Internal(f"OpenCV cannot write {target.name} as {code}")
    try:
        if kind == "vp9":
            grey = np.full((size[1], size[0], 3), 128, np.uint8)
            for _ in range(_LED_BY):
                writer.write(grey)
        for frame in frames:
            picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            writer.write(cv2.add(picture, _RAISED, dst=picture) if kind == "vp9" else picture)
    finally:
        writer.release()
    if kind == "vp9":
        try:
            described = mp4.without_first(mp4.tagged(target.read_bytes()), _LED_BY)
        except Internal:
            _check_room(target)
            raise
        target.write_bytes(described)


def _check_room(target: Path) -> None:
    """Encoders do not say that the disk was full. Raises OSError if it is."""
    try:
        disk = os.statvfs(target.parent)
    except FileNotFoundError:
        return
    if disk.f_bavail * disk.f_frsize < _NO_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))


def arguments(ffmpeg: str, encoder: Sequence[str], size: tuple[int, int], fps: int, target: Path) -> list[str]:
    """Ffmpeg's command, for this encoder and its options.

    It reads RGB from standard input, and its file has no times, versions or names in it.
    """
    scale = "scale=in_range=full:out_range=limited:out_color_matrix=bt709:flags=bicubic+accurate_rnd+full_chroma_int"
    return [
        ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error",
        "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{size[0]}x{size[1]}", "-framerate", str(fps), "-i", "pipe:0",
        "-vf", f"{scale},format=yuv420p",
        "-c:v", *encoder, "-threads", "2",
        "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
        "-movflags", "+faststart", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-f", "mp4",
        f"file:{target}",
    ]  # fmt: skip


def _by_ffmpeg(target: Path, frames: Iterable[Pixels], command: Sequence[str]) -> None:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, bufsize=0)
        # Without its input ffmpeg ends, so an error or a cancel here leaves nothing behind.
        with process:
            try:
                for frame in frames:
                    _feed(process, frame)
            except BrokenPipeError:
                pass  # ffmpeg ended early; it says why
        said.seek(0)
        if process.returncode != 0:
            _check_room(target)
            raise Internal(f"ffmpeg could not write {target.name}", detail=said.read().decode(errors="replace")[-2000:])


def _feed(process: "subprocess.Popen[bytes]", frame: Pixels) -> None:
    if process.stdin is None:
        raise AssertionError("ffmpeg was started with a pipe")
    rest = frame.reshape(-1).data
    while rest:
        rest = rest[process.stdin.write(rest) or 0 :]


@cache
def _asked(ffmpeg: str) -> tuple[str, bytes]:
    """The version that an ffmpeg says it has, and its list of encoders."""
    command = [ffmpeg, "-nostdin", "-encoders"]
    # No time limit of its own: the sandbox would not let this process kill it. The job's limit holds.
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return "", b""
    version = _VERSION.match(said.stderr.decode(errors="replace"))
    return (version[1][:MAX_OF_A_WORD] if version else "unknown"), said.stdout
