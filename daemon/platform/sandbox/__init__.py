"""The sandbox around a worker: what it may read and use, how it is set up on this system, and what is missing of it here.

A worker decodes pictures from anybody, with libraries in C. So it gets no network, may write in its attempt folder alone and
reads only what it needs. The fence is fixed when the worker is started, before its job is known. Which job's source folder it
will read is therefore not known either: it may read the outbox as a whole (the other jobs' pictures among them, but not the
inbox) and the installed models. That is less than a fence for each job would give, and enough: nothing it reads can leave the
machine, and all it writes is the one result that it was asked for.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daemon.shipped import CONFIG

if sys.platform == "darwin":
    from daemon.platform.sandbox.macos import DEVICES, SYSTEM, fenced, missing
else:
    from daemon.platform.sandbox.linux import DEVICES, SYSTEM, fenced, missing

__all__ = ["Fence", "fence", "fenced", "missing"]


@dataclass(frozen=True, slots=True)
class Fence:
    """What every worker may do beside writing in its own folder. Absolute paths, with all that lies in them.

    Attributes:
        read: what it may read; what is not there when the worker starts stays closed to it.
        devices: what it may use (graphics cards, /dev/null), likewise: a driver may make its files only when it is asked.
    """

    read: tuple[str, ...]
    devices: tuple[str, ...]


def fence(*data: bytes) -> Fence:
    """The fence for workers of this interpreter and this installation.

    Args:
        data: folders with what jobs read: the outbox, the models.
    """
    found = (*SYSTEM, *_interpreter(), *_program(), *_library_path(), *map(os.fsdecode, data))
    return Fence(read=tuple(dict.fromkeys(map(os.path.realpath, found))), devices=DEVICES)


def _interpreter() -> Iterable[str]:
    """Python itself and the folders of installed packages, but none that hold more than that (a checkout, a home)."""
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    yield from (path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages"))


def _program() -> Sequence[str]:
    """The two packages and the shipped configuration, not the folder they lie in: it may be the home with the inbox."""
    spec = importlib.util.find_spec("pipeline")
    places = list(spec.submodule_search_locations or ()) if spec else []
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [ours, *places, str(CONFIG)]


def _library_path() -> Iterable[str]:
    return (path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if os.path.isabs(path))
