"""Decides when a file is complete: its fingerprint stayed the same for long enough, and nothing shows that it is being written.

Edge cases, each with the rule that covers it:
- slow chunks with pauses: every change restarts the wait; growth after a file had settled doubles the settle time of its folder
- open, write, close, several times: a close does not shorten the wait, unless the last pictures here were closed only once
- preallocated, then filled: the modification time changes, or Linux reports the close; the decoder detects the other cases
- modification time restored, in 1970 or in the future: it is only compared with earlier values, never with a clock
- a new inode with the same size and time: the fingerprint differs
- Finder: three birth times mean "copy in progress"; if the file or a folder above it has one, it is believed until nothing has
  changed for ten minutes
"""

import math
from dataclasses import dataclass, replace

from daemon.contract.names import to_text
from daemon.intake.model import Entry, Hint, How
from daemon.intake.names import Label
from daemon.intake.rules import Rules

# Finder and the Mac's copy engine give a file that is being copied the date 1984-01-24 (the first Mac), 1904-01-01 (HFS zero)
# or 1946-02-14 (`kMagicBusyCreationDate` of the File Manager).
COPY_UNDER_WAY = frozenset({443779200, -2082844800, -753578704})
END_MISSING = "its end is missing; the rest may still arrive"
#: How many seconds after the last write the rest of a picture may still arrive: no scanner device pauses for longer.
REST_SECONDS = 600.0
#: If a file's last write was this many seconds before its arrival, it was moved in, or copied with its old date.
_LATELY = 60.0
#: A picture whose end was missing must stay unchanged for twice its last pause, and at least for this many seconds.
_PAUSES, _LEAST_REST = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of a file in addition to its entry. Files that arrived together share one object.

    Attributes:
        arrived: when the name was first seen.
        since: when this fingerprint was first seen.
        checked: when the file was last checked.
        reported: what the operating system reported about the file with this fingerprint, if anything.
        reported_at: when that happened.
        closes: how often its writer closed it, as far as the system reported. A change after a close counts as another close.
        patience: factor on the settle time of this file alone. It doubles each time a claim finds that the file had not settled.
        held: why the last claim was dropped; None if no claim was dropped.
        noticed: whether its only notice has been given.
        awaits: until when the rest of the file may arrive (`REST_SECONDS` after the last write); 0 if its end is not missing.
        found_in_inbox: whether the file was still in the inbox when its end was found missing, so that each new part is checked
            there again.
        least: the minimum settle time in seconds. It is more than 0 if the writer made a long pause before.
        written: whether the file was being written when this fingerprint was first seen (`written_lately`), so that `since` is
            the time of its last write.
    """

    arrived: float
    since: float
    checked: float
    reported: How | None = None
    reported_at: float = -math.inf
    closes: int = 0
    patience: float = 1.0
    held: str | None = None
    noticed: bool = False
    awaits: float = 0.0
    found_in_inbox: bool = False
    least: float = 0.0
    written: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One name in the form in which it is judged: what is there, what the name means, and its history."""

    entry: Entry
    label: Label
    history: History


@dataclass(frozen=True, slots=True)
class Pace:
    """How long files in one folder must stay unchanged.

    Attributes:
        rules: the times and limits.
        now: monotonic seconds.
        settle: seconds for which the fingerprint must stay the same, before any shortening.
        factor: a factor on all settle times; more than 1 after a file that had counted as complete grew here.
        full_scan: when every name in the folder was last scanned.
        copying_until: everything in the folder waits until then, because the folder's birth time says that it is being copied.
        local: whether all renames and closes happen on this machine.
        closed_once: whether writers here close each picture once, when it is complete.
    """

    rules: Rules
    now: float
    settle: float
    factor: float
    full_scan: float
    copying_until: float
    local: bool
    closed_once: bool = False


@dataclass(frozen=True, slots=True)
class SettleState:
    """Whether a file has settled. If not: the reason, and when to check it again (`check_at`; None: only after a change)."""

    reason: str | None = None
    check_at: float | None = None

    @property
    def settled(self) -> bool:
        """Whether the file counts as complete."""
        return self.reason is None


SETTLED = SettleState()


def copy_under_way(birth: float | None) -> bool:
    """Whether a birth time means that a copy is in progress."""
    return birth is not None and int(birth // 1) in COPY_UNDER_WAY


def written_lately(entry: Entry, folder_mtime_ns: int | None, unseen: float) -> bool:
    """Whether a file was written when it arrived in its folder, rather than long before.

    Both times are by the clock of the file system. Our own clock may differ, and may be changed at any time.

    Args:
        entry: a file that this scan found to be new or changed.
        folder_mtime_ns: when a name in its folder last appeared or disappeared; None if unknown.
        unseen: seconds since the previous scan. The name may have appeared that much earlier than `folder_mtime_ns`.
    """
    return folder_mtime_ns is not None and entry.mtime_ns > folder_mtime_ns - (_LATELY + unseen) * 1e9


def follow(history: History, before: Entry, entry: Entry, now: float, *, lately: bool) -> History:
    """The history after a scan found `entry` where `before` had been. `lately`: see `written_lately`."""
    if entry.fingerprint == before.fingerprint and entry.kind == before.kind:
        return replace(history, checked=now)
    closes = history.closes + 1 if history.closes else 0
    least = history.least if entry.ino == before.ino else 0.0
    if history.awaits and not history.found_in_inbox and entry.ino == before.ino:
        # A writer that paused for this long may do so again.
        pause = now - (history.awaits - REST_SECONDS)
        least = max(least, min(_PAUSES * pause, REST_SECONDS), _LEAST_REST)
    after = replace(history, since=now, checked=now, reported=None, reported_at=-math.inf, closes=closes, held=None)
    written = lately or (entry.ino == before.ino and entry.size > before.size)
    return replace(after, awaits=0.0, found_in_inbox=False, least=least, written=written)


def with_report(history: History, hint: Hint, fresh: bool) -> History:
    """The history after the operating system reported something about the name.

    A rename is stronger evidence than a close. So a close replaces a rename only if the fingerprint is new in this scan
    (`fresh`).
    """
    if hint.how == "changed" or (hint.how == "closed" and history.reported == "renamed_in" and not fresh):
        return history
    # The first close reported after a change was already counted when the change was seen.
    closes = history.closes if hint.how != "closed" or (fresh and history.closes) else history.closes + 1
    return replace(history, reported=hint.how, reported_at=hint.at, closes=closes)


def settle_seconds(history: History, pace: Pace) -> float:
    """How many seconds this file must keep its fingerprint."""
    seconds = pace.settle
    if pace.local and (history.reported == "renamed_in" or (history.reported == "closed" and pace.closed_once)):
        seconds = min(seconds, pace.rules.settle_closed)
    return max(min(seconds * pace.factor * history.patience, max(seconds, pace.rules.settle_ceiling)), history.least)


def grew_again(before: Track, entry: Entry, pace: Pace) -> bool:
    """Whether a picture that had counted as complete has grown: it is the same file, and now larger."""
    return (
        before.label.role in ("image", "depth")
        and not before.history.found_in_inbox
        and entry.ino == before.entry.ino
        and entry.dev == before.entry.dev
        and entry.size > before.entry.size > 0
        and max(before.history.checked, pace.full_scan) - before.history.since >= settle_seconds(before.history, pace)
    )


def counts_as_complete(history: History, complete_at: float, pace: Pace) -> bool:
    """Whether a file is complete because its sidecar was renamed in at `complete_at`, after the file.

    A file is complete if it was renamed in by then, or is the sidecar itself. A close proves less: a scanner may continue to
    write after it, and the sidecar may come from somebody else. So a close counts only in a folder whose writers close once.
    """
    if history.held is not None or history.least or history.reported_at > complete_at:
        return False
    return history.reported == "renamed_in" or (history.reported == "closed" and pace.closed_once)


def settle_state(track: Track, pace: Pace, *, complete_at: float | None, busy: bool) -> SettleState:
    """Whether one file is complete.

    Args:
        track: the file.
        pace: how long files in its folder must stay unchanged.
        complete_at: when the producer renamed the sidecar in, so that all earlier files are complete; None if it did not.
        busy: an unfinished download beside the file shows that it is still being filled.
    """
    rules, entry, history = pace.rules, track.entry, track.history
    if busy:
        return SettleState("still being downloaded: an unfinished part is beside it", pace.now + rules.outside_pause)
    if entry.dataless:
        return SettleState("its content is still in iCloud; the download was requested", pace.now + rules.outside_pause)
    copying_until = max(pace.copying_until, history.since + rules.copy_hold if copy_under_way(entry.birth) else 0.0)
    if copying_until > pace.now:
        return SettleState("Finder is still copying it, by its creation date", copying_until)
    if history.awaits > pace.now:
        return SettleState(END_MISSING, history.awaits)
    if complete_at is not None and counts_as_complete(history, complete_at, pace):
        return SETTLED
    if entry.size == 0 and track.label.role == "sidecar" and history.since + rules.empty_sidecar_hold > pace.now:
        return SettleState(
            "still empty; if it stays empty for a minute, the defaults are used", history.since + rules.empty_sidecar_hold
        )
    # Two checks, far enough apart, must find the same fingerprint: one check proves nothing.
    until = history.since + settle_seconds(history, pace)
    if max(history.checked, pace.full_scan) < until:
        return SettleState(history.held or "just arrived or still growing", until)
    return SETTLED


def is_empty_too_long(track: Track, pace: Pace) -> bool:
    """Whether a picture has been empty for so long that no content is expected any more."""
    return track.entry.size == 0 and track.history.since + pace.rules.empty_hold <= pace.now


def name_text(track: Track) -> str:
    """The file's name as shown to people."""
    return to_text(track.entry.name)
