"""Says what a PyTorch that was built for the CPU alone can do, without importing it.

Importing it takes more than a second, most of it for Python modules. Its libraries, which fail where a processor or a system
lacks something, load in a fifth of that. The Python modules are not run but compared with what the installation recorded.
"""

import csv
import ctypes
import importlib.util
import os
import runpy
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path


def look() -> dict[str, object] | None:
    """Look at the installed PyTorch.

    Returns:
        The same as `pipeline.devices.main` prints after importing PyTorch: its version, the number of its threads, and False for
        each graphics processor. None if only importing it can tell: it was built for graphics processors too, or anything is not
        as it was installed.
    """
    found = importlib.util.find_spec("torch")
    if sys.platform != "linux" or found is None or found.origin is None:
        return None
    try:
        folder, installed = Path(found.origin).parent, metadata.distribution("torch")
        record = installed.read_text("RECORD")
        if record is None or not is_complete(folder.parent, csv.reader(record.splitlines())):
            return None
        for requirement in installed.requires or ():
            if ";" not in requirement:
                metadata.distribution(_name(requirement))
        version = built_for_cpu(folder / "version.py")
        threads = ctypes.c_uint32()
        # This library loads all others. The function belongs to PyTorch's stable C interface (torch/csrc/stable/c/shim.h).
        failed = ctypes.CDLL(os.fspath(folder / "lib" / "libtorch_python.so")).torch_get_num_threads(ctypes.byref(threads))
    except (OSError, AttributeError, metadata.PackageNotFoundError):
        return None
    return None if failed or version is None else {"torch": version, "threads": threads.value, "cuda": False, "mps": False}


def is_complete(site: Path, record: Iterable[list[str]]) -> bool:
    """Whether each file of PyTorch that runs is there with the size that was recorded.

    Args:
        site: the folder to which the recorded paths are relative.
        record: path, hash and size of each installed file (the specification "Recording installed projects", PyPA).
    """
    code = [(path, size) for path, _, size in record if path.startswith("torch/") and path.endswith((".py", ".so"))]
    try:
        return bool(code) and all((site / path).stat().st_size == int(size) for path, size in code)
    except (OSError, ValueError):
        return False


def built_for_cpu(version: Path) -> str | None:
    """The version of a PyTorch that was built for the CPU alone, from its `version.py`; None for any other."""
    said = runpy.run_path(os.fspath(version))
    kinds = [said.get(kind, "unknown") for kind in ("cuda", "hip", "xpu")]
    return str(said["__version__"]) if kinds == [None, None, None] else None


def _name(requirement: str) -> str:
    """The name at the beginning of a requirement, such as `sympy>=1.13.3`."""
    return "".join(letter if letter.isalnum() or letter in "-_." else " " for letter in requirement).split()[0]
