"""Shows the progress of a fetch: a bar on a terminal, an occasional line elsewhere."""

from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console

_STEP = 0.1  # without a terminal: print a line after each such fraction of the whole


class Progress:
    """Shows the progress of a fetch. Use it as a context manager: the bar disappears at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = progress.Progress(
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._bar.add_task("")
        self._total = self._have = 0
        self._next = _STEP

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def begin(self, commit: str, total: int, have: int) -> None:
        """Start: `total` bytes are needed in all, of which `have` are there from an earlier fetch."""
        self._total, self._have = total, have
        self._announce(commit, total, have)
        self._bar.reset(self._task, total=total, completed=have)
        self._bar.start()

    def _announce(self, commit: str, total: int, have: int) -> None:
        gone_on = f", {have / 1e6:,.1f} MB already here" if have else ""
        self._console.print(f"  {total / 1e6:,.1f} MB at revision {commit[:12]}{gone_on}")

    def arrived(self, count: int) -> None:
        """`count` more bytes have arrived; fewer if negative."""
        self._have += count
        self._bar.update(self._task, completed=self._have)
        if not self._console.is_terminal and self._have >= self._next * self._total:
            self._next = self._have / self._total + _STEP
            self._console.print(f"  {self._have / 1e6:,.1f} MB, {self._have / self._total:.0%}")

    def checked(self, name: str, size: int) -> None:
        """A file is complete and correct."""
        self._console.print(f"  [green]✓[/] {name}  [dim]{size / 1e6:,.1f} MB[/]" if size >= 1e5 else f"  [green]✓[/] {name}")
