"""What a person on a Mac starts from Finder: the Quick Action "Make layers", and a droplet with that name.

Both run the same short shell script, launchd/make-layers.sh, which passes the chosen pictures to `multiplane submit`. The Quick
Action is an Automator workflow, made of two property lists. The droplet is an AppleScript applet: files dropped on a program
arrive as an Apple event, which no shell script can receive. The Mac's own osacompile compiles it. Then its Info.plist is
completed, and the whole bundle is signed again, for this machine only.

This module says what to write and what to run; `daemon.cli.verbs.quick_action` does it.
"""

import os
import plistlib
import shlex
from typing import Any
from xml.parsers.expat import ExpatError

from daemon.platform.service import Facts, Step
from daemon.shipped import LAUNCHD

NAME = "Make layers"
#: Marks our files, so that files of a person with the same name are not mistaken for ours.
MARK = "io.multiplane.make-layers"
WORKFLOW, DROPLET = f"{NAME}.workflow", f"{NAME}.app"
SHELL = LAUNCHD / "make-layers.sh"
APPLESCRIPT = LAUNCHD / "make-layers.applescript"
#: Paths inside both bundles.
INFO, DOCUMENT, RESOURCE = "Contents/Info.plist", "Contents/document.wflow", "Contents/Resources/make-layers.sh"

#: `pbs` keeps the list for the Services menu. Without a call of it, the list is only updated at the next login.
_PBS = "/System/Library/CoreServices/pbs"
_WHY = "The pictures you drop are copied from there into the inbox of Multiplane."


def script(facts: Facts, outbox: str, *, waits: bool) -> str:
    """The shell script for this installation, for zsh and bash.

    Args:
        facts: the interpreter, the home, and the settings to copy from this session.
        outbox: the folder with index.html.
        waits: whether it waits for the layers and then shows them.
    """
    filled = {
        "python": facts.python,
        "home": facts.home,
        "outbox": outbox,
        "waits": "yes" if waits else "no",
        "again": _again(facts, waits=waits),
    }
    settings = [f"export {name}={shlex.quote(value)}" for name, value in facts.environ.items()]
    made: list[str] = []
    for line in SHELL.read_text(encoding="utf-8").splitlines():
        name = line.partition("=")[0]
        made.append(f"{name}={shlex.quote(filled.pop(name))}" if name in filled else line)
        if name == "waits":
            made += settings
    return "\n".join(made) + "\n"


def _again(facts: Facts, *, waits: bool) -> str:
    """The command that installs these actions again after the program was moved. Only a person knows its new folder."""
    checkout, inside = os.path.split(os.path.dirname(os.path.dirname(facts.python)))
    words = [f"NEW_FOLDER/{inside}/bin/multiplane", "service", "install", "--quick-action", *(["--wait"] if waits else [])]
    # A home that is the checkout itself moves along with it.
    words += [] if facts.home == checkout else ["--home", facts.home]
    settings = [f"{name}={shlex.quote(value)}" for name, value in facts.environ.items()]
    return " ".join((*settings, shlex.join(words)))


def workflow(shell: str) -> dict[str, bytes]:
    """The files of the Quick Action, by their paths in the bundle."""
    template = LAUNCHD / WORKFLOW
    document = plistlib.loads((template / DOCUMENT).read_bytes())
    _parameters(document)["COMMAND_STRING"] = shell
    return {INFO: (template / INFO).read_bytes(), DOCUMENT: plistlib.dumps(document, sort_keys=False)}


def is_our_workflow(document: bytes) -> bool:
    """Whether a workflow's document.wflow is ours, even if a person changed it in Automator."""
    try:
        return MARK in str(_parameters(plistlib.loads(document))["COMMAND_STRING"])
    except (ExpatError, plistlib.InvalidFileException, ValueError, LookupError, TypeError):
        return False


def compile_droplet(app: str) -> tuple[Step, ...]:
    """The call that creates the droplet's bundle at a path that ends in .app."""
    return (Step(("osacompile", "-o", app, str(APPLESCRIPT))),)


def droplet_info(info: bytes) -> bytes:
    """The Info.plist that osacompile wrote, plus our own name and identifier and the types of picture it accepts."""
    listed = plistlib.loads(info)
    listed |= {
        "CFBundleIdentifier": MARK,
        "CFBundleName": NAME,
        # Alternate: Finder offers it for pictures, but never opens a picture with it by default.
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
    """The command that signs the droplet again on this machine: macOS may refuse a changed bundle with its old signature."""
    return (Step(("codesign", "--force", "--deep", "--sign", "-", app)),)


def refresh_services() -> tuple[Step, ...]:
    """The calls that make the menus show or forget the Quick Action. Without them, that happens at the next login."""
    return tuple(Step((_PBS, verb), needed=False) for verb in ("-flush", "-update")) if os.path.exists(_PBS) else ()


def _parameters(document: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the single action in our workflow."""
    parameters: dict[str, Any] = document["actions"][0]["action"]["ActionParameters"]
    return parameters
