"""Gathers the facts about a home and the machine. Errors become facts, too: finding them is what the doctor is for."""

import concurrent.futures
import errno
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from daemon import __version__
from daemon.contract.commands import unmarked, without_marks
from daemon.doctor.judging import judge
from daemon.doctor.judging_cluster import cluster_facts
from daemon.doctor.model import (
    Answer,
    ClockFacts,
    DaemonFacts,
    Facts,
    Finding,
    Folder,
    JournalFacts,
    Report,
    Trouble,
)
from daemon.doctor.services import cluster_services, service_facts
from daemon.doctor.survey import Survey, job_folders
from daemon.errors import Refusal
from daemon.fs import FileSystem
from daemon.fs.removable import user_named
from daemon.health.state_access import Access, others_can_replace, others_control
from daemon.journal.lock import is_running
from daemon.outbox import DiskUse, Health, measure_outbox
from daemon.outbox.ownership import Owner, Ownership, who
from daemon.platform.encoder import why_no_h264
from daemon.platform.mounts import mount_of
from daemon.platform.packages import unwritable
from daemon.platform.process import is_suspended
from daemon.platform.reach import why_not_run
from daemon.platform.sandbox import missing
from daemon.settings import Layout, Settings
from daemon.settings.layout import PROGRAM
from daemon.watch import MARKER

_MAX_BYTES = 64 << 20
#: Reading all weights byte by byte takes a minute on a slow disk; loading PyTorch takes some seconds.
_PROGRAM_SECONDS = 600.0


def examine(settings: Callable[[], Settings], fs: FileSystem) -> Report:
    """Examine a home and this machine, and judge what was found.

    Args:
        settings: loads the settings. If it raises a Refusal, that is the only finding.
        fs: the disk. In each folder of the home, a file is made and removed.
    """
    try:
        loaded = settings()
    except Refusal as refusal:
        wrong = Finding(area="settings", grade="problem", sentence=refusal.message, hint=refusal.hint)
        return Report(version=__version__, home=None, healthy=False, findings=(wrong,))
    facts = gather(loaded, fs)
    findings = judge(facts)
    healthy = not any(finding.grade == "problem" for finding in findings)
    return Report(version=__version__, home=facts.home, healthy=healthy, findings=findings)


def gather(settings: Settings, fs: FileSystem) -> Facts:
    """The facts about a home and this machine. Disk errors are recorded in them, not raised."""
    paths = settings.paths
    models = ("--folder", str(paths.models), *(f"--catalogue={path}" for path in paths.model_lists), "--json")
    with concurrent.futures.ThreadPoolExecutor() as programs:
        listed = programs.submit(_pipeline, "models", "list", *models)
        verified = programs.submit(_pipeline, "models", "verify", *models)
        devices = programs.submit(_pipeline, "devices")
        folders = (
            _folder(fs, "inbox", paths.inbox, paths),
            outbox := _folder(fs, "outbox", paths.outbox, paths),
            _folder(fs, "state folder", paths.state),
        )
        elsewhere = outbox.stranger is not None
        writable = not elsewhere and all(folder.there and not folder.writing for folder in folders)
        return Facts(
            home=str(paths.home),
            user=user_named(os.geteuid()),
            python=f"{platform.python_version()} ({sys.executable}) on {platform.system()} {platform.machine()}",
            barred=why_not_run(sys.executable),
            controlled=_access(lambda: others_control(paths)),
            replaceable=_access(lambda: others_can_replace(paths.state_bytes)),
            folders=folders,
            moving=_moving(fs, paths.inbox_bytes, paths.work_bytes) if writable else None,
            daemon=_daemon(fs, settings),
            journal=journal_facts(fs, paths.journal_bytes, None if elsewhere else paths.outbox_bytes),
            clock=_clock(fs, paths.inbox_bytes, writable=writable),
            service=service_facts(fs, settings, "daemon"),
            cluster_services=cluster_services(fs, settings),
            not_prevented=missing(),
            unwritable=unwritable(),
            no_h264=why_no_h264(settings.worker.ffmpeg),
            settings={
                "digest": settings.digest,
                "device": settings.worker.device,
                "ffmpeg": settings.worker.ffmpeg,
                "sandbox": settings.worker.sandbox,
                "max_output_bytes": int(settings.limits.max_output_bytes),
                "min_free_bytes": int(settings.queue.min_free_bytes),
            },
            use=None if elsewhere else _use(fs, paths.outbox_bytes),
            models=listed.result(),
            verified=verified.result(),
            devices=devices.result(),
            cluster=cluster_facts(settings),
            deliveries=_missing_folder(settings),
            deliveries_guarded=_guarded(paths.deliveries) if paths.deliveries else None,
            hooks=hooks_that_cannot_start(settings),
        )


def _folder(fs: FileSystem, name: Literal["inbox", "outbox", "state folder"], path: Path, home: Layout | None = None) -> Folder:
    """The facts about a folder. `home`: the home that its marker should name; None if it has no marker."""
    raw = os.fsencode(path)
    trouble = writing = None
    there, found, free, seen = False, False, None, None
    try:
        # A link to a folder counts as a folder here, as it does for the daemon: `scan` follows it.
        names = {entry.name for entry in fs.scan(raw)}
        there, found, free, seen = True, MARKER in names, fs.free_bytes(raw), os.stat(raw)
        writing = _trouble(lambda: _touch(fs, raw))
    except OSError as error:
        trouble = _trouble_of(error)
        if error.errno == errno.ENOENT:
            writing = _why_not_created(path)
    mount = mount_of(raw)
    return Folder(
        name=name,
        path=str(path),
        there=there,
        marked=found if home else None,
        trouble=trouble,
        writing=writing,
        owner=user_named(seen.st_uid) if seen and seen.st_uid != os.geteuid() else None,
        disk=seen.st_dev if seen else None,
        free=free,
        network=mount.kind if mount.network else None,
        guarded=_guarded(path),
        stranger=_stranger(fs, raw, home) if home and found else None,
    )


def _access(ask: Callable[[], Access | None]) -> Access | None:
    """What a question about the state folder is answered with; None also if it cannot be answered."""
    try:
        return ask()
    except OSError:
        return None  # the check of the folders reports what is wrong


def _why_not_created(path: Path) -> Trouble | None:
    """Why a missing folder cannot be created; None if no reason is seen. Changes nothing."""
    above = next((each for each in path.parents if os.path.lexists(each)), None)
    if above is None or os.access(above, os.W_OK | os.X_OK):
        return None
    number = errno.EROFS if os.statvfs(above).f_flag & os.ST_RDONLY else errno.EACCES
    return Trouble(number=number, text=f"{os.strerror(number)}: {above}")


def _stranger(fs: FileSystem, folder: bytes, home: Layout) -> Owner | None:
    try:
        return Ownership(fs, who(fs, home)).stranger(folder)
    except OSError:
        return None  # the check of the folders reports what is wrong


def _use(fs: FileSystem, outbox: bytes) -> DiskUse | None:
    try:
        return measure_outbox(fs, outbox)
    except OSError:
        return None  # the check of the folders reports what is wrong


def _guarded(path: Path) -> str | None:
    if sys.platform == "darwin":
        from daemon.platform.service.launchd import guarded

        return guarded(path, Path.home())
    return None


def _touch(fs: FileSystem, folder: bytes) -> float:
    """Make a file and remove it. Returns its modification time, in seconds since 1970.

    Its name begins with a dot, so the daemon ignores it in every folder.
    """
    path = _new_name(folder)
    fs.close(fs.create(path))
    try:
        return fs.lstat(path).mtime_ns / 1e9
    finally:
        fs.unlink(path)


def _new_name(folder: bytes) -> bytes:
    return os.path.join(folder, b".multiplane-doctor-" + secrets.token_hex(6).encode())


def _moving(fs: FileSystem, inbox: bytes, work: bytes) -> Trouble | None:
    """The error of a rename from the inbox into the outbox; None if it works."""
    start = _new_name(inbox)
    end = os.path.join(work, os.path.basename(start))
    try:
        fs.close(fs.create(start))
    except OSError as error:
        return _trouble_of(error)
    trouble = _trouble(lambda: fs.rename(start, end))
    _trouble(lambda: fs.unlink(start if trouble else end))  # a daemon that starts at this moment removes it
    return trouble


def _daemon(fs: FileSystem, settings: Settings) -> DaemonFacts:
    try:
        holds = is_running(fs, settings.paths.lock_bytes)
    except OSError:
        holds = False  # the check of the folders reports what is wrong
    try:
        data = fs.read(os.path.join(settings.paths.outbox_bytes, b"daemon.json"), _MAX_BYTES)
        health = without_marks(Health.model_validate_json(data))
    except (OSError, ValidationError):
        return DaemonFacts(holds=holds)
    silent = health.silent_seconds(datetime.now(UTC))
    return DaemonFacts(holds=holds, health=health, silent_seconds=silent, suspended=holds and is_suspended(health.pid))


def journal_facts(fs: FileSystem, folder: bytes, outbox: bytes | None = None) -> JournalFacts:
    """The state of the journal in a folder. Reads every segment.

    With `outbox`, it also finds the job folders in there that the journal does not list.
    """
    survey = Survey(fs, folder)
    try:
        # List the folders before reading the journal: a running daemon records a job first, and then makes its folder.
        folders = _job_folders(fs, outbox) if outbox is not None else []
        survey.look()
        aside = sorted(entry.name for entry in fs.scan(folder) if entry.name.startswith(b"torn-")) if survey.numbers else []
    except OSError as error:
        return JournalFacts(trouble=_trouble_of(error))
    # Without any segment, the journal lists no folder.
    unlisted, forgotten = survey.find_unlisted(outbox, folders) if outbox is not None and survey.numbers else (folders, 0)
    return JournalFacts(
        segments=tuple(survey.segments),
        aside=tuple(os.fsdecode(name) for name in aside),
        faults=tuple(survey.faults()),
        unlisted=tuple(unlisted),
        forgotten=forgotten,
    )


def _job_folders(fs: FileSystem, outbox: bytes) -> list[str]:
    try:
        return job_folders(fs, outbox)
    except OSError:
        return []  # a finding about the outbox says why it cannot be read; the journal is not to blame


def _clock(fs: FileSystem, folder: bytes, *, writable: bool) -> ClockFacts:
    wall, stamp = time.time(), None
    if writable:
        try:
            stamp = _touch(fs, folder)
        except OSError:
            stamp = None  # the folder was writable a moment ago; the next run of the doctor will show more
    return ClockFacts(wall=wall, stamp=stamp, program=os.stat(PROGRAM / "daemon" / "__init__.py").st_mtime)


def _pipeline(*arguments: str) -> Answer:
    """Run a program of the pipeline, without a network. Returns its answer in JSON, or why there is none."""
    command = [sys.executable, "-P", "-m", "pipeline", *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PROGRAM_SECONDS,
            check=False,
            env=_offline(os.environ),
        )
    except OSError as error:
        return Answer(failure=why_not_run(sys.executable) or error.strerror or str(error))
    except subprocess.TimeoutExpired:
        return Answer(failure=f"it gave no answer within {_PROGRAM_SECONDS:.0f} s")
    try:
        return Answer(value=without_marks(json.loads(done.stdout)))
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return Answer(failure=unmarked(last[:500]))


def _offline(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def _trouble(what: Callable[[], object]) -> Trouble | None:
    try:
        what()
    except OSError as error:
        return _trouble_of(error)
    return None


def _trouble_of(error: OSError) -> Trouble:
    return Trouble(number=error.errno or 0, text=error.strerror or str(error))


def _missing_folder(settings: Settings) -> str | None:
    folder = settings.paths.deliveries
    return None if folder is None or os.path.isdir(folder) else str(folder)


def hooks_that_cannot_start(settings: Settings) -> tuple[str, ...]:
    """The programs of hooks that are missing or not executable, as the settings name them."""
    commands = (settings.hooks.on_completed, settings.hooks.on_failed)
    names = sorted({command[0] for command in commands if command is not None})
    return tuple(name for name in names if shutil.which(os.path.expanduser(name)) is None)
