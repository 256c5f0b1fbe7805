"""Writes `blender_scene.py`, a script that builds a Blender scene from the layers' PNG files: planes that glow, and a camera.

The script is in `blender_scene.py.txt` beside this module; here the planes and the camera become its data. The file has this
ending because it is no module of this program: only Blender can run it.
"""

import pprint
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.scenes.stage import standing, title_of

_FILE = "blender_scene.py"
_MAX_SIDE = 65_536  # pixels of a Blender render
_FRAMES, _FPS = 180, 30  # six seconds


def scene(pictures: Pictures) -> dict[str, Any]:
    """What the script builds: numbers and names only. Distances are in the camera's unit, the focal length in pixels."""
    camera, layers = pictures.camera, standing(pictures)
    shrunk = min(1.0, _MAX_SIDE / max(camera.width, camera.height))
    return {
        "title": title_of(pictures),
        "width": max(4, round(camera.width * shrunk)),  # a render has at least four pixels a side
        "height": max(4, round(camera.height * shrunk)),
        "focal_length": camera.focal_length * shrunk,
        "pivot": camera.pivot,
        "clip": (layers[-1].distance / 100.0, layers[0].distance * 10.0),
        "frames": _FRAMES,
        "fps": _FPS,
        "layers": [{"name": layer.name, "file": layer.file, "distance": layer.distance, "size": layer.size} for layer in layers],
    }


def script(content: dict[str, Any]) -> str:
    """The script, in ASCII: what Python itself writes as a literal is read back as the same names and numbers."""
    template = files("pipeline.export.scenes").joinpath(f"{_FILE}.txt").read_text("ascii")
    return template.replace("{{SCENE}}", ascii_literal(content), 1)


def ascii_literal(content: dict[str, Any]) -> str:
    """The dictionary as a Python literal over several lines, with everything but ASCII escaped."""
    return pprint.pformat(content, width=120, sort_dicts=False).encode("ascii", "backslashreplace").decode("ascii")


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    with (folder / _FILE).open("x", encoding="ascii", newline="\n") as file:
        file.write(script(scene(pictures)))
    progress(1.0)
    return [_FILE]


FORMAT = Format(title="Blender script", cost=0.01, file=lambda _: _FILE, write=_write)
