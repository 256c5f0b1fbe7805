"""What a machine can say about itself: the devices that models can run on, what it can write, and which lists it uses."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable

from daemon.contract.registry import FORMATS
from daemon.platform.encoder import encoder
from daemon.platform.packages import unwritable

#: Files that exist only where a graphics processor may be found. Elsewhere, asking PyTorch would take seconds for nothing.
_NVIDIA = ("/dev/nvidiactl", "/proc/driver/nvidia")
#: Seconds. Loading PyTorch takes some; a cold disk a minute.
_PATIENCE = 120.0


def devices() -> tuple[str, ...]:
    """The devices that models can run on here: `cpu`, and `mps` or `cuda` if they work. Takes seconds."""
    if sys.platform != "darwin" and not any(map(os.path.exists, _NVIDIA)):
        return ("cpu",)
    command = (sys.executable, "-P", "-m", "pipeline", "devices")
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
        found = json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ("cpu",)  # doctor says what is wrong; jobs that ask for another device go elsewhere
    return ("cpu", *(name for name in ("mps", "cuda") if found.get(name) is True))


def formats(ffmpeg: str) -> tuple[str, ...]:
    """What this machine can write: words of `formats`, and what encodes its videos. `ffmpeg`: the setting `worker.ffmpeg`."""
    missing = unwritable()
    return (*(each.word for each in FORMATS if each not in missing), encoder(ffmpeg))


def lists_mark(*lists: Iterable[str]) -> str:
    """A short hash of people's own lists of styles and of models. Empty if there are none; equal where the lists are equal."""
    digest, there = hashlib.sha256(), False
    for paths in lists:
        for path in paths:
            try:
                with open(path, "rb") as file:
                    digest.update(file.read() + b"\0")
                there = True
            except OSError:
                digest.update(b"\0")
    return digest.hexdigest()[:12] if there else ""
