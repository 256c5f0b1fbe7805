"""status.json: what people and programs read about one job. New versions only add fields."""

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.contract.bounds import Bytes, Checksum, Code, Count, Extent, Name, Passage, Path, Prose, Seconds, Share, Word
from daemon.contract.registry import FORMATS
from daemon.contract.spec import JobSpec, Mode

STATUS_VERSION = 1

#: The kinds of files in a result, in the order in which they are listed.
KINDS = ("layer", "depth", "composite", *(each.word for each in FORMATS), "preview", "contact_sheet", "manifest")
if TYPE_CHECKING:
    # Type checkers cannot compute the kinds.
    Kind = str
else:
    Kind = Literal[KINDS]

State = Literal["pending", "processing", "completed", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset({"completed", "failed", "cancelled"})


class Frozen(BaseModel):
    """The base class of immutable models that refuse unknown fields."""

    # With `defer_build`, pydantic builds the schema of a model when it is used first: most commands use few of them. Of the texts
    # that it has read, it would keep the last 16,384 in memory; those of one job rarely come again in another.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, cache_strings="keys")


class ErrorInfo(Frozen):
    """Why a job did not complete. `code` is for programs; everything else is for people."""

    code: Code
    message: Prose = Field(description="one plain sentence: what is wrong, and where")
    hint: Prose = Field(description="what to do about it")
    detail: Passage | None = Field(None, description="for developers: the end of a traceback or of the worker's output")


class Source(Frozen):
    """The picture as it was dropped.

    `width` and `height` are those of the upright picture, in pixels; null until the picture has been read.
    """

    image: Name
    bytes: Bytes
    sha256: Checksum | None = None
    width: Extent | None = None
    height: Extent | None = None


class Progress(Frozen):
    """How far a running job is. `fraction`: how much of the whole job is done, 0 to 1."""

    stage: Word
    fraction: Share
    eta_seconds: Seconds | None = None


class Output(Frozen):
    """One file of the result; `path` is relative to the job's folder."""

    path: Path
    kind: Kind
    bytes: Bytes
    sha256: Checksum


class Status(Frozen):
    """The content of status.json. Times are UTC, RFC 3339."""

    schema_version: int = STATUS_VERSION
    job_id: str
    requested_id: str | None = None
    state: State
    mode: Mode | None = Field(None, description="null if the YAML file could not be read")
    batch: str | None = None
    batch_name: str | None = Field(None, description="the name of the batch, which --batch accepts as well")
    redo_of: str | None = Field(None, description="the job that was redone: this one works on copies of its files")
    preset: str | None = Field(None, description="the preset folder that the picture was dropped into; null if none")
    owner: str | None = Field(None, description="the user to whom the dropped picture belonged; null if unknown")
    spec: JobSpec | None = Field(None, description="the effective spec; null if it was refused")
    source: Source | None = None
    created_at: str
    started_at: str | None = None
    completed_at: str | None = None
    processing_seconds: float | None = None
    timings: dict[str, float] = Field(default_factory=dict, description="seconds per stage")
    attempts: int = 0
    retry_at: str | None = Field(None, description="when the next attempt may start, while the job pauses after a failed one")
    queue_position: int | None = Field(None, description="1 is next; null while the job pauses before a retry")
    progress: Progress | None = None
    error: ErrorInfo | None = Field(None, description="why the job did not complete; while pending, why the last attempt failed")
    warnings: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    folder: str | None = Field(None, description="the absolute path of the job's folder; only in what commands print")
    manifest: str | None = Field(None, description="path of the layer manifest, relative to the job's folder")
    pruned_at: str | None = Field(None, description="when the result was removed because of its age; null if it was not")
    delivered: str | None = Field(
        None, description="the folder to which the result was delivered, as `deliver` in the settings says"
    )
    machine: str | None = Field(None, description="the machine of a cluster that ran the last attempt; null without a cluster")
    waits_for: str | None = Field(None, description="what a pending job waits for besides its turn; null if nothing")
    depth_source: Word | None = Field(None, description="where the depth of a completed job came from, as in its manifest")
    filled_layers: Count | None = Field(None, description="how many layers of a completed job are not empty; null if unknown")
