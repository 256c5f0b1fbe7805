"""What daemon and worker say to each other: JSON lines, commands on the worker's stdin, events on its descriptor 3."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from daemon.contract.bounds import Bytes, Count, JobId, Path, Pid, Seconds, Share, Timings, Warnings, Word
from daemon.contract.spec import JobSpec
from daemon.contract.status import ErrorInfo, Frozen, Output, Source

PROTOCOL_VERSION = 1
EVENT_FD = 3
MAX_LINE_BYTES = 1 << 20
#: Of a result, which has some thirty.
MAX_FILES = 1000

#: What a worker has loaded before its job, each more than the one before it.
Warm = Literal["light", "depth", "painting"]


class Limits(Frozen):
    """What a picture may be, checked before its pixels are loaded."""

    max_bytes: int
    max_pixels: int


class JobCommand(Frozen):
    """Do this job. File names are text made by `daemon.contract.names`."""

    type: Literal["job"] = "job"
    job_id: str
    attempt: str = Field(description="absolute path of the attempt folder; the worker makes `result/` in it and may use `tmp/`")
    source: str = Field(description="absolute path of the job's source folder")
    image: str = Field(description="name of the picture in the source folder")
    image_bytes: int = Field(description="its size when it was accepted")
    image_mtime_ns: int = Field(description="its modification time when it was accepted")
    depth_picture: str | None = Field(None, description="name of the dropped depth picture in the source folder")
    spec: JobSpec
    limits: Limits
    models: str = Field(description="absolute path of the folder with the installed weights")
    catalogue: str | None = Field(None, description="absolute path of the list of models; none: the program's own")
    device: Literal["auto", "cpu", "mps", "cuda"] = "auto"
    threads: int = Field(ge=1)
    warm: Warm = Field("light", description="what is loaded before the job begins, if it is not yet")


class CancelCommand(Frozen):
    """Stop what you are doing, soon."""

    type: Literal["cancel"] = "cancel"


Command = Annotated[JobCommand | CancelCommand, Field(discriminator="type")]
COMMAND: TypeAdapter[JobCommand | CancelCommand] = TypeAdapter(Command)


class Hello(Frozen):
    """The first words of a worker, before the heavy imports."""

    type: Literal["hello"] = "hello"
    protocol: Count
    pid: Pid


class Ready(Frozen):
    """Imports done; a job may come. `warm` names what is loaded."""

    type: Literal["ready"] = "ready"
    warm: Warm = "light"


class Started(Frozen):
    """The job was understood, what it needs is loaded, and it has begun."""

    type: Literal["started"] = "started"
    job_id: JobId
    at: Seconds | None = Field(None, description="on the monotonic clock, which all processes of a machine share")


class ProgressEvent(Frozen):
    """Movement: the stage, and the share of the whole job that is done."""

    type: Literal["progress"] = "progress"
    stage: Word
    fraction: Share


class Heartbeat(Frozen):
    """Life: sent every few seconds by a thread of its own. `rss` in bytes."""

    type: Literal["heartbeat"] = "heartbeat"
    rss: Bytes


class Result(Frozen):
    """The job is done and its files are in `<attempt>/result/`. Output paths are relative to the attempt folder."""

    type: Literal["result"] = "result"
    source: Source
    outputs: tuple[Output, ...] = Field(max_length=MAX_FILES)
    manifest: Path
    depth_source: Word | None = None
    warnings: Warnings = ()
    timings: Timings = Field(default_factory=dict)
    peak_rss: Bytes = 0


class Error(Frozen):
    """The job cannot be done; the worker exits with the code's exit status."""

    type: Literal["error"] = "error"
    error: ErrorInfo
    source: Source | None = None
    warnings: Warnings = ()


Event = Annotated[Hello | Ready | Started | ProgressEvent | Heartbeat | Result | Error, Field(discriminator="type")]
EVENT: TypeAdapter[Hello | Ready | Started | ProgressEvent | Heartbeat | Result | Error] = TypeAdapter(Event)
