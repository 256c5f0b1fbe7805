"""The preset folders of an inbox, for `submit --preset`."""

import os
from pathlib import Path

import typer

from daemon.cli.common import fs, give_up, print_error
from daemon.cli.exit_status import ExitStatus
from daemon.contract.names import composed, to_text
from daemon.contract.words.printable import quoted
from daemon.errors import JobError, Refusal
from daemon.intake.names import PRESET_NAME, key_of
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES, Sidecar, parse
from daemon.sidecar.problems import did_you_mean


def preset_folder(settings: Settings, name: str) -> tuple[Path, Sidecar]:
    """The folder of a preset, and what its `_preset.yaml` says.

    Raises:
        typer.Exit: there is no such preset, or its file is wrong; the reason was printed.
    """
    folders = [path for path in _folders(settings.paths.inbox) if composed(path.name) == composed(name)]
    folders.sort(key=lambda path: path.name != name)
    folder, file = next(((path, found) for path in folders if (found := _file(path)) is not None), (None, None))
    if folder is None or file is None:
        known = preset_names(settings.paths.inbox)
        hint = (
            f"There are: {', '.join(known)}." if known else f"A preset is a folder in {settings.paths.inbox} with a _preset.yaml."
        )
        meant = did_you_mean(name, known)
        give_up(Refusal(f"there is no preset {quoted(name)} in the inbox{meant}", hint=hint, exit_status=ExitStatus.USAGE))
    try:
        return folder, parse(fs.read(os.fsencode(file), MAX_BYTES + 1), name=to_text(os.fsencode(file.name)))
    except JobError as error:
        # The hint of the error is about a job's own file.
        print_error(error.message, f"Correct {file}, then submit again.")
    except OSError as error:
        print_error(f"{file} cannot be read: {error.strerror}", "Correct its permissions.")
    raise typer.Exit(ExitStatus.USAGE)


def preset_names(inbox: Path) -> list[str]:
    """The names of the preset folders in the inbox, sorted; empty if it cannot be read."""
    return sorted(path.name for path in _folders(inbox) if _file(path) is not None)


def _folders(inbox: Path) -> list[Path]:
    try:
        return [path for path in inbox.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []


def _file(folder: Path) -> Path | None:
    """The preset's file in a folder; None if there is none."""
    try:
        return next((path for path in folder.iterdir() if key_of(os.fsencode(path.name)) == PRESET_NAME), None)
    except OSError:
        return None
