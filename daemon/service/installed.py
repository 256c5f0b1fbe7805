"""Which models the daemon may expect a worker to use: what `config/models.yaml` lists and what of it is there.

Only for choosing what a spare loads and what a worker may read; whether weights are whole is for the worker to say.
"""

import os
from collections.abc import Mapping
from typing import Any

import yaml
from loguru import logger

from daemon.contract.messages import Warm
from daemon.contract.records import Job
from daemon.settings.layout import PROGRAM

#: Libyaml's, where PyYAML was built with it: a start reads two long files of comments.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Written last by a fetch (`pipeline.weights.store`): a model with it is installed.
_RECORD = "multiplane.json"
_CONFIG = PROGRAM / "config"


class Installed:
    """The models of one home. Files are read when it is made; what is installed is looked up each time.

    Args:
        models: the folder with the installed weights.
    """

    def __init__(self, models: str) -> None:
        self._models = models
        self._listed = {name: _mapping(entry) for name, entry in _mapping(_read("models.yaml").get("models")).items()}
        self._styles = _read("styles.yaml")

    def folders(self) -> list[bytes]:
        """Everything that a worker may need to read for a model: the models' folder and folders of one's own."""
        own = [entry["path"] for entry in self._listed.values() if isinstance(entry.get("path"), str)]
        return [os.fsencode(path) for path in (self._models, *(_CONFIG / os.path.expanduser(path) for path in own))]

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
        given = any(file.role == "depth" for file in job.accepted.files)
        model = spec.depth == "model" or (spec.depth == "auto" and not given and self._has_depth_model())
        return "depth" if model else "light"

    def _has_depth_model(self) -> bool:
        return any(entry.get("use") == "depth" and self._is_there(name, entry) for name, entry in self._listed.items())

    def _is_there(self, name: str, entry: Mapping[str, Any]) -> bool:
        own = entry.get("path")
        if isinstance(own, str):
            return os.path.isdir(_CONFIG / os.path.expanduser(own))
        return os.path.lexists(os.path.join(self._models, name, _RECORD))


def _read(name: str) -> dict[str, Any]:
    try:
        return _mapping(yaml.load((_CONFIG / name).read_text(encoding="utf-8"), Loader=_Loader))  # noqa: S506 - both are safe loaders
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # The worker refuses a job that needs it, and says where the fault is.
        logger.warning("{} cannot be read: {}", _CONFIG / name, error)
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return {str(key): each for key, each in value.items()} if isinstance(value, dict) else {}
