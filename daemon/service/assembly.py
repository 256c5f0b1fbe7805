"""Builds a daemon: takes the lock, reads the journal, and makes all parts. Nothing else does this."""

import os
import selectors
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from loguru import logger

from daemon import __version__, clock
from daemon.contract.commands import command
from daemon.errors import Refusal
from daemon.fs import FileSystem, make_folders
from daemon.health.disk_space import DiskSpace
from daemon.health.folder_health import FolderHealth
from daemon.health.state_access import refuse_what_others_wrote
from daemon.health.system_health import SystemHealth
from daemon.jobs.fold import Jobs
from daemon.journal import History, Journal, hold_lock
from daemon.journal.ledger import Ledger
from daemon.outbox import Outbox
from daemon.outbox.ownership import Ownership, refuse_strangers, who
from daemon.platform.mounts import mount_of
from daemon.platform.process import boot_id
from daemon.running.executor import Executor
from daemon.running.job_command import threads
from daemon.running.model_inventory import ModelInventory
from daemon.running.worker_limits import sandbox_policy, supervisor_rules
from daemon.service.ended_jobs import EndedBefore
from daemon.service.loop import Service
from daemon.service.parts import Home, Machine, wire
from daemon.settings import Settings
from daemon.settings.typed_command import commands_anywhere
from daemon.supervisor import Supervisor, worker_argv
from daemon.supervisor.code import fingerprint, why_cannot_restart
from daemon.wakeup import Wakeup

#: How many of the jobs that ended last are used to recognise the outbox.
_PROVING = 20


def assemble(settings: Settings, fs: FileSystem, *, argv: Sequence[str] | None = None) -> Service:
    """Build the daemon of one home, ready to run.

    Args:
        settings: the settings of the home.
        fs: the disk.
        argv: a command that replaces the real worker's; such a worker gets no sandbox and no template. None: the real worker.

    Raises:
        Refusal: another daemon runs here, inbox or outbox belong to another home, others can write to the state folder, or the
            journal is damaged.
        JournalError: the journal cannot be written.
        OSError: the home cannot be read or written.
    """
    paths = settings.paths
    fs.own_below(paths.state_bytes)
    refuse_what_others_wrote(paths)
    make_folders(fs, paths.requests_bytes)
    hold_lock(fs, paths.lock_bytes, os.getpid())
    ownership = Ownership(fs, who(fs, paths, new_id=True))
    outbox = Outbox(fs, paths.outbox_bytes, commands=commands_anywhere(paths.home, os.environ), ownership=ownership)
    refuse_strangers(ownership, paths)
    boot = boot_id()
    journal = Journal(fs, paths.journal_bytes, clock=clock.now, version=__version__, boot_id=boot)
    recovered = journal.recover()
    jobs = Jobs()
    for entry in recovered.entries:
        jobs.apply(entry)
    if recovered.report:
        logger.warning("{}", recovered.report)
    if recovered.gap:
        logger.warning("the journal's history is incomplete: {}; {} says what to do", recovered.gap, command("doctor"))
    history = History(fs, paths.journal_bytes)
    ended_before = EndedBefore(history)
    known = lambda: [*jobs.live.values(), *ended_before(_PROVING)]  # noqa: E731
    folder_health = FolderHealth(fs, settings, outbox, known, ownership)
    if recovered.segment == 0:
        # Make the folders before the first segment: if the start is interrupted in between, the next start makes them again.
        folder_health.prepare()
    journal.begin(recovered.segment + 1, recovered.next_seq, list(jobs.live.values()), jobs.other_records())
    inventory = ModelInventory(os.fspath(paths.models), paths.model_lists, paths.style_lists)
    _make_models_folder(fs, paths.models)
    selector = selectors.DefaultSelector()
    supervisor = Supervisor(
        selector,
        fs,
        supervisor_rules(settings, threads(settings)),
        argv=argv or worker_argv(),
        policy=None if argv else sandbox_policy(settings, inventory),
        forks=argv is None,
    )
    disk_space = DiskSpace(fs, settings, outbox)
    program = partial(fingerprint, (*paths.own_models, *paths.own_styles))
    cannot_restart = partial(why_cannot_restart, os.fspath(paths.home))
    system_health = SystemHealth(
        fs,
        outbox,
        disk_space,
        supervisor,
        program=program,
        why_cannot_restart=cannot_restart,
        clock=time.monotonic,
        # The machines of a cluster look at their own programs.
        fresh_seconds=0.0 if settings.cluster.scheduler is None else 1.0,
    )
    home = Home(fs, settings, boot, journal, Ledger(journal, jobs), outbox, history, ended_before)
    is_local = lambda: not mount_of(paths.inbox_bytes).network  # noqa: E731
    elsewhere = _cluster(settings, fs, outbox, inventory, selector, boot) if settings.cluster.scheduler else None
    machine = Machine(selector, Wakeup(), supervisor, system_health, inventory, program, is_local, elsewhere)
    return Service(home, machine, wire(home, machine), folder_health, disk_space)


def _cluster(
    settings: Settings, fs: FileSystem, outbox: Outbox, inventory: ModelInventory, selector: selectors.BaseSelector, boot: str
) -> Executor:
    """The executor that runs jobs on a cluster. Only a daemon that has one imports Dask.

    Raises:
        Refusal: Dask is not installed, or the certificates cannot be used.
    """
    try:
        from daemon.cluster.executor import ClusterExecutor
    except ModuleNotFoundError as error:
        hint = "Install them with: pipx install 'multiplane[cluster]', or set cluster.scheduler to null."
        raise Refusal(f"cluster.scheduler is set, but a library for it is missing: {error.name}", hint=hint) from error
    return ClusterExecutor(settings, fs, outbox, inventory, selector, boot)


def _make_models_folder(fs: FileSystem, models: Path) -> None:
    """Make the folder for models, or log why it cannot be made: this user may lack the permission.

    It must exist before a worker starts, because the sandbox gives access only to what exists, and models may be added later.
    """
    try:
        make_folders(fs, os.fsencode(models))
    except OSError as error:
        logger.warning("the folder for models, {}, cannot be made: {}; set folders.models to another one", models, error.strerror)
