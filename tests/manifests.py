"""A valid manifest of small made-up layers, for tests of what the daemon does with a result."""

import hashlib
from collections.abc import Mapping

from daemon.contract.manifest import Depth, Layer, Manifest, Recomposition, Split


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest_of_layers(files: Mapping[str, bytes]) -> Manifest:
    """The manifest of a picture of 4 × 2 pixels with these layer files, the farthest first."""
    layers = tuple(
        Layer(index=i, name=f"layer {i}", file=name, depth_range=(0.0, 1.0), coverage=0.5, bbox=None, sha256=sha256(data))
        for i, (name, data) in enumerate(files.items(), start=1)
    )
    return Manifest(
        width=4,
        height=2,
        layers=layers,
        split=Split(method="natural", thresholds=(0.5,)),
        depth=Depth(source="file", polarity="disparity"),
        recomposition=Recomposition(max_error=0, raised_alpha=0),
        threads=1,
        versions={},
    )
