"""Installs the Quick Action and the droplet in a person's own folders, and removes them."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from daemon.cli.common import fs
from daemon.errors import Refusal
from daemon.fs import make_folders, remove_tree, write_atomic
from daemon.platform.finder.actions import (
    DOCUMENT,
    DROPLET,
    INFO,
    NAME,
    RESOURCE,
    WORKFLOW,
    compile_droplet,
    droplet_info,
    is_our_droplet,
    is_our_workflow,
    refresh_services,
    sign_droplet,
    workflow,
)
from daemon.platform.service import perform

_MAX_BYTES = 1 << 20


def install_actions(shell: str, user_home: Path) -> list[Path]:
    """Install the Quick Action and the droplet for a user, replacing those that Multiplane made earlier. Returns their paths.

    Args:
        shell: the script they run; see `daemon.platform.finder.actions.script`.
        user_home: the user's home folder.

    Raises:
        Refusal: something that Multiplane did not make has one of the two names, or the system cannot make the droplet.
    """
    places = _places(user_home)
    for path, ours in places.items():
        if os.path.lexists(path) and not ours(path):
            raise Refusal(
                f"{path} already exists and was not made by Multiplane",
                hint="Give it another name in Finder, then run this again.",
                exit_status=1,
            )
    for path, make in zip(places, (_make_workflow, _make_droplet), strict=True):
        make_folders(fs, os.fsencode(path.parent))
        # Build it in a separate folder: Finder may read the target at any moment, and must find it complete.
        making = path.parent / f".multiplane-{secrets.token_hex(6)}"
        make_folders(fs, os.fsencode(making))
        try:
            make(making / path.name, shell)
            remove_tree(fs, os.fsencode(path))
            fs.rename(os.fsencode(making / path.name), os.fsencode(path))
        finally:
            remove_tree(fs, os.fsencode(making))
    perform(refresh_services())
    return list(places)


def remove_actions(user_home: Path) -> list[Path]:
    """Remove the Quick Action and the droplet if Multiplane made them. Returns the paths that were removed."""
    removed = []
    for path, ours in _places(user_home).items():
        if ours(path):
            remove_tree(fs, os.fsencode(path))
            removed.append(path)
    if removed:
        perform(refresh_services())
    return removed


def _places(user_home: Path) -> dict[Path, Callable[[Path], bool]]:
    """The paths of the Quick Action and the droplet. Each has a function that says whether Multiplane made what is there."""
    return {
        user_home / "Library" / "Services" / WORKFLOW: lambda path: is_our_workflow(_read(path / DOCUMENT)),
        user_home / "Applications" / DROPLET: lambda path: is_our_droplet(_read(path / INFO)),
    }


def _make_workflow(bundle: Path, shell: str) -> None:
    for name, data in workflow(shell).items():
        _write(bundle / name, data)


def _make_droplet(bundle: Path, shell: str) -> None:
    try:
        perform(compile_droplet(str(bundle)))
        _write(bundle / INFO, droplet_info(_read(bundle / INFO)))
        _write(bundle / RESOURCE, shell.encode())
        perform(sign_droplet(str(bundle)))
    except Refusal as refusal:
        raise Refusal(
            f"the droplet cannot be made: {refusal.message}",
            hint=f"The service and the Quick Action “{NAME}” are installed and work without it.",
            exit_status=refusal.exit_status,
        ) from refusal


def _write(path: Path, data: bytes) -> None:
    make_folders(fs, os.fsencode(path.parent))
    write_atomic(fs, os.fsencode(path), data, durable=True)


def _read(path: Path) -> bytes:
    """The content of a file in a bundle; empty if the file does not exist."""
    try:
        return fs.read(os.fsencode(path), _MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
