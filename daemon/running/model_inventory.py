"""Which models the daemon may expect a worker to use: what the list of models names and what of it is there.

Only for choosing what a spare loads and what a worker may read; whether weights are whole is for the worker to say.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from loguru import logger

from daemon.contract.messages import Warm
from daemon.contract.records import Job
from daemon.contract.registry import DEPTH_SOURCES
from daemon.settings.layout import PROGRAM

#: Libyaml's, where PyYAML was built with it: a start reads two long files of comments.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Written last by a fetch (`pipeline.weights.store`): a model with it is installed.
_RECORD = "multiplane.json"
_CONFIG = PROGRAM / "config"


class ModelInventory:
    """The models of one home. Files are read when it is made; what is installed is looked up each time.

    Args:
        models: the folder with the installed weights.
        catalogue: the list of models.
    """

    def __init__(self, models: str, catalogue: Path = _CONFIG / "models.yaml") -> None:
        self._models, self._catalogue = models, catalogue
        read = _read(catalogue)
        self._listed = {name: _mapping(entry) for name, entry in _mapping(read.get("models")).items()}
        self._default = str(read.get("default_depth"))
        self._styles = _read(_CONFIG / "styles.yaml")

    def folders(self) -> list[bytes]:
        """Everything that a worker may need to read for a model: the models' folder, folders of one's own, and the list."""
        own = [self._own(entry["path"]) for entry in self._listed.values() if isinstance(entry.get("path"), str)]
        return [os.fsencode(path) for path in (Path(self._models), *own, self._catalogue)]

    def places(self) -> tuple[tuple[int, int] | None, ...]:
        """Device and inode of each of the folders, none for what is not there: a fence that is up holds for these alone."""
        found: list[tuple[int, int] | None] = []
        for folder in self.folders():
            try:
                at = os.stat(folder)
            except OSError:
                found.append(None)
            else:
                found.append((at.st_dev, at.st_ino))
        return tuple(found)

    def asked_of(self, job: Job) -> Warm:
        """What the job's worker will, as far as can be known beforehand, load."""
        spec = job.spec
        if spec is None:
            return "light"
        if spec.mode == "painterly" and _mapping(self._styles.get(spec.style or "")).get("engine") == "diffusion":
            return "painting"
        if spec.depth == "auto":
            given = any(file.role == "depth" for file in job.accepted.files)
            learned = not given and self._has_depth_model()
        else:
            learned = any(source.learned for source in DEPTH_SOURCES if source.word == spec.depth)
        return "depth" if learned else "light"

    def missing_depth_model(self) -> str | None:
        """The model to fetch, the default one, while no depth model is installed; none if one is, or the default has no repo."""
        if "repo" not in self._listed.get(self._default, {}) or self._has_depth_model():
            return None
        return self._default

    def _has_depth_model(self) -> bool:
        return any(entry.get("use") == "depth" and self._is_there(name, entry) for name, entry in self._listed.items())

    def _is_there(self, name: str, entry: Mapping[str, Any]) -> bool:
        own = entry.get("path")
        if isinstance(own, str):
            return os.path.isdir(self._own(own))
        return os.path.lexists(os.path.join(self._models, name, _RECORD))

    def _own(self, path: str) -> Path:
        """A folder of one's own; a relative path is relative to the list that names it."""
        return self._catalogue.parent / os.path.expanduser(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return _mapping(yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader))  # noqa: S506 - both are safe loaders
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # The worker refuses a job that needs it, and says where the fault is.
        logger.warning("{} cannot be read: {}", path, error)
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else {}
