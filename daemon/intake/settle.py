"""When a file is complete: its fingerprint has not changed for long enough, and nothing says that its writer is still at work.

Edge cases, each with the rule that covers it:
- slow chunks with pauses: every change restarts the wait; growth after a file had settled doubles the settle time of its folder
- open, write, close, several times: a close shortens nothing, unless the last pictures of the folder were closed only once
- preallocated, then filled: the modification time changes, or Linux reports the close; the decode finds the rest
- modification time restored, in 1970 or in the future: it is only compared with itself, never with a clock
- a new inode with the same size and time: the fingerprint differs
- Finder: three birth times that mean "copy in progress", on the file or a folder above it, are believed for ten minutes without
  change
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
END_MISSING = "its end is missing; waiting for the rest"
#: How many seconds after the last write the rest of a picture may still arrive: no scanner pauses for longer.
REST_SECONDS = 600.0
#: A file whose last write is this many seconds older than its arrival was moved in, or copied with its old date.
_LATELY = 60.0
#: A picture whose end was missing must stay unchanged for twice its last pause, and at least for this many seconds.
_PAUSES, _LEAST_REST = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of a name besides what was last seen there. Files that arrived together share one.

    Attributes:
        arrived: when the name was first seen.
        since: when this fingerprint was first seen.
        looked: when it was last checked.
        vouch: what the operating system reported about this very fingerprint; `vouched_at`: when that happened.
        closes: how often its writer closed it, as far as was reported; a change after a close counts as another.
        patience: factor on the settle time of this file alone. It grows each time a claim finds that the file had not settled.
        held: why a claim was dropped.
        noticed: its one notice has been given.
        awaits: until when its rest may arrive, because its end is missing: `REST_SECONDS` after the last write; otherwise 0.
        looked_into: the missing end was found in the inbox, without taking the file; it is checked again with each new part.
        least: the minimum settle time in seconds, because it paused for long before.
        written: it was being written when this fingerprint was first seen (`written_lately`), so `since` is its last write.
    """

    arrived: float
    since: float
    looked: float
    vouch: How | None = None
    vouched_at: float = -math.inf
    closes: int = 0
    patience: float = 1.0
    held: str | None = None
    noticed: bool = False
    awaits: float = 0.0
    looked_into: bool = False
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
        settle: seconds with the same fingerprint, before any shortening.
        factor: a factor on all settle times, because a file here grew again.
        full_look: when every name in the folder was last scanned.
        copying_until: until when the folder's own birth time holds up everything in it.
        local: all renames and closes happen on this machine.
        closed_once: writers here close a picture once, when it is complete.
    """

    rules: Rules
    now: float
    settle: float
    factor: float
    full_look: float
    copying_until: float
    local: bool
    closed_once: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """Whether a file has settled, and if not, why, and when to check it again (None: only after a change)."""

    reason: str | None = None
    look_at: float | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing speaks against taking it."""
        return self.reason is None


SETTLED = Rest()


def copy_under_way(birth: float | None) -> bool:
    """Whether a birth time means that a copy is in progress."""
    return birth is not None and int(birth // 1) in COPY_UNDER_WAY


def written_lately(entry: Entry, folder_mtime_ns: int | None, unseen: float) -> bool:
    """Whether a file was written when it came into its folder, and not long before.

    Both times are from one clock, that of the file system. Ours may differ from it, and may be set at any time.

    Args:
        entry: a file that was just seen to arrive or change.
        folder_mtime_ns: when a name in its folder last appeared or disappeared; None if unknown.
        unseen: seconds since the scan before; other names may have come meanwhile, later than this one.
    """
    return folder_mtime_ns is not None and entry.mtime_ns > folder_mtime_ns - (_LATELY + unseen) * 1e9


def follow(history: History, before: Entry, entry: Entry, now: float, *, lately: bool) -> History:
    """The history after a new entry was seen under the name. `lately`: see `written_lately`."""
    if entry.fingerprint == before.fingerprint and entry.kind == before.kind:
        return replace(history, looked=now)
    closes = history.closes + 1 if history.closes else 0
    least = history.least if entry.ino == before.ino else 0.0
    if history.awaits and not history.looked_into and entry.ino == before.ino:
        # A writer that paused for this long may do so again.
        pause = now - (history.awaits - REST_SECONDS)
        least = max(least, min(_PAUSES * pause, REST_SECONDS), _LEAST_REST)
    after = replace(history, since=now, looked=now, vouch=None, vouched_at=-math.inf, closes=closes, held=None)
    written = lately or (entry.ino == before.ino and entry.size > before.size)
    return replace(after, awaits=0.0, looked_into=False, least=least, written=written)


def vouched(history: History, hint: Hint, fresh: bool) -> History:
    """The history after the operating system reported something about its name.

    A rename is stronger evidence than a close. So a close replaces it only if the close belongs to a fingerprint that is new in
    this scan (`fresh`).
    """
    if hint.how == "changed" or (hint.how == "closed" and history.vouch == "renamed_in" and not fresh):
        return history
    # The first close reported after a change was already counted when the change was seen.
    closes = history.closes if hint.how != "closed" or (fresh and history.closes) else history.closes + 1
    return replace(history, vouch=hint.how, vouched_at=hint.at, closes=closes)


def settle_seconds(history: History, pace: Pace) -> float:
    """How many seconds this file must keep its fingerprint."""
    seconds = pace.settle
    if pace.local and (history.vouch == "renamed_in" or (history.vouch == "closed" and pace.closed_once)):
        seconds = min(seconds, pace.rules.settle_closed)
    return max(min(seconds * pace.factor * history.patience, max(seconds, pace.rules.settle_ceiling)), history.least)


def grew_again(before: Track, entry: Entry, pace: Pace) -> bool:
    """Whether a picture that had counted as complete grew: the same file, now larger."""
    return (
        before.label.role in ("image", "depth")
        and not before.history.looked_into
        and entry.ino == before.entry.ino
        and entry.dev == before.entry.dev
        and entry.size > before.entry.size > 0
        and max(before.history.looked, pace.full_look) - before.history.since >= settle_seconds(before.history, pace)
    )


def is_freed(history: History, go: float, pace: Pace) -> bool:
    """Whether the producer's "go" at that time also covers this file.

    It does if the file was renamed in before that time, or is the sidecar itself. A close says less: a scanner may write on
    after it, and the sidecar may come from somebody else. So a close counts only in a folder whose writers close once.
    """
    if history.held is not None or history.least or history.vouched_at > go:
        return False
    return history.vouch == "renamed_in" or (history.vouch == "closed" and pace.closed_once)


def rest(track: Track, pace: Pace, *, go: float | None, busy: bool) -> Rest:
    """Whether one file is complete.

    Args:
        track: the file.
        pace: of its folder.
        go: when the producer renamed the sidecar in, which says that everything before it is complete; None if it did not.
        busy: an unfinished download next to it shows that it is still being filled.
    """
    rules, entry, history = pace.rules, track.entry, track.history
    if busy:
        return Rest("still being downloaded: an unfinished part is beside it", pace.now + rules.outside_pause)
    if entry.dataless:
        return Rest("its content is still in iCloud; the download was requested", pace.now + rules.outside_pause)
    copying_until = max(pace.copying_until, history.since + rules.copy_hold if copy_under_way(entry.birth) else 0.0)
    if copying_until > pace.now:
        return Rest("Finder is still copying it, by its creation date", copying_until)
    if history.awaits > pace.now:
        return Rest(END_MISSING, history.awaits)
    if go is not None and is_freed(history, go, pace):
        return SETTLED
    if entry.size == 0 and track.label.role == "sidecar" and history.since + rules.empty_sidecar_hold > pace.now:
        return Rest(
            "still empty; if it stays empty for a minute, the defaults are used", history.since + rules.empty_sidecar_hold
        )
    # Two checks, far enough apart, must find this fingerprint: one check proves nothing.
    until = history.since + settle_seconds(history, pace)
    if max(history.looked, pace.full_look) < until:
        return Rest(history.held or "just arrived or still growing", until)
    return SETTLED


def is_empty_too_long(track: Track, pace: Pace) -> bool:
    """Whether a picture has been empty for so long that nothing more will arrive."""
    return track.entry.size == 0 and track.history.since + pace.rules.empty_hold <= pace.now


def name_text(track: Track) -> str:
    """The name as shown to people."""
    return to_text(track.entry.name)
