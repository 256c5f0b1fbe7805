"""Where models run: the choice for a job, and `python -m pipeline devices`, which prints what there is as JSON.

A graphics processor that the machine has and a worker cannot use (the sandbox hides it, the driver does not answer) is an error:
to go on on the CPU without a word would make minutes out of seconds, and nobody would know why.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from typing import Literal

from daemon.errors import DeviceUnavailable

Device = Literal["auto", "cpu", "mps", "cuda"]
Settled = Literal["cpu", "mps", "cuda"]

#: In order of preference.
_GRAPHICS: tuple[Settled, ...] = ("cuda", "mps")
#: Where NVIDIA's driver shows itself. In a container /proc is the host's, so a card must be there too, or its place in /dev/dri:
#: the driver makes /dev/nvidia0 only when somebody with the right to it first asks.
_NVIDIA_DRIVER = ("/dev/nvidiactl", "/proc/driver/nvidia")
_NVIDIA_CARDS = (*(f"/dev/nvidia{number}" for number in range(16)), "/dev/dri")
#: Values of CUDA_VISIBLE_DEVICES with which somebody asks CUDA to see no card.
_NO_CARD = ("", "-1")
_HINT = (
    "Set worker.device: cpu to do without it, or worker.sandbox: off if the sandbox hides it; multiplane doctor "
    "says what it finds. Then: multiplane retry ID."
)


def main() -> int:
    """Print what there is: true, false, or a sentence for a device that is there but fails at a small sum."""
    try:
        import torch
    except (ImportError, OSError) as error:
        found: dict[str, object] = {"torch": None, "error": f"{type(error).__name__}: {error}"}
    else:
        found = {"torch": str(torch.__version__), "threads": torch.get_num_threads(), **_usable()}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def choose(asked: Device) -> Settled:
    """Where a model runs, from inside the process that will run it. Loads PyTorch unless the CPU is asked for.

    Raises:
        DeviceUnavailable: as for `decide`.
    """
    if asked == "cpu":
        return "cpu"
    import torch

    built = {"cuda": torch.version.cuda is not None, "mps": torch.backends.mps.is_built()}
    there = seen(sys.platform, platform.machine(), os.path.exists, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return decide(asked, _usable(), {name: card for name, card in there.items() if built[name]})


def decide(asked: Device, usable: Mapping[str, bool | str], there: Mapping[str, str]) -> Settled:
    """What was asked for; for `auto` CUDA before MPS, and the CPU where there is no graphics processor for this PyTorch.

    Args:
        asked: in the settings.
        usable: of cuda and mps, what `main` prints: true, false or what goes wrong.
        there: graphics processors that the machine has and this PyTorch is built for: device to a name for people.

    Raises:
        DeviceUnavailable: what was asked for is not there or fails; for `auto`: a graphics processor that cannot be used.
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
    """The graphics processors a machine shows without PyTorch: the device that would use it to its name for people.

    Args:
        system: linux or darwin.
        machine: its processor's kind: x86_64, arm64…
        exists: whether there is such a file. The sandbox does not hide that.
        visible: CUDA_VISIBLE_DEVICES; none: not set.
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
    """Whether a device adds up, or what it says instead."""
    import torch

    try:
        total = float(torch.ones(8, device=device).sum())
    except (RuntimeError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return total == 8.0 or f"eight ones add up to {total:g}"
