"""The error tree: every way in which a job can fail, each with a code, an exit status, and a hint for people.

There is one exception class per code. The message is one plain sentence that says what is wrong and where; the hint says what
to do. The daemon and the pipeline share the tree: a worker sends the code in an event, and exits with the code's `exit_status`.
"""

import errno
from typing import ClassVar, Self

from daemon.contract.commands import RETRY, as_code, command
from daemon.contract.status import ErrorInfo

#: Errors of a disk, a share or the system that may pass. They say nothing about the content of a file.
PASSING = (
    errno.EIO, errno.ESTALE, errno.EBUSY, errno.EDEADLK, errno.ETIMEDOUT, errno.EAGAIN, errno.EMFILE, errno.ENFILE,
)  # fmt: skip


def is_passing(error: BaseException) -> bool:
    """Whether an error comes from the system and may go away. A decoder's own OSErrors have no errno, so they do not count."""
    return isinstance(error, OSError) and error.errno in PASSING


class JobError(Exception):
    """A reason why a job cannot complete.

    Args:
        message: one plain sentence that says what is wrong and where.
        hint: what to do about it. None: use the hint of the class.
        detail: more information for developers; None if there is none.
    """

    code: ClassVar[str]
    exit_status: ClassVar[int]
    retryable: ClassVar[bool] = False
    hint: ClassVar[str]

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.own_hint = hint
        self.detail = detail

    def info(self) -> ErrorInfo:
        """The error as status.json shows it."""
        return ErrorInfo(code=self.code, message=self.message, hint=self.own_hint or self.hint, detail=self.detail)


class SpecInvalid(JobError):
    """A sidecar, preset or batch file asks for something that is not allowed."""

    code, exit_status = "spec_invalid", 10
    hint = (
        f"Correct the YAML file in the job's source folder, then run: {RETRY}. Or drag both files back into the inbox, and throw "
        "the job's folder away."
    )


class SpecUnreadable(JobError):
    """A sidecar is outside the subset of YAML that is allowed, or is too large."""

    code, exit_status = "spec_unreadable", 11
    hint = (
        f"Write the YAML file in the job's source folder again, as simple {as_code('field: value')} lines, then "
        f"run: {RETRY}. Or drag both files back into the inbox, and throw the job's folder away."
    )


class IdTaken(JobError):
    """The sidecar names an id that another job has."""

    code, exit_status = "id_taken", 12
    hint = "Choose another id, or remove the other job, and drop the picture again."


class SourceMissing(JobError):
    """The picture is no longer in source/."""

    code, exit_status = "source_missing", 20
    hint = "Drop the picture and its YAML file into the inbox again."


class SourceChanged(JobError):
    """The picture changed while it was being read."""

    code, exit_status = "source_changed", 21
    hint = f"Wait until the program that writes the picture is done, then run: {RETRY}."


class ImageType(JobError):
    """The file is not one of the supported types of picture."""

    code, exit_status = "image_type", 22
    hint = "Export the picture as JPEG, PNG or TIFF and drop it again."


class ImageTooLarge(JobError):
    """The picture has more bytes or pixels than the configuration allows."""

    code, exit_status = "image_too_large", 23
    hint = "Make the picture smaller, or raise limits.max_image_bytes or limits.max_image_pixels in the settings."

    @classmethod
    def in_bytes(cls, name: str, size: int, most: int) -> Self:
        """The error for a file of `size` bytes when at most `most` bytes are allowed."""
        return cls(f"{name} has {_amount(size)}; at most {_amount(most)} are allowed.")


class ImageUnreadable(JobError):
    """The picture is damaged or incomplete."""

    code, exit_status = "image_unreadable", 24
    hint = "Open the picture in another program and export it again; if it was still being copied, drop it again."
    hint_if_empty: ClassVar[str] = "Drop it again: its file was probably still being written."


class DepthMissing(JobError):
    """The requested depth source is missing."""

    code, exit_status = "depth_missing", 30
    hint = f"Drop the depth picture as NAME.depth.png beside the photo, or ask for {as_code('depth: auto')}."


class DepthUnreadable(JobError):
    """The depth picture cannot be used."""

    code, exit_status = "depth_unreadable", 31
    hint = "Save the depth picture as a grey 8- or 16-bit PNG or TIFF of the photo's shape and drop both again."


class WeightsMissing(JobError):
    """The weights of a requested model are not installed."""

    code, exit_status = "weights_missing", 32
    hint = f"Run: {command('models', 'list')}, fetch the model it names, then: {RETRY}."


class WeightsCorrupt(JobError):
    """The weights of a model differ from what was recorded when they were fetched."""

    code, exit_status = "weights_corrupt", 33
    hint = f"Run: {command('models', 'verify')}; it names the command that fetches the model again. Then: {RETRY}."


class LicenceNotAccepted(JobError):
    """The model's licence must be accepted first."""

    code, exit_status = "licence_not_accepted", 34
    hint = f"Read the licence, then accept it by name when fetching the model; {command('models', 'list')} names both."


class ModelFailed(JobError):
    """The model gave no usable picture (NaN, or all black)."""

    code, exit_status = "model_failed", 35
    hint = "Try again; if it keeps failing, choose another model or set device: cpu in the settings."


class DeviceUnavailable(JobError):
    """The configured device is missing or does not work."""

    code, exit_status = "device_unavailable", 36
    hint = f"Set device: auto (or cpu) in the settings, then: {RETRY}."


class FormatUnavailable(JobError):
    """A format was asked for that this machine cannot write."""

    code, exit_status = "format_unavailable", 37
    hint = f"Run: {command('doctor')}; it names the command that installs what is missing. Then: {RETRY}."


class Timeout(JobError):
    """The job exceeded its time limit. It is retried only if it hung: a job that progressed would run out of time again."""

    code, exit_status, retryable = "timeout", 40, True
    hint = f"Raise timeout_seconds in the YAML file, or use a smaller picture or fewer layers, then: {RETRY}."


class OutOfMemory(JobError):
    """The worker needed more memory than the machine has or than its limit allows."""

    code, exit_status = "out_of_memory", 41
    hint = f"Use a smaller picture or fewer layers, or close other programs, then: {RETRY}."


class OutputTooLarge(JobError):
    """The result is larger than the configuration allows."""

    code, exit_status = "output_too_large", 42
    hint = "Ask for fewer layers or formats, or raise limits.max_output_bytes in the settings."


class WorkerCrashed(JobError):
    """The worker ended without a usable result, or broke the protocol."""

    code, exit_status, retryable = "worker_crashed", 43, True
    hint = f"Run: {RETRY}. If it happens again, job.log in the job's folder says more."


class WorkerLost(JobError):
    """The machine of a cluster on which the job ran is gone, or no longer answers."""

    code, exit_status, retryable = "worker_lost", 45, True
    hint = f"Run: {RETRY}. If it happens again, check the machine that the message names, and see {command('cluster', 'status')}."


class DiskFull(JobError):
    """The disk has no space left."""

    code, exit_status, retryable = "disk_full", 44, True
    hint = f"Free some space on the disk of the outbox, then run: {RETRY}."


class Cancelled(JobError):
    """Somebody cancelled the job."""

    code, exit_status = "cancelled", 50
    hint = f"Run: {RETRY}, if it should be done after all."


class Internal(JobError):
    """A bug in the program itself."""

    code, exit_status = "internal", 70
    hint = f"Run: {RETRY}. If it happens again, please report it with job.log."


_CLASSES: tuple[type[JobError], ...] = (
    SpecInvalid, SpecUnreadable, IdTaken, SourceMissing, SourceChanged, ImageType, ImageTooLarge, ImageUnreadable,
    DepthMissing, DepthUnreadable, WeightsMissing, WeightsCorrupt, LicenceNotAccepted, ModelFailed, DeviceUnavailable,
    FormatUnavailable, Timeout, OutOfMemory, OutputTooLarge, WorkerCrashed, WorkerLost, DiskFull, Cancelled, Internal,
)  # fmt: skip
BY_CODE: dict[str, type[JobError]] = {cls.code: cls for cls in _CLASSES}


def _amount(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1_000_000 else f"{size:,} bytes"


class Refusal(Exception):
    """The reason why the daemon or a command cannot go on. Only a person can remove this reason.

    Args:
        message: one plain sentence that says what is wrong and where.
        hint: what to do about it.
        exit_status: the exit status of the process. The default is EX_CONFIG of sysexits.h.
    """

    def __init__(self, message: str, *, hint: str, exit_status: int = 78) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_status = exit_status
