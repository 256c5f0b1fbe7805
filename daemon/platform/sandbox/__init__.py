"""The sandbox around a worker: what it may read and use, how this system enforces that, and what this system cannot enforce.

A worker decodes strangers' pictures with libraries written in C. So it gets no network, may write only in its attempt folder,
and may read only what it needs. macOS is less strict: a worker may also write the system's temporary files, and may read
everything outside of people's folders and of other disks. The policy is fixed when the worker starts, before its job is
known. So it may read the whole outbox (including other jobs' pictures, but not the inbox) and the installed models. A policy
for each job would allow less, but this is enough: nothing that a worker reads can leave the machine, and it can write only
the result that it was asked for.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daemon.shipped import CONFIG

if sys.platform == "darwin":
    from daemon.platform.sandbox.macos import DEVICES, SYSTEM, command, missing, rules
else:
    from daemon.platform.sandbox.linux import DEVICES, SYSTEM, command, missing, rules

__all__ = ["SandboxPolicy", "command", "missing", "policy", "rules"]


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """What every worker may do besides writing in its own folder. Paths are absolute and include everything below them.

    Attributes:
        read: what it may read. On Linux, paths that do not exist when the worker starts stay closed to it.
        devices: what it may use (graphics cards, /dev/null). On Linux, missing devices stay closed too, even if a driver creates
            them later on demand.
        run: the programs that it may start, inside its own sandbox; usually none. On macOS, none can be allowed.
    """

    read: tuple[str, ...]
    devices: tuple[str, ...]
    run: tuple[str, ...] = ()


def policy(*data: bytes) -> SandboxPolicy:
    """The policy for workers of this interpreter and this installation.

    Args:
        data: the folders that jobs read: the outbox and the models.
    """
    found = (*SYSTEM, *_interpreter(), *_program(), *_library_path(), *map(os.fsdecode, data))
    return SandboxPolicy(read=tuple(dict.fromkeys(map(os.path.realpath, found))), devices=DEVICES)


def _interpreter() -> Iterable[str]:
    """Python itself and the folders of installed packages, but no folder that may contain other things (a checkout, a home)."""
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    yield from (path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages"))


def _program() -> Sequence[str]:
    """The two packages and the shipped configuration, but not their parent folder: it may be the home with the inbox."""
    spec = importlib.util.find_spec("pipeline")
    places = list(spec.submodule_search_locations or ()) if spec else []
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [ours, *places, str(CONFIG)]


def _library_path() -> Iterable[str]:
    return (path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if os.path.isabs(path))
