"""Writes the layers as a 3-D scene in one binary glTF file, `scene.glb`: a textured surface per layer, and the camera.

Format: glTF 2.0 (ISO/IEC 12113), with the extension KHR_materials_unlit, so that surfaces show their colours whatever the light.
The camera is at the origin and looks along −z; one unit is one metre. The origin of each surface is the middle of the layer's
plane, because programs that draw transparent surfaces sort them by that. Written by hand: this needs nothing that a library would
make shorter, and Khronos' own validator checks the file.
"""

import json
import math
import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon import __version__
from pipeline.export.camera import Camera
from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.scenes.mesh import Mesh, mesh_of
from pipeline.export.scenes.stage import Standing, standing, title_of
from pipeline.export.scenes.texture import Texture, textures

Surface = tuple[Mesh, Texture]

_FILE = "scene.glb"
_MAX_SIDE = 4096  # every device with WebGL 2 in use takes textures of this size
_MAGIC, _VERSION, _JSON, _BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942  # the file's and the chunks' first words
_FLOAT, _SHORT, _VERTICES, _INDICES = 5126, 5123, 34962, 34963
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE = 9729, 9987, 33071
_UNLIT = "KHR_materials_unlit"
_ARRAYS = 3  # of each surface: points, places, triangles


def glb(layers: Sequence[Standing], surfaces: Sequence[Surface], camera: Camera, title: str) -> bytes:
    """The whole file.

    Args:
        layers: back to front.
        surfaces: the surface of each, and the picture on it.
        camera: what they stand before.
        title: the name of the scene; text that UTF-8 can encode.
    """
    arrays = [(each.points.astype("<f4"), each.places.astype("<f4"), each.triangles.astype("<u2")) for each, _ in surfaces]
    contents = [array.tobytes() for three in arrays for array in three] + [picture.png for _, picture in surfaces]
    blocks = [_padded(each, b"\0") for each in contents]
    starts = accumulate(map(len, blocks), initial=0)
    views = [{"buffer": 0, "byteOffset": start, "byteLength": len(each)} for start, each in zip(starts, contents, strict=False)]
    for number in range(_ARRAYS * len(layers)):
        views[number]["target"] = _INDICES if number % _ARRAYS == 2 else _VERTICES
    binary = b"".join(blocks)
    content = {
        **_head(layers, camera, title),
        "meshes": [_mesh(layer.name, k) for k, layer in enumerate(layers)],
        "materials": [_material(layer.name, k, surfaces[k][1].opaque) for k, layer in enumerate(layers)],
        "textures": [{"source": k, "sampler": 0} for k in range(len(layers))],
        "images": [
            {"name": layer.name, "bufferView": _ARRAYS * len(layers) + k, "mimeType": "image/png"}
            for k, layer in enumerate(layers)
        ],
        "samplers": [
            {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": _CLAMP_TO_EDGE, "wrapT": _CLAMP_TO_EDGE}
        ],
        "accessors": [each for k, three in enumerate(arrays) for each in _accessors(_ARRAYS * k, *three)],
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    document = _padded(json.dumps(content, separators=(",", ":")).encode(), b" ")
    return b"".join(
        (
            struct.pack("<III", _MAGIC, _VERSION, 12 + 8 + len(document) + 8 + len(binary)),
            struct.pack("<II", len(document), _JSON),
            document,
            struct.pack("<II", len(binary), _BINARY),
            binary,
        )
    )


def _head(layers: Sequence[Standing], camera: Camera, title: str) -> dict[str, Any]:
    """What stands where."""
    count = len(layers)
    return {
        "asset": {"version": "2.0", "generator": f"Multiplane {__version__}"},
        "extensionsUsed": [_UNLIT],
        "scene": 0,
        "scenes": [{"name": title, "nodes": [0]}],
        "nodes": [
            {"name": title, "children": list(range(1, count + 2))},
            *({"name": layer.name, "mesh": k, "translation": [0.0, 0.0, -layer.distance]} for k, layer in enumerate(layers)),
            {"name": "Camera", "camera": 0},
        ],
        "cameras": [
            {
                "name": "Camera",
                "type": "perspective",
                "perspective": {
                    "yfov": math.radians(camera.fov[1]),
                    "aspectRatio": camera.width / camera.height,
                    "znear": layers[-1].distance / 100.0,
                    "zfar": layers[0].distance * 10.0,
                },
            }
        ],
    }


def _mesh(name: str, number: int) -> dict[str, Any]:
    points, places, triangles = range(_ARRAYS * number, _ARRAYS * (number + 1))
    about = {"attributes": {"POSITION": points, "TEXCOORD_0": places}, "indices": triangles, "material": number, "mode": 4}
    return {"name": name, "primitives": [about]}


def _accessors(
    first: int, points: NDArray[np.float32], places: NDArray[np.float32], triangles: NDArray[np.uint16]
) -> Iterator[dict[str, Any]]:
    """The descriptions of a surface's arrays; `first` is the number of the first one's view."""
    limits = {"min": points.min(axis=0).tolist(), "max": points.max(axis=0).tolist()}
    yield {"bufferView": first, "componentType": _FLOAT, "count": len(points), "type": "VEC3", **limits}
    yield {"bufferView": first + 1, "componentType": _FLOAT, "count": len(places), "type": "VEC2"}
    yield {"bufferView": first + 2, "componentType": _SHORT, "count": triangles.size, "type": "SCALAR"}


def _material(name: str, texture: int, opaque: bool) -> dict[str, Any]:
    """Colours as they are. Programs that do not know the extension get a dull surface of that colour."""
    return {
        "name": name,
        "pbrMetallicRoughness": {"baseColorTexture": {"index": texture}, "metallicFactor": 0.0, "roughnessFactor": 1.0},
        "alphaMode": "OPAQUE" if opaque else "BLEND",
        "doubleSided": True,
        "extensions": {_UNLIT: {}},
    }


def _padded(data: bytes, filler: bytes) -> bytes:
    """Chunks and the parts of a buffer begin at multiples of four bytes."""
    return data + filler * (-len(data) % 4)


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    layers = standing(pictures)
    made: list[Surface] = []
    for layer, texture in zip(layers, textures(layers, pictures.photo.icc, _MAX_SIDE), strict=True):
        made.append((mesh_of(layer, pictures), texture))
        progress(len(made) / len(layers) * 0.95)
    with (folder / _FILE).open("xb") as file:
        file.write(glb(layers, made, pictures.camera, title_of(pictures)))
    return [_FILE]


FORMAT = Format(title="3-D scene (glTF)", cost=3.6, file=lambda _: _FILE, write=_write)
