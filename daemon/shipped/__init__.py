"""The files that are shipped with the code: configuration, presets, and templates of the service.

In a checkout they are at its top, and this folder contains links to them. In a wheel, the files themselves are here. So one
path works for both. Links are resolved once, at the import, because some readers refuse to follow one.
"""

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
CONFIG = (FOLDER / "config").resolve()
"""`default.yaml`, `styles.yaml` and `models.yaml`."""
LAUNCHD = (FOLDER / "launchd").resolve()
"""The templates that `service install` fills in."""
PRESETS = FOLDER / "presets"
"""Contains a folder for each preset of a new inbox."""
