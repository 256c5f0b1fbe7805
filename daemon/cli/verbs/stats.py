"""stats: shows how many jobs ended over some days, how long they took and what failed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from daemon.amounts import size
from daemon.cli.common import Home, Json, err, fs, give_up, home_to_look, out, print_json
from daemon.cli.display.damaged_history import leaving_out_damage
from daemon.cli.display.render import ago, cell, duration, local
from daemon.cli.job_queries import JobQueries
from daemon.errors import Refusal
from daemon.outbox import DiskUse, measure_outbox
from daemon.settings import Settings
from daemon.stats import Day, Failures, ModeTimes, Stats
from daemon.stats import stats as compute

#: With more days than this, each line stands for a week, so that all lines fit on one screen.
_MAX_LINES = 31
_WEEK = 7
#: The columns next to a day's bars, and the width of the longest bar that is still readable.
_BESIDE_BARS, _WIDEST_BAR = 40, 60


def stats(
    days: Annotated[int, typer.Option("--days", min=1, max=36_500, help="How many days, including today.")] = 14,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show how many jobs ended each day, how long they took by mode, and what failed."""
    settings = home_to_look(home)
    with leaving_out_damage() as on_damage:
        _print(settings, JobQueries(fs, settings, on_damage), days, json=json)


def _print(settings: Settings, queries: JobQueries, days: int, *, json: bool) -> None:
    zone = datetime.now().astimezone().tzinfo or UTC
    try:
        found = compute(queries.history, now=datetime.now(UTC), days=days, zone=zone)
    except Refusal as refusal:
        give_up(refusal)
    found = found.model_copy(update={"disk": _measured(settings)})
    if json:
        print_json(found)
        return
    if found.disk and found.disk.jobs:
        out.print(_space(found.disk), soft_wrap=False)
    if not found.modes and not any(day.completed + day.failed + day.cancelled for day in found.days):
        err.print(f"No job ended in the last {days} days." if days > 1 else "No job ended today.")
        return
    for part in screen(found, out.width, datetime.now(UTC)):
        out.print(part, soft_wrap=False)


def _measured(settings: Settings) -> DiskUse | None:
    try:
        return measure_outbox(fs, settings.paths.outbox_bytes)
    except OSError:
        return None  # the doctor says what is wrong with the outbox


def _space(disk: DiskUse) -> Text:
    """The outbox's size, and its largest jobs."""
    jobs = "1 job" if disk.jobs == 1 else f"{disk.jobs:,} jobs"
    largest = ", ".join(f"{job.job_id} {size(job.bytes)}" for job in disk.largest[:3])
    taken = f"{'' if disk.complete else 'more than '}{size(disk.bytes)}"
    return Text.assemble(f"{taken} in the outbox, {jobs}", (f"; the largest: {largest}" if largest else "", "dim"))


def screen(found: Stats, width: int, now: datetime) -> Iterator[RenderableType]:
    """Yield the statistics as blocks of text, `width` characters wide, to be printed one below the other."""
    done = sum(day.completed for day in found.days)
    failed = sum(day.failed for day in found.days)
    total = Text.assemble((f"{done:,} completed", "green"), ", ", (f"{failed:,} failed", "red" if failed else ""))
    cancelled = sum(day.cancelled for day in found.days)
    if cancelled:
        total.append(f", {cancelled:,} cancelled", style="dim")
    megapixels = sum(day.megapixels for day in found.days)
    total.append(f"; {megapixels:,.0f} megapixels in all" if megapixels >= 1 else "")
    yield total
    if found.known_since:
        yield Text(f"The journal goes back to {local(found.known_since)}.", style="dim")
    yield ""
    # If the journal begins within these days, show none before the first on which a job ended.
    busy = next((place for place, day in enumerate(found.days) if day.completed + day.failed + day.cancelled), 0)
    yield _throughput(found.days[busy if found.known_since else 0 :], width)
    if found.modes:
        yield ""
        yield _times(found.modes, width)
    if found.failures:
        yield ""
        yield _failures(found.failures, now)


def _throughput(days: Sequence[Day], width: int) -> Table:
    """One line for each day or week, with a bar for the jobs that ended."""
    lines = [(f"{day.date:%a %d %b}", [day]) for day in days]
    if len(days) > _MAX_LINES:
        # Count whole weeks backwards from today, so that the last week can be compared with the others.
        ends = range(len(days), 0, -_WEEK)
        weeks = [days[max(0, end - _WEEK) : end] for end in reversed(ends)]
        lines = [(f"from {week[0].date:%d %b %y}", list(week)) for week in weeks]
    most = max(sum(day.completed + day.failed + day.cancelled for day in part) for _, part in lines) or 1
    columns = max(10, min(_WIDEST_BAR, width - _BESIDE_BARS))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True, width=columns)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, style="red")
    for name, part in lines:
        done, failed = sum(day.completed for day in part), sum(day.failed for day in part)
        cancelled = sum(day.cancelled for day in part)
        table.add_row(name, _bars((done, failed, cancelled), most, columns), f"{done:,}", f"{failed:,} failed" if failed else "")
    return table


def _bars(counts: tuple[int, int, int], most: int, columns: int) -> Text:
    """A bar of three parts: completed, failed and cancelled jobs. `most`: how many jobs fill all the columns."""
    # Every non-zero part has at least one column. The longest part absorbs the rounding, so that the total is right.
    parts = [max(1, int(count / most * columns)) if count else 0 for count in counts]
    parts[parts.index(max(parts))] += max(round(sum(counts) / most * columns), 3 - parts.count(0)) - sum(parts)
    made = Text()
    for part, style in zip(parts, ("green", "red", "bright_black"), strict=True):
        made.append("█" * part, style=style)
    return made


def _times(modes: Sequence[ModeTimes], width: int) -> Table:
    """One line for each mode. Its bar reaches to the 90th percentile; the solid part reaches to the median."""
    columns = max(10, min(_WIDEST_BAR, width - _BESIDE_BARS - 20))
    longest = max(times.p90 for times in modes) or 1.0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("time per job", no_wrap=True)
    table.add_column("", no_wrap=True, width=columns)
    for heading in ("median", "90 %", "longest"):
        table.add_column(heading, no_wrap=True, justify="right")
    for times in modes:
        solid = round(times.median / longest * columns)
        made = Text("█" * solid, style="cyan").append("░" * (round(times.p90 / longest * columns) - solid), style="cyan")
        table.add_row(times.mode, made, duration(times.median), duration(times.p90), duration(times.longest))
    return table


def _failures(failures: Sequence[Failures], now: datetime) -> Table:
    """One line for each error code, with the last job that failed with it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", justify="right", style="red", no_wrap=True)
    table.add_column("failed because of", no_wrap=True)
    table.add_column("last", no_wrap=True)
    table.add_column("for example", overflow="fold")
    for reason in failures:
        table.add_row(f"{reason.jobs:,}", cell(reason.code), ago(reason.last_at, now), cell(reason.example))
    return table
