"""The catalogue of models: what `config/models.yaml` and the user's own `models.yaml` may contain.

The top of `config/models.yaml` explains the fields.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from daemon.catalogues.reading import claim, read
from daemon.contract.commands import as_code

NAME_PATTERN = r"^[a-z0-9][a-z0-9.-]{0,63}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Polarity = Literal["disparity", "distance"]

_COMMIT = re.compile(r"[0-9a-f]{40}")


def _stays_inside(file: str) -> bool:
    """Whether a relative path stays inside its folder: no `..`, not absolute, no empty parts."""
    return all(part not in ("", ".", "..") for part in file.split("/")) and "\\" not in file


class Entry(BaseModel):
    """One model of the catalogue. The top of `config/models.yaml` explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    use: Literal["depth", "matting", "diffusion"]
    purpose: Annotated[str, Field(min_length=1, max_length=76)] | None = None
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: str | None = None
    licence: str
    commercial: bool
    bytes: Annotated[int, Field(gt=0)] | None = None
    files: tuple[str, ...] = ()
    sizes: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    sha256: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    path: str | None = None
    polarity: Polarity | None = None
    scale: Literal["relative", "metric"] | None = None
    input: Annotated[int, Field(ge=14, le=4096)] | None = None
    prompt: Literal["photo"] | None = None
    part: Literal["pipeline", "inpainting", "lora", "vae", "style"] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        hub = (self.repo, self.revision, self.files or None, self.bytes)
        if self.path is None and None in hub:
            raise ValueError("needs repo, revision, bytes and files, or a path of your own")
        if self.path is not None and any(each is not None for each in hub):
            raise ValueError("has a path of its own and so no repo, revision, bytes or files")
        if not all(map(_stays_inside, self.files)):
            raise ValueError("files: plain relative paths only")
        if self.path is None and not any(file.endswith(".safetensors") for file in self.files):
            raise ValueError("files: no safetensors among them")
        if not self.sha256.keys() | self.sizes.keys() <= set(self.files):
            raise ValueError("sizes and sha256: of files that are not among the files")
        if self.use == "depth" and (self.polarity is None or self.scale is None or self.part is not None):
            raise ValueError("a depth model needs polarity and scale, and has no part")
        of_depth = self.polarity or self.scale or self.input or self.prompt
        if self.use == "diffusion" and (self.part is None or of_depth):
            raise ValueError("a diffusion model needs part, and has no polarity, scale, input or prompt")
        if self.use == "matting" and (self.part or of_depth):
            raise ValueError("a matting model has no part, polarity, scale, input or prompt")
        return self

    @property
    def commit(self) -> str | None:
        """The revision if it is a full commit hash; None for a branch or a tag, which can move."""
        return self.revision if self.revision is not None and _COMMIT.fullmatch(self.revision) else None

    @property
    def is_for_any_photo(self) -> bool:
        """Whether this is a depth model that needs only the photo. Some depth models also need depth stored in the photo."""
        return self.use == "depth" and self.prompt is None

    @property
    def pinned(self) -> bool:
        """Whether the catalogue has the hashes of all weights. If so, they can be verified without trusting the hub."""
        return all(file in self.sha256 for file in self.files if file.endswith(".safetensors"))


class Catalogue(BaseModel):
    """All models by name. `default_depth`: the depth model that `depth: auto` prefers."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default_depth: str
    models: dict[Name, Entry]

    @model_validator(mode="after")
    def _default_is_a_depth_model(self) -> Self:
        if reason := _no_default(self.default_depth, self.models):
            raise ValueError(reason)
        return self

    def depth_models(self) -> tuple[str, ...]:
        """The names of the depth models for any photo, in order of preference: the default one, then the others as listed."""
        others = (name for name, entry in self.models.items() if entry.is_for_any_photo and name != self.default_depth)
        return (self.default_depth, *others)

    def prompted_models(self) -> tuple[str, ...]:
        """The names of the depth models that refine the depth stored in a photo, as listed."""
        return tuple(name for name, entry in self.models.items() if entry.prompt is not None)

    def matting_models(self) -> tuple[str, ...]:
        """The names of the matting models, as listed."""
        return tuple(name for name, entry in self.models.items() if entry.use == "matting")


class _File(BaseModel):
    """What one file may contain: models, a default, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default_depth: str | None = None
    models: dict[Name, Entry] | None = None


def catalogue(paths: Sequence[str]) -> Catalogue:
    """Read the models of these files, in order. If several files have a `default_depth`, the last one counts.

    Returns:
        The catalogue. Each `path` in it is absolute; in a file, it may be relative to that file's folder.

    Raises:
        Refusal: a file cannot be read or is not valid, or a name appears twice; the message names file and line.
    """
    models: dict[str, Entry] = {}
    origins: dict[str, str] = {}
    files = [read("models", path) for path in paths]
    default, named_by = None, files[0]
    for file in files:
        said = file.checked(_File.model_validate)
        for name, entry in (said.models or {}).items():
            claim(origins, file, ("models", name))
            models[name] = _anchored(entry, os.path.dirname(file.path))
        if said.default_depth is not None:
            default, named_by = said.default_depth, file
    if default is None:
        raise named_by.fault((), "default_depth is missing")
    if reason := _no_default(default, models):
        raise named_by.fault(("default_depth",), reason)
    return Catalogue(default_depth=default, models=models)


def _no_default(name: str, models: Mapping[str, Entry]) -> str | None:
    """Why this model cannot be the default depth model; None if it can."""
    if name not in models or models[name].use != "depth":
        return f"default_depth: {name} is not a depth model of this list"
    if not models[name].is_for_any_photo:
        return f"default_depth: {name} works only on photos with depth of their own; {as_code('depth: auto')} uses it for them"
    return None


def _anchored(entry: Entry, base: str) -> Entry:
    """The entry with an absolute `path`, if it has one. `base`: the folder to which a relative path is relative."""
    if entry.path is None:
        return entry
    return entry.model_copy(update={"path": os.path.abspath(os.path.join(base, os.path.expanduser(entry.path)))})
