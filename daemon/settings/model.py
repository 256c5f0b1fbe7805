"""The settings: what can be configured, what it means and which values it allows.

The default values are in `config/default.yaml`, which explains each of them. JobSpec describes the group `defaults`.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from daemon.catalogues.reading import StyleNames
from daemon.contract.commands import SHORT, as_code, command
from daemon.contract.spec import JobSpec
from daemon.settings.delivery_layout import wrong_layout
from daemon.settings.layout import Layout
from daemon.settings.scheduler_address import checked_address


class Group(BaseModel):
    """Settings that belong together."""

    # Values are checked only through `Settings`. Without `defer_build`, pydantic would also build a schema of each group at every
    # start, which nothing uses.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Folders(Group):
    """Where the folders are. Relative paths are relative to the home folder."""

    inbox: Path | None = Field(description="where pictures are dropped; null: `inbox` in the home folder")
    outbox: Path | None = Field(description="where results appear; null: `outbox` in the home folder")
    models: Path | None = Field(description="where the models' weights are kept; null: one folder for all homes of the user")
    catalogue: Path | None = Field(description="a list of models that replaces the program's `config/models.yaml`; null: none")


class Intake(Group):
    """How the inbox is watched, and how long files must stay unchanged."""

    settle_seconds: float = Field(ge=0.5, le=600, description="how long a file on a local disk must stay unchanged")
    settle_network_seconds: float = Field(ge=1, le=600, description="how long a file on a network share must stay unchanged")
    grace_seconds: float = Field(ge=0, le=3600, description="how long a picture in a preset folder waits for its own YAML file")
    batch_quiet_seconds: float = Field(ge=1, le=3600, description="how long a batch folder must stay unchanged")
    rescan_seconds: float = Field(ge=1, le=3600, description="how often the whole inbox is read")
    poll_seconds: float = Field(ge=1, le=600, description="how often a folder is read whose changes the system does not report")


class Queue(Group):
    """How many jobs are accepted, and how many run at once."""

    max_pending: int = Field(ge=1, le=1_000_000, description="the most pending jobs; further pictures wait in the inbox")
    max_concurrent_jobs: int = Field(ge=1, le=64, description="jobs that run at the same time")
    min_free_bytes: ByteSize = Field(ge=1_000_000, description="if the outbox's disk has less free space, the queue pauses")


class Worker(Group):
    """What a running job may use."""

    max_timeout_seconds: float = Field(gt=0, le=604_800, description="the largest timeout_seconds that a job may set")
    grace_seconds: float = Field(ge=0, le=600, description="after a timeout: seconds between the request to stop and the kill")
    shutdown_grace_seconds: float = Field(ge=0, le=60, description="the same seconds when the daemon stops")
    max_memory_share: float = Field(
        gt=0, le=1, description="the share of the machine's or container's memory that one job may use"
    )
    max_log_bytes: ByteSize = Field(ge=1000, description="the largest size of job.log")
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = Field(
        description="threads for each job; auto: one per core, shared among the jobs"
    )
    device: Literal["auto", "cpu", "mps", "cuda"] = Field(description="where models run; auto: the fastest that works")
    spare: bool = Field(description="whether a warm worker and, on Linux, loaded libraries are kept ready for the next job")
    spare_seconds: float = Field(ge=10, le=604_800, description="after this time, a fresh warm worker replaces one that waits")
    sandbox: Literal["auto", "off"] = Field(description="auto: jobs have no network and limited access to files; off: no sandbox")
    ffmpeg: str = Field(
        min_length=1, description="what encodes videos as H.264 on Linux: auto (the ffmpeg on the PATH), off, or a program's path"
    )


class Limits(Group):
    """Limits for pictures and results."""

    max_image_bytes: ByteSize = Field(ge=1000, description="the largest picture file")
    max_image_pixels: int = Field(ge=1_000, le=2**31 - 1, description="the most pixels a picture may have")
    max_output_bytes: ByteSize = Field(ge=1024, description="the most disk space one result may take")


class History(Group):
    """How long ended jobs are remembered. Their folders in the outbox are never touched."""

    keep_days: int = Field(
        ge=1, le=36_500, description=SHORT.fill(f"days that an ended job stays in {command('jobs')} and {as_code('stats')}")
    )


class OutboxRules(Group):
    """What happens in the outbox besides the jobs."""

    keep_days: Annotated[int, Field(ge=1, le=36_500)] | None = Field(
        description="days after which an ended job is removed with its folder; null: never"
    )
    metrics: bool = Field(description="whether metrics.prom is written, for node_exporter's textfile collector")


class Hooks(Group):
    """Commands that the daemon runs after a job has ended. Each is a list: the program, then its arguments."""

    on_completed: tuple[str, ...] | None = Field(min_length=1, description="a command for every completed job; null: none")
    on_failed: tuple[str, ...] | None = Field(min_length=1, description="a command for every failed job; null: none")
    timeout_seconds: float = Field(gt=0, le=86_400, description="how long such a command may run")

    def command(self, state: str) -> tuple[str, ...] | None:
        """The command for a job that ended in this state; None if there is none."""
        commands = {"completed": self.on_completed, "failed": self.on_failed}
        return commands.get(state)


class Deliver(Group):
    """Where finished results are copied to."""

    folder: Path | None = Field(description="the folder that gets a copy of each result; null: none")
    layout: str = Field(description="the path of a result in that folder, such as {batch}/{name}")

    @field_validator("layout")
    @classmethod
    def _is_a_path(cls, layout: str) -> str:
        if (wrong := wrong_layout(layout)) is not None:
            raise ValueError(wrong)
        return layout


class Log(Group):
    """The daemon's own log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(description="the lowest level that is logged")
    rotate_bytes: ByteSize = Field(ge=1024, description="start a new log file at this size")
    keep_files: int = Field(ge=1, le=1000, description="how many log files to keep")


class Cluster(Group):
    """The machines that run the jobs. Without a scheduler, jobs run on this machine. Relative paths are relative to the home."""

    scheduler: str | None = Field(description="the address of the scheduler, such as tls://studio.local:8786; null: no cluster")
    ca: Path | None = Field(description="the certificate of the cluster's own authority")
    certificate: Path | None = Field(description="this machine's certificate")
    key: Path | None = Field(description="the private key of this machine's certificate")
    shared_folder: Path | None = Field(
        description="where this machine has mounted the share with the outbox; null: files travel through the connection"
    )
    lost_seconds: float = Field(ge=5, le=3600, description="a machine that is silent for this long has lost its jobs")

    @field_validator("scheduler")
    @classmethod
    def _protected(cls, address: str | None) -> str | None:
        return None if address is None else checked_address(address)

    @model_validator(mode="after")
    def _has_certificates(self) -> Self:
        if self.scheduler is not None and self.scheduler.startswith("tls:"):
            missing = [name for name in ("ca", "certificate", "key") if getattr(self, name) is None]
            if missing:
                several = " and ".join(f"cluster.{name}" for name in missing)
                raise ValueError(f"cluster.scheduler is {self.scheduler}, so {several} must be set as well")
        return self


class Finder(Group):
    """What Finder shows. Only used on macOS."""

    tags: bool = Field(description="whether the folder of a job has a tag in the colour of its state")


class Notifications(Group):
    """Which notifications appear on this machine's desktop."""

    batches: bool = Field(description="a notification when a batch has ended")
    singles: bool = Field(description="a notification when all single drops have ended, if at least one completed")
    failures: bool = Field(description="a notification for every job that failed; failures within a few seconds share one")


class Settings(BaseModel):
    """All settings, checked. Only `daemon.settings.load` creates them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: JobSpec = Field(description="what a job does unless its YAML files say otherwise")
    folders: Folders
    intake: Intake
    queue: Queue
    worker: Worker
    limits: Limits
    history: History
    outbox: OutboxRules
    hooks: Hooks
    deliver: Deliver
    cluster: Cluster
    finder: Finder
    notifications: Notifications
    log: Log

    _paths: Layout | None = PrivateAttr(None)
    _styles: StyleNames = PrivateAttr(default_factory=lambda: StyleNames(()))

    @property
    def paths(self) -> Layout:
        """Where everything of this home is."""
        if self._paths is None:
            raise RuntimeError("settings are made by daemon.settings.load")
        return self._paths

    @property
    def styles(self) -> tuple[str, ...]:
        """The names of the current styles: the program's, then the user's own, in the order of their files."""
        return self._styles.now()

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the settings. Equal settings have equal digests."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def spec_defaults(self) -> dict[str, object]:
        """The default of every sidecar field except `id` and `images`, for `daemon.sidecar.resolve`."""
        return self.defaults.model_dump(exclude={"id", "images"})

    @model_validator(mode="after")
    def _remembered_until_removed(self) -> Self:
        if self.outbox.keep_days is not None and self.outbox.keep_days > self.history.keep_days:
            raise ValueError(
                f"outbox.keep_days ({self.outbox.keep_days}) must be at most history.keep_days ({self.history.keep_days}): "
                "a job that is forgotten is never removed"
            )
        return self

    @model_validator(mode="after")
    def _default_timeout_within_ceiling(self) -> Self:
        if self.defaults.timeout_seconds > self.worker.max_timeout_seconds:
            raise ValueError(
                f"defaults.timeout_seconds ({self.defaults.timeout_seconds:g}) must be at most "
                f"worker.max_timeout_seconds ({self.worker.max_timeout_seconds:g})"
            )
        return self
