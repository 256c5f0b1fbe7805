"""The layer manifest: what the layers are called, and `layer_manifest.json` as bytes.

What stands in it is `daemon.contract.manifest`; here it is put together and written, without times or ids, so that the same
job gives the same bytes.
"""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import distribution

from daemon import __version__
from daemon.contract.manifest import Layer, Manifest

# Of depths and shares: finer than any depth source resolves, coarse enough to read.
_DECIMALS = 6


def layer_files(count: int) -> tuple[str, ...]:
    """File names of the layers, back to front: `Layer_1_background.png` … `Layer_N_foreground.png`.

    Raises:
        ValueError: fewer than two layers.
    """
    return tuple(f"Layer_{number}_{role}.png" for number, role in enumerate(_roles(count), 1))


def layer_names(count: int) -> tuple[str, ...]:
    """Names of the layers for people, back to front and each once: Background, Midground 1, Midground 2 …, Foreground.

    Raises:
        ValueError: fewer than two layers.
    """
    numbered = count > 3
    return tuple(
        f"{role.capitalize()} {number}" if role == "midground" and numbered else role.capitalize()
        for number, role in enumerate(_roles(count))
    )


def describe_layers(
    depth_ranges: Sequence[tuple[float, float]],
    coverage: Sequence[float],
    bboxes: Sequence[tuple[int, int, int, int] | None],
    sha256: Sequence[str],
) -> tuple[Layer, ...]:
    """The manifest's entries for layers given back to front.

    Args:
        depth_ranges: (far, near) disparity of each, 0 to 1.
        coverage: share of the picture where each is what one sees, 0 to 1.
        bboxes: x, y, width, height of what is not transparent in each; none if it is empty.
        sha256: of each layer's file, hexadecimal.

    Raises:
        ValueError: the sequences are not of one length.
    """
    count = len(sha256)
    columns = zip(layer_names(count), layer_files(count), depth_ranges, coverage, bboxes, sha256, strict=True)
    return tuple(
        Layer(
            index=index,
            name=name,
            file=file,
            depth_range=(round(float(far), _DECIMALS), round(float(near), _DECIMALS)),
            coverage=round(float(share), _DECIMALS),
            bbox=bbox,
            sha256=digest,
        )
        for index, (name, file, (far, near), share, bbox, digest) in enumerate(columns, 1)
    )


def versions(*packages: str) -> dict[str, str]:
    """What made the result: Multiplane, Python and the named installed packages, in alphabetical order.

    Raises:
        importlib.metadata.PackageNotFoundError: a package is not installed.
    """
    found = {"multiplane": __version__, "python": platform.python_version()}
    found |= {package: _version(package) for package in packages}
    return dict(sorted(found.items()))


def _version(package: str) -> str:
    """As `importlib.metadata.version`, which reads a package's whole description as an e-mail for it: 10 ms for numpy."""
    said = distribution(package).read_text("METADATA") or ""
    return next(line.partition(":")[2].strip() for line in said.splitlines() if line.startswith("Version:"))


def encode(manifest: Manifest) -> bytes:
    """`layer_manifest.json`: UTF-8, two spaces of indent, fields in their declared order, a newline at the end."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()


def _roles(count: int) -> tuple[str, ...]:
    if count < 2:
        raise ValueError(f"a stack has at least two layers, not {count}")
    return ("background", *["midground"] * (count - 2), "foreground")
