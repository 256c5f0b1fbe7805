"""A small picture in layers whose planes, colours and soft borders are known, without running the steps that make layers."""

import numpy as np
from numpy.typing import NDArray

from daemon.contract.manifest import Depth
from pipeline.export.format import Pictures
from pipeline.image.decode import Photo
from pipeline.layers.distances import Distances
from pipeline.layers.layering import Layers
from pipeline.layers.recompose import compose

HOSTILE = "Ünï\"q'\\ \n</script> {{SCENE}} ‮ \udc80 中景 🎞 %41 ; os.abort()" + "x" * 300


def pictures(
    width: int = 40,
    height: int = 24,
    *,
    count: int = 3,
    title: str = "A garden",
    empty: tuple[int, ...] = (),
    icc: bytes | None = None,
    mesh: str = "flat",
) -> Pictures:
    """Discs in front of each other before a noisy, opaque background; layers in `empty` have no pixels."""
    noise = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    stack: list[NDArray[np.uint8]] = []
    for k in range(count):
        rgba = noise.integers(0, 256, (height, width, 4), np.uint8)
        away = np.hypot(x - width * (k + 0.5) / count, y - height * 0.6)
        soft = np.clip((height * 0.3 - away) * 64 + 128, 0, 255).astype(np.uint8)
        rgba[..., 3] = 255 if k == 0 else soft
        if k in empty:
            rgba[..., 3] = 0
        rgba[rgba[..., 3] == 0] = 0
        stack.append(rgba)
    rgb = compose(np.zeros((height, width, 3), np.uint8), None, stack).picture
    edges = np.linspace(0.0, 1.0, count + 1)
    layers = Layers(
        rgba=stack,
        composite=rgb,
        disparity=(y / height).astype(np.float32),
        labels=np.minimum(y * count / height, count - 1).astype(np.uint8),
        method="equal",
        thresholds=tuple(map(float, edges[1:-1])),
        depth_ranges=tuple((float(edges[k]), float(edges[k + 1])) for k in range(count)),
        coverage=(1.0 / count,) * count,
        bboxes=tuple(None if k in empty else _box(stack[k]) for k in range(count)),
        max_error=0,
        raised_alpha=0,
        mean_colour_distance=0.0,
    )
    photo = Photo(rgb, None, icc, "sRGB", 8, "PNG", dpi=(300.0, 300.0))
    where = Distances(0.1, 0.6, in_metres=True)
    return Pictures(title, photo, layers, Depth(source="file", polarity="disparity"), "given", None, distances=where, mesh=mesh)


def _box(rgba: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(rgba[..., 3])
    return int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def through_camera(made: Pictures, corner: tuple[float, float], distance: float) -> tuple[float, float]:
    """Where the camera at rest sees a point, in pixels from the picture's upper left.

    Args:
        made: the picture.
        corner: of a plane, right and up from the camera's axis, in the camera's unit.
        distance: of the plane.
    """
    camera = made.camera
    return (
        camera.width / 2 + camera.focal_length * corner[0] / distance,
        camera.height / 2 - camera.focal_length * corner[1] / distance,
    )
