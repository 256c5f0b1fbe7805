"""The catalogue of models: what `config/models.yaml`, which explains its fields, and the user's own `models.yaml` may contain."""

import os
import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from daemon.catalogues.reading import claim, read

NAME_PATTERN = r"^[a-z0-9][a-z0-9.-]{0,63}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Polarity = Literal["disparity", "distance"]

_COMMIT = re.compile(r"[0-9a-f]{40}")


def _stays_inside(file: str) -> bool:
    """Whether a relative path stays inside its folder: no `..`, not absolute, no empty parts."""
    return all(part not in ("", ".", "..") for part in file.split("/")) and "\\" not in file


class Entry(BaseModel):
    """One model of the catalogue; the comment at the top of the file explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    use: Literal["depth", "diffusion"]
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
    part: Literal["pipeline", "lora", "vae", "style"] | None = None

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
        if self.use == "diffusion" and (self.part is None or self.polarity or self.scale or self.input):
            raise ValueError("a diffusion model needs part, and has no polarity, scale or input")
        return self

    @property
    def commit(self) -> str | None:
        """The revision if it is a full commit hash; None for a branch or a tag, which can move."""
        return self.revision if self.revision is not None and _COMMIT.fullmatch(self.revision) else None

    @property
    def pinned(self) -> bool:
        """Whether the hashes of all weights are known in advance, so that nobody has to be trusted."""
        return all(file in self.sha256 for file in self.files if file.endswith(".safetensors"))


class Catalogue(BaseModel):
    """All models, and which of them `depth: auto` prefers."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default_depth: str
    models: dict[Name, Entry]

    @model_validator(mode="after")
    def _default_is_a_depth_model(self) -> Self:
        if self.default_depth not in self.models or self.models[self.default_depth].use != "depth":
            raise ValueError(f"default_depth: {self.default_depth} is not a depth model of this list")
        return self

    def depth_models(self) -> tuple[str, ...]:
        """Names of the depth models in order of preference: the default one first, then as listed."""
        others = (name for name, entry in self.models.items() if entry.use == "depth" and name != self.default_depth)
        return (self.default_depth, *others)


class _File(BaseModel):
    """What one file may contain: models, a default, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default_depth: str | None = None
    models: dict[Name, Entry] | None = None


def catalogue(paths: Sequence[str]) -> Catalogue:
    """Read the models of these files, in order; the last `default_depth` counts.

    Returns: the catalogue, with each `path` absolute. A relative one is relative to its own file.

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
    if default not in models or models[default].use != "depth":
        raise named_by.fault(("default_depth",), f"default_depth: {default} is not a depth model of this list")
    return Catalogue(default_depth=default, models=models)


def _anchored(entry: Entry, base: str) -> Entry:
    """The entry with the person's own folder as an absolute path."""
    if entry.path is None:
        return entry
    return entry.model_copy(update={"path": os.path.abspath(os.path.join(base, os.path.expanduser(entry.path)))})
