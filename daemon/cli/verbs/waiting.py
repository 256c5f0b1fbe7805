"""waiting: lists everything that waits in the inbox, with the reason."""

from rich import box
from rich.table import Table

from daemon.cli.common import Home, Json, err, fs, home_to_look, out, print_error, print_json, print_note, printable
from daemon.cli.display.render import now
from daemon.cli.job_queries import JobQueries
from daemon.cli.live_snapshot import SnapshotReader, with_file
from daemon.contract.commands import command
from daemon.contract.words.printable import in_one_line
from daemon.outbox import Waiting

_BARE_HINT = (
    "A picture without a YAML file is only taken from a folder with a _preset.yaml: move it into one, "
    "such as “photo in 4 layers”."
)


def waiting(home: Home = None, json: Json = False) -> None:
    """List what is still in the inbox, and why.

    A long list shows some entries of each folder and reason, and counts the rest. With --json, a line on standard error then has
    the total and these counts: {"note": …, "total": 5000, "more": [{"reason": …, "count": …}]}.
    """
    settings = home_to_look(home)
    snapshot = SnapshotReader(settings, JobQueries(fs, settings)).look(now())
    items = snapshot.waiting
    if json:
        print_json([with_file(settings, item) for item in items])
        if left_out := snapshot.waiting_total - len(items):
            more = [one.model_dump() for one in snapshot.waiting_more]
            print_note(f"{left_out:,} more wait.", total=snapshot.waiting_total, more=more)
        return
    if not snapshot.alive:
        err.print("The daemon isn't running. This is in the inbox now:" if items else "The daemon isn't running.")
    elif snapshot.problem:
        print_error(
            snapshot.problem, f"This list was read directly from the inbox. {command('doctor')} has details." if items else None
        )
    elif snapshot.health and snapshot.health.state in ("paused", "offline"):
        print_error(
            f"the daemon is {snapshot.health.state}: {snapshot.health.problem or 'no reason was reported'}", snapshot.health.hint
        )
    if not items:
        err.print("Nothing waits in the inbox.")
        return
    table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for item in items:
        table.add_row(printable(item.path).replace("[", r"\["), printable(item.reason).replace("[", r"\["))
    out.print(table)
    if snapshot.waiting_total > len(items):
        left_out = snapshot.waiting_total - len(items)
        err.print(f"{snapshot.waiting_total:,} in all. … and {left_out:,} more in the inbox:")
        for one in snapshot.waiting_more:
            err.print(f"{one.count:>9,}  {printable(one.reason)}", markup=False)
    if any(is_bare(item) for item in items):
        err.print(_BARE_HINT, markup=False, soft_wrap=False)


def is_bare(item: Waiting) -> bool:
    """Whether this is a picture without a sidecar, dropped directly into the inbox: a frequent first mistake."""
    return "/" not in item.path and item.reason == in_one_line(f"waiting for {item.path.rsplit('.', 1)[0]}.yaml")
