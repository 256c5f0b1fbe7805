"""How the verbs print names, states, durations and bars."""

import math
import re
from datetime import UTC, datetime

from rich.text import Text

from daemon.cli.common import printable
from daemon.cli.live_snapshot import Standstill
from daemon.clock import hour
from daemon.clock import local as local
from daemon.contract.status import State, Status
from daemon.outbox import BatchProgress, attempt_of, stage_name

STYLES: dict[State, str] = {"completed": "green", "failed": "red", "cancelled": "dim", "processing": "cyan", "pending": ""}
#: Printed next to progress that may be out of date.
LAST_HEARD = "as of the last report"
#: A word, or a command between backticks with what stands directly beside it.
_WORD = re.compile(r"[^\s`]*`[^`]+`[^\s`]*|\S+")
_EIGHTHS = " ▏▎▍▌▋▊▉"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def cell(text: str, style: str = "") -> Text:
    """One line of text that is never read as markup."""
    return Text(printable(text), style=style)


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, broken between words. Words and commands stay whole, to be copied, even if they are longer."""
    lines = [""]
    end = 0
    for word in _WORD.finditer(text):
        # A name may contain several spaces in a row.
        gap, end = " " * (word.start() - end), word.end()
        if lines[-1] and len(lines[-1]) + len(gap) + len(word[0]) > width:
            lines.append(word[0])
        else:
            lines[-1] += f"{gap}{word[0]}" if lines[-1] else word[0]
    return lines


def state_cell(state: State) -> Text:
    """A state in its colour."""
    return Text(state, style=STYLES[state])


def remark(status: Status, halt: Standstill | None = None) -> str:
    """The remark next to a job's state. `halt`: why jobs make no progress; None if they do."""
    said: tuple[str, ...] = ()
    match status.state:
        case "failed":
            said = (_trouble(status),)
        case "pending":
            said = (progress_text(status, halt), retry_remark(status))
        case "processing":
            said = (progress_text(status, halt), attempt(status))
        case "completed":
            seconds = whole(status.processing_seconds) if status.processing_seconds else ""
            said = (seconds, on_machine(status), "result removed" if status.pruned_at else "")
    return " · ".join(filter(None, said))


def progress_text(status: Status, halt: Standstill | None = None) -> str:
    """The queue position of a pending job, or the progress of a running one, and what `halt` says about it."""
    said: tuple[str, ...] = ()
    if status.state == "pending":
        number = status.queue_position
        said = ("next in line" if number == 1 else f"number {number:,} in line" if number else "", halt.word if halt else "")
    elif status.state == "processing":
        progress = status.progress
        said = (
            f"{stage_name(progress.stage)} {percent(progress.fraction)}" if progress else "",
            on_machine(status),
            LAST_HEARD if halt and halt.stale else "",
        )
    return " · ".join(filter(None, said))


def batch_text(batch: BatchProgress, *, stale: bool = False) -> str:
    """How far a batch is. `stale`: nothing is working on it, so there is no remaining time."""
    failed = f"{batch.failed:,} failed" if batch.failed else ""
    left = "" if batch.eta_seconds is None or stale else f"about {whole(batch.eta_seconds)} left"
    return " · ".join(filter(None, (f"{batch.ended:,} of {batch.total:,}", failed, left)))


def on_machine(status: Status) -> str:
    """The machine of a cluster on which a job runs or ran; empty without a cluster."""
    return f"on {status.machine}" if status.machine else ""


def retry_remark(status: Status) -> str:
    """When the next attempt of a pending job starts, and how the last attempt failed; empty if there was none."""
    when = f"next attempt at {hour(status.retry_at)}" if status.retry_at else "earlier attempt"
    which = f" ({attempt_of(status.attempts + 1)})" if status.attempts and status.retry_at else ""
    if status.error:
        return f"{when}{which}: {_trouble(status)}"
    return f"{when}{which}" if status.retry_at else ""


def attempt(status: Status) -> str:
    """Which attempt of a running job this is; empty if it is the first."""
    return attempt_of(status.attempts) if status.state == "processing" and status.attempts > 1 else ""


def _trouble(status: Status) -> str:
    return f"{status.error.code}: {status.error.message}" if status.error else ""


def percent(share: float) -> str:
    """A share from 0 to 1 as a percentage; only a finished job shows 100 %."""
    # 0.57 * 100 is slightly less than 57 in floating point.
    return f"{math.floor(share * 100 + 1e-6)} %"


def duration(seconds: float) -> str:
    """A duration as people write it, in at most two units."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{int(seconds) // _MINUTE} min {int(seconds) % _MINUTE} s"
    if seconds < _DAY:
        return f"{int(seconds) // _HOUR} h {int(seconds) % _HOUR // _MINUTE} min"
    return f"{int(seconds) // _DAY} d {int(seconds) % _DAY // _HOUR} h"


def whole(seconds: float) -> str:
    """A duration in whole seconds, at least one, and in at most two units."""
    return duration(max(1, round(seconds))).replace(".0 s", " s")


def ago(moment: str, now: datetime) -> str:
    """How long ago an RFC 3339 time was, in one unit."""
    seconds = max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds) // unit} {name} ago"
    return f"{int(seconds)} s ago"


def now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


def bar(share: float, width: int, *, ground: bool = False) -> str:
    """A bar that fills `share` (0 to 1) of `width` columns, drawn in eighths. With `ground`, light dots fill the rest."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    filled = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return filled + "·" * (width - len(filled)) if ground else filled
