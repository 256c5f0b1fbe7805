"""The pydantic models of what each verb prints with `--json`, and their JSON Schemas, for `multiplane schema`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from daemon.cli.service_status import ServiceStatus
from daemon.cli.submitting.given import PictureWithJob, PictureWithoutJob
from daemon.cli.verbs.watch import Scene
from daemon.cluster.messages import ClusterSurvey
from daemon.contract.manifest import Manifest
from daemon.contract.requests import JobAnswer, RequestAnswer
from daemon.contract.status import ErrorInfo, Frozen, State, Status
from daemon.doctor.model import Report
from daemon.outbox import Health, Waiting
from daemon.stats import Stats


class Event(BaseModel):
    """A record of the journal about one job. Its further fields depend on `event`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    ts: str
    event: str
    job: str


class JobHistory(Frozen):
    """The output of `show`: the job's current status, and its records, oldest first."""

    status: Status
    events: tuple[Event, ...]


class CheckedFile(Frozen):
    """The result of `check` for one file.

    `file`: its absolute path. `says`: what is wrong, or the values that apply. `error`: what is wrong, as status.json would say
    it; null if nothing is.
    """

    file: str
    ok: bool
    says: str
    error: ErrorInfo | None = None


class ListedModel(Frozen):
    """A model in `models list`.

    `purpose`: what the model is for. `part`: which part of a pipeline it is. `bytes`: the size of its weights. `pinned`: whether
    the list contains the hashes of its weights.
    """

    name: str
    use: str
    purpose: str | None
    part: str | None
    default: bool
    state: str
    folder: str | None
    bytes: int | None
    licence: str
    commercial: bool
    licence_accepted: bool
    repo: str | None
    revision: str | None
    pinned: bool | None
    installed_revision: str | None


class VerifiedModel(Frozen):
    """The result of `models verify` for one model."""

    name: str
    ok: bool
    says: str


class Setting(Frozen):
    """One setting in `config`. `origin`: the file or the variable that sets it. `line`: its line in a file."""

    key: str
    value: Any
    origin: str
    line: int | None
    is_default: bool


class Configuration(Frozen):
    """The output of `config`. Paths are absolute."""

    home: str
    inbox: str
    outbox: str
    state: str
    models: str
    deliveries: str | None
    user_file: str | None
    settings: tuple[Setting, ...]


class PrunedJob(Frozen):
    """A job in `prune`. `bytes`: what its removal frees."""

    job_id: str
    state: State
    completed_at: str
    batch: str | None
    bytes: int


class Pruning(Frozen):
    """The output of `prune`.

    `dry_run`: whether the jobs would be removed, or were. `refused`: jobs that the daemon kept, and why. `problem`: why the
    daemon has not removed them yet.
    """

    dry_run: bool
    before: str
    keep_source: bool
    jobs: tuple[PrunedJob, ...]
    bytes: int
    refused: tuple[JobAnswer, ...] = ()
    problem: str | None = None


#: Files that other programs read.
FILES: dict[str, TypeAdapter[Any]] = {
    "status": TypeAdapter(Status),
    "manifest": TypeAdapter(Manifest),
    "health": TypeAdapter(Health),
}
_REQUEST: TypeAdapter[Any] = TypeAdapter(RequestAnswer)
#: The verbs' output. `redo` prints the answer to a request; with --wait, it prints a list like that of `submit`.
VERBS: dict[str, TypeAdapter[Any]] = {
    "submit": TypeAdapter(list[PictureWithJob | PictureWithoutJob]),
    "jobs": TypeAdapter(list[Status]),
    "show": TypeAdapter(JobHistory),
    "waiting": TypeAdapter(list[Waiting]),
    "watch": TypeAdapter(Scene),
    "stats": TypeAdapter(Stats),
    "cancel": _REQUEST,
    "retry": _REQUEST,
    "redo": TypeAdapter(RequestAnswer | list[PictureWithJob | PictureWithoutJob]),
    "rm": _REQUEST,
    "prune": TypeAdapter(Pruning),
    "config": TypeAdapter(Configuration),
    "check": TypeAdapter(list[CheckedFile]),
    "doctor": TypeAdapter(Report),
    "service-status": TypeAdapter(ServiceStatus),
    "cluster-status": TypeAdapter(ClusterSurvey),
    "models-list": TypeAdapter(list[ListedModel]),
    "models-verify": TypeAdapter(list[VerifiedModel]),
}


def schema(which: str) -> dict[str, Any]:
    """The JSON Schema of a file or of a verb's output, by its name in `FILES` or `VERBS`."""
    return (FILES | VERBS)[which].json_schema(mode="serialization")
