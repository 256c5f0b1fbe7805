"""What the preview page of a result says: names, numbers and links."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.export.format import Pictures
from pipeline.export.naming import layer_files, layer_names
from pipeline.export.preview import PreviewLayer, PreviewPage


def page_of(pictures: Pictures, formats: Sequence[tuple[str, str]]) -> PreviewPage:
    """What the preview page says. `formats` holds the title and the file name of each layered file that it links to."""
    layers, depth = pictures.layers, pictures.depth
    height, width = layers.labels.shape
    count = len(layers.rgba)
    facts = [("Size", f"{width} × {height}"), ("Depth", pictures.depth_in_words)]
    if depth.model:
        facts.append(("Model", f"{depth.model} ({depth.licence or 'licence unknown'})"))
    facts.append(("Split", layers.method))
    if pictures.painter:
        facts.append(("Painting", pictures.painter))
    links = [
        *formats,
        ("Contact sheet", "contact_sheet.jpg"),
        ("Depth map", f"{pictures.prefix}depth_map.png"),
        ("Manifest", "layer_manifest.json"),
    ]
    return PreviewPage(
        title=pictures.title,
        layers=tuple(
            PreviewLayer(name, (float(far), float(near)), share, plane.travel, _box(bbox, width, height), file)
            for name, file, (far, near), share, plane, bbox in zip(
                layer_names(count),
                layer_files(count, pictures.prefix),
                layers.depth_ranges,
                layers.coverage,
                pictures.camera.planes,
                layers.bboxes,
                strict=True,
            )
        ),
        thresholds=tuple(map(float, layers.thresholds)),
        layers_in_words=pictures.layers_in_words,
        facts=tuple(facts),
        links=tuple(links),
        painted=pictures.painted_from is not None,
        note=pictures.note,
    )


def photo_of(pictures: Pictures) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The photo that the page shows before it was taken apart, and the painting of it, if there is one: (H, W, 3 or 4) each."""
    photo = pictures.photo
    seen = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
    if pictures.painted_from is None:
        return seen, None
    return pictures.painted_from if photo.alpha is None else np.dstack([pictures.painted_from, photo.alpha]), seen


def _box(bbox: tuple[int, int, int, int] | None, width: int, height: int) -> tuple[float, float, float, float]:
    if bbox is None:
        return 0.0, 0.0, 1.0, 1.0
    x, y, across, down = bbox
    return x / width, y / height, across / width, down / height
