"""The files that come with the program beside its code: configuration, presets, templates of the service.

In a checkout they lie at its top, and this folder holds links to them; a wheel holds the files themselves, here. So one path
finds them in both. Links are followed once, at the import: some readers refuse to follow one.
"""

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
CONFIG = (FOLDER / "config").resolve()
"""`default.yaml`, `styles.yaml` and `models.yaml`."""
LAUNCHD = (FOLDER / "launchd").resolve()
"""The templates that `service install` fills in."""
PRESETS = FOLDER / "presets"
"""A folder for each preset that a new inbox gets."""
