"""How the verbs draw: names that come from anyone, states, durations, bars."""

from datetime import UTC, datetime

from rich.text import Text

from daemon.cli.common import printable
from daemon.clock import local as local
from daemon.contract.status import State, Status

STYLES: dict[State, str] = {"completed": "green", "failed": "red", "cancelled": "dim", "processing": "cyan", "pending": ""}
_EIGHTHS = " ▏▎▍▌▋▊▉"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def cell(text: str, style: str = "") -> Text:
    """One line of text that is never read as markup."""
    return Text(printable(text).replace("\n", "·"), style=style)


def state_cell(state: State) -> Text:
    """A state in its colour."""
    return Text(state, style=STYLES[state])


def remark(status: Status) -> str:
    """What there is to say of a job beside its state."""
    if status.error and status.state in ("failed", "pending"):
        return f"{status.error.code}: {status.error.message}"
    if status.progress:
        return f"{status.progress.stage} {status.progress.fraction:.0%}"
    if status.queue_position:
        return "next in line" if status.queue_position == 1 else f"{status.queue_position:,} in line"
    return f"{status.processing_seconds:.1f} s" if status.state == "completed" and status.processing_seconds else ""


def duration(seconds: float) -> str:
    """A length of time as people say it, in at most two units."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{int(seconds) // _MINUTE} min {int(seconds) % _MINUTE} s"
    if seconds < _DAY:
        return f"{int(seconds) // _HOUR} h {int(seconds) % _HOUR // _MINUTE} min"
    return f"{int(seconds) // _DAY} d {int(seconds) % _DAY // _HOUR} h"


def ago(moment: str, now: datetime) -> str:
    """How long ago an RFC 3339 time was, in one unit."""
    seconds = max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds) // unit} {name} ago"
    return f"{int(seconds)} s ago"


def now() -> datetime:
    """This moment, UTC."""
    return datetime.now(UTC)


def bar(share: float, width: int, *, ground: bool = False) -> str:
    """A bar of eighths of a column: `share` of `width` columns; on a `ground` of light dots up to the full width."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    filled = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return filled + "·" * (width - len(filled)) if ground else filled
