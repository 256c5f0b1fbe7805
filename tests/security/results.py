"""A worker's valid result for tests to tamper with, and the parts of a daemon from the unit tests."""

import sys
from pathlib import Path

from daemon.contract.messages import Result
from daemon.contract.status import Output, Source
from tests.manifests import manifest_of_layers, sha256

for kind in ("unit", "process/supervisor"):
    sys.path.insert(0, str(Path(__file__).parents[1] / kind))

LAYERS = {"Layer_1.png": b"far", "Layer_2.png": b"near"}


def make_result(attempt: Path) -> Result:
    """A valid result in an attempt folder, and the worker's report of it."""
    folder = attempt / "result"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = manifest_of_layers(LAYERS)
    files = LAYERS | {"layer_manifest.json": manifest.model_dump_json().encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return Result(
        source=Source(image="photo.jpg", bytes=3, sha256="ab", width=4, height=2),
        outputs=tuple(
            Output(path=f"result/{name}", kind="layer" if name in LAYERS else "manifest", bytes=len(data), sha256=sha256(data))
            for name, data in files.items()
        ),
        manifest="result/layer_manifest.json",
    )
