"""Fetches the files of a model, checks them byte for byte, and puts them in place with one rename.

The files arrive in `<models>/.fetch-<name>/`. If the fetch is interrupted, this folder stays, and the next fetch continues with
it. Every file is compared with the hash that the hub announces, and with the one in the list of models if there is one. Then the
record is written, and the folder is renamed into place.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from safetensors import SafetensorError, safe_open

from daemon.catalogues.models import Catalogue, Entry
from daemon.errors import DiskFull, Refusal, WeightsCorrupt, WeightsMissing
from pipeline.weights import first_use, hub
from pipeline.weights.catalogue import entry_of
from pipeline.weights.files import files_of
from pipeline.weights.hash_cache import HashCache
from pipeline.weights.hub import RemoteFile, Snapshot
from pipeline.weights.store import PARTIAL, Record, locate, record, record_of, remove_folder

_CHUNK = 1 << 20
_ROUGHLY = 0.02  # the list of models gives some sizes only in whole millions of bytes
_DISTRUST = "Do not trust the source of the files: HF_ENDPOINT, if it is set, or a proxy in your network."

LookUp = Callable[[str, str, Collection[str]], Snapshot]


class Report(Protocol):
    """Receives the progress of a fetch."""

    def begin(self, commit: str, total: int, have: int) -> None:
        """Start: `total` bytes are needed in all, of which `have` are there from an earlier fetch."""

    def arrived(self, count: int) -> None:
        """`count` more bytes have arrived; fewer if negative."""

    def checked(self, name: str, size: int) -> None:
        """A file is complete and correct."""


@dataclass(frozen=True)
class _Order:
    """What is fetched, from where and to where."""

    entry: Entry
    snapshot: Snapshot
    staging: str
    report: Report
    pause: Callable[[float], None]


def fetch(
    name: str,
    models: str,
    report: Report,
    *,
    listed: Catalogue | None = None,
    free: Callable[[str], int] = lambda folder: shutil.disk_usage(folder).free,
    pause: Callable[[float], None] = time.sleep,
    look_up: LookUp | None = None,
) -> tuple[Record, bool]:
    """Fetch a model's weights, or continue an interrupted fetch. The caller must have made sure that the licence was accepted.

    Args:
        name: of the model.
        models: the folder for fetched weights; created if missing.
        report: receives the progress.
        listed: the catalogue; the shipped one by default.
        free: returns the free bytes on the disk of a folder.
        pause: waits for that many seconds between attempts to connect.
        look_up: asks the hub what the repository contains; `hub.look_up` by default.

    Returns:
        The record, and whether anything had to be fetched.

    Raises:
        WeightsMissing: there is no such model; or the repository lacks a file, or has its weights only as pickles.
        WeightsCorrupt: what arrived is not what it should be.
        DiskFull: there is not enough space; checked before anything is fetched.
        Refusal: the model is a person's own folder; the hub cannot be reached; or another fetch of the model is running.
    """
    entry = entry_of(name, listed)
    if entry.repo is None or entry.revision is None:
        raise Refusal(
            f"{name} is a folder of your own ({entry.path}); there is nothing to fetch.",
            hint="Put its files there, or give it a repo and a revision in the list of models.",
        )
    os.makedirs(models, exist_ok=True)
    with _one_at_a_time(models), _disk_space(models):
        if entry.commit and (there := _installed(name, models, entry.commit, listed)):
            return there, False
        snapshot = (look_up or hub.look_up)(entry.repo, entry.revision, entry.files)
        if snapshot.repo.casefold() != entry.repo.casefold() and not entry.pinned:
            raise WeightsCorrupt(f"The hub at {hub.endpoint()} gave {snapshot.repo} instead of {entry.repo}.", hint=_DISTRUST)
        if entry.commit not in (None, snapshot.commit):
            raise WeightsCorrupt(
                f"The hub at {hub.endpoint()} gave commit {snapshot.commit} instead of {entry.revision}.", hint=_DISTRUST
            )
        wanted = _wanted(entry, snapshot)
        if there := _installed(name, models, snapshot.commit, listed):
            return there, False
        order = _Order(entry, snapshot, os.path.join(models, PARTIAL + name), report, pause)
        _get_all(order, wanted, free)
        cache = HashCache(models)
        made = record(name, order.staging, entry, snapshot.commit, cache)
        _check_against_first_use(made, entry.repo, models)
        _put_in_place(order.staging, os.path.join(models, name))
        cache.save()
        return made, True


def _check_against_first_use(made: Record, repo: str, models: str) -> None:
    """Check that the files match the first fetch of this commit. If this is the first fetch, remember them."""
    files = {file: each.sha256 for file, each in made.files.items()}
    if file := first_use.first_changed(models, repo, made.revision, files):
        shutil.rmtree(os.path.join(models, PARTIAL + made.name))
        raise WeightsCorrupt(
            f"What came as {file} of {repo} is not what came at the first fetch; it was discarded.",
            hint=f"{_DISTRUST} If the first fetch was wrong, remove {os.path.join(models, first_use.FIRST_USE)}, then run "
            "the same command again.",
        )
    first_use.remember(models, repo, made.revision, files)


def _installed(name: str, models: str, commit: str, listed: Catalogue | None) -> Record | None:
    """The record of the installed model; None if it is another commit, incomplete, damaged or not installed."""
    try:
        made = record_of(os.path.join(models, name))
        if made is None or made.revision != commit or made.files.keys() != set(entry_of(name, listed).files):
            return None
        locate(name, models, listed)
    except WeightsCorrupt:
        return None  # fetch it again, as the person asked
    return made


def _wanted(entry: Entry, snapshot: Snapshot) -> list[RemoteFile]:
    """The files to fetch, as the hub announces them. The smallest come first, so that errors show early."""
    if missing := [file for file in entry.files if file not in snapshot.files]:
        pickles = sorted(file for file in snapshot.others if file.endswith(hub.PICKLES))
        if pickles and any(file.endswith(".safetensors") for file in missing):
            raise WeightsMissing(
                f"{snapshot.repo} has its weights only as pickles ({', '.join(pickles[:3])}), which can run code when they are "
                "loaded and are never fetched.",
                hint="Choose another model, or a revision of it with safetensors, in the list of models.",
            )
        raise WeightsMissing(
            f"{snapshot.repo} has no {missing[0]} at commit {snapshot.commit}.",
            hint="Correct the model's files or revision in the list of models.",
        )
    for file, size in entry.sizes.items():
        if snapshot.files[file].bytes != size:
            raise WeightsCorrupt(
                f"The hub at {hub.endpoint()} has a {file} of {snapshot.files[file].bytes:,} bytes in {snapshot.repo}; it should "
                f"have {size:,}.",
                hint=_DISTRUST,
            )
    total = sum(snapshot.files[file].bytes for file in entry.files)
    if entry.bytes is not None and abs(total - entry.bytes) > _ROUGHLY * entry.bytes:
        raise WeightsCorrupt(
            f"The hub at {hub.endpoint()} has {_megabytes(total)} of {snapshot.repo}; it should be {_megabytes(entry.bytes)}.",
            hint=_DISTRUST,
        )
    for file, pinned in entry.sha256.items():
        if snapshot.files[file].sha256 not in (None, pinned):
            raise WeightsCorrupt(
                f"The hub at {hub.endpoint()} has another {file} of {snapshot.repo} than the list of models says.",
                hint=_DISTRUST,
            )
    return sorted((snapshot.files[file] for file in entry.files), key=lambda each: (each.bytes, each.name))


def _get_all(order: _Order, wanted: list[RemoteFile], free: Callable[[str], int]) -> None:
    """Fetch the wanted files into the staging folder and check them. Other files there are removed."""
    staging, entry = order.staging, order.entry
    os.makedirs(staging, exist_ok=True)
    _clear(staging, wanted)
    done = {each.name for each in wanted if _is_right(os.path.join(staging, each.name), each, entry)}
    total = sum(each.bytes for each in wanted)
    have = sum(each.bytes if each.name in done else _size(_part(staging, each)) for each in wanted)
    available = free(staging)
    if total - have > available:
        raise DiskFull(
            f"There is not enough space for {entry.repo}: {_megabytes(total - have)} to come, {_megabytes(available)} free.",
            hint=f"Free some space on the disk of {os.path.dirname(staging)}, or set folders.models to another one. "
            "Then run it again.",
        )
    order.report.begin(order.snapshot.commit, total, have)
    for each in wanted:
        if each.name not in done:
            _get(order, each)
        order.report.checked(each.name, each.bytes)


def _get(order: _Order, wanted: RemoteFile) -> None:
    """Fetch one file and check it."""
    part, target = _part(order.staging, wanted), os.path.join(order.staging, wanted.name)
    with open(part, "ab", buffering=0) as file:
        hub.download(order.snapshot, wanted, file, order.report.arrived, order.pause)
        os.fsync(file.fileno())
    if not _is_right(part, wanted, order.entry):
        order.report.arrived(-_size(part))
        os.unlink(part)
        witness = "the list of models" if wanted.name in order.entry.sha256 else "the hub"
        raise WeightsCorrupt(
            f"What came as {wanted.name} is not what {witness} says it is; it was discarded.",
            hint=f"Run the same command again; if it stays so: {_DISTRUST}",
        )
    if wanted.name.endswith(".safetensors"):
        try:
            with safe_open(part, framework="numpy") as opened:
                opened.keys()
        except SafetensorError as reason:
            os.unlink(part)
            raise WeightsCorrupt(
                f"{wanted.name} of {order.snapshot.repo} is not a safetensors file.", detail=str(reason)
            ) from reason
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.replace(part, target)


def _is_right(path: str, wanted: RemoteFile, entry: Entry) -> bool:
    """Whether a file exists and its bytes match the pinned hash and the one the hub announced."""
    if _size(path) != wanted.bytes or not os.path.isfile(path):
        return False
    sha256 = hashlib.sha256()
    # Git names a blob by the SHA-1 of a header and the bytes. This detects accidents, not forgery.
    blob = hashlib.sha1(b"blob %d\0" % wanted.bytes, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            if wanted.git_oid is not None:
                blob.update(chunk)
    return (
        entry.sha256.get(wanted.name, sha256.hexdigest()) == sha256.hexdigest()
        and wanted.sha256 in (None, sha256.hexdigest())
        and wanted.git_oid in (None, blob.hexdigest())
    )


def _part(staging: str, wanted: RemoteFile) -> str:
    """The path of an unfinished file. It is named by its hash, so that parts of different commits are never joined."""
    return os.path.join(staging, f".{wanted.sha256 or wanted.git_oid}.part")


def _clear(staging: str, wanted: list[RemoteFile]) -> None:
    """Remove what an earlier fetch of another commit left: the folder must contain only wanted files."""
    names = {each.name for each in wanted}
    parts = {os.path.basename(_part(staging, each)) for each in wanted}
    for name, path in files_of(staging).items():
        if name not in names:
            os.unlink(path)
    for name in os.listdir(staging):
        if name.endswith(".part") and name not in parts:
            os.unlink(os.path.join(staging, name))


def _put_in_place(staging: str, target: str) -> None:
    """Rename `staging` to `target`. An old `target` is moved away first; a crash in between leaves the finished `staging`."""
    for name in os.listdir(staging):
        if name.endswith(".part"):
            os.unlink(os.path.join(staging, name))
    remove_folder(target)
    os.rename(staging, target)
    folder = os.open(os.path.dirname(target), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _one_at_a_time(models: str) -> Iterator[None]:
    """Lock the folder, so that only one fetch at a time writes into it. The lock also ends with the process."""
    folder = os.open(models, os.O_RDONLY)
    try:
        _lock(folder, models)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, models: str) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refusal(
            f"Another command is fetching into {models}.", hint="Wait for it to end.", exit_status=hub.UNAVAILABLE
        ) from None
    except OSError as reason:
        if reason.errno not in (
            errno.ENOLCK,
            errno.ENOTSUP,
            errno.EOPNOTSUPP,
        ):  # a share without locks; the hashes still check everything
            raise


@contextmanager
def _disk_space(models: str) -> Iterator[None]:
    """Turn the system's error about a full disk into DiskFull."""
    try:
        yield
    except OSError as reason:
        if reason.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"The disk of {models} is full.",
            hint="Free some space and run the same command again; what was already fetched is kept.",
        ) from reason


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
