"""Adds a job that the journal does not list, from its folder. Anybody who can write in the outbox may have made this folder.

The spec, the times and the sentences come from status.json, and must be within bounds. Nothing else in it is believed: the
picture must be a regular file in source/, and a result must match its checksums and its manifest. No link is followed, and no
worker is started. A job that had not ended is added as failed, and people can retry it. So a forged folder gains only a line in
`multiplane jobs`, and a `retry` of it can do no more than a picture dropped into the inbox.
"""

import os
from collections.abc import Sequence

from pydantic import ValidationError

from daemon import clock
from daemon.contract.commands import RETRY
from daemon.contract.messages import Result
from daemon.contract.names import to_bytes, to_text
from daemon.contract.records import Accepted, AnyRecord, Attempt, ClaimedFile, Ended, Job, LiveJob, Publishing, Role
from daemon.contract.status import ENDED, ErrorInfo, Source, Status
from daemon.contract.words.validation import in_words
from daemon.doctor.survey import read_status
from daemon.errors import BY_CODE, Internal, JobError
from daemon.fs import FileSystem
from daemon.intake.names import classify
from daemon.outbox import Outbox, check_result

#: How many characters of a sentence in status.json are kept: somebody may have made it up.
_MAX_TEXT = 500
#: Longer than any job may take, in seconds.
_MAX_SECONDS = 1e6
_SIDECARS = (b".yaml", b".yml")
_DEPTHS = (b".depth.png", b".depth.tif", b".depth.tiff")


class UnfitError(Exception):
    """A folder that cannot be added. The message says why, worded to follow a colon: `NAME was not added: …`."""


def adopt(
    fs: FileSystem, outbox: Outbox, name: str, *, sequence: int, max_bytes: int, max_seconds: float
) -> tuple[AnyRecord, ...]:
    """The records that add the job of an outbox folder to the journal as an ended job. They must be written as one group.

    Args:
        fs: the disk.
        outbox: the outbox of the home.
        name: the name of the folder, which is the job's id.
        sequence: the job's place in the order of arrival.
        max_bytes: the size of the largest allowed result.
        max_seconds: the longest allowed time limit.

    Raises:
        UnfitError: the folder is not a job's, or is incomplete.
        OSError: the folder cannot be read.
    """
    status = read_status(fs, outbox.root, name)
    if status is None:
        raise UnfitError("its status.json cannot be read, or is about another job")
    if status.spec and status.spec.timeout_seconds > max_seconds:
        raise UnfitError("its spec asks for more time than is allowed")
    accepted = _accepted(fs, outbox, status)
    error = _error(status)
    publishing = None
    if status.state == "completed":
        try:
            publishing = _published(fs, outbox, status, max_bytes)
        except UnfitError as why:
            error = Internal(f"the result is not what status.json says: {why}").info()
    note = f"The journal did not list this job; it was added from its folder on {clock.local(clock.now())}."
    job = Job(
        job_id=name,
        accepted=accepted,
        sequence=sequence,
        created_at=_moment(status.created_at),
        spec=status.spec,
        mode=status.mode,
        # From this state, recovery would bring the job to the same end as the record below: this error, or its result.
        refusal=None if publishing else error,
        claimed=True,
        state="processing" if publishing else "pending",
        attempts=1 if publishing else 0,
        attempt=Attempt(folder="adopted", publishing=publishing) if publishing else None,
        notes=(note,),
    )
    ended = Ended(
        job=name,
        state="completed" if publishing else "cancelled" if status.state == "cancelled" else "failed",
        error=None if publishing else error,
        source=publishing.source if publishing else None,
        processing_seconds=publishing.processing_seconds if publishing else None,
    )
    return LiveJob(job=name, value=job), ended


def _accepted(fs: FileSystem, outbox: Outbox, status: Status) -> Accepted:
    """The `accepted` record, with the files that are in source/ now."""
    if status.source is None:
        raise UnfitError("its status.json names no picture")
    folder, image = outbox.job(status.job_id, b"source"), to_bytes(status.source.image)
    if classify(image, in_inbox=True).role not in ("image", "raw") or b"/" in image or b"\0" in image:
        raise UnfitError("its status.json names a file that is not a picture")
    if not _is(fs, folder, "directory"):
        raise UnfitError("it has no source folder")
    stem = os.path.splitext(image)[0]
    files = [
        *_files(fs, folder, "image", (image,)),
        *_files(fs, folder, "sidecar", [base + end for base in (image, stem) for end in _SIDECARS]),
        *_files(fs, folder, "depth", [stem + end for end in _DEPTHS]),
    ]
    if not files or files[0].role != "image":
        raise UnfitError("its picture is not in source/, or is not a regular file")
    return Accepted(job=status.job_id, files=tuple(files), spec=status.spec, mode=status.mode)


def _files(fs: FileSystem, folder: bytes, role: Role, names: Sequence[bytes]) -> list[ClaimedFile]:
    """A list with the first of these names that is a regular file; an empty list if none is."""
    for name in names:
        try:
            found = fs.lstat(os.path.join(folder, name))
        except OSError:
            continue
        if found.kind == "file":
            text = to_text(name)
            return [ClaimedFile(role=role, name=text, to=text, ino=found.ino, size=found.size, mtime_ns=found.mtime_ns)]
    return []


def _published(fs: FileSystem, outbox: Outbox, status: Status, max_bytes: int) -> Publishing:
    if status.source is None or status.manifest is None:
        raise UnfitError("it names no manifest")
    if not _is(fs, outbox.job(status.job_id, b"result"), "directory"):
        raise UnfitError("there is no result")
    sizes = sum(output.bytes for output in status.outputs)
    if sizes > max_bytes or any(output.bytes < 0 for output in status.outputs):
        raise UnfitError(f"it has {sizes:,} bytes; {max_bytes:,} are allowed")
    try:
        result = Result(source=_source(status.source), outputs=status.outputs, manifest=status.manifest)
        check_result(fs, outbox.job(status.job_id), result, max_bytes=max_bytes)
    except JobError as error:
        raise UnfitError(str(error)) from error
    except ValidationError as error:
        raise UnfitError(in_words(error)) from error
    seconds = status.processing_seconds or 0.0
    return Publishing(
        job=status.job_id,
        attempt="adopted",
        source=result.source,
        outputs=result.outputs,
        manifest=result.manifest,
        warnings=tuple(warning[:_MAX_TEXT] for warning in status.warnings[:20]),
        # The estimator must not learn from times that nothing confirms.
        timings={},
        processing_seconds=seconds if 0 <= seconds < _MAX_SECONDS else 0.0,
        depth_source=status.depth_source,
        filled_layers=status.filled_layers,
    )


def _source(source: Source) -> Source:
    for number in (source.bytes, source.width or 1, source.height or 1):
        if not 0 <= number < 1 << 53:
            raise UnfitError("it gives the picture an impossible size")
    return source


def _error(status: Status) -> ErrorInfo:
    """Why the job failed or was cancelled. For any other job, the error says that the journal lost it."""
    if status.error is not None and status.state in ENDED and status.error.code in BY_CODE:
        error = status.error
        return ErrorInfo(code=error.code, message=error.message[:_MAX_TEXT], hint=error.hint[:_MAX_TEXT])
    return (
        Internal(f"the journal lost this job while it was {status.state}")
        .info()
        .model_copy(update={"hint": f"Run it again: {RETRY}"})
    )


def _moment(text: str) -> str:
    """A time in our format; the current time if the text is not one."""
    try:
        return clock.written(clock.seconds(text))
    except (ValueError, OverflowError, OSError):
        return clock.now()


def _is(fs: FileSystem, path: bytes, kind: str) -> bool:
    try:
        return fs.lstat(path).kind == kind
    except OSError:
        return False
