"""schema: the JSON Schemas of what is read and written, for editors and programs."""

from enum import StrEnum
from typing import Annotated

import typer

from daemon import sidecar
from daemon.cli.common import print_json


class Which(StrEnum):
    """What there are schemas of: files first, then what the verbs print with --json."""

    SIDECAR = "sidecar"
    STATUS = "status"
    MANIFEST = "manifest"
    HEALTH = "health"
    SUBMIT = "submit"
    JOBS = "jobs"
    SHOW = "show"
    WAITING = "waiting"
    WATCH = "watch"
    STATS = "stats"
    CANCEL = "cancel"
    RETRY = "retry"
    RM = "rm"
    CHECK = "check"
    DOCTOR = "doctor"
    SERVICE_STATUS = "service-status"
    MODELS_LIST = "models-list"
    MODELS_VERIFY = "models-verify"


def schema(
    which: Annotated[Which, typer.Argument(help="Of which file, or of which verb's --json.")] = Which.SIDECAR,
) -> None:
    """Print the JSON Schema of the sidecar, of status.json, layer_manifest.json or daemon.json, or of a verb's --json."""
    if which is Which.SIDECAR:
        print_json(sidecar.schema())
        return
    # Only here: what all the verbs print takes longer to load than to print.
    from daemon.cli import answers

    print_json(answers.schema(which.value))
