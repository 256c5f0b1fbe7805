"""The messages between daemon and worker, as JSON lines: commands to the worker's stdin, events from its descriptor 3."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from daemon.contract.bounds import Bytes, Count, JobId, Path, Pid, Seconds, Share, Timings, Warnings, Word
from daemon.contract.commands import well_marked
from daemon.contract.spec import JobSpec
from daemon.contract.status import ErrorInfo, Frozen, Output, Source

PROTOCOL_VERSION = 1
EVENT_FD = 3
MAX_LINE_BYTES = 1 << 20
#: The most files in a result. A usual result has about thirty.
MAX_FILES = 1000

#: What a worker has loaded before its job. Each of these includes the one before it.
Warm = Literal["light", "depth", "painting"]

#: The commands, and the lines of a YAML file, that a worker may show. It works on what strangers made, and might be made to say
#: anything: these do no harm whoever asks for them.
_SHOWABLE = re.compile(
    r"multiplane (?:retry ID|doctor|models (?:list|verify|fetch [a-z0-9.-]+(?: --accept-licence (?:[\w.-]+|'[\w. -]+'))?))"
    r"|[a-z_]+: [\w\[\]-]+"
)


def _shown(sentence: str) -> str:
    """The sentence, with all other commands unmarked: they stay as they are, as names do."""
    return well_marked(sentence, _SHOWABLE)


def _told(error: ErrorInfo) -> ErrorInfo:
    return error.model_copy(update={"message": _shown(error.message), "hint": _shown(error.hint)})


_Warnings = Annotated[Warnings, AfterValidator(lambda told: tuple(map(_shown, told)))]


class Limits(Frozen):
    """Limits for a picture, checked before its pixels are loaded."""

    max_bytes: int
    max_pixels: int


class JobCommand(Frozen):
    """Tells the worker to do this job. File names are text as `daemon.contract.names` encodes them."""

    type: Literal["job"] = "job"
    job_id: str
    attempt: str = Field(description="absolute path of the attempt folder; the worker makes `result/` in it and may use `tmp/`")
    source: str = Field(description="absolute path of the job's source folder")
    image: str = Field(description="name of the picture in the source folder")
    image_bytes: int = Field(description="size of the picture when it was accepted")
    image_mtime_ns: int = Field(description="modification time of the picture when it was accepted")
    depth_picture: str | None = Field(None, description="name of the dropped depth picture in the source folder; null: none")
    spec: JobSpec
    limits: Limits
    models: str = Field(description="absolute path of the folder with the installed weights")
    model_lists: tuple[str, ...] = Field(
        (), description="absolute paths of the lists of models, in order; empty: the program's own list"
    )
    style_lists: tuple[str, ...] = Field(
        (), description="absolute paths of the lists of styles, in order; empty: the program's own list"
    )
    device: Literal["auto", "cpu", "mps", "cuda"] = "auto"
    threads: int = Field(ge=1)
    memory: int | None = Field(
        None, gt=0, description="bytes of memory that the machine or the daemon's control group has; null: the machine's"
    )
    warm: Warm = Field("light", description="what the worker must have loaded before the job begins")
    ffmpeg: str | None = Field(None, description="path of an ffmpeg that the worker may start; null: none")


class CancelCommand(Frozen):
    """Tells the worker to stop the job soon."""

    type: Literal["cancel"] = "cancel"


Command = Annotated[JobCommand | CancelCommand, Field(discriminator="type")]
COMMAND: TypeAdapter[JobCommand | CancelCommand] = TypeAdapter(Command)


class Hello(Frozen):
    """The first message of a worker, sent before the heavy imports."""

    type: Literal["hello"] = "hello"
    protocol: Count
    pid: Pid


class Ready(Frozen):
    """The imports are done and the worker can take a job. `warm` names what is loaded."""

    type: Literal["ready"] = "ready"
    warm: Warm = "light"


class Started(Frozen):
    """The worker understood the job, loaded what it needs, and has begun."""

    type: Literal["started"] = "started"
    job_id: JobId
    at: Seconds | None = Field(None, description="when, in monotonic seconds; all processes of a machine share this clock")


class ProgressEvent(Frozen):
    """How far the job is: its stage, and the fraction of the whole job that is done, 0 to 1."""

    type: Literal["progress"] = "progress"
    stage: Word
    fraction: Share


class Heartbeat(Frozen):
    """A sign of life, sent every few seconds by a separate thread. `rss`: the worker's resident memory in bytes."""

    type: Literal["heartbeat"] = "heartbeat"
    rss: Bytes


class Result(Frozen):
    """The job is done, and its files are in `<attempt>/result/`.

    Paths are relative to the attempt folder. `timings` are in seconds per stage; `peak_rss` is in bytes.
    """

    type: Literal["result"] = "result"
    source: Source
    outputs: tuple[Output, ...] = Field(max_length=MAX_FILES)
    manifest: Path
    depth_source: Word | None = None
    filled_layers: Count | None = None
    warnings: _Warnings = ()
    timings: Timings = Field(default_factory=dict)
    peak_rss: Bytes = 0


class Error(Frozen):
    """The job failed. The worker then exits with the exit status that belongs to the error's code."""

    type: Literal["error"] = "error"
    error: Annotated[ErrorInfo, AfterValidator(_told)]
    source: Source | None = None
    warnings: _Warnings = ()


Event = Annotated[Hello | Ready | Started | ProgressEvent | Heartbeat | Result | Error, Field(discriminator="type")]
EVENT: TypeAdapter[Hello | Ready | Started | ProgressEvent | Heartbeat | Result | Error] = TypeAdapter(
    Event, config=ConfigDict(cache_strings="keys")
)
