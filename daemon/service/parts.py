"""The parts of the daemon that work on its jobs, and how they are connected.

`wire` makes all parts, each after those it needs. Two parts send events to parts that are made after them: the supervisor
to its listener, and the ledger to its subscribers. What the parts depend on (records, processes, clocks) is passed in.
`daemon.service.assembly` passes the real ones; a test may pass others.
"""

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon.claiming.batches import Batches
from daemon.claiming.claims import Claims
from daemon.claiming.earlier_results import EarlierResults
from daemon.claiming.moving import Mover
from daemon.claiming.redoing import Redoing
from daemon.claiming.source_copies import SourceCopies
from daemon.contract.status import Progress
from daemon.following.deliveries import Background, Deliveries
from daemon.following.hook_process import HookProcess
from daemon.following.hooks import Hooks, StartHook
from daemon.fs import FileSystem
from daemon.fs.background import run_in_thread
from daemon.health.system_health import SystemHealth
from daemon.journal import History, Journal
from daemon.journal.ledger import Ledger
from daemon.notify.user_notifications import UserNotifications
from daemon.outbox import Outbox
from daemon.running.executor import Executor, LocalExecutor
from daemon.running.forecast import Forecast
from daemon.running.late_writes import LateWrites
from daemon.running.model_inventory import ModelInventory
from daemon.running.pauses import Pauses
from daemon.running.runner import JobRunner
from daemon.running.warm_workers import WarmWorkers
from daemon.service.ended_jobs import EndedBefore
from daemon.service.hotfolder import HotFolder
from daemon.service.removal import Removal
from daemon.service.requests import Requests
from daemon.service.retention import Retention
from daemon.service.trash_actions import TrashActions
from daemon.settings import Settings
from daemon.supervisor import Supervisor
from daemon.views.batch_progress import batches_under_way
from daemon.views.metrics import MetricsFile
from daemon.views.view_writer import ViewWriter
from daemon.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Home:
    """One home: its disk, settings and records."""

    fs: FileSystem
    settings: Settings
    boot_id: str
    journal: Journal
    ledger: Ledger
    outbox: Outbox
    history: History
    ended_before: EndedBefore


@dataclass(frozen=True, slots=True)
class Machine:
    """What the parts depend on outside the home.

    `program` returns a number that changes whenever the program on the disk changes. `inbox_is_local` returns whether the inbox
    is on a local disk now. `elsewhere` runs jobs on other machines; None: they run here. `clock` returns monotonic seconds;
    `wall_clock` returns seconds since 1970. `in_background` runs a function beside the loop; `start_hook` starts a command of
    the settings.
    """

    selector: selectors.BaseSelector
    wakeup: Wakeup
    supervisor: Supervisor
    system_health: SystemHealth
    inventory: ModelInventory
    program: Callable[[], int]
    inbox_is_local: Callable[[], bool]
    elsewhere: Executor | None = None
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    in_background: Background = run_in_thread
    start_hook: StartHook = HookProcess


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts that work on jobs."""

    forecast: Forecast
    mover: Mover
    batches: Batches
    earlier: EarlierResults
    claims: Claims
    copies: SourceCopies
    folder: HotFolder
    runs: JobRunner
    views: ViewWriter
    notifications: UserNotifications
    warm_workers: WarmWorkers
    trash_actions: TrashActions
    requests: Requests
    retention: Retention
    deliveries: Deliveries
    hooks: Hooks
    metrics: MetricsFile
    executor: Executor


def wire(home: Home, machine: Machine) -> Parts:
    """Make the parts of one daemon, and subscribe them to the events of the ledger and the executor."""
    fs, settings, ledger, outbox, history = home.fs, home.settings, home.ledger, home.outbox, home.history
    jobs, clock = ledger.jobs, machine.clock
    inbox = settings.paths.inbox_bytes
    time_of_day = lambda: datetime.fromtimestamp(machine.wall_clock(), UTC)  # noqa: E731
    mover = Mover(fs, inbox, outbox, machine.inbox_is_local, settings.limits.max_image_bytes)
    batches = Batches(fs, inbox, ledger, outbox, mover)
    claims = Claims(
        fs,
        settings,
        ledger,
        outbox,
        mover,
        batches,
        history.job,
        clock=time_of_day,
        monotonic=clock,
    )
    copies = SourceCopies(ledger, outbox, mover, clock)
    earlier = EarlierResults(fs, inbox, ledger, outbox, clock)
    folder = HotFolder(fs, settings, ledger, claims, batches, earlier, machine.wakeup.wake, clock)
    settling = LateWrites(fs, outbox, clock, grew=folder.was_incomplete)
    pauses = Pauses(jobs, clock, machine.wall_clock)
    progress: dict[str, Progress] = {}

    def fetch_model() -> str | None:
        name = machine.inventory.missing_depth_model()
        return outbox.commands.typed("models", "fetch", name) if name else None

    views = ViewWriter(
        outbox,
        ledger,
        progress,
        home.ended_before,
        history.job,
        pauses.left,
        fetch_model,
        settings.digest,
        outbox.commands.typed("run"),
        lambda: batches_under_way(jobs, progress, folder.pictures_in, settings.queue.max_concurrent_jobs),
        clock,
    )
    forecast = Forecast(progress, clock, lambda: reversed(views.shown()))
    warm_workers = WarmWorkers(
        settings,
        outbox,
        jobs,
        machine.inventory,
        machine.supervisor,
        program=machine.program,
        remaining=lambda: forecast.remaining(jobs.processing),
    )
    executor = machine.elsewhere or LocalExecutor(settings, outbox, machine.supervisor, warm_workers, machine.inventory)
    runs = JobRunner(
        fs,
        settings,
        ledger,
        outbox,
        executor,
        machine.system_health,
        forecast,
        pauses,
        settling,
        clock,
        machine.wall_clock,
    )
    notifications = UserNotifications(settings, jobs, outbox, clock=clock, history=history)
    metrics = MetricsFile(
        outbox,
        ledger,
        wanted=settings.outbox.metrics,
        state=lambda: views.state,
        waiting=lambda: views.waiting_total,
        wall_clock=machine.wall_clock,
    )
    executor.subscribe(runs)
    trash_actions = TrashActions(fs, ledger, outbox, runs, views)
    removal = Removal(ledger, outbox)
    retention = Retention(fs, settings, ledger, history, removal, clock=clock, wall_clock=machine.wall_clock)
    redoing = Redoing(settings, ledger, outbox, time_of_day)
    requests = Requests(fs, settings, ledger, outbox, runs, removal, redoing, history.job, history.batch, clock=clock)
    deliveries = Deliveries(fs, settings, ledger, outbox, history.job, clock, machine.in_background)
    hooks = Hooks(settings, ledger, outbox, history.job, deliveries.comes_first, clock, machine.start_hook)
    ledger.subscribe(
        folder.on_record,
        views.on_record,
        notifications.on_record,
        metrics.on_record,
        deliveries.on_record,
        hooks.on_record,
        afterwards=views.write_at_once,
    )
    return Parts(
        forecast,
        mover,
        batches,
        earlier,
        claims,
        copies,
        folder,
        runs,
        views,
        notifications,
        warm_workers,
        trash_actions,
        requests,
        retention,
        deliveries,
        hooks,
        metrics,
        executor,
    )
