"""The files that are shipped with the code: configuration, presets, and templates of the service.

The presets are here. In a checkout, configuration and templates are at its top, and this folder contains links to them. In a
wheel, all files are here. So the same path works in both. Links are resolved at the import, because some readers refuse to
follow links.
"""

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
CONFIG = (FOLDER / "config").resolve()
"""The folder of `default.yaml`, `styles.yaml` and `models.yaml`."""
LAUNCHD = (FOLDER / "launchd").resolve()
"""The folder of the templates that `service install` fills in."""
PRESETS = FOLDER / "presets"
"""The folder that contains a folder for each preset of a new inbox."""
