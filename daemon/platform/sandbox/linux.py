"""The sandbox on Linux: the worker sandboxes itself (`pipeline.worker.sandbox`) before it loads anything heavy.

The `landlock` package (1.0.0.dev5) does not fit: it supports files, but not TCP or signals, and it mistakes a left-over errno
for a failed call.
"""

import ctypes
import json
import os
import platform
from collections.abc import Sequence
from typing import Protocol


class Policy(Protocol):
    """What `command` needs to know about a policy."""

    @property
    def read(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def devices(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def run(self) -> tuple[str, ...]: ...  # noqa: D102


#: Libraries, and what they read when they are loaded: the loader's cache, the time zone, fonts, the processors. This includes all
#: of /proc, because its entries come and go; the kernel protects the memory and environment of other processes from a worker.
SYSTEM = (
    "/usr", "/lib", "/lib64", "/nix/store", "/gnu/store", "/opt/rocm", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts",
    "/etc/mime.types", "/etc/os-release", "/proc", "/sys/devices", "/sys/class/drm", "/sys/class/kfd", "/sys/bus/pci",
    "/sys/module", "/dev/urandom", "/dev/random",
)  # fmt: skip
#: /dev/null and its like, and the graphics cards of NVIDIA and AMD.
DEVICES = (
    "/dev/null", "/dev/zero", "/dev/dri", "/dev/kfd", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",
    *(f"/dev/nvidia{number}" for number in range(16)),
)  # fmt: skip

#: The kernel starts a program through one of these.
_LOADERS = (
    "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1",
)  # fmt: skip

#: With this flag, landlock_create_ruleset(2) returns the version of the interface. All versions cover files; TCP is covered
#: since 4, signals since 6.
_CREATE_RULESET, _ASK_VERSION = 444, 1
_TCP_SINCE, _SIGNALS_SINCE, _TRUNCATE_SINCE = 4, 6, 3
_PR_GET_SECCOMP = 21
_MACHINES = ("x86_64", "aarch64")


def command(argv: Sequence[str], policy: Policy, own: int) -> list[str]:
    """The command of a worker that puts itself into this sandbox. `own`: descriptor of its attempt folder, which it inherits."""
    return [*argv, "--sandbox", json.dumps({**rules(policy), "own": own})]


def rules(policy: Policy) -> dict[str, list[str]]:
    """What a worker in this sandbox may read, use and start, as far as it exists now."""
    run = (*policy.run, *_LOADERS) if policy.run else ()
    listed = (("read", policy.read), ("devices", policy.devices), ("run", tuple(map(os.path.realpath, run))))
    return {name: list(filter(os.path.exists, paths)) for name, paths in listed}


def missing(version: int | None = None, seccomp: bool | None = None) -> tuple[str, ...]:
    """What this kernel cannot prevent a worker from doing, one clause each; empty if the sandbox is complete.

    Args:
        version: version of Landlock's interface, 0 if Landlock is missing. If None, the kernel is asked.
        seccomp: whether the kernel filters system calls on this machine. If None, the kernel is asked.
    """
    version = _landlock_version() if version is None else version
    seccomp = _has_seccomp() if seccomp is None else seccomp
    holes = []
    if version == 0:
        holes.append("reading and writing other files")
    elif version < _TRUNCATE_SINCE:
        holes.append("emptying other files")
    if not seccomp:
        holes.append("opening network connections" if version < _TCP_SINCE else "network connections other than TCP")
        holes.append("starting, limiting and watching processes")
    if version < _SIGNALS_SINCE and not seccomp:
        holes.append("sending signals to other processes of the same user")
    return tuple(holes)


def _landlock_version() -> int:
    return max(0, int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)))


def _has_seccomp() -> bool:
    return platform.machine() in _MACHINES and ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
