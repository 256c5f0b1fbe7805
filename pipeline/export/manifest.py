"""Names the layers, describes them for the manifest, and encodes the manifest, `layer_manifest.json`.

`daemon.contract.manifest` defines its content. The manifest has no times and no ids, so that the same job gives the same bytes.
"""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import distribution

from daemon import __version__
from daemon.contract.manifest import Camera, Layer, Manifest
from pipeline.export import camera
from pipeline.export.naming import layer_files, layer_names

# Decimals of depths and fractions: finer than any depth source resolves, but short enough to read.
_DECIMALS = 6


def describe_layers(
    depth_ranges: Sequence[tuple[float, float]],
    coverage: Sequence[float],
    bboxes: Sequence[tuple[int, int, int, int] | None],
    sha256: Sequence[str],
    planes: Sequence[camera.Plane],
    prefix: str = "",
) -> tuple[Layer, ...]:
    """The manifest's entries for layers given back to front.

    Args:
        depth_ranges: (far, near) disparity of each, 0 to 1.
        coverage: fraction of the picture in which each layer is the one that is visible, 0 to 1.
        bboxes: x, y, width, height of the visible part of each layer; None if it is empty.
        sha256: of each layer's file, hexadecimal.
        planes: where each layer stands before the camera.
        prefix: what the names of the files begin with.

    Raises:
        ValueError: the sequences differ in length.
    """
    count = len(sha256)
    columns = zip(layer_names(count), layer_files(count, prefix), depth_ranges, coverage, bboxes, sha256, planes, strict=True)
    return tuple(
        Layer(
            index=index,
            name=name,
            file=file,
            depth_range=(round(float(far), _DECIMALS), round(float(near), _DECIMALS)),
            coverage=round(float(share), _DECIMALS),
            bbox=bbox,
            sha256=digest,
            distance=_digits(plane.distance),
            scale=_digits(plane.scale),
            travel=round(plane.travel, _DECIMALS),
        )
        for index, (name, file, (far, near), share, bbox, digest, plane) in enumerate(columns, 1)
    )


def describe_camera(seen: camera.Camera) -> Camera:
    """The manifest's entry for the camera."""
    across, down = seen.fov
    return Camera(
        width=seen.width,
        height=seen.height,
        fov=_digits(across),
        fov_vertical=_digits(down),
        focal_length=_digits(seen.focal_length),
        lens=seen.lens,
        unit=seen.unit,
        pivot=_digits(seen.pivot),
        reach=(_digits(seen.reach[0]), _digits(seen.reach[1])),
        push=_digits(seen.push),
    )


def _digits(value: float) -> float:
    """The number with eight significant digits: far finer than a pixel, and the same wherever it is computed."""
    return float(f"{value:.8g}")


def versions(*packages: str) -> dict[str, str]:
    """The versions of Multiplane, Python and the named installed packages, in alphabetical order.

    Raises:
        importlib.metadata.PackageNotFoundError: a package is not installed.
    """
    found = {"multiplane": __version__, "python": platform.python_version()}
    found |= {package: _version(package) for package in packages}
    return dict(sorted(found.items()))


def _version(package: str) -> str:
    """Like `importlib.metadata.version`, but without parsing all of a package's metadata as e-mail: 10 ms for numpy."""
    said = distribution(package).read_text("METADATA") or ""
    return next(line.partition(":")[2].strip() for line in said.splitlines() if line.startswith("Version:"))


def encode(manifest: Manifest) -> bytes:
    """`layer_manifest.json`: UTF-8, two spaces of indent, fields in their declared order, a newline at the end."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()
