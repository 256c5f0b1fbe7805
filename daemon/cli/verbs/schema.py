"""schema: prints the JSON Schemas of files and output, for editors and programs."""

from enum import StrEnum
from typing import Annotated

import typer

from daemon import sidecar
from daemon.cli.common import Home, print_json


class Which(StrEnum):
    """What has a schema: first files, then the verbs' --json output."""

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
    REDO = "redo"
    RM = "rm"
    PRUNE = "prune"
    CONFIG = "config"
    CHECK = "check"
    DOCTOR = "doctor"
    SERVICE_STATUS = "service-status"
    CLUSTER_STATUS = "cluster-status"
    MODELS_LIST = "models-list"
    MODELS_VERIFY = "models-verify"


def schema(
    which: Annotated[Which, typer.Argument(help="Which file, or which command's --json output.")] = Which.SIDECAR,
    home: Home = None,
) -> None:
    """Print the JSON Schema of the YAML file, status.json, layer_manifest.json, daemon.json or a command's JSON."""
    del home  # accepted like everywhere; schemas are the same in every home
    if which is Which.SIDECAR:
        print_json(sidecar.schema())
        return
    # Imported here: the models of all verbs take longer to load than to print.
    from daemon.cli import answers

    print_json(answers.schema(which.value))
