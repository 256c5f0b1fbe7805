"""Which models a worker can be expected to use: those in the list of models that are installed.

This only decides what a warm worker loads and what a worker may read. The worker checks whether weights are complete.
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

#: Libyaml's loader, if PyYAML was built with it: a start reads two long files full of comments.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: A fetch writes this file last (`pipeline.weights.store`), so a model that has it is installed.
_RECORD = "multiplane.json"
_CONFIG = PROGRAM / "config"


class ModelInventory:
    """The models of one home. The list is read when this is created; what is installed is checked each time.

    Args:
        models: the folder with the installed weights.
        catalogue: the list of models.
    """

    def __init__(self, models: str, catalogue: Path = _CONFIG / "models.yaml") -> None:
        self._models, self._catalogue = models, catalogue
        self._listed = {name: _mapping(entry) for name, entry in _mapping(_read(catalogue).get("models")).items()}
        self._styles = _read(_CONFIG / "styles.yaml")

    def folders(self) -> list[bytes]:
        """Everything a worker may need to read for a model: the models' folder, people's own model folders, and the list."""
        own = [self._own(entry["path"]) for entry in self._listed.values() if isinstance(entry.get("path"), str)]
        return [os.fsencode(path) for path in (Path(self._models), *own, self._catalogue)]

    def places(self) -> tuple[tuple[int, int] | None, ...]:
        """Device and inode of each of the folders, None for a missing one: a running worker's sandbox admits only these."""
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
        """What the job's worker will load, as far as that is known in advance."""
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

    def _has_depth_model(self) -> bool:
        return any(entry.get("use") == "depth" and self._is_there(name, entry) for name, entry in self._listed.items())

    def _is_there(self, name: str, entry: Mapping[str, Any]) -> bool:
        own = entry.get("path")
        if isinstance(own, str):
            return os.path.isdir(self._own(own))
        return os.path.lexists(os.path.join(self._models, name, _RECORD))

    def _own(self, path: str) -> Path:
        """A person's own model folder; a relative path is relative to the list that names it."""
        return self._catalogue.parent / os.path.expanduser(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return _mapping(yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader))  # noqa: S506 - both are safe loaders
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # The worker refuses a job that needs it, and reports the error.
        logger.warning("{} cannot be read: {}", path, error)
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else {}
