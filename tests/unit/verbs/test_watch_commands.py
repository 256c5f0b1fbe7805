"""`watch` shows a command so that it can be copied, even if it is wider than the window."""

import io
import re
from datetime import UTC, datetime

import pytest
from rich.console import Console
from rich.text import Text

from daemon.cli.display.full_screen import FullScreen, rows_of
from daemon.cli.verbs.watch import Scene, draw
from daemon.clock import rfc3339
from daemon.outbox import Health

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LONG = (
    "/opt/a very long way/bin/multiplane doctor --home '/Volumes/Studio/Pictures of the year/Multiplane/home/日本/of the daemon'"
)


def paused() -> Scene:
    health = Health(
        version="1", pid=1, state="paused", alive_at=rfc3339(NOW), started_at=rfc3339(NOW),
        problem="no worker can be started", hint=f"It is retried automatically. If it keeps failing, check with: `{LONG}`",
    )  # fmt: skip
    return Scene(
        at=NOW.isoformat(), alive=True, health=health, problem=None, running=(), queue=(), queue_total=0,
        waiting=(), waiting_total=0, ended=(),
    )  # fmt: skip


def printed(lines: list[Text], width: int, height: int) -> str:
    """What a terminal gets, without the codes that erase or colour."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", sent(lines, width, height))


def sent(lines: list[Text], width: int, height: int) -> str:
    """What a terminal gets."""
    console = Console(
        file=(got := io.StringIO()), width=width, height=height, force_terminal=True, color_system=None, soft_wrap=True
    )
    console.print(FullScreen(lines, width, height), end="")
    return got.getvalue()


@pytest.mark.parametrize("width", [40, 79, 80, 81, 200])
def test_no_line_break_divides_a_command(width: int) -> None:
    said = printed(draw(paused(), width, 24), width, 24)
    assert f"`{LONG}`" in said


@pytest.mark.parametrize("width", [40, 80])
def test_the_screen_has_as_many_rows_as_the_window(width: int) -> None:
    lines = draw(paused(), width, 24)
    assert sum(len(rows_of(line, width)) for line in lines) <= 24
    said = printed(lines, width, 24)
    continued = sum(len(rows_of(line, width)) - 1 for line in lines)
    assert continued >= 1
    assert said.count("\n") == 24 - 1 - continued


def test_nothing_of_a_longer_line_is_left_behind_a_shorter_one() -> None:
    assert sent([Text("abc"), Text("x" * 10)], 10, 3) == "\x1b[Habc\x1b[0K\n" + "x" * 10 + "\n\x1b[0K"


def test_what_does_not_fit_is_left_out() -> None:
    assert printed([Text("a" * 25), Text("b"), Text("c")], 10, 4) == "a" * 25 + "\nb"


def test_a_wide_character_begins_the_next_row_as_terminals_do_it() -> None:
    assert [row.plain for row in rows_of(Text("abc日本"), 4)] == ["abc", "日本"]
