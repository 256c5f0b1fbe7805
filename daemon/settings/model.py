"""The settings: what can be configured, what it means and what it may be.

No setting has its value here: `config/default.yaml` gives every one of them, and explains it. Only what a job may ask for
(`defaults`) is described by JobSpec.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, PrivateAttr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from daemon.contract.spec import JobSpec
from daemon.settings.layout import Layout


class Group(BaseModel):
    """Settings that belong together."""

    # Only `Settings` as a whole is ever checked: a schema of each group alone would be built at every start for nobody.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Folders(Group):
    """Where things lie, if not in the home folder. A relative path is relative to the home folder."""

    inbox: Path | None = Field(description="where pictures are dropped; null: `inbox` in the home folder")
    outbox: Path | None = Field(description="where results appear; null: `outbox` in the home folder")
    models: Path | None = Field(description="where the weights lie; null: one folder for all homes of the user")
    catalogue: Path | None = Field(description="the list of models; null: `config/models.yaml` of the program")


class Intake(Group):
    """How patiently the inbox is watched."""

    settle_seconds: float = Field(ge=0.5, le=600, description="a file on a local disk must not have changed for so long")
    settle_network_seconds: float = Field(ge=1, le=600, description="the same on a network share")
    grace_seconds: float = Field(
        ge=0, le=3600, description="a picture in a preset folder waits so long for a YAML file of its own"
    )
    batch_quiet_seconds: float = Field(ge=1, le=3600, description="a batch folder must not have changed for so long")
    rescan_seconds: float = Field(ge=1, le=3600, description="every so often the inbox is read in full, whatever was reported")
    poll_seconds: float = Field(ge=1, le=600, description="the same for a folder that reports nothing")


class Queue(Group):
    """How much is accepted and done at once."""

    max_pending: int = Field(ge=1, le=1_000_000, description="jobs that may be pending; more stays in the inbox, in order")
    max_concurrent_jobs: int = Field(ge=1, le=64, description="jobs that run at the same time")
    min_free_bytes: ByteSize = Field(
        ge=1_000_000, description="with less free on the disk of the outbox nothing is accepted or started"
    )


class Worker(Group):
    """What a running job may take."""

    max_timeout_seconds: float = Field(gt=0, le=604_800, description="the most a job may ask for as timeout_seconds")
    grace_seconds: float = Field(ge=0, le=600, description="from the request to stop to the kill, after a timeout")
    shutdown_grace_seconds: float = Field(ge=0, le=60, description="the same when the daemon stops")
    max_memory_share: float = Field(gt=0, le=1, description="the share of the machine's memory one job may use")
    max_log_bytes: ByteSize = Field(ge=1024, description="how long job.log may become")
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = Field(
        description="threads a job computes with; auto: one per core, shared among the jobs"
    )
    device: Literal["auto", "cpu", "mps", "cuda"] = Field(description="where models run; auto: the fastest that works")
    spare: bool = Field(description="whether a worker is kept ready for the next job, so that it starts at once")
    spare_seconds: float = Field(ge=10, le=604_800, description="a spare that waited so long in vain is replaced by a fresh one")
    sandbox: Literal["auto", "off"] = Field(
        description="auto: a worker has no network and sees only its own files, as far as the system can; off: it may do anything"
    )


class Limits(Group):
    """What a picture and a result may be."""

    max_image_bytes: ByteSize = Field(ge=1024, description="the largest picture file")
    max_image_pixels: int = Field(ge=1_000, le=2**31 - 1, description="the most pixels a picture may have")
    max_output_bytes: ByteSize = Field(ge=1024, description="the most room one result may take")


class History(Group):
    """What is remembered of jobs that ended; their folders in the outbox are never touched."""

    keep_days: int = Field(ge=1, le=36_500, description="days that an ended job stays in `multiplane jobs` and `stats`")


class Log(Group):
    """The daemon's own log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(description="the least that is worth a line")
    rotate_bytes: ByteSize = Field(ge=1024, description="a new log file begins at this size")
    keep_files: int = Field(ge=1, le=1000, description="log files that are kept")


class Finder(Group):
    """What is shown in Finder beside the files themselves; of effect on macOS alone."""

    tags: bool = Field(description="whether the folder of a job has a tag in the colour of its state")


class Notifications(Group):
    """What the system's notifications tell the person at this machine."""

    batches: bool = Field(description="one when a batch has ended")
    singles: bool = Field(description="one when all that was dropped singly has ended, if something of it was completed")
    failures: bool = Field(description="one for every job that failed; those of a few seconds are put together")


class Settings(BaseSettings):
    """All settings, checked; made by `daemon.settings.load` alone."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    defaults: JobSpec = Field(description="what a job is to do where its YAML files do not say")
    folders: Folders
    intake: Intake
    queue: Queue
    worker: Worker
    limits: Limits
    history: History
    finder: Finder
    notifications: Notifications
    log: Log

    _paths: Layout | None = PrivateAttr(None)
    _styles: tuple[str, ...] = PrivateAttr(())

    @property
    def paths(self) -> Layout:
        """Where everything lies."""
        if self._paths is None:
            raise RuntimeError("settings are made by daemon.settings.load")
        return self._paths

    @property
    def styles(self) -> tuple[str, ...]:
        """The names in config/styles.yaml, in its order."""
        return self._styles

    @property
    def digest(self) -> str:
        """The same for the same settings: SHA-256, 16 hexadecimal digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def spec_defaults(self) -> dict[str, object]:
        """The default of every field of a sidecar but `id` and `images`, for `daemon.sidecar.resolve`."""
        return self.defaults.model_dump(exclude={"id", "images"})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind the back of `load`, which puts its own sources here."""
        return (init_settings,)

    @model_validator(mode="after")
    def _default_timeout_within_ceiling(self) -> Self:
        if self.defaults.timeout_seconds > self.worker.max_timeout_seconds:
            raise ValueError(
                f"defaults.timeout_seconds ({self.defaults.timeout_seconds:g}) must be at most "
                f"worker.max_timeout_seconds ({self.worker.max_timeout_seconds:g})"
            )
        return self
