"""A worker's valid result for tests to tamper with, and the parts of a daemon from the unit tests."""

import hashlib
import sys
from pathlib import Path

from daemon.contract.manifest import Depth, Layer, Manifest, Recomposition, Split
from daemon.contract.messages import Result
from daemon.contract.status import Output, Source

for kind in ("unit", "process/supervisor"):
    sys.path.insert(0, str(Path(__file__).parents[1] / kind))

LAYERS = {"Layer_1.png": b"far", "Layer_2.png": b"near"}


def make_result(attempt: Path) -> Result:
    """A valid result in an attempt folder, and the worker's report of it."""
    folder = attempt / "result"
    folder.mkdir(parents=True, exist_ok=True)
    layers = tuple(
        Layer(index=index, name="x", file=name, depth_range=(0, 1), coverage=0.5, bbox=None, sha256=_digest(data))
        for index, (name, data) in enumerate(LAYERS.items(), start=1)
    )
    manifest = Manifest(
        width=4,
        height=2,
        layers=layers,
        split=Split(method="natural", thresholds=(0.5,)),
        depth=Depth(source="file", polarity="disparity"),
        recomposition=Recomposition(max_error=0, raised_alpha=0),
        threads=1,
        versions={},
    )
    files = LAYERS | {"layer_manifest.json": manifest.model_dump_json().encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return Result(
        source=Source(image="photo.jpg", bytes=3, sha256="ab", width=4, height=2),
        outputs=tuple(
            Output(path=f"result/{name}", kind="layer" if name in LAYERS else "manifest", bytes=len(data), sha256=_digest(data))
            for name, data in files.items()
        ),
        manifest="result/layer_manifest.json",
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
