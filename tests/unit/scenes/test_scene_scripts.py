"""The scripts for After Effects and Blender, run before stand-ins of both programs: their cameras see the photo."""

import ast
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pipeline.export.format import Pictures
from pipeline.export.naming import layer_files
from pipeline.export.scenes import after_effects, blender
from pipeline.image import png
from tests.unit.scenes.stand_in import HOSTILE, pictures

HOST = Path(__file__).with_name("after_effects_host.js")
NODE = shutil.which("node") or shutil.which("nodejs")


def written(folder: Path, made: Pictures) -> Path:
    """A result folder, in a place with an odd name, with the layers and both scripts."""
    result = folder / "ünï %41 c"
    result.mkdir()
    for name, rgba in zip(layer_files(len(made.layers.rgba)), made.layers.rgba, strict=True):
        (result / name).write_bytes(png.encode_rgba(rgba))
    for each in (after_effects.FORMAT, blender.FORMAT):
        assert each.write(result, made, lambda _: None) == [each.file(made)]
    return result


def in_after_effects(result: Path) -> dict[str, Any]:
    """What the script builds."""
    if NODE is None:
        pytest.skip("Node.js is not installed")
    done = subprocess.run(
        [NODE, HOST, result / "after_effects.jsx", result],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_after_effects_camera_sees_each_layer_fill_the_composition(tmp_path: Path) -> None:
    made = pictures(title=HOSTILE)
    built = in_after_effects(written(tmp_path, made))
    assert (built["alerts"], built["undo"]) == ([], 0)
    comp = built["comp"]
    assert (comp["width"], comp["height"], comp["renderer"]) == (40, 24, "ADBE Advanced 3d")
    assert comp["name"].startswith("Ünï\"q'\\ </script> {{SCENE}}")
    handle, camera, *layers = comp["layers"]
    assert [layer["name"] for layer in layers] == ["Layer 3 foreground", "Layer 2 midground", "Layer 1 background"]
    assert (handle["name"], camera["parent"], camera["autoOrient"]) == ("Move the camera", "Move the camera", "none")
    eye = [camera["ADBE Position"][k] + handle["ADBE Position"][k] - handle["ADBE Anchor Point"][k] for k in range(3)]
    for layer in layers:
        assert layer["threeD"]
        assert layer["alpha"] == "straight"
        for x, y in ((0, 0), (40, 0), (40, 24), (0, 24)):
            # A point of the layer in the composition's space, then as a camera that looks along z sees it.
            at = [
                layer["ADBE Position"][k] + (point - layer["ADBE Anchor Point"][k]) * layer["ADBE Scale"][k] / 100
                for k, point in enumerate((x, y, 0))
            ]
            away = at[2] - eye[2]
            assert away > 0
            seen = [comp[side] / 2 + camera["zoom"] * (at[k] - eye[k]) / away for k, side in enumerate(("width", "height"))]
            assert seen == pytest.approx([x, y], abs=0.01)
    # Moved as far as it may, the camera sees the layers as far apart as the manifest says.
    reach = made.camera.reach[0] * camera["zoom"] / made.camera.pivot
    for layer, plane in zip(reversed(layers), made.camera.planes, strict=True):
        away = layer["ADBE Position"][2] - eye[2]
        moved = camera["zoom"] * reach * (1 / away - 1 / camera["zoom"])
        assert moved == pytest.approx(plane.travel * made.camera.width, abs=0.01)


def test_after_effects_is_told_which_layer_is_missing(tmp_path: Path) -> None:
    result = written(tmp_path, pictures())
    (result / "Layer_2_midground.png").unlink()
    built = in_after_effects(result)
    assert "comp" not in built
    assert len(built["alerts"]) == 1
    assert "Layer_2_midground.png" in built["alerts"][0]


def test_after_effects_finds_layers_with_odd_names(tmp_path: Path) -> None:
    made = pictures()
    result, scene = written(tmp_path, made), after_effects.composition(made)
    scene["layers"][0]["file"] = "50%41 ü #1.png"
    (result / "Layer_1_background.png").rename(result / "50%41 ü #1.png")
    (result / "after_effects.jsx").write_text(after_effects.script(scene))
    assert in_after_effects(result)["alerts"] == []


def test_the_script_for_after_effects_is_old_javascript_in_ascii(tmp_path: Path) -> None:
    text = (written(tmp_path, pictures(title=HOSTILE)) / "after_effects.jsx").read_text("ascii")
    code = re.sub(r'"(?:[^"\\\n]|\\.)*"|//.*', '""', text)
    assert not re.search(r"\b(let|const|class|import|export|async|JSON|forEach|map|indexOf|trim)\b|=>|`|,\s*[}\]]", code)


def test_large_pictures_and_long_names_become_what_after_effects_allows() -> None:
    comp = after_effects.composition(pictures(60_000, 8, title="🎞" * 40))
    assert (comp["width"], comp["height"], comp["title"]) == (30_000, 4, "🎞" * 15)  # 31 units of UTF-16
    for layer in comp["layers"]:
        assert 60_000 * layer["scale"] / 100 * comp["zoom"] / (comp["zoom"] + layer["z"]) == pytest.approx(30_000, abs=0.1)


class Blender:
    """Blender's object model, as far as the script needs it."""

    def __init__(self, result: Path) -> None:
        self.scenes: list[Any] = []
        self.images: list[Path] = []
        data = SimpleNamespace(
            scenes=SimpleNamespace(new=self._scene),
            images=SimpleNamespace(load=self._image),
            materials=SimpleNamespace(new=lambda name: self._material()),
            meshes=SimpleNamespace(new=self._mesh),
            objects=SimpleNamespace(
                new=lambda name, data: SimpleNamespace(name=name, data=data, location=(0, 0, 0), parent=None)
            ),
            cameras=SimpleNamespace(new=lambda name: SimpleNamespace()),
        )
        self.module = ModuleType("bpy")
        self.module.data = data  # type: ignore[attr-defined]
        self.module.context = SimpleNamespace(space_data=None, window=SimpleNamespace(scene=None))  # type: ignore[attr-defined]
        self.result = result

    def run(self) -> Any:
        """The scene that the script makes."""
        path = self.result / "blender_scene.py"
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "bpy", self.module)
            exec(compile(path.read_text("ascii"), str(path), "exec"), {"__name__": "__main__", "__file__": str(path)})
        (scene,) = self.scenes
        assert self.module.context.window.scene is scene
        return scene

    def _scene(self, name: str) -> Any:
        objects: list[Any] = []
        made = SimpleNamespace(
            name=name, render=SimpleNamespace(), view_settings=SimpleNamespace(), camera=None, made=objects,
            collection=SimpleNamespace(objects=SimpleNamespace(link=objects.append)),
            cycles=SimpleNamespace(transparent_max_bounces=8),
        )  # fmt: skip
        self.scenes.append(made)
        return made

    def _image(self, path: str, check_existing: bool) -> Any:
        self.images.append(Path(path))
        return SimpleNamespace(colorspace_settings=SimpleNamespace(name=""), alpha_mode="")

    def _material(self) -> Any:
        def node(kind: str) -> Any:
            sockets = dict.fromkeys(("Color", "Alpha", "BSDF", "Emission", "Shader", "Fac", "Surface", 1, 2), kind)
            return SimpleNamespace(inputs=sockets, outputs=sockets)

        nodes = SimpleNamespace(clear=lambda: None, new=node)
        return SimpleNamespace(node_tree=SimpleNamespace(nodes=nodes, links=SimpleNamespace(new=lambda *ends: None)))

    def _mesh(self, name: str) -> Any:
        made = SimpleNamespace(materials=[], loops=[SimpleNamespace(index=k) for k in range(4)])
        made.from_pydata = lambda corners, edges, faces: setattr(made, "corners", corners)
        places = [SimpleNamespace(uv=None) for _ in range(4)]
        made.places = places
        made.uv_layers = SimpleNamespace(new=lambda name: SimpleNamespace(data=places))
        return made


def test_blenders_camera_sees_each_layer_fill_the_render(tmp_path: Path) -> None:
    made = pictures(24, 40, title=HOSTILE)
    program = Blender(written(tmp_path, made))
    scene = program.run()
    assert scene.name.startswith("Ünï\"q'\\ </script> {{SCENE}}")
    assert (scene.render.resolution_x, scene.render.resolution_y) == (24, 40)
    assert [path.name for path in program.images] == list(layer_files(3))
    assert all(path.exists() for path in program.images)
    *planes, camera, handle = scene.made
    assert (scene.camera, camera.parent, handle.name) == (camera, handle, "Move the camera")
    eye = [camera.location[k] + handle.location[k] for k in range(3)]
    assert eye == pytest.approx([0, 0, 0])
    assert camera.rotation_euler == (math.pi / 2, 0, 0)  # turned from −z to y, with z up
    assert camera.data.sensor_fit == "HORIZONTAL"
    focal = camera.data.lens / camera.data.sensor_width * 24
    for plane in planes:
        for (x, y, z), place in zip(plane.data.corners, plane.data.places, strict=True):
            away = plane.location[1] + y
            seen = 12 + focal * x / away, 20 - focal * z / away
            assert seen == pytest.approx((24 * place.uv[0], 40 - 40 * place.uv[1]), abs=0.01)
    assert [plane.location[1] for plane in planes] == pytest.approx([plane.distance for plane in made.camera.planes])


def test_the_script_for_blender_holds_names_as_text_only(tmp_path: Path) -> None:
    text = (written(tmp_path, pictures(title=HOSTILE)) / "blender_scene.py").read_text("ascii")
    (title,) = (
        ast.literal_eval(node.value)["title"]
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "SCENE"
    )
    assert title.startswith("Ünï\"q'\\ </script> {{SCENE}}")
    assert "🎞" in title
