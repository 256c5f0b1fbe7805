"""Records of made-up jobs, for the tests of journal, jobs and views."""

from daemon.contract.records import Accepted, ClaimedFile, Publishing
from daemon.contract.spec import JobSpec
from daemon.contract.status import ErrorInfo, Output, Source
from daemon.journal import Entry

ERROR = ErrorInfo(code="timeout", message="it took too long", hint="be patient")


def accepted(
    job: str, *, picture: str = "photo.jpg", batch: str | None = None, refusal: ErrorInfo | None = None, **spec
) -> Accepted:
    files = (
        ClaimedFile(role="image", name=picture, to=picture, ino=5, size=1000, mtime_ns=17),
        ClaimedFile(role="sidecar", name="photo.yaml", to="photo.yaml", ino=6, size=20, mtime_ns=18),
    )
    made = None if refusal else JobSpec(**spec)
    return Accepted(job=job, files=files, spec=made, mode=made and made.mode, refusal=refusal, batch=batch, folder=batch or "")


def publishing(job: str, attempt: str = "x") -> Publishing:
    return Publishing(
        job=job,
        attempt=attempt,
        source=Source(image="photo.jpg", bytes=1000, sha256="ab", width=4, height=2),
        outputs=(Output(path="result/a.png", kind="layer", bytes=1, sha256="cd"),),
        manifest="result/layer_manifest.json",
        warnings=("the sky is low",),
        timings={"decode": 0.5},
        processing_seconds=1.5,
    )


def entries(*records, first: int = 1) -> list[Entry]:
    """The records as journal entries, a second apart."""
    return [
        Entry(seq, seq, f"2026-01-31T12:{seq // 60:02}:{seq % 60:02}.000Z", record)
        for seq, record in enumerate(records, start=first)
    ]
