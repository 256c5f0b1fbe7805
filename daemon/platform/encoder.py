"""Finds the program that encodes H.264 for workers, where the system itself has no encoder."""

import os
import shutil
import subprocess
import sys

_ANSWER_SECONDS = 20.0


def find_ffmpeg(configured: str) -> str | None:
    """The absolute path of an ffmpeg that workers may start; None if there is none, or none is needed (macOS encodes by itself).

    Args:
        configured: auto (the one on the PATH), off, or a path. A configured path that is no program counts as none.
    """
    if configured == "off" or sys.platform == "darwin":
        return None
    found = shutil.which("ffmpeg" if configured == "auto" else configured)
    return os.path.realpath(found) if found else None


def can_write_h264(configured: str) -> bool:
    """Whether videos of this machine can be H.264: by macOS, or by an ffmpeg that lists libx264 among its encoders.

    Args:
        configured: as `find_ffmpeg` takes it.
    """
    if sys.platform == "darwin":
        return True
    ffmpeg = find_ffmpeg(configured)
    if ffmpeg is None:
        return False
    command = [ffmpeg, "-nostdin", "-encoders"]
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b" libx264 " in said.stdout
