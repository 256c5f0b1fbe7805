"""Licences that forbid commercial use must be accepted once, by name. Accepted licences are stored next to the weights."""

import json
import os

from daemon.catalogues.models import Entry
from daemon.contract.commands import command
from daemon.errors import LicenceNotAccepted, WeightsCorrupt
from pipeline.weights.files import write_whole

ACCEPTED = ".licences.json"
"""A file in the models folder: licence → when it was accepted (UTC, RFC 3339)."""


def needed(entry: Entry, models: str) -> bool:
    """Whether a person must still accept the model's licence. Raises like `accepted`."""
    return not entry.commercial and entry.licence not in accepted(models)


def accepted(models: str) -> dict[str, str]:
    """The accepted licences, and when they were accepted.

    Raises:
        WeightsCorrupt: the file is not in this module's format.
        OSError: it cannot be opened.
    """
    path = os.path.join(models, ACCEPTED)
    try:
        with open(path, encoding="utf-8") as file:
            return {str(licence): str(when) for licence, when in json.load(file).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as reason:
        raise WeightsCorrupt(
            f"The list of accepted licences {path} cannot be read.", hint="Remove it; licences are then asked for again."
        ) from reason


def accept(name: str, entry: Entry, models: str, said: str | None, *, now: str) -> None:
    """Record that a licence was accepted. Does nothing if it need not be accepted, or was accepted before.

    Args:
        name: of the model.
        entry: its entry in the catalogue.
        models: the folder for fetched weights.
        said: the licence's name as the person typed it.
        now: the time, UTC, RFC 3339.

    Raises:
        LicenceNotAccepted: the name was missing or wrong; the hint is the command that accepts the licence.
    """
    if not needed(entry, models):
        return
    if said is None or said.casefold() != entry.licence.casefold():
        instead = f", not {said}" if said is not None else ""
        raise LicenceNotAccepted(
            f"The licence of {name} is {entry.licence}{instead}. It does not allow commercial use and must be accepted by name.",
            hint=f"If you accept it, run: {command('models', 'fetch', name, '--accept-licence', entry.licence)}",
        )
    os.makedirs(models, exist_ok=True)
    path = os.path.join(models, ACCEPTED)
    write_whole(path, json.dumps(accepted(models) | {entry.licence: now}, indent=2))
