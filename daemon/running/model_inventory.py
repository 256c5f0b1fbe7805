"""Finds out which models a worker is likely to use: those that are in the lists of models and installed.

This only decides what a warm worker loads and what a worker may read. The worker itself checks whether weights are complete.
"""

import os
from collections.abc import Sequence
from typing import Literal

from daemon.catalogues.models import Entry, catalogue
from daemon.catalogues.reading import SHIPPED
from daemon.catalogues.styles import styles
from daemon.contract.messages import Warm
from daemon.contract.records import Job
from daemon.contract.registry import DEPTH_SOURCES
from daemon.contract.spec import JobSpec

#: What a model is used for. A prompted one refines depth that is stored in the photo.
ModelKind = Literal["depth", "prompted", "matting", "painting"]

#: A fetch writes this file last (`pipeline.weights.store`), so a model that has it is installed.
_RECORD = "multiplane.json"
#: Endings of photos that may contain depth.
_HOLD_DEPTH = (".heic", ".heif", ".hif")


class ModelInventory:
    """The models of one home. The lists are read once, when this object is created; what is installed is checked each time.

    Args:
        models: the folder with the installed weights.
        model_lists: the lists of models; each adds to the one before it.
        style_lists: the lists of styles, in the same way.

    Raises:
        Refusal: a list cannot be read or is not valid.
    """

    def __init__(
        self, models: str, model_lists: Sequence[str] = (SHIPPED["models"],), style_lists: Sequence[str] = (SHIPPED["styles"],)
    ) -> None:
        self._models, self._lists = models, (*model_lists, *style_lists)
        listed = catalogue(model_lists)
        self._listed, self._default = listed.models, listed.default_depth
        self._engines = {name: style.engine for name, style in styles(style_lists).items()}

    def folders(self) -> list[bytes]:
        """Paths of everything that a worker may need to read for a model: the models' folder, people's own models, the lists."""
        own = (entry.path for entry in self._listed.values() if entry.path is not None)
        return [os.fsencode(path) for path in (self._models, *own, *self._lists)]

    def identities(self) -> tuple[tuple[int, int] | None, ...]:
        """Device and inode of each path in `folders`; None for a missing path.

        The sandbox of a running worker admits only these folders, even if another folder has the same path later.
        """
        found: list[tuple[int, int] | None] = []
        for folder in self.folders():
            try:
                at = os.stat(folder)
            except OSError:
                found.append(None)
            else:
                found.append((at.st_dev, at.st_ino))
        return tuple(found)

    def warm_for(self, job: Job) -> Warm:
        """What a warm worker for this job should load in advance."""
        spec = job.spec
        if spec is None:
            return "light"
        if spec.fill == "model" or (spec.mode == "painterly" and self._engines.get(spec.style or "") == "diffusion"):
            return "painting"
        if spec.matting == "model":
            return "depth"  # the same libraries
        if spec.depth == "auto":
            given = any(file.role == "depth" for file in job.accepted.files)
            learned = not given and self._has_depth_model(job)
        else:
            learned = any(source.learned for source in DEPTH_SOURCES if source.word == spec.depth)
        return "depth" if learned else "light"

    def installed(self) -> dict[str, str]:
        """The revision of each installed model, by name; `own` for a folder of people's own."""
        return {name: entry.revision or "own" for name, entry in self._listed.items() if self._is_there(name, entry)}

    def kind_of(self, name: str) -> ModelKind | None:
        """What a model is used for; None if it is not listed."""
        entry = self._listed.get(name)
        if entry is None:
            return None
        return "painting" if entry.use == "diffusion" else "prompted" if entry.prompt is not None else entry.use

    def needs(self, job: Job) -> dict[ModelKind, frozenset[str]]:
        """The kinds of models that may decide what a job's result looks like. For each, the names of which it needs at least one.

        If there are no names, the job uses models of this kind where they are installed, and does without them elsewhere.
        """
        spec = job.spec
        if spec is None:
            return {}
        found = self.asked_for(spec)
        given = any(file.role == "depth" for file in job.accepted.files)
        if spec.depth == "auto" and not given:
            found["depth"] = frozenset()
        if spec.depth in ("auto", "photo") and not given and job.image.name.casefold().endswith(_HOLD_DEPTH):
            found["prompted"] = frozenset()
        return found

    def asked_for(self, spec: JobSpec) -> dict[ModelKind, frozenset[str]]:
        """The kinds of models without which a job with this spec fails. For each, the names of which it needs at least one."""
        found = dict[ModelKind, frozenset[str]]()
        if any(source.learned for source in DEPTH_SOURCES if source.word == spec.depth):
            found["depth"] = frozenset((self._default,))
        if spec.matting == "model":
            found["matting"] = self._named("matting")
        if spec.fill == "model" or (spec.mode == "painterly" and self._engines.get(spec.style or "") == "diffusion"):
            parts = ("pipeline", "inpainting") if spec.fill == "model" else ("pipeline",)
            bases = frozenset(name for name, entry in self._listed.items() if entry.part in parts)
            found["painting"] = bases or self._named("painting")
        return found

    def _named(self, kind: ModelKind) -> frozenset[str]:
        return frozenset(name for name in self._listed if self.kind_of(name) == kind)

    def missing_depth_model(self) -> str | None:
        """The name of the default depth model, if no depth model is installed and the default can be fetched; otherwise None."""
        return None if self._listed[self._default].repo is None or self._has_depth_model() else self._default

    def _has_depth_model(self, job: Job | None = None) -> bool:
        """Whether an installed depth model works on any photo or, if a job is given, on its photo."""
        files = () if job is None else job.accepted.files
        with_depth = any(file.role == "image" and file.name.casefold().endswith(_HOLD_DEPTH) for file in files)
        return any(
            (entry.is_for_any_photo or (with_depth and entry.prompt is not None)) and self._is_there(name, entry)
            for name, entry in self._listed.items()
        )

    def _is_there(self, name: str, entry: Entry) -> bool:
        if entry.path is not None:
            return os.path.isdir(entry.path)
        return os.path.lexists(os.path.join(self._models, name, _RECORD))
