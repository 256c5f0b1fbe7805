"""Finds what there is of a picture already: in the inbox, as a job, as a result in the folder of `submit --output`.

A picture is the same if its name and its content are, and those of its depth picture. In the inbox, a name that is taken gets a
number, so `photo-2.jpg` there counts as `photo.jpg`. A job is the same if its settings are, too. Jobs that failed or were
cancelled, and those whose result was removed, do not count: there is nothing of them. The same holds for those that a request
will cancel or remove as soon as the daemon carries it out.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.cli.asking.kept_requests import KeptRequests
from daemon.cli.common import fs
from daemon.cli.job_queries import JobQueries
from daemon.cli.submitting.dropping import depth_of
from daemon.contract.names import to_bytes
from daemon.contract.records import ClaimedFile, Job
from daemon.contract.spec import JobSpec
from daemon.errors import JobError
from daemon.intake.names import DEPTH_EXTENSIONS, key_of
from daemon.journal.search.name_search import NameSearch
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES, Sidecar, read, resolve

_MANIFEST = "layer_manifest.json"
_MAX_MANIFEST_BYTES = 16 << 20
_NUMBERED = re.compile(r"(.+)-[0-9]+", re.DOTALL)
#: Fields that say when and under which name a job runs, and nothing about its result.
_NOT_ABOUT_THE_RESULT = {"id", "images", "priority", "timeout_seconds"}


@dataclass(frozen=True, slots=True)
class Existing:
    """What there is of a picture.

    Attributes:
        job_id: the id of the job that it is, or will be.
        sidecar: the path of its sidecar in the inbox; of a job, a path that is never there.
        says: what it is, to follow the name of the picture.
    """

    job_id: str
    sidecar: bytes
    says: str


class ExistingJobs:
    """Looks for pictures in one home.

    Args:
        settings: the settings of the home.
        spec: the settings of the jobs that are looked for.
        folder: the inbox, or the preset folder in it, into which pictures are dropped.
        control: the preset's file; None: the folder is the inbox.
        images: the pictures that may be asked about.
    """

    def __init__(self, settings: Settings, spec: JobSpec, folder: Path, control: Sidecar | None, images: Sequence[Path]) -> None:
        self._settings = settings
        self._about = _about(spec)
        self._folder = os.fsencode(folder)
        self._control = control
        self._queries = JobQueries(fs, settings)
        self._kept = KeptRequests(settings, self._queries)
        wanted = frozenset(map(_key, images))
        self._search = NameSearch(fs, settings.paths.journal_bytes, lambda name: not wanted.isdisjoint(_keys(name)))
        self._jobs: Sequence[Job] = ()
        self._named: dict[str, list[Job]] = {}

    def of(self, image: Path) -> Existing | None:
        """The same picture with the same settings: waiting, running or completed; None if there is none.

        Raises:
            Refusal: a segment of the journal is damaged.
        """
        # The inbox first: what is gone from there has been recorded by then.
        return self._in_inbox(image) or self._as_job(image)

    def is_of(self, job_id: str, image: Path) -> bool:
        """Whether the job with this id, or what will be it, is of the same picture with the same settings."""
        waiting = self._in_inbox(image)
        if waiting is not None and waiting.job_id == job_id:
            return True
        job = self._queries.job(job_id)
        return job is not None and self._counts(job) and self._is_same_picture(job, image)

    def result_in(self, output: Path, names: Iterator[str], image: Path) -> tuple[Path, str | None] | None:
        """The folder with a result of this picture, and the id of the job that made it (None if unknown); None if there is none.

        `names`: the names that the folder may have, in order.

        A result of which nobody knows what it was made of counts as well; a folder without a manifest, or without the layers that
        it names, does not.
        """
        unknown: Path | None = None
        for place in (output / name for name in names):
            if not os.path.lexists(place):
                break
            known, job_id = self._maker_of(place, image)
            if job_id is not None:
                return place, job_id
            if not known:
                unknown = unknown or place
        return None if unknown is None else (unknown, None)

    def _in_inbox(self, image: Path) -> Existing | None:
        try:
            names = {entry.name for entry in fs.scan(self._folder) if entry.kind == "file"}
        except OSError:
            return None
        for name in sorted(names):
            stem = os.path.splitext(name)[0]
            sidecar = next((each for end in (b".yaml", b".yml") for each in (name + end, stem + end) if each in names), None)
            if sidecar is None or _key(image) not in _keys(name):
                continue
            depth = next((os.path.join(self._folder, stem + os.fsencode(end)) for end in DEPTH_EXTENSIONS
                          if stem + os.fsencode(end) in names), None)  # fmt: skip
            path = os.path.join(self._folder, sidecar)
            job_id = self._id_in(path)
            if job_id is None or self._kept.takes_back(job_id):
                continue
            if _is_pair_of(image, os.path.join(self._folder, name), depth):
                return Existing(job_id, path, f"waits in the inbox as {job_id}")
        return None

    def _id_in(self, sidecar: bytes) -> str | None:
        """The id in a sidecar in the inbox with the same settings; None if it has none, or other settings."""
        try:
            spec = resolve(
                defaults=self._settings.spec_defaults,
                preset=self._control,
                own=read(fs.read(sidecar, MAX_BYTES + 1), name="sidecar"),
                ceiling_seconds=self._settings.worker.max_timeout_seconds,
                kind="pair" if self._control is None else "preset",
                styles=self._settings.styles,
            )
        except (OSError, JobError):
            return None
        return spec.id if _about(spec) == self._about else None

    def _as_job(self, image: Path) -> Existing | None:
        for job in self._named_like(image):
            if self._counts(job) and self._is_same_picture(job, image):
                return Existing(job.job_id, b"", f"is there as {job.job_id} ({job.state})")
        return None

    def _named_like(self, image: Path) -> Iterable[Job]:
        """The jobs of pictures with this name, perhaps with a number added; the newest first."""
        if (jobs := self._search.jobs()) is not self._jobs:
            self._jobs, self._named = jobs, {}
            for job in jobs:
                for key in _keys(to_bytes(job.image.to)):
                    self._named.setdefault(key, []).append(job)
        return reversed(self._named.get(_key(image), []))

    def _counts(self, job: Job) -> bool:
        """Whether a job has, or will have, a result with the settings that are looked for."""
        lives = job.spec is not None and _about(job.spec) == self._about and _has_or_gets_a_result(job)
        return lives and (will_be := self._kept.foreseen(job)) is not None and _has_or_gets_a_result(will_be)

    def _is_same_picture(self, job: Job, image: Path) -> bool:
        depth = next((file for file in job.accepted.files if file.role == "depth"), None)
        return any(
            _is_pair_of(image, place(job, job.image), place(job, depth) if depth else None)
            # Its files move while it is claimed.
            for place in (self._in_source, self._where_it_was, self._in_source)
        )

    def _in_source(self, job: Job, file: ClaimedFile) -> bytes:
        return os.path.join(self._settings.paths.outbox_bytes, job.job_id.encode(), b"source", to_bytes(file.to))

    def _where_it_was(self, job: Job, file: ClaimedFile) -> bytes:
        return os.path.join(self._settings.paths.inbox_bytes, to_bytes(job.accepted.folder), to_bytes(file.name))

    def _maker_of(self, place: Path, image: Path) -> tuple[bool, str | None]:
        """Whether it is known what the result in a folder was made of; and the id of its job, if that was this picture.

        It is known as well if the folder has no whole result.
        """
        try:
            made = fs.read(os.fsencode(place / _MANIFEST), _MAX_MANIFEST_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return True, None
        except OSError:
            return False, None
        if not _has_its_layers(place, made):
            return True, None
        for job in self._named_like(image):
            path = os.path.join(self._settings.paths.outbox_bytes, job.job_id.encode(), b"result", _MANIFEST.encode())
            try:
                if fs.read(path, _MAX_MANIFEST_BYTES) == made:
                    return True, job.job_id if self._is_same_picture(job, image) else None
            except OSError:
                continue
        return False, None


def _has_its_layers(place: Path, manifest: bytes) -> bool:
    """Whether every layer that a manifest names is in its folder. A manifest that cannot be understood names none."""
    try:
        layers = json.loads(manifest)["layers"]
        names = [layer["file"] for layer in layers]
        return all(os.path.lexists(place / name) for name in names)
    except (ValueError, KeyError, TypeError):
        return True


def _has_or_gets_a_result(job: Job) -> bool:
    return job.state in ("pending", "processing", "completed") and job.pruned_at is None and not job.cancel_requested


def _about(spec: JobSpec) -> dict[str, object]:
    return spec.model_dump(exclude=_NOT_ABOUT_THE_RESULT)


def _key(image: Path) -> str:
    return key_of(os.fsencode(image.name))


def _keys(name: bytes) -> tuple[str, ...]:
    """The keys of the pictures that may have this name: in the inbox, a name that is taken gets a number."""
    key = key_of(name)
    if "-" not in key:
        return (key,)
    stem, extension = os.path.splitext(key)
    return (key, numbered[1] + extension) if (numbered := _NUMBERED.fullmatch(stem)) else (key,)


def _is_pair_of(image: Path, picture: bytes, depth: bytes | None) -> bool:
    """Whether these files have the content of a picture and of its depth picture. False if one of them cannot be read."""
    beside = depth_of(image)
    if (beside is None) != (depth is None):
        return False
    return _is_same(image, picture) and (beside is None or depth is None or _is_same(beside, depth))


def _is_same(file: Path, other: bytes) -> bool:
    path = os.path.realpath(os.fsencode(file.absolute()))
    try:
        return fs.lstat(path).size == fs.lstat(other).size and fs.digest(path) == fs.digest(other)
    except OSError:
        return False
