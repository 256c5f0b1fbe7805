"""The USDZ file: by USD's own validators it is right, seen through its own camera it is the photo."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.export.format import Pictures
from pipeline.export.scenes.usd import FORMAT
from pipeline.layers.recompose import compose
from tests.unit.scenes.stand_in import HOSTILE, pictures

pytest.importorskip("pxr", reason="usd-core is not installed")


def written(folder: Path, made: Pictures) -> Path:
    """The file, in a folder of its own; nothing else is left behind."""
    folder.joinpath("result").mkdir(parents=True)
    assert FORMAT.write(folder / "result", made, lambda _: None) == ["scene.usdz"] == [FORMAT.file(made)]
    assert [path.name for path in folder.rglob("*")] == ["result", "scene.usdz"]
    return folder / "result" / "scene.usdz"


def test_usds_own_validators_find_nothing_and_every_file_in_it_is_aligned(tmp_path: Path) -> None:
    from pxr import Usd, UsdValidation

    path = written(tmp_path, pictures(title=HOSTILE))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) >= 20
    stage = Usd.Stage.Open(str(path))
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [each.GetMessage() for each in found] == []
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        files = archive.infolist()
        assert archive.testzip() is None
    assert [each.filename for each in files] == ["scene.usdc", "textures/1.png", "textures/2.png", "textures/3.png"]
    for each in files:
        name, extra = struct.unpack("<HH", data[each.header_offset + 26 : each.header_offset + 30])
        assert (each.header_offset + 30 + name + extra) % 64 == 0
        assert each.compress_type == zipfile.ZIP_STORED
    assert "中景" in stage.GetDefaultPrim().GetDisplayName()


@pytest.mark.parametrize("mesh", ["flat", "relief"])
def test_its_camera_sees_each_layer_fill_the_frame_and_the_photo_in_it(tmp_path: Path, mesh: str) -> None:
    from pxr import Gf, Usd, UsdGeom, UsdShade

    made = pictures(mesh=mesh)
    path = written(tmp_path, made)
    stage = Usd.Stage.Open(str(path))
    root = stage.GetDefaultPrim()
    camera = UsdGeom.Camera(root.GetChild("Camera")).GetCamera(Usd.TimeCode.Default()).frustum
    seen = camera.ComputeViewMatrix() * camera.ComputeProjectionMatrix()
    planes = [UsdGeom.Mesh(each) for each in root.GetChildren() if each.IsA(UsdGeom.Mesh)]
    assert [plane.GetPrim().GetDisplayName() for plane in planes] == [
        "Layer 1 background",
        "Layer 2 midground",
        "Layer 3 foreground",
    ]
    lowest, depths = [], []
    for plane in planes:
        place = plane.ComputeLocalToWorldTransform(Usd.TimeCode.Default())
        places = UsdGeom.PrimvarsAPI(plane).GetPrimvar("st").Get()  # textures begin at the bottom
        corners = [place.Transform(Gf.Vec3d(corner)) for corner in plane.GetPointsAttr().Get()]
        for corner, (across, up) in zip(corners, places, strict=True):
            assert tuple(seen.Transform(corner))[:2] == pytest.approx((2 * across - 1, 2 * up - 1), abs=1e-4)
        lowest.append(min(corner[1] for corner in corners))
        depths.append(place.ExtractTranslation()[2])
    surfaces = [UsdShade.MaterialBindingAPI(plane).ComputeBoundMaterial()[0].ComputeSurfaceSource()[0] for plane in planes]
    modes = [surface.GetInput("opacityMode").Get() if surface.GetInput("opacityMode") else None for surface in surfaces]
    assert modes == [None, "presence", "presence"]  # else what is transparent glows
    assert min(lowest) == pytest.approx(0, abs=1e-6)  # the floor
    assert depths == sorted(depths)
    with zipfile.ZipFile(path) as archive:
        stack = [np.asarray(Image.open(io.BytesIO(archive.read(f"textures/{k}.png"))).convert("RGBA")) for k in (1, 2, 3)]
    assert np.array_equal(compose(made.photo.rgb, None, stack).picture, made.photo.rgb)


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "a", pictures()).read_bytes() == written(tmp_path / "b", pictures()).read_bytes()
