"""What a job's source/ asks for: the YAML files in it as they are now, because people may have corrected them."""

from daemon.contract.names import to_bytes
from daemon.contract.records import Job
from daemon.outbox import Outbox
from daemon.sidecar import MAX_BYTES, Sidecar, parse

SOURCE = b"source"


def preset_of(job: Job) -> Sidecar | None:
    """The preset of a job that has no effective spec; None if it has none."""
    kept = job.accepted.preset
    return None if kept is None else Sidecar(dict(kept), {}, "the preset")


def sidecars_of(job: Job, outbox: Outbox) -> tuple[Sidecar | None, Sidecar | None]:
    """The preset of a job that has no effective spec, and the YAML file in its source/; each is None if there is none.

    Raises:
        JobError: the YAML file has mistakes.
        OSError: it is gone, or cannot be read.
    """
    preset = preset_of(job)
    name = job.accepted.effective or next((file.to for file in job.accepted.files if file.role == "sidecar"), None)
    if name is None:
        return preset, None
    with outbox.held_job(job.job_id, SOURCE) as source:
        return preset, parse(source.read(to_bytes(name), MAX_BYTES + 1), name=name)
