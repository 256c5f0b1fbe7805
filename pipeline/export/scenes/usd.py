"""Writes the layers as a 3-D scene for Quick Look and AR, `scene.usdz`: a textured surface per layer, and the camera.

Format: USDZ 1.3 (openusd.org): a ZIP file of aligned, uncompressed files. The first is the stage, which usd-core writes (an
optional package: `multiplane[usdz]`); the textures follow. In AR the scene stands on the floor, and the plane at the camera's
pivot is one metre long, so that it fits on a table. Surfaces emit their colours, whatever the light; with `opacityMode`
"presence", what is transparent emits nothing (UsdPreviewSurface 2.6).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.export.camera import Camera
from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.scenes import archive
from pipeline.export.scenes.mesh import Mesh, mesh_of
from pipeline.export.scenes.stage import Standing, standing, title_of
from pipeline.export.scenes.texture import Texture, textures

Surface = tuple[Mesh, Texture]

_FILE = "scene.usdz"
_STAGE = "scene.usdc"
_MAX_SIDE = 2048  # what AR Quick Look shows without reducing it
_ALIGNMENT = 64  # of the files in the archive, so that a reader can map them into memory
_LENGTH = 1.0  # metres: the longer side of the plane at the pivot
_FILM = 36.0  # millimetres: width of the camera's film; only its ratio to the focal length counts


@dataclass(frozen=True)
class _Place:
    """Where the scene stands: the camera's units become metres, and the lowest edge lies on the floor."""

    scale: float
    floor: float
    pivot: float

    def at(self, distance: float) -> tuple[float, float, float]:
        """A point on the camera's axis, in metres."""
        return 0.0, self.floor * self.scale, (self.pivot - distance) * self.scale


def _stage(layers: Sequence[Standing], surfaces: Sequence[Surface], camera: Camera, title: str) -> Any:  # noqa: ANN401  usd-core has no types
    """The stage; the textures are `textures/1.png` and so on beside it."""
    from pxr import Sdf, Usd, UsdGeom, UsdShade, Vt  # a fifth of a second, and not installed everywhere

    longest = max(camera.width, camera.height) / camera.focal_length * camera.pivot
    place = _Place(_LENGTH / longest, float(max(-mesh.points[:, 1].min() for mesh, _ in surfaces)), camera.pivot)
    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = UsdGeom.Xform.Define(stage, "/Picture").GetPrim()
    root.SetDisplayName(title)
    Usd.ModelAPI(root).SetKind("component")
    stage.SetDefaultPrim(root)
    UsdGeom.Scope.Define(stage, "/Picture/Materials")
    for number, (layer, (mesh, picture)) in enumerate(zip(layers, surfaces, strict=True), 1):
        material = _material(UsdShade, Sdf, stage, number, picture.opaque)
        material.GetPrim().SetDisplayName(layer.name)
        plane = _surface(UsdGeom, Sdf, Vt, stage, number, mesh, place)
        plane.AddTranslateOp().Set(place.at(layer.distance))
        plane.GetPrim().SetDisplayName(layer.name)
        UsdShade.MaterialBindingAPI.Apply(plane.GetPrim()).Bind(material)
    _camera(UsdGeom, stage, layers, camera, place)
    return stage


def _surface(geometry: Any, types: Any, arrays: Any, stage: Any, number: int, mesh: Mesh, place: _Place) -> Any:  # noqa: ANN401
    made = geometry.Mesh.Define(stage, f"/Picture/Layer_{number}")
    points = mesh.points * np.float32(place.scale)
    made.CreatePointsAttr(arrays.Vec3fArray.FromNumpy(points))
    made.CreateExtentAttr(arrays.Vec3fArray.FromNumpy(np.stack([points.min(axis=0), points.max(axis=0)])))
    made.CreateFaceVertexCountsAttr([3] * len(mesh.triangles))
    made.CreateFaceVertexIndicesAttr(arrays.IntArray.FromNumpy(mesh.triangles.astype(np.int32).ravel()))
    made.CreateSubdivisionSchemeAttr(geometry.Tokens.none)
    made.CreateDoubleSidedAttr(True)
    # Here pictures begin at the bottom.
    places = np.stack([mesh.places[:, 0], np.float32(1.0) - mesh.places[:, 1]], axis=1)
    texture = geometry.PrimvarsAPI(made).CreatePrimvar("st", types.ValueTypeNames.TexCoord2fArray, geometry.Tokens.vertex)
    texture.Set(arrays.Vec2fArray.FromNumpy(places))
    return made


def _material(shading: Any, types: Any, stage: Any, number: int, opaque: bool) -> Any:  # noqa: ANN401
    path, values = f"/Picture/Materials/Layer_{number}", types.ValueTypeNames
    material = shading.Material.Define(stage, path)
    surface, texture, reader = (shading.Shader.Define(stage, f"{path}/{name}") for name in ("Surface", "Texture", "Places"))
    surface.CreateIdAttr("UsdPreviewSurface")
    texture.CreateIdAttr("UsdUVTexture")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", values.String).Set("st")
    texture.CreateInput("file", values.Asset).Set(f"textures/{number}.png")
    texture.CreateInput("sourceColorSpace", values.Token).Set("sRGB")
    for side in ("wrapS", "wrapT"):
        texture.CreateInput(side, values.Token).Set("clamp")
    where = reader.CreateOutput("result", values.Float2)
    texture.CreateInput("st", values.Float2).ConnectToSource(where)
    for name in ("diffuseColor", "specularColor"):
        surface.CreateInput(name, values.Color3f).Set((0.0, 0.0, 0.0))
    surface.CreateInput("useSpecularWorkflow", values.Int).Set(1)
    surface.CreateInput("roughness", values.Float).Set(1.0)
    surface.CreateInput("emissiveColor", values.Color3f).ConnectToSource(texture.CreateOutput("rgb", values.Float3))
    if not opaque:
        surface.CreateInput("opacity", values.Float).ConnectToSource(texture.CreateOutput("a", values.Float))
        surface.CreateInput("opacityMode", values.Token).Set("presence")
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", values.Token))
    return material


def _camera(geometry: Any, stage: Any, layers: Sequence[Standing], camera: Camera, place: _Place) -> None:  # noqa: ANN401
    made = geometry.Camera.Define(stage, "/Picture/Camera")
    made.CreateHorizontalApertureAttr(_FILM)
    made.CreateVerticalApertureAttr(_FILM * camera.height / camera.width)
    made.CreateFocalLengthAttr(_FILM * camera.focal_length / camera.width)
    made.CreateClippingRangeAttr((layers[-1].distance / 100.0 * place.scale, layers[0].distance * 10.0 * place.scale))
    made.AddTranslateOp().Set(place.at(0.0))


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    layers = standing(pictures)
    made: list[Surface] = []
    for layer, texture in zip(layers, textures(layers, pictures.photo.icc, _MAX_SIDE), strict=True):
        made.append((mesh_of(layer, pictures), texture))
        progress(len(made) / len(layers) * 0.9)
    stage = _stage(layers, made, pictures.camera, title_of(pictures))
    files = [(_STAGE, _crate(stage, folder.parent)), *((f"textures/{k}.png", each.png) for k, (_, each) in enumerate(made, 1))]
    with (folder / _FILE).open("xb") as file:
        archive.write(file, files, align=_ALIGNMENT)
    return [_FILE]


def _crate(stage: Any, folder: Path) -> bytes:  # noqa: ANN401
    """The stage in USD's binary format, which usd-core only writes into files: here into one that is removed again.

    A worker's sandbox forbids to change the modes of files. usd-core warns that it could not, which matters to nobody: the file
    stays readable for its owner. What else it has to say goes into the job's log.
    """
    from pxr import UsdUtils

    path = folder / _STAGE
    said = UsdUtils.CoalescingDiagnosticDelegate()
    try:
        stage.GetRootLayer().Export(str(path))
        return path.read_bytes()
    finally:
        for each in said.TakeUncoalescedDiagnostics():
            if "Unable to set permissions" not in each.commentary:
                sys.stderr.write(f"usd-core: {each.commentary}\n")
        path.unlink(missing_ok=True)


FORMAT = Format(title="3-D scene for AR (USDZ)", cost=3.6, file=lambda _: _FILE, write=_write, packages=("usd-core",))
