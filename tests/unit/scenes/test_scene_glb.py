"""The binary glTF file: whole, seen through its own camera it is the photo, and no name breaks it."""

import io
import json
import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.export.format import Pictures
from pipeline.export.scenes.gltf import FORMAT
from pipeline.layers.recompose import compose
from tests.unit.scenes.stand_in import HOSTILE, pictures


def written(folder: Path, made: Pictures) -> bytes:
    """The file; each write says how far it is."""
    told: list[float] = []
    assert FORMAT.write(folder, made, told.append) == ["scene.glb"] == [FORMAT.file(made)]
    assert told == sorted(told)
    assert 0 < told[0] <= told[-1] <= 1
    return (folder / "scene.glb").read_bytes()


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The document and the binary part, by the lengths that the file states."""
    magic, version, whole = struct.unpack("<4sII", data[:12])
    assert (magic, version, whole) == (b"glTF", 2, len(data))
    length, kind = struct.unpack("<I4s", data[12:20])
    assert (kind, length % 4) == (b"JSON", 0)
    rest = data[20 + length :]
    size, kind = struct.unpack("<I4s", rest[:8])
    assert (kind, size % 4, size) == (b"BIN\0", 0, len(rest) - 8)
    return json.loads(data[20 : 20 + length]), rest[8:]


def block(document: dict[str, Any], binary: bytes, view: int) -> bytes:
    about = document["bufferViews"][view]
    assert about["byteOffset"] % 4 == 0
    return binary[about["byteOffset"] : about["byteOffset"] + about["byteLength"]]


@pytest.mark.parametrize("mesh", ["flat", "relief"])
def test_the_camera_sees_each_layer_fill_the_frame_and_the_photo_in_it(tmp_path: Path, mesh: str) -> None:
    made = pictures(mesh=mesh)
    document, binary = parts(written(tmp_path, made))
    camera = document["cameras"][0]["perspective"]
    root, *nodes, seen = document["nodes"]
    assert root["children"] == [1, 2, 3, 4]
    assert seen == {"name": "Camera", "camera": 0}
    up = 1 / math.tan(camera["yfov"] / 2)
    distances, shape = [], []
    for node in nodes:
        x, y, z = node["translation"]
        assert (x, y) == (0, 0)
        distances.append(-z)
        assert camera["znear"] < -z < camera["zfar"]
        (surface,) = document["meshes"][node["mesh"]]["primitives"]
        points, places = (
            np.frombuffer(block(document, binary, surface["attributes"][name]), "<f4").reshape(-1, size)
            for name, size in (("POSITION", 3), ("TEXCOORD_0", 2))
        )
        # Normalised device coordinates, as glTF's perspective matrix gives them. Textures begin at the top.
        away = -(points[:, 2] + z)
        seen = np.column_stack([points[:, 0] * up / camera["aspectRatio"] / away, points[:, 1] * up / away])
        assert seen == pytest.approx(places * (2, -2) + (-1, 1), abs=1e-4)
        corner = np.frombuffer(block(document, binary, surface["indices"]), "<u2").reshape(-1, 3)
        assert len(points) == (4 if mesh == "flat" else 97 * 59)
        assert sorted(set(corner.ravel())) == list(range(len(points)))
        first, second = (points[corner[:, k]] - points[corner[:, 0]] for k in (1, 2))
        assert (np.cross(first, second)[:, 2] > 0).all()  # seen from the front
        shape.append(float(np.ptp(points[:, 2])))
    assert distances == pytest.approx([plane.distance for plane in made.camera.planes])
    assert all(far > near for far, near in pairwise(distances))

    assert all(deep > 0.01 if mesh == "relief" else deep == 0 for deep in shape)

    stack = []
    for node in nodes:
        material = document["materials"][document["meshes"][node["mesh"]]["primitives"][0]["material"]]
        source = document["textures"][material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]["source"]
        image = Image.open(io.BytesIO(block(document, binary, document["images"][source]["bufferView"])))
        assert (image.mode, material["alphaMode"]) in (("RGB", "OPAQUE"), ("RGBA", "BLEND"))
        stack.append(np.asarray(image.convert("RGBA")))
    assert document["materials"][0]["alphaMode"] == "OPAQUE"
    assert np.array_equal(compose(made.photo.rgb, None, stack).picture, made.photo.rgb)


def test_names_are_text_whatever_they_hold_and_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    first, second = (written(folder, pictures(title=HOSTILE)) for folder in folders)
    assert first == second
    document, _ = parts(first)
    title = document["scenes"][0]["name"]
    assert title.startswith("Ünï\"q'\\ </script> {{SCENE}} ")
    assert len(title) <= 100
    assert "中景" in title
    assert title.isprintable()
    assert [node["name"] for node in document["nodes"][1:]] == [
        "Layer 1 background",
        "Layer 2 midground",
        "Layer 3 foreground",
        "Camera",
    ]


def test_a_layer_without_pixels_does_not_stand_in_the_scene(tmp_path: Path) -> None:
    document, _ = parts(written(tmp_path, pictures(count=4, empty=(1, 3))))
    assert [mesh["name"] for mesh in document["meshes"]] == ["Layer 1 background", "Layer 3 midground"]
