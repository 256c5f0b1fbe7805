"""waiting: everything that is in the inbox and not taken, with the reason."""

from rich import box
from rich.table import Table

from daemon.cli.cells import local
from daemon.cli.common import Home, Json, err, fs, out, print_json, printable, settings_in_use
from daemon.cli.looking import Looking


def waiting(home: Home = None, json: Json = False) -> None:
    """List what is in the inbox and not taken, and why."""
    looking = Looking(fs, settings_in_use(home))
    health = looking.health()
    items = health.waiting if health else ()
    if json:
        print_json(list(items))
        return
    if health is None or not looking.daemon_runs():
        when = f"; this is what it saw until {local(health.alive_at)}" if health else ""
        err.print(f"The daemon is not running{when}.")
    if not items:
        err.print("Nothing waits in the inbox.")
        return
    table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for item in items:
        table.add_row(printable(item.path).replace("[", r"\["), printable(item.reason).replace("[", r"\["))
    out.print(table)
    if health and health.waiting_total > len(items):
        err.print(f"… and {health.waiting_total - len(items)} more")
