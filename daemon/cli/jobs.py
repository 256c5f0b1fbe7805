"""jobs: what is going on and what became of it, a line each."""

from typing import Annotated

import typer
from rich import box
from rich.table import Table

from daemon.cli.common import Home, Json, err, fs, out, print_json, printable, settings_of
from daemon.cli.looking import Looking
from daemon.contract.status import State, Status

#: Rows of a page: what a person reads at once.
PAGE = 50
#: Columns of a terminal in which the picture's name fits beside the rest.
_WIDE = 120
STYLES: dict[State, str] = {"completed": "green", "failed": "red", "cancelled": "dim", "processing": "cyan", "pending": ""}


def jobs(
    state: Annotated[State | None, typer.Option("--state", help="Only jobs in this state.")] = None,
    batch: Annotated[str | None, typer.Option("--batch", help="Only jobs of this batch.")] = None,
    page: Annotated[int, typer.Option("--page", min=1, help="Which page; 1 has what is going on and what ended last.")] = 1,
    home: Home = None,
    json: Json = False,
) -> None:
    """List the jobs: running, pending in their order, then ended ones, the last first."""
    looking = Looking(fs, settings_of(home))
    found = [
        status
        # One more than the page shows, to know whether there is another; filters need all of them.
        for status in looking.statuses(10**9 if state or batch else page * PAGE + 1)
        if (state is None or status.state == state) and (batch is None or status.batch == batch)
    ]
    shown = found[(page - 1) * PAGE : page * PAGE]
    if json:
        print_json(shown)
        return
    if not shown:
        err.print("No jobs." if page == 1 else "No more jobs.")
        return
    # One row is one line where it can be: the id holds the picture's name already, so the picture shows where there is room.
    wide = out.width >= _WIDE
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("job", no_wrap=True, max_width=64)
    if wide:
        table.add_column("picture", no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column("state", no_wrap=True)
    table.add_column("", overflow="fold")
    for status in shown:
        picture = [_plain(printable(status.source.image if status.source else ""))] if wide else []
        table.add_row(status.job_id, *picture, f"[{STYLES[status.state] or 'default'}]{status.state}[/]", _plain(_remark(status)))
    out.print(table)
    if len(found) > page * PAGE:
        err.print(f"More with --page {page + 1}.")


def _plain(text: str) -> str:
    """Text that rich does not read as markup."""
    return text.replace("[", r"\[")


def _remark(status: Status) -> str:
    if status.error and status.state in ("failed", "pending"):
        return printable(f"{status.error.code}: {status.error.message}")
    if status.progress:
        return f"{status.progress.stage} {status.progress.fraction:.0%}"
    if status.queue_position:
        return f"number {status.queue_position} in the queue"
    return f"{status.processing_seconds:.1f} s" if status.state == "completed" and status.processing_seconds else ""
