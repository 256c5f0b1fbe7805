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


def test_the_camera_sees_each_plane_fill_the_frame_and_the_photo_in_it(tmp_path: Path) -> None:
    made = pictures()
    document, binary = parts(written(tmp_path, made))
    camera = document["cameras"][0]["perspective"]
    corners = np.frombuffer(block(document, binary, 0), "<f4").reshape(4, 3)
    places = np.frombuffer(block(document, binary, 2), "<f4").reshape(4, 2)
    assert np.array_equal(places, np.column_stack([corners[:, 0] + 0.5, 0.5 - corners[:, 1]]))  # textures begin at the top
    root, *nodes, seen = document["nodes"]
    assert root["children"] == [1, 2, 3, 4]
    assert seen == {"name": "Camera", "camera": 0}
    up = 1 / math.tan(camera["yfov"] / 2)
    distances = []
    for node in nodes:
        x, y, z = node["translation"]
        assert (x, y) == (0, 0)
        distances.append(-z)
        assert camera["znear"] < -z < camera["zfar"]
        planes = corners * node["scale"]
        # Normalised device coordinates, as glTF's perspective matrix gives them.
        assert planes[:, 0] * up / camera["aspectRatio"] / -z == pytest.approx([-1, 1, 1, -1], abs=1e-4)
        assert planes[:, 1] * up / -z == pytest.approx([-1, -1, 1, 1], abs=1e-4)
    assert distances == pytest.approx([plane.distance for plane in made.camera.planes])
    assert all(far > near for far, near in pairwise(distances))

    stack = []
    for node in nodes:
        material = document["materials"][document["meshes"][node["mesh"]]["primitives"][0]["material"]]
        source = document["textures"][material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]["source"]
        image = Image.open(io.BytesIO(block(document, binary, document["images"][source]["bufferView"])))
        assert (image.mode, material["alphaMode"]) in (("RGB", "OPAQUE"), ("RGBA", "BLEND"))
        stack.append(np.asarray(image.convert("RGBA")))
    assert document["materials"][0]["alphaMode"] == "OPAQUE"
    assert np.array_equal(compose(made.photo.rgb, None, stack)[0], made.photo.rgb)


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
    assert [node["name"] for node in document["nodes"][1:]] == ["Background", "Midground", "Foreground", "Camera"]


def test_a_layer_without_pixels_does_not_stand_in_the_scene(tmp_path: Path) -> None:
    document, _ = parts(written(tmp_path, pictures(count=4, empty=(1, 3))))
    assert [mesh["name"] for mesh in document["meshes"]] == ["Background", "Midground 2"]
