"""Chooses the device that runs a job's models. `python -m pipeline devices` prints the available devices as JSON.

If the machine has a graphics processor that a worker cannot use (the sandbox hides it, the driver does not answer), that is an
error. Continuing silently on the CPU would turn seconds into minutes, and nobody would know why.
"""

import gc
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from typing import Literal

from daemon.contract.commands import RETRY, command
from daemon.errors import DeviceUnavailable
from pipeline import cpu_torch

Device = Literal["auto", "cpu", "mps", "cuda"]
DeviceName = Literal["cpu", "mps", "cuda"]

#: In order of preference.
_GRAPHICS: tuple[DeviceName, ...] = ("cuda", "mps")
#: Files that exist if NVIDIA's driver is loaded. In a container, /proc is the host's, so a card must be visible as well.
#: /dev/dri counts as a card, because the driver creates /dev/nvidia0 only when a permitted user first opens it.
_NVIDIA_DRIVER = ("/dev/nvidiactl", "/proc/driver/nvidia")
_NVIDIA_CARDS = (*(f"/dev/nvidia{number}" for number in range(16)), "/dev/dri")
#: Values of CUDA_VISIBLE_DEVICES that hide all cards from CUDA.
_NO_CARD = ("", "-1")
_HINT = (
    f"Set worker.device: cpu to do without it, or worker.sandbox: off if the sandbox hides it; {command('doctor')} "
    f"says what it finds. Then: {RETRY}."
)


def main() -> int:
    """Print true or false for each device, or the error if the device exists but fails at a small calculation. Returns 0."""
    # Nothing of what is imported is garbage, and looking for some takes a tenth of the time. This process ends soon anyway.
    gc.disable()
    sys.stdout.write(json.dumps(cpu_torch.look() or _with_torch()) + "\n")
    return 0


def _with_torch() -> dict[str, object]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return {"torch": None, "error": f"{type(error).__name__}: {error}"}
    return {"torch": str(torch.__version__), "threads": torch.get_num_threads(), **_usable()}


def choose(asked: Device) -> DeviceName:
    """Choose the device for a model, in the process that will run the model. Loads PyTorch unless the CPU is asked for.

    Raises:
        DeviceUnavailable: as for `decide`.
    """
    if asked == "cpu":
        return "cpu"
    import torch

    built = {"cuda": torch.version.cuda is not None, "mps": torch.backends.mps.is_built()}
    there = seen(sys.platform, platform.machine(), os.path.exists, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return decide(asked, _usable(), {name: card for name, card in there.items() if built[name]})


def decide(asked: Device, usable: Mapping[str, bool | str], there: Mapping[str, str]) -> DeviceName:
    """Check the requested device and return it. `auto` means CUDA, else MPS, else the CPU if `there` is empty.

    Args:
        asked: from the settings.
        usable: for cuda and mps, what `main` prints: true, false or the error.
        there: device → its name for people, for each graphics processor that the machine has and this PyTorch supports.

    Raises:
        DeviceUnavailable: the requested device is missing or fails; or for `auto`, a graphics processor exists but cannot be
            used.
    """
    if asked == "cpu":
        return "cpu"
    wanted = _GRAPHICS if asked == "auto" else (asked,)
    for name in wanted:
        works = usable[name]
        if works is True:
            return name
        if works:
            raise DeviceUnavailable(f"The device {name} fails a small test: {works}", hint=_HINT)
    for name in wanted:
        if name in there:
            raise DeviceUnavailable(
                f"This machine has {there[name]}, but a worker cannot use it: PyTorch finds none.", hint=_HINT
            )
    if asked != "auto":
        raise DeviceUnavailable(f"The device {asked} was asked for, but this machine has none that works.")
    return "cpu"


def seen(system: str, machine: str, exists: Callable[[str], bool], visible: str | None) -> dict[str, str]:
    """Find the machine's graphics processors without PyTorch.

    Args:
        system: linux or darwin.
        machine: the kind of its processor: x86_64, arm64…
        exists: tells whether a file exists, which the sandbox never hides.
        visible: CUDA_VISIBLE_DEVICES; None if it is not set.

    Returns:
        Device → its name for people.
    """
    if system == "darwin":
        return {"mps": "the graphics processor of Apple silicon"} if machine == "arm64" else {}
    card = next(filter(exists, _NVIDIA_CARDS), None)
    if card is None or visible in _NO_CARD or not any(map(exists, _NVIDIA_DRIVER)):
        return {}
    return {"cuda": f"an NVIDIA graphics card ({card})"}


def _usable() -> dict[str, bool | str]:
    import torch

    return {
        "cuda": torch.cuda.is_available() and _works("cuda"),
        "mps": torch.backends.mps.is_available() and _works("mps"),
    }


def _works(device: str) -> bool | str:
    """True if a device calculates correctly; otherwise the error."""
    import torch

    try:
        total = float(torch.ones(8, device=device).sum())
    except (RuntimeError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return total == 8.0 or f"eight ones add up to {total:g}"
