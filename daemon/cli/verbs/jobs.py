"""jobs: lists what is going on and how jobs ended, one line each."""

from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from daemon.cli.common import Home, Json, err, fs, home_to_look, located, out, print_error, print_json, print_note, printable
from daemon.cli.display.damaged_history import leaving_out_damage
from daemon.cli.display.render import batch_text, cell, now, remark, state_cell
from daemon.cli.exit_status import ExitStatus
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import Standstill, standstill
from daemon.cli.options import batches as batch_names
from daemon.contract.names import composed
from daemon.contract.status import ENDED, State, Status
from daemon.outbox import BatchProgress
from daemon.settings import Settings

#: Rows on a page: as many as a person reads at once.
PAGE = 50
#: Widths in characters: most remarks fit into the first; the second tells most picture names apart; the third is between columns.
_REMARK_COLUMNS, _PICTURE_COLUMNS, _GAP = 40, 20, 2


def jobs(
    state: Annotated[State | None, typer.Option("--state", help="Only jobs in this state.")] = None,
    batch: Annotated[
        str | None, typer.Option("--batch", help="Only jobs of this batch: its name, or its id.", autocompletion=batch_names)
    ] = None,
    page: Annotated[
        int, typer.Option("--page", min=1, help=f"Which page of {PAGE} jobs; page 1 has the running jobs and the latest ones.")
    ] = 1,
    all_: Annotated[bool, typer.Option("--all", help="List all jobs instead of a page.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """List the jobs: running, pending in order, then ended ones, most recent first."""
    settings = home_to_look(home)
    with leaving_out_damage() as on_damage:
        _list(settings, JobQueries(fs, settings, on_damage), state, batch, page, all_=all_, json=json)


def _list(
    settings: Settings, queries: JobQueries, state: State | None, batch: str | None, page: int, *, all_: bool, json: bool
) -> None:
    batches = queries.batches(batch) if batch is not None else None
    if batches is not None and not batches:
        print_error(f"there is no batch {batch}", "Its name is that of the folder that was dropped, or the id in status.json.")
        raise typer.Exit(ExitStatus.UNKNOWN)
    if all_ and page != 1:
        raise typer.BadParameter("--all lists the jobs of all pages: leave --page out")
    # One more than the page shows, to know whether there is another page.
    found = queries.statuses((page - 1) * PAGE, None if all_ else PAGE + 1, state=state, batches=batches)
    shown = found if all_ else found[:PAGE]
    halt = standstill(settings, queries, now())
    if halt and not halt.lasts and (json or all(status.state in ENDED for status in shown)):
        halt = None
    if json:
        if halt:
            print_note(halt.sentence)
        print_json([located(status, settings) for status in shown])
        if not all_ and (page > 1 or len(found) > PAGE):
            _tell_total(queries.count(state=state, batches=batches), len(shown), page)
        return
    if halt:
        err.print(printable(halt.sentence), markup=False)
    if not shown:
        err.print("No jobs." if page == 1 else "No more jobs.")
        return
    if page == 1:
        for progress in _progress(queries, batch):
            out.print(
                cell(f"{progress.name}: {batch_text(progress, stale=halt is not None and halt.stale)}", "bold"), soft_wrap=False
            )
    out.print(listing(shown, out.width, halt), soft_wrap=False)
    if len(shown) < len(found):
        total = queries.count(state=state, batches=batches)
        err.print(f"These are {len(shown)} of {total:,} jobs. More with --page {page + 1}, all with --all.")


def _tell_total(total: int, shown: int, page: int) -> None:
    """Tell a program that the list it got is one page of several."""
    first, pages = (page - 1) * PAGE + 1, max(1, -(-total // PAGE))
    which = "none" if not shown else f"job {first:,}" if shown == 1 else f"jobs {first:,} to {first + shown - 1:,}"
    rest = f"--page {page + 1} lists the next ones, --all lists all" if page < pages else "this is the last page; --all lists all"
    print_note(f"Listed: {which} of {total:,}: {rest}.", total=total, shown=shown, page=page, pages=pages)


def _progress(queries: JobQueries, batch: str | None) -> tuple[BatchProgress, ...]:
    """How far the batches are that are not done; only this one, also if it is done, if `batch` names one."""
    under_way = queries.batches_under_way()
    if batch is None:
        return under_way
    if found := [one for one in under_way if composed(batch) in (one.batch, composed(one.name))]:
        return (found[-1],)
    over = queries.batch_progress(batch)
    return () if over is None else (over,)


def listing(shown: list[Status], width: int, halt: Standstill | None = None) -> RenderableType:
    """The jobs, `width` characters wide. `halt`: why jobs make no progress; None if they do.

    An id is never cut, because other verbs need it. If a remark does not fit next to the id, it goes on the next line, indented.
    """
    longest = max(len(status.job_id) for status in shown)
    room = width - longest - len("processing") - _REMARK_COLUMNS - 3 * _GAP
    if room >= 0:
        return _table(shown, room - _GAP, halt)
    lines: list[RenderableType] = []
    for status in shown:
        line, said = state_cell(status.state), cell(_with_picture(status, remark(status, halt)))
        line.pad_right(len("processing") + 1 - len(line))
        line.append(" " + status.job_id, style="default")
        if said and len(line) + 2 + said.cell_len <= width:
            lines.append(line.append("  ").append_text(said))
        else:
            lines.append(line)
            if said:
                lines.append(Padding(said, (0, 0, 0, len("processing") + 2)))
    return Group(*lines)


def _with_picture(status: Status, said: str) -> str:
    return " · ".join(filter(None, (status.source.image if status.source else "", said)))


def _table(shown: list[Status], room: int, halt: Standstill | None) -> Table:
    """One line per row if possible. The picture has a column of its own if there is room for it."""
    wide = room >= _PICTURE_COLUMNS
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    table.add_column("state", no_wrap=True)
    table.add_column("job", no_wrap=True)
    if wide:
        table.add_column("picture", no_wrap=True, overflow="ellipsis", max_width=min(room, 2 * _PICTURE_COLUMNS))
    table.add_column("", overflow="fold")
    for status in shown:
        picture = [cell(status.source.image if status.source else "")] if wide else []
        said = remark(status, halt) if wide else _with_picture(status, remark(status, halt))
        table.add_row(state_cell(status.state), cell(status.job_id), *picture, cell(said))
    return table
