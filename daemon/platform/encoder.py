"""Finds the program that encodes H.264 for workers, where the system itself has no encoder."""

import os
import shutil
import sys


def find_ffmpeg(configured: str) -> str | None:
    """The absolute path of an ffmpeg that workers may start; None if there is none, or none is needed (macOS encodes by itself).

    Args:
        configured: auto (the one on the PATH), off, or a path. A configured path that is no program counts as none.
    """
    if configured == "off" or sys.platform == "darwin":
        return None
    found = shutil.which("ffmpeg" if configured == "auto" else configured)
    return os.path.realpath(found) if found else None
