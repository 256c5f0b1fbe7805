"""Encodes frames as MP4, with what this machine has.

H.264, which everything plays, comes from macOS (AVFoundation, through OpenCV) or from an `ffmpeg` with libx264 that the job
names. Everywhere else, OpenCV's own encoder writes VP9. All files say which matrix turns their samples into colours.
"""

import errno
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.contract.bounds import MAX_OF_A_WORD
from daemon.errors import Internal
from pipeline.image import boxes

Pixels = NDArray[np.uint8]
Kind = Literal["avfoundation", "ffmpeg", "vp9"]

_QUALITY = "16"  # libx264's crf: the brightness of a frame then differs from the drawn one by more than 40 dB
_PRESET = "faster"
_RAISED = np.array([1.0, 0.0, 1.0, 0.0])
"""Added to blue, green and red before OpenCV encodes VP9. It rounds brightness and both colour differences down, by half a level
on average, which by BT.601's matrix takes 1.4 levels from red and 1.6 from blue. One level more gives most of that back."""
_NO_ROOM = 1 << 20  # with fewer free bytes than this, a file that could not be written was too large for the disk
_VERSION = re.compile(r"ffmpeg version (\S+)")


def choose(ffmpeg: str | None) -> Kind:
    """What encodes on this machine. `ffmpeg`: the path of a program that the worker may start; None if there is none."""
    if sys.platform == "darwin" and cv2.CAP_AVFOUNDATION in cv2.videoio_registry.getWriterBackends():
        return "avfoundation"
    return "ffmpeg" if ffmpeg is not None and _asked(ffmpeg)[1] else "vp9"


def programs(ffmpeg: str | None) -> dict[str, str]:
    """The version of the program that encodes, for the manifest; empty if none but the installed packages takes part."""
    return {"ffmpeg": _asked(ffmpeg)[0]} if ffmpeg is not None and choose(ffmpeg) == "ffmpeg" else {}


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
    if kind == "ffmpeg" and ffmpeg is not None:
        _by_ffmpeg(target, frames, size, fps, ffmpeg)
        return
    backend, code = (cv2.CAP_AVFOUNDATION, "avc1") if kind == "avfoundation" else (cv2.CAP_FFMPEG, "vp09")
    writer = cv2.VideoWriter(str(target), backend, cv2.VideoWriter.fourcc(*code), fps, size)
    if not writer.isOpened():
        raise Internal(f"OpenCV cannot write {target.name} as {code}")
    try:
        for frame in frames:
            picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            writer.write(cv2.add(picture, _RAISED, dst=picture) if kind == "vp9" else picture)
    finally:
        writer.release()
    if kind == "vp9":
        try:
            described = tagged(target.read_bytes())
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


def tagged(mp4: bytes) -> bytes:
    """The VP9 file with its colours described: BT.709 primaries and transfer, and the BT.601 matrix that OpenCV converts with.

    OpenCV leaves this open, and players then take the BT.709 matrix for large pictures. The description is in the box `vpcC` of
    the sample entry ("VP Codec ISO Media File Format Binding", version 1.0): after its length, its name, version and flags,
    profile, level and a byte about samples come primaries, transfer and matrix, by the numbers of ISO/IEC 23091-2.

    Raises:
        Internal: there is no such box.
    """
    content, start = boxes.top_level(io.BytesIO(mp4), b"moov")
    at = content.find(b"vpcC")
    if at < 0:
        raise Internal("OpenCV's MP4 has no vpcC box")
    described = start + at + 4 + 4 + 3
    return mp4[:described] + bytes([1, 1, 6]) + mp4[described + 3 :]


def arguments(ffmpeg: str, size: tuple[int, int], fps: int, target: Path) -> list[str]:
    """Ffmpeg's command. It reads RGB from standard input, and its file has no times, versions or names in it."""
    scale = "scale=in_range=full:out_range=limited:out_color_matrix=bt709:flags=bicubic+accurate_rnd+full_chroma_int"
    return [
        ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error",
        "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{size[0]}x{size[1]}", "-framerate", str(fps), "-i", "pipe:0",
        "-vf", f"{scale},format=yuv420p",
        "-c:v", "libx264", "-preset", _PRESET, "-crf", _QUALITY, "-threads", "2",
        "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
        "-movflags", "+faststart", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-f", "mp4",
        f"file:{target}",
    ]  # fmt: skip


def _by_ffmpeg(target: Path, frames: Iterable[Pixels], size: tuple[int, int], fps: int, ffmpeg: str) -> None:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            arguments(ffmpeg, size, fps, target), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, bufsize=0
        )
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
def _asked(ffmpeg: str) -> tuple[str, bool]:
    """The version that an ffmpeg says it has, and whether it encodes H.264."""
    command = [ffmpeg, "-nostdin", "-encoders"]
    # No time limit of its own: the sandbox would not let this process kill it. The job's limit holds.
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return "", False
    version = _VERSION.match(said.stderr.decode(errors="replace"))
    return (version[1][:MAX_OF_A_WORD] if version else "unknown"), b" libx264 " in said.stdout
