"""What a person at a Mac starts from Finder: the Quick Action "Make layers", and a droplet of that name.

Both run the same few lines of shell, launchd/make-layers.sh, which hand the chosen pictures to `multiplane submit`. The Quick
Action is an Automator workflow, two property lists. The droplet is an AppleScript applet: files dropped on a program come as an
Apple event, which no shell script can receive, so it is compiled by the Mac's own osacompile; what its Info.plist says beside
that is put in afterwards, and the whole is signed anew, for this machine alone.

What is written and what is run; `daemon.cli.verbs.quick_action` does it.
"""

import os
import plistlib
import shlex
from typing import Any
from xml.parsers.expat import ExpatError

from daemon.platform.service import Facts, Step
from daemon.shipped import LAUNCHD

NAME = "Make layers"
#: Tells ours from what a person made under the same name.
MARK = "io.multiplane.make-layers"
WORKFLOW, DROPLET = f"{NAME}.workflow", f"{NAME}.app"
SHELL = LAUNCHD / "make-layers.sh"
APPLESCRIPT = LAUNCHD / "make-layers.applescript"
#: Within both bundles.
INFO, DOCUMENT, RESOURCE = "Contents/Info.plist", "Contents/document.wflow", "Contents/Resources/make-layers.sh"

#: The menu of services is a list that `pbs` keeps; without this it is read anew at the next login.
_PBS = "/System/Library/CoreServices/pbs"
_WHY = "The pictures you drop are copied from there into the inbox of Multiplane."


def script(facts: Facts, outbox: str, *, waits: bool) -> str:
    """The shell part of this installation, for zsh and bash.

    Args:
        facts: interpreter, home, and the settings it is to have as this session has them.
        outbox: the folder with index.html.
        waits: whether it ends when the layers are there, and shows them.
    """
    filled = {"python": facts.python, "home": facts.home, "outbox": outbox, "waits": "yes" if waits else "no"}
    settings = [f"export {name}={shlex.quote(value)}" for name, value in facts.environ.items()]
    made: list[str] = []
    for line in SHELL.read_text(encoding="utf-8").splitlines():
        name = line.partition("=")[0]
        made.append(f"{name}={shlex.quote(filled.pop(name))}" if name in filled else line)
        if name == "waits":
            made += settings
    return "\n".join(made) + "\n"


def workflow(shell: str) -> dict[str, bytes]:
    """The files of the Quick Action, by their paths in the bundle."""
    template = LAUNCHD / WORKFLOW
    document = plistlib.loads((template / DOCUMENT).read_bytes())
    _parameters(document)["COMMAND_STRING"] = shell
    return {INFO: (template / INFO).read_bytes(), DOCUMENT: plistlib.dumps(document, sort_keys=False)}


def is_our_workflow(document: bytes) -> bool:
    """Whether a workflow's document.wflow is one of ours, also after a person changed it in Automator."""
    try:
        return MARK in str(_parameters(plistlib.loads(document))["COMMAND_STRING"])
    except (ExpatError, plistlib.InvalidFileException, ValueError, LookupError, TypeError):
        return False


def compile_droplet(app: str) -> tuple[Step, ...]:
    """The call that makes the droplet's bundle at a path that ends in .app."""
    return (Step(("osacompile", "-o", app, str(APPLESCRIPT))),)


def droplet_info(info: bytes) -> bytes:
    """The Info.plist that osacompile wrote, with what makes it ours: a name of its own, and that it takes pictures."""
    listed = plistlib.loads(info)
    listed |= {
        "CFBundleIdentifier": MARK,
        "CFBundleName": NAME,
        # Alternate: it is offered for pictures, and takes them, but never opens one by itself.
        "CFBundleDocumentTypes": [
            {
                "CFBundleTypeName": "Picture",
                "CFBundleTypeRole": "Viewer",
                "LSHandlerRank": "Alternate",
                "LSItemContentTypes": ["public.image"],
            }
        ],
    }
    listed |= {f"NS{folder}UsageDescription": _WHY for folder in ("DesktopFolder", "DocumentsFolder", "DownloadsFolder")}
    return plistlib.dumps(listed, sort_keys=False)


def is_our_droplet(info: bytes) -> bool:
    """Whether an app's Info.plist is that of our droplet."""
    try:
        return bool(plistlib.loads(info)["CFBundleIdentifier"] == MARK)
    except (ExpatError, plistlib.InvalidFileException, ValueError, LookupError, TypeError):
        return False


def sign_droplet(app: str) -> tuple[Step, ...]:
    """The call that signs it anew, for this machine: a changed bundle under its old signature may not be started."""
    return (Step(("codesign", "--force", "--deep", "--sign", "-", app)),)


def refresh_services() -> tuple[Step, ...]:
    """The calls after which the menus know the Quick Action, or forget it. Without them that comes with the next login."""
    return tuple(Step((_PBS, verb), needed=False) for verb in ("-flush", "-update")) if os.path.exists(_PBS) else ()


def _parameters(document: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the one action of our workflow."""
    parameters: dict[str, Any] = document["actions"][0]["action"]["ActionParameters"]
    return parameters
