"""Hostile bytes → JobSpec, or a precise refusal.

`reading` turns one file into fields (over `yaml_subset`, a strict YAML reader, and `fields`, what each field means),
`resolving` puts configuration, preset or batch, and sidecar together, `writing` prints a spec and the schema, `problems` words
what is wrong. Nothing here touches a file: bytes and names come in, values and errors go out.
"""

from daemon.sidecar.reading import Sidecar, parse, requested_id
from daemon.sidecar.resolving import JobKind, resolve, without_effect
from daemon.sidecar.writing import render, schema
from daemon.sidecar.yaml_subset import MAX_BYTES

__all__ = ["MAX_BYTES", "JobKind", "Sidecar", "parse", "render", "requested_id", "resolve", "schema", "without_effect"]
