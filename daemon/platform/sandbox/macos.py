"""The sandbox on macOS: the worker is started through `sandbox-exec`, which applies a profile and then becomes the worker.

The profile allows whatever it does not forbid. A closed list would change with every release, because Metal, its shader
compiler and Accelerate look up different things each time. So the profile names what is forbidden. sandbox-exec is deprecated,
but Chromium, Bazel and Nix build on it, and a program without an app bundle has no alternative. The profile follows theirs; it
has not been tried on a Mac yet.
"""

import os
from collections.abc import Sequence
from typing import Protocol

from daemon.platform.files import path_of

_SANDBOX_EXEC = "/usr/bin/sandbox-exec"


class Policy(Protocol):
    """What `command` needs to know about a policy."""

    @property
    def read(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def devices(self) -> tuple[str, ...]: ...  # noqa: D102


#: Everything outside people's folders and volumes is readable anyway. On some machines, these folders are inside them.
SYSTEM = ("/System", "/Library/Fonts", "/opt/homebrew", "/usr/local")
DEVICES = ("/dev/null", "/dev/zero", "/dev/dtracehelper")

#: The last rule that matches decides. Metal stores compiled shaders in the user's cache folder, which is in
#: /private/var/folders, and calls its compiler over Mach, which stays open.
_PROFILE = """(version 1)
(allow default)
(deny network*)
(deny process-fork)
(deny process-exec*)
(allow process-exec* {interpreters})
(deny signal)
(allow signal (target self))
(deny file-write*)
(allow file-write* (subpath {own}) (subpath "/private/var/folders") {devices})
(deny file-read-data (subpath "/Users") (subpath "/Volumes") (subpath "/private/tmp") (subpath "/private/var/root"))
(allow file-read-data {read} (subpath {own}))
(allow iokit-open iokit-get-properties)
(allow mach-lookup (global-name "com.apple.MTLCompilerService") (global-name "com.apple.cvmsServ"))
"""


def command(argv: Sequence[str], policy: Policy, own: int) -> list[str]:
    """The command of a worker inside this sandbox. `own`: descriptor of its attempt folder.

    The profile names the real path of this folder, so a link that is later put in its place leads outside the sandbox.
    """
    interpreters = dict.fromkeys((argv[0], os.path.realpath(argv[0])))
    profile = _PROFILE.format(
        own=_quoted(os.fsdecode(path_of(own))),
        read=" ".join(f"(subpath {_quoted(path)})" for path in policy.read),
        devices=" ".join(f"(literal {_quoted(path)})" for path in policy.devices),
        # A framework build of Python starts a second program inside itself.
        interpreters=" ".join(f"(literal {_quoted(path)})" for path in interpreters)
        + ' (regex #"/Python\\.app/Contents/MacOS/Python$")',
    )
    return [_SANDBOX_EXEC, "-p", profile, *argv]


def rules(policy: Policy) -> dict[str, list[str]]:
    """What a forked worker in this sandbox may read and use. On macOS no worker is forked."""
    return {"read": list(policy.read), "devices": list(policy.devices)}


def missing() -> tuple[str, ...]:
    """What this system cannot prevent a worker from doing, one clause each; empty if the sandbox is complete."""
    return () if os.access(_SANDBOX_EXEC, os.X_OK) else ("everything: /usr/bin/sandbox-exec is not there",)


def _quoted(path: str) -> str:
    """A string in the language of the profile."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
