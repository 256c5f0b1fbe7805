"""Finds the program that encodes videos for workers, where the system itself has no encoder."""

import os
import shutil
import subprocess
import sys
from typing import Literal

_ANSWER_SECONDS = 20.0
#: No ffmpeg may be used (off), there is none or it is no program (missing), or it has no encoder for H.264 (unable).
NoH264 = Literal["off", "missing", "unable"]


def find_ffmpeg(configured: str) -> str | None:
    """The absolute path of an ffmpeg that workers may start; None if there is none, or none is needed (macOS encodes by itself).

    Args:
        configured: auto (the one on the PATH), off, or a path. A configured path that is no program counts as none.
    """
    if configured == "off" or sys.platform == "darwin":
        return None
    found = shutil.which("ffmpeg" if configured == "auto" else configured)
    return os.path.realpath(found) if found else None


def encoder(configured: str) -> Literal["h264", "ffmpeg-vp9", "vp9"]:
    """What encodes the videos of this machine, as `pipeline.export.moving.encoders` chooses it.

    H.264 comes from macOS, or from an ffmpeg that lists libx264 among its encoders. An ffmpeg with libvpx alone writes VP9, and
    without either, OpenCV does.

    Args:
        configured: as `find_ffmpeg` takes it.
    """
    if sys.platform == "darwin":
        return "h264"
    ffmpeg = find_ffmpeg(configured)
    if ffmpeg is None:
        return "vp9"
    command = [ffmpeg, "-nostdin", "-encoders"]
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "vp9"
    return "h264" if b" libx264 " in said.stdout else "ffmpeg-vp9" if b" libvpx-vp9 " in said.stdout else "vp9"


def why_no_h264(configured: str) -> NoH264 | None:
    """Why videos of this machine are not H.264; None if they are. `configured`: as `find_ffmpeg` takes it."""
    if encoder(configured) == "h264":
        return None
    if configured == "off":
        return "off"
    return "unable" if find_ffmpeg(configured) else "missing"
