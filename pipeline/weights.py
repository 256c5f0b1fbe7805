"""Where weights lie, and whether they are what was fetched.

`config/models.yaml` lists the models. Fetched ones lie in `<models>/<name>/` with a record of every file's SHA-256 beside them,
which is checked each time they are used. A folder of one's own (`path:`) may have such a record; without one its weights are
named by their own hash. Only safetensors are ever loaded, and never code. Nothing here opens a network connection.
"""

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from daemon.contract.status import Frozen
from daemon.errors import Internal, WeightsCorrupt, WeightsMissing

CATALOGUE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "config", "models.yaml")
RECORD = "multiplane.json"
NAME_PATTERN = r"^[a-z0-9][a-z0-9.-]{0,63}$"

Polarity = Literal["disparity", "distance"]


def _stays_inside(file: str) -> bool:
    """Whether a relative path is plain: no step up, not absolute, no empty parts."""
    return all(part not in ("", ".", "..") for part in file.split("/")) and "\\" not in file


class Entry(BaseModel):
    """One model of the catalogue; the file's own head explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: Literal["depth", "diffusion"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: str | None = None
    licence: str
    commercial: bool
    bytes: Annotated[int, Field(gt=0)] | None = None
    files: tuple[str, ...] = ()
    path: str | None = None
    polarity: Polarity | None = None
    scale: Literal["relative", "metric"] | None = None
    input: Annotated[int, Field(ge=14, le=4096)] | None = None
    part: Literal["pipeline", "lora", "vae"] | None = None

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
        if self.use == "depth" and (self.polarity is None or self.scale is None or self.part is not None):
            raise ValueError("a depth model needs polarity and scale, and has no part")
        if self.use == "diffusion" and (self.part is None or self.polarity or self.scale or self.input):
            raise ValueError("a diffusion model needs part, and has no polarity, scale or input")
        return self


class Catalogue(BaseModel):
    """The whole of config/models.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_depth: str
    models: dict[Annotated[str, Field(pattern=NAME_PATTERN)], Entry]

    @model_validator(mode="after")
    def _default_is_a_depth_model(self) -> Self:
        if self.default_depth not in self.models or self.models[self.default_depth].use != "depth":
            raise ValueError(f"default_depth: {self.default_depth} is no depth model of this list")
        return self

    def depth_models(self) -> tuple[str, ...]:
        """Names of the depth models in the order of preference: the default one first, then as listed."""
        others = (name for name, entry in self.models.items() if entry.use == "depth" and name != self.default_depth)
        return (self.default_depth, *others)


class FileRecord(Frozen):
    """One fetched file."""

    bytes: int
    sha256: str


class Record(Frozen):
    """multiplane.json: what was fetched. `revision` is the commit the hub resolved, not the branch that was asked for."""

    name: str
    repo: str | None
    revision: str
    licence: str
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Weights:
    """Weights that are there and were checked.

    Attributes:
        name: of the model.
        entry: its lines in the catalogue.
        folder: absolute path of its files.
        revision: commit they came from; `sha256:…` of the weights for an own folder without a record.
    """

    name: str
    entry: Entry
    folder: str
    revision: str


@functools.lru_cache(maxsize=4)
def catalogue(path: str = CATALOGUE) -> Catalogue:
    """Read the list of models.

    Raises:
        Internal: the file is missing or not valid; the message names the line or the field.
    """
    hint = f"Correct {path}, then: multiplane retry ID."
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
        read = Catalogue.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
        raise Internal(f"The list of models {path} cannot be read: {reason}.", hint=hint) from reason
    except ValidationError as reason:
        wrong = reason.errors()[0]
        where = ".".join(map(str, wrong["loc"])) or "the file"
        raise Internal(f"The list of models {path} is not valid: {where}: {wrong['msg']}.", hint=hint) from reason
    return read.model_copy(
        update={"models": {name: _anchored(entry, os.path.dirname(path)) for name, entry in read.models.items()}}
    )


def folder(name: str, models: str, listed: Catalogue | None = None) -> str:
    """Where a model's files lie or would lie.

    Args:
        name: a model of the catalogue.
        models: the folder for fetched weights.
        listed: the catalogue; the shipped one by default.

    Raises:
        WeightsMissing: no model of that name is listed.
    """
    return _entry(name, listed).path or os.path.join(models, name)


def installed(name: str, models: str, listed: Catalogue | None = None) -> bool:
    """Whether a model is there: its fetch was finished (the record is written last), or it is an own folder with weights.

    Whether its files are still whole is for `locate` to say; damaged weights are installed, so that nothing weaker replaces them.

    Raises:
        WeightsMissing: no model of that name is listed.
    """
    entry, where = _entry(name, listed), folder(name, models, listed)
    return os.path.lexists(os.path.join(where, RECORD)) or (entry.path is not None and bool(_safetensors(where)))


def locate(name: str, models: str, listed: Catalogue | None = None) -> Weights:
    """Find a model's weights and check them against their record.

    Raises:
        WeightsMissing: they are not installed; the message names the command that fetches them.
        WeightsCorrupt: a file is missing, changed or additional, or there are no safetensors.
    """
    entry, where = _entry(name, listed), folder(name, models, listed)
    record = _record_of(where)
    if record is not None:
        _verify(name, where, record)
        revision = record.revision
    elif entry.path is None:
        raise WeightsMissing(
            f"The weights of {name} are not installed.",
            hint=f"Run: multiplane models fetch {name}, then: multiplane retry ID.",
        )
    else:
        revision = _own_revision(name, where)
    if not _safetensors(where):
        raise WeightsCorrupt(f"The folder of {name} ({where}) holds no safetensors; other kinds of weights are not loaded.")
    return Weights(name, entry, where, revision)


def record(name: str, where: str, entry: Entry, revision: str) -> Record:
    """Hash every file of a folder and write the record beside them, last and whole: it is what makes a model installed.

    Args:
        name: of the model.
        where: the folder.
        entry: its lines in the catalogue.
        revision: the commit the files came from.

    Returns:
        What was written.
    """
    files = {file: FileRecord(bytes=_size(path), sha256=_sha256(path)) for file, path in _files(where).items()}
    made = Record(name=name, repo=entry.repo, revision=revision, licence=entry.licence, files=files)
    target = os.path.join(where, RECORD)
    with open(target + ".part", "w", encoding="utf-8") as file:
        file.write(made.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(target + ".part", target)
    return made


def _entry(name: str, listed: Catalogue | None) -> Entry:
    models = (listed or catalogue()).models
    if name not in models:
        raise WeightsMissing(f"No model is called {name}.", hint="multiplane models list shows the names.")
    return models[name]


def _anchored(entry: Entry, base: str) -> Entry:
    """The entry with its own folder as an absolute path."""
    if entry.path is None:
        return entry
    return entry.model_copy(update={"path": os.path.abspath(os.path.join(base, os.path.expanduser(entry.path)))})


def _record_of(where: str) -> Record | None:
    try:
        with open(os.path.join(where, RECORD), "rb") as file:
            return Record.model_validate_json(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as reason:
        raise WeightsCorrupt(f"The record of the weights in {where} cannot be read.", detail=str(reason)) from reason


def _verify(name: str, where: str, made: Record) -> None:
    """Compare every file with the record. A file that was not fetched is refused too: libraries pick files up by name."""
    there = _files(where)
    for file in sorted(made.files.keys() - there.keys()):
        raise WeightsCorrupt(f"The weights of {name} are incomplete: {file} is missing in {where}.")
    for file in sorted(there.keys() - made.files.keys()):
        raise WeightsCorrupt(f"The folder of {name} holds {file}, which was not fetched with it.")
    for file, expected in sorted(made.files.items()):
        if _size(there[file]) != expected.bytes or _sha256(there[file]) != expected.sha256:
            raise WeightsCorrupt(f"The weights of {name} are damaged: {file} is not what was recorded when it was fetched.")


def _own_revision(name: str, where: str) -> str:
    """A name for weights without a record: the hash over their hashes."""
    if not os.path.isdir(where):
        raise WeightsMissing(f"The folder of {name} ({where}) is not there.", hint="Correct its path in config/models.yaml.")
    hashes = {file: _sha256(os.path.join(where, file)) for file in _safetensors(where)}
    whole = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    return f"sha256:{next(iter(hashes.values())) if len(hashes) == 1 else whole}"


def _files(where: str) -> dict[str, str]:
    """Relative name → path of every file, without the record and what file browsers leave behind (names with a leading dot)."""
    found = {}
    for base, folders, names in os.walk(where):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for each in names:
            file = os.path.relpath(os.path.join(base, each), where).replace(os.sep, "/")
            if not each.startswith(".") and file not in (RECORD, RECORD + ".part"):
                found[file] = os.path.join(base, each)
    return dict(sorted(found.items()))


def _safetensors(where: str) -> list[str]:
    return [file for file in _files(where) if file.endswith(".safetensors")]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
