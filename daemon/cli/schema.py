"""schema: the JSON Schemas of what is read and written, for editors and programs."""

from enum import StrEnum
from typing import Annotated

import typer

from daemon import sidecar
from daemon.cli.common import print_json
from daemon.contract.manifest import Manifest
from daemon.contract.status import Status


class Which(StrEnum):
    """What there are schemas of."""

    SIDECAR = "sidecar"
    STATUS = "status"
    MANIFEST = "manifest"


def schema(
    which: Annotated[Which, typer.Argument(help="Of which file.")] = Which.SIDECAR,
) -> None:
    """Print the JSON Schema of the sidecar, of status.json or of layer_manifest.json."""
    schemas = {Which.SIDECAR: sidecar.schema, Which.STATUS: Status.model_json_schema, Which.MANIFEST: Manifest.model_json_schema}
    print_json(schemas[which]())
