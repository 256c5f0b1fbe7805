"""Writes `after_effects.jsx`, a script that builds an After Effects composition from the layers' PNG files.

Adobe's ExtendScript is ECMAScript 3, so the script, in the file of the same name beside this module, uses nothing newer. Here
the planes become what After Effects calls them. Distances are in pixels of the composition, z grows away from the camera, a layer
at the camera's pivot has z 0 and scale 100, and `zoom` is the distance at which a layer of scale 100 shows its own size.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipeline.export.format import Format, Pictures, Progress
from pipeline.export.scenes.stage import standing, title_of

_FILE = "after_effects.jsx"
_MAX_SIDE = 30_000  # pixels of a composition
_NAME_LENGTH = 31  # After Effects refuses longer names of items
_SECONDS, _FPS = 6, 30  # length of the composition


def composition(pictures: Pictures) -> dict[str, Any]:
    """What the script builds: numbers and names only."""
    camera = pictures.camera
    shrunk = min(1.0, _MAX_SIDE / max(camera.width, camera.height))
    zoom = camera.focal_length * shrunk
    return {
        "title": _cut(title_of(pictures)),
        "width": max(4, round(camera.width * shrunk)),  # a composition has at least four pixels a side
        "height": max(4, round(camera.height * shrunk)),
        "seconds": _SECONDS,
        "fps": _FPS,
        "zoom": zoom,
        "layers": [
            {
                "name": layer.name,
                "file": layer.file,
                "z": zoom * (layer.distance / camera.pivot - 1.0),
                "scale": 100.0 * shrunk * layer.distance / camera.pivot,
            }
            for layer in standing(pictures)
        ],
    }


def script(scene: dict[str, Any]) -> str:
    """The script, in ASCII: JSON with everything else escaped is also a literal of ECMAScript 3."""
    template = files("pipeline.export.scenes").joinpath(_FILE).read_text("ascii")
    return template.replace("{{SCENE}}", json.dumps(scene, indent=2).replace("\n", "\n  "), 1)


def _cut(title: str) -> str:
    """The title, as long as After Effects allows; it counts in units of UTF-16."""
    while len(title.encode("utf-16-le")) > 2 * _NAME_LENGTH:
        title = title[:-1]
    return title.strip()


def _write(folder: Path, pictures: Pictures, progress: Progress) -> list[str]:
    with (folder / _FILE).open("x", encoding="ascii", newline="\n") as file:
        file.write(script(composition(pictures)))
    progress(1.0)
    return [_FILE]


FORMAT = Format(title="After Effects script", cost=0.01, file=lambda _: _FILE, write=_write)
