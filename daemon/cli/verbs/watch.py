"""watch: shows live the running jobs, the queue, the waiting list and the daemon's health."""

import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import typer
from pydantic import Field
from rich.text import Text

from daemon.cli.common import Home, Json, fs, give_up, home_to_look, out, print_json
from daemon.cli.display.damaged_history import leaving_out_damage
from daemon.cli.display.full_screen import FullScreen, rows_of
from daemon.cli.display.render import (
    LAST_HEARD,
    STYLES,
    ago,
    attempt,
    bar,
    batch_text,
    cell,
    now,
    on_machine,
    percent,
    remark,
    retry_remark,
    state_cell,
    whole,
    wrapped,
)
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import SnapshotReader, Standstill, standstill_of, with_file
from daemon.contract.commands import command
from daemon.contract.records import Job
from daemon.contract.status import Frozen, Status
from daemon.errors import Refusal
from daemon.jobs.retry_pause import pause_left_at
from daemon.journal.segment_files import segment_numbers, segment_path
from daemon.outbox import Health, Waiting, in_line, stage_name, status_of
from daemon.platform.service.current import serves, starting
from daemon.settings import Settings

#: Seconds between two updates: the daemon writes its status files twice a second.
_LOOK_SECONDS = 0.5
#: The largest fraction of the time that may be spent reading the journal.
_JOURNAL_SHARE = 0.1
_MAX_ROWS = 200
#: Columns of the heads and bars that are printed without a terminal.
_USUAL_COLUMNS = 80
#: Columns before a line of a list and between its parts, and the fewest columns of a batch's name.
_INDENT, _LEAST_NAME = 2, 12
#: Lines of a section's head (a blank one and the title), and the fewest lines of a whole section.
_HEAD_LINES, _LEAST_LINES = 2, 3
_NEXT = "next in the queue"
_SILENT_HINT = f"The list of the inbox was read directly. {command('doctor')} has details."


class Scene(Frozen):
    """Everything the screen shows, at one moment."""

    schema_version: int = 1
    at: str
    alive: bool = Field(description="whether a daemon runs, even if it is silent")
    stale: bool = Field(
        False, description="whether `health` and `running` may be out of date: the daemon is silent, or none runs"
    )
    installed: bool = Field(False, description="whether no daemon runs although the service is installed for this home")
    health: Health | None
    problem: str | None = Field(None, description="why `health` is out of date although a daemon is running")
    running: tuple[Status, ...]
    queue: tuple[Status, ...]
    queue_total: int
    returned: tuple[Status, ...] = Field((), description="jobs whose picture waits in the inbox for its missing end")
    returned_total: int = 0
    waiting: tuple[Waiting, ...]
    waiting_total: int
    ended: tuple[Status, ...]
    damaged: tuple[str, ...] = Field((), description="sentences about damaged files of the journal, whose jobs are missing here")


def watch(
    lines: Annotated[
        bool, typer.Option("--lines", help="Print a line for each change instead of a screen, also into a pipe or a file.")
    ] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the running jobs, the queue and the waiting list, live. Without a terminal, print them once."""
    if lines and json:
        raise typer.BadParameter("--lines and --json exclude each other: --json prints one look, --lines follows what changes")
    settings = home_to_look(home)
    with leaving_out_damage() as on_damage:
        scenes = Scenes(settings, on_damage)
        try:
            if json:
                print_json(scenes.look(now()))
            elif lines or out.is_dumb_terminal:
                _follow(scenes)
            elif not out.is_terminal:
                for line in draw(scenes.look(now()), _USUAL_COLUMNS, _MAX_ROWS, whole=True):
                    out.print(line)
            else:
                _live(scenes)
        except Refusal as refusal:
            give_up(refusal)


def _follow(scenes: "Scenes") -> None:
    """Print a line for each change until Ctrl-C, first for what is going on now. Nothing moves the cursor."""
    said: dict[str, str] = {}
    try:
        while True:
            scene = scenes.look(now())
            current = in_lines(scene)
            known = said or {status.job_id: current[status.job_id] for status in scene.ended}
            clock = datetime.fromisoformat(scene.at).astimezone().strftime("%H:%M:%S")
            for key, line in current.items():
                if known.get(key) != line:
                    out.print(f"{clock}  {line}", markup=False)
            said = current
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        return


def in_lines(scene: Scene) -> dict[str, str]:
    """The state of the daemon, and of each job and each file that waits, as one line each. A line changes if its state does."""
    problem = scene.problem or (scene.health.problem if scene.alive and scene.health else None)
    state = scene.health.state if scene.alive and scene.health else "not running"
    lines = {"": ": ".join(filter(None, ("the daemon is silent" if scene.problem else f"the daemon is {state}", problem)))}
    for status in (*reversed(scene.ended), *scene.running, *scene.queue, *scene.returned):
        told = {"pending": retry_remark, "processing": attempt}.get(status.state, remark)(status)
        lines[status.job_id] = "  ".join(filter(None, (f"{status.state:<10}", _name(status), status.job_id, told)))
    lines |= {sentence: sentence for sentence in scene.damaged}
    for item in scene.waiting:
        lines[f"waiting {item.path}"] = f"{'waiting':<10}  {item.path}  {item.reason}"
    return {key: cell(line).plain for key, line in lines.items()}


def _live(scenes: "Scenes") -> None:
    """Show the screen until Ctrl-C, and then restore the terminal."""
    try:
        with out.screen():
            while True:
                width, height = out.size
                out.print(FullScreen(draw(scenes.look(now()), width, height), width, height), end="")
                time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        return


class Scenes:
    """Reads one home repeatedly. It reads the journal again only after a change, and not too often.

    `on_damage`: is told of each damaged file of the journal that is left out; None: nobody is.
    """

    def __init__(self, settings: Settings, on_damage: Callable[[Refusal], None] | None = None) -> None:
        self._settings = settings
        self._queries = JobQueries(fs, settings, self._keep_damage)
        self._on_damage = on_damage
        self._damaged: set[str] = set()
        self._reader = SnapshotReader(settings, self._queries)
        self._journal = settings.paths.journal_bytes
        self._seen: tuple[int, int] | None = None
        self._again = 0.0
        self._queue: list[Job] = []
        self._queue_total = 0
        self._returned: list[Job] = []
        self._returned_total = 0
        self._running: tuple[Status, ...] = ()
        self._ended: tuple[Status, ...] = ()

    def look(self, at: datetime) -> Scene:
        """What is going on at this moment.

        Raises:
            Refusal: the journal is damaged.
        """
        self._read_journal()
        snapshot = self._reader.look(at)
        second = at.timestamp()
        running = [self._queries.status(status.job_id) or status for status in self._running]
        return Scene(
            at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            alive=snapshot.alive,
            stale=snapshot.problem is not None or not snapshot.alive,
            installed=not snapshot.alive and serves(self._settings),
            health=snapshot.health,
            problem=snapshot.problem,
            # A status file may say that a job has ended before the journal is read again.
            running=tuple(status for status in running if status.state == "processing"),
            # Computed every time, because no record is written when a job's pause before its next attempt ends.
            queue=tuple(status_of(job, position=place, at=second) for job, place in in_line(self._queue, pause_left_at(second))),
            queue_total=self._queue_total,
            returned=tuple(status_of(job, at=second) for job in self._returned),
            returned_total=self._returned_total,
            waiting=tuple(with_file(self._settings, item) for item in snapshot.waiting),
            waiting_total=snapshot.waiting_total,
            ended=self._ended,
            damaged=tuple(sorted(self._damaged)),
        )

    def _keep_damage(self, damage: Refusal) -> None:
        self._damaged.add(damage.message)
        if self._on_damage:
            self._on_damage(damage)

    def _read_journal(self) -> None:
        began = time.monotonic()
        if began < self._again or (mark := self._mark()) == self._seen:
            return
        self._damaged.clear()
        jobs = self._queries.history.now()
        self._running = tuple(status_of(job) for job in jobs.live.values() if job.state == "processing")
        pending = list(jobs.queue)
        self._queue, self._queue_total = pending[:_MAX_ROWS], len(pending)
        self._returned, self._returned_total = list(jobs.returned.values())[:_MAX_ROWS], len(jobs.returned)
        self._ended = tuple(status_of(job) for job in self._queries.history.ended(_MAX_ROWS))
        self._seen = mark
        took = time.monotonic() - began
        self._again = time.monotonic() + took / _JOURNAL_SHARE

    def _mark(self) -> tuple[int, int]:
        """Number and size of the last segment; they change with every record."""
        numbers = segment_numbers(fs, self._journal)
        if not numbers:
            return 0, 0
        return numbers[-1], fs.lstat(segment_path(self._journal, numbers[-1])).size


def draw(scene: Scene, width: int, height: int, *, whole: bool = False) -> list[Text]:
    """The lines of a screen of `width` columns and `height` rows: the running jobs, then as much of the rest as fits.

    Only a line with a command may have more columns. It then takes several rows, and nothing breaks the command. With `whole`,
    no line of a list is cut, and no sentence is broken: this is read by a program.
    """
    room = sys.maxsize if whole else width
    at = datetime.fromisoformat(scene.at)
    halt = standstill_of(scene.health, alive=scene.alive, problem=scene.problem)
    parts = [*_health(scene, at, width, room), Text()]
    parts += _running(scene, at, width, max(1, height // 6), halt)
    parts += _batches(scene, room, max(1, height // 8), stale=halt is not None and halt.stale)
    left = height - sum(len(rows_of(line, width)) for line in parts) - 1
    sections = (
        (_NEXT, scene.queue_total, [_queued(status, room) for status in scene.queue]),
        ("back in the inbox", scene.returned_total, [_queued(status, room) for status in scene.returned]),
        ("waiting in the inbox", scene.waiting_total, [_waiting(item, room) for item in scene.waiting]),
        ("ended", len(scene.ended), [_ended(status, at, room) for status in scene.ended]),
    )
    shown = [section for section in sections if section[1]]
    for number, (title, total, lines) in enumerate(shown):
        if left < _LEAST_LINES:
            break
        # Lines that one section does not need go to the next ones. A section that is cut ends with the number of what is missing.
        room = max(1, left // (len(shown) - number) - _LEAST_LINES)
        fits = lines if total <= room + 1 and total <= left - _HEAD_LINES else lines[:room]
        head = Text(title, style="bold", no_wrap=True, overflow="ellipsis")
        if halt and title == _NEXT:
            head.append(f" · {halt.word}", style="not bold yellow")
        parts += [Text(), head, *fits]
        left -= _HEAD_LINES + len(fits)
        if total > len(fits) and title != "ended" and left:
            parts.append(Text(f"  … and {total - len(fits):,} more", style="dim"))
            left -= 1
    return parts


def _health(scene: Scene, at: datetime, width: int, room: int) -> list[Text]:
    health = scene.health
    line = Text("Multiplane  ", style="bold", no_wrap=True, overflow="ellipsis")
    # The problem of a daemon that no longer runs does not matter now, unless it is why the daemon refused to start.
    current = health if health and (scene.alive or health.state == "refused") else None
    problem, hint = (current.problem, current.hint) if current else (None, None)
    if not scene.alive:
        state = "refuses to start" if health and health.state == "refused" else "not running"
        line.append(f"● {state}", style="red")
        line.append(f"   last seen {ago(health.alive_at, at)}" if health and health.state != "refused" else "", style="dim")
    elif health is None or scene.problem:
        line.append("● silent", style="red").append(f"   last response {ago(health.alive_at, at)}" if health else "", style="dim")
        problem, hint = scene.problem, _SILENT_HINT
    else:
        good = health.state == "running"
        line.append(f"● {health.state}", style="green" if good else "yellow")
        line.append(f"   for {whole((at - datetime.fromisoformat(health.started_at)).total_seconds())}", style="dim")
    clock = at.astimezone().strftime("%H:%M:%S")
    line.truncate(max(0, width - len(clock) - 1), pad=True)
    said: list[tuple[str | None, str]] = [(problem, "yellow"), (hint, "dim")] if problem else []
    if not problem and not scene.alive:
        said = [(f"Start it with: {starting(installed=scene.installed)}", "dim")]
    said += [(sentence, "yellow") for sentence in scene.damaged]
    lines = [line.append(f" {clock}", style="dim")]
    for text, style in said:
        lines += [Text(part, style, no_wrap=True) for part in wrapped(cell(text or "").plain, room) if part]
    return lines


def _running(scene: Scene, at: datetime, width: int, most: int, halt: Standstill | None) -> list[Text]:
    """Two lines for each running job: its name, stage and time left; then a progress bar. `most`: the most jobs to show."""
    stale = LAST_HEARD if halt and halt.stale else ""
    if not scene.running:
        return [Text("Nothing is running.", style="dim")]
    lines: list[Text] = []
    for status in scene.running[:most]:
        progress = status.progress
        share, left = (progress.fraction if progress else 0.0), "" if stale else _time_left(status, at)
        stage = " · ".join(
            filter(None, (stage_name(progress.stage) if progress else "Starting", on_machine(status), stale, attempt(status)))
        )
        line = (
            cell(_name(status), "bold").append(f"  {stage}", style="not bold").append(f"  {status.job_id}", style="not bold dim")
        )
        line.truncate(max(0, width - len(left) - 2), overflow="ellipsis", pad=True)
        done = Text(bar(share, width - 6, ground=True), style=STYLES["processing"], no_wrap=True).append(f" {percent(share):>5}")
        lines += [line.append(f"  {left}", style="not bold dim"), done]
    if len(scene.running) > most:
        lines.append(Text(f"… and {len(scene.running) - most:,} more", style="dim"))
    return lines


def _batches(scene: Scene, width: int, most: int, *, stale: bool) -> list[Text]:
    """One line for each batch that is not done. `most`: the most lines."""
    told = scene.health.batches if scene.health else ()
    return [_line_with_end(width, cell(one.name, "bold"), cell(batch_text(one, stale=stale)), _LEAST_NAME) for one in told[:most]]


def _time_left(status: Status, at: datetime) -> str:
    if status.progress and status.progress.eta_seconds is not None:
        return f"{whole(status.progress.eta_seconds)} left"
    return whole((at - datetime.fromisoformat(status.started_at)).total_seconds()) if status.started_at else ""


def _name(status: Status) -> str:
    return status.source.image if status.source else status.job_id


def _id(status: Status) -> Text:
    """The id, which other verbs need."""
    return cell(status.job_id, "dim")


def _line(width: int, *parts: Text) -> Text:
    line = Text("  ", no_wrap=True, overflow="ellipsis").append_text(Text("  ").join(parts))
    line.truncate(width, overflow="ellipsis")
    return line


def _line_with_end(width: int, name: Text, end: Text, least: int) -> Text:
    """A line that is cut in its name first, as long as `least` columns of it are left."""
    name.truncate(max(least, width - 2 * _INDENT - end.cell_len), overflow="ellipsis")
    return _line(width, name, end)


def _queued(status: Status, width: int) -> Text:
    place = Text(f"{status.queue_position:>4,}" if status.queue_position else "   –", style="dim")
    priority = status.spec.priority if status.spec else 0
    said = [cell(f"priority {priority}", "dim")] if priority else []
    before = [cell(tried, "yellow")] if (tried := retry_remark(status)) else []
    return _line(width, place, cell(_name(status)), _id(status), *said, *before)


def _waiting(item: Waiting, width: int) -> Text:
    # A reason may be a long sentence, and may repeat the name.
    return _line_with_end(width, cell(item.path), cell(item.reason, "dim"), width // 2)


def _ended(status: Status, at: datetime, width: int) -> Text:
    state = state_cell(status.state)
    state.pad_right(len("completed") - len(state))
    when = cell(f"{ago(status.completed_at, at):>10}", "dim") if status.completed_at else Text()
    return _line(width, state, when, cell(_name(status)), _id(status), cell(remark(status), "dim"))
