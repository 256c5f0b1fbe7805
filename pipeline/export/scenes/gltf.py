"""Writes the layers as a 3-D scene in one binary glTF file, `scene.glb`: a textured plane per layer, and the camera.

Format: glTF 2.0 (ISO/IEC 12113), with the extension KHR_materials_unlit, so that planes show their colours whatever the light.
The camera is at the origin and looks along −z; one unit is one metre. Each plane is a unit square, scaled to its size and
centred on the camera's axis, because programs that draw transparent planes sort them by their centres. Written by hand: squares
need nothing that a library would make shorter, and Khronos' own validator checks the file.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daemon import __version__
from pipeline.export.camera import Camera
from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.scenes.stage import Standing, standing, title_of
from pipeline.export.scenes.texture import Texture, textures

_FILE = "scene.glb"
_MAX_SIDE = 4096  # every device with WebGL 2 in use takes textures of this size
_MAGIC, _VERSION, _JSON, _BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942  # the file's and the chunks' first words
_FLOAT, _SHORT, _VERTICES, _INDICES = 5126, 5123, 34962, 34963
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE = 9729, 9987, 33071
_UNLIT = "KHR_materials_unlit"
#: The corners of the unit square from the lower left, counter-clockwise for who looks along −z. Texture rows begin at the top.
_POSITIONS = np.array([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)], "<f4")
_NORMALS = np.array([(0, 0, 1)] * 4, "<f4")
_TEXTURE_PLACES = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], "<f4")
_TRIANGLES = np.array([0, 1, 2, 0, 2, 3], "<u2")


def glb(layers: Sequence[Standing], pictures: Sequence[Texture], camera: Camera, title: str) -> bytes:
    """The whole file.

    Args:
        layers: back to front.
        pictures: their textures.
        camera: what they stand before.
        title: the name of the scene; text that UTF-8 can encode.
    """
    square = [_POSITIONS, _NORMALS, _TEXTURE_PLACES, _TRIANGLES]
    blocks = [*(_padded(each.tobytes(), b"\0") for each in square), *(_padded(each.png, b"\0") for each in pictures)]
    lengths = [*(each.nbytes for each in square), *(len(each.png) for each in pictures)]
    document = _padded(
        json.dumps(_document(layers, pictures, camera, title, blocks, lengths), separators=(",", ":")).encode(), b" "
    )
    binary = b"".join(blocks)
    whole = 12 + 8 + len(document) + 8 + len(binary)
    return b"".join(
        (
            struct.pack("<III", _MAGIC, _VERSION, whole),
            struct.pack("<II", len(document), _JSON),
            document,
            struct.pack("<II", len(binary), _BINARY),
            binary,
        )
    )


def _document(
    layers: Sequence[Standing],
    pictures: Sequence[Texture],
    camera: Camera,
    title: str,
    blocks: Sequence[bytes],
    lengths: Sequence[int],
) -> Mapping[str, Any]:
    """The JSON part. `blocks`: the contents of the buffer, padded: the square's four arrays, then the textures."""
    targets = (_VERTICES, _VERTICES, _VERTICES, _INDICES)
    starts = [sum(map(len, blocks[:k])) for k in range(len(blocks))]
    views: list[dict[str, Any]] = [
        {"buffer": 0, "byteOffset": start, "byteLength": length} for start, length in zip(starts, lengths, strict=True)
    ]
    for view, target in zip(views, targets, strict=False):
        view["target"] = target
    count = len(layers)
    across, down = camera.width / camera.focal_length, camera.height / camera.focal_length
    return {
        "asset": {"version": "2.0", "generator": f"Multiplane {__version__}"},
        "extensionsUsed": [_UNLIT],
        "scene": 0,
        "scenes": [{"name": title, "nodes": [0]}],
        "nodes": [
            {"name": title, "children": list(range(1, count + 2))},
            *(
                {
                    "name": layer.name,
                    "mesh": k,
                    "translation": [0.0, 0.0, -layer.distance],
                    "scale": [layer.size[0], layer.size[1], 1.0],
                }
                for k, layer in enumerate(layers)
            ),
            {"name": "Camera", "camera": 0},
        ],
        "cameras": [
            {
                "name": "Camera",
                "type": "perspective",
                "perspective": {
                    "yfov": float(2.0 * np.arctan(down / 2.0)),
                    "aspectRatio": across / down,
                    "znear": layers[-1].distance / 100.0,
                    "zfar": layers[0].distance * 10.0,
                },
            }
        ],
        "meshes": [
            {
                "name": layer.name,
                "primitives": [
                    {"attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}, "indices": 3, "material": k, "mode": 4}
                ],
            }
            for k, layer in enumerate(layers)
        ],
        "materials": [
            _material(layer.name, k, picture.opaque) for k, (layer, picture) in enumerate(zip(layers, pictures, strict=True))
        ],
        "textures": [{"source": k, "sampler": 0} for k in range(count)],
        "images": [{"name": layer.name, "bufferView": 4 + k, "mimeType": "image/png"} for k, layer in enumerate(layers)],
        "samplers": [
            {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": _CLAMP_TO_EDGE, "wrapT": _CLAMP_TO_EDGE}
        ],
        "accessors": [
            _accessor(0, _POSITIONS, "VEC3", bounded=True),
            _accessor(1, _NORMALS, "VEC3"),
            _accessor(2, _TEXTURE_PLACES, "VEC2"),
            {"bufferView": 3, "componentType": _SHORT, "count": len(_TRIANGLES), "type": "SCALAR"},
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": sum(map(len, blocks))}],
    }


def _material(name: str, texture: int, opaque: bool) -> dict[str, Any]:
    """Colours as they are. Programs that do not know the extension get a dull surface of that colour."""
    return {
        "name": name,
        "pbrMetallicRoughness": {"baseColorTexture": {"index": texture}, "metallicFactor": 0.0, "roughnessFactor": 1.0},
        "alphaMode": "OPAQUE" if opaque else "BLEND",
        "doubleSided": True,
        "extensions": {_UNLIT: {}},
    }


def _accessor(view: int, values: "np.ndarray[Any, Any]", kind: str, *, bounded: bool = False) -> dict[str, Any]:
    limits = {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()} if bounded else {}
    return {"bufferView": view, "componentType": _FLOAT, "count": len(values), "type": kind, **limits}


def _padded(data: bytes, filler: bytes) -> bytes:
    """Chunks and the parts of a buffer begin at multiples of four bytes."""
    return data + filler * (-len(data) % 4)


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    layers = standing(pictures)
    made = []
    for texture in textures(layers, pictures.photo.icc, _MAX_SIDE):
        made.append(texture)
        progress(len(made) / len(layers) * 0.95)
    with (folder / _FILE).open("xb") as file:
        file.write(glb(layers, made, pictures.camera, title_of(pictures)))
    return [_FILE]


FORMAT = Format(title="3-D scene (glTF)", cost=3.6, file=lambda _: _FILE, write=_write)
