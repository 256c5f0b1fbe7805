"""Turns hostile bytes into a JobSpec or a precise refusal.

`reading` turns one file into fields. It uses `yaml_subset`, a strict YAML reader, and `fields`, which says how each field is
read. `resolving` combines configuration, preset or batch, and sidecar. `writing` prints a spec and the schema. `problems` puts
mistakes into words. Nothing here touches a file: bytes and names come in, values and errors go out.
"""

from daemon.sidecar.reading import Sidecar, parse, read, requested_id
from daemon.sidecar.resolving import JobKind, resolve, without_effect
from daemon.sidecar.writing import render, schema
from daemon.sidecar.yaml_subset import MAX_BYTES

__all__ = ["MAX_BYTES", "JobKind", "Sidecar", "parse", "read", "render", "requested_id", "resolve", "schema", "without_effect"]
