"""What a verb that only looks does about damaged files of the journal: it shows what the others say, and names the damaged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from daemon.cli.common import print_error
from daemon.cli.exit_status import ExitStatus
from daemon.errors import Refusal

_LEFT_OUT = "What is shown here was read without it."


@contextmanager
def leaving_out_damage() -> Iterator[Callable[[Refusal], None]]:
    """Yields the function for `History` that is told of damaged files. In the end, each is named once as an error.

    Raises:
        typer.Exit: a file was left out, and the verb did not end with a status of its own.
    """
    found: dict[str, Refusal] = {}

    def keep(damage: Refusal) -> None:
        found.setdefault(damage.message, damage)

    try:
        yield keep
    finally:
        for damage in found.values():
            print_error(damage.message, f"{_LEFT_OUT} {damage.hint}")
    if found:
        raise typer.Exit(ExitStatus.DISK)
