"""The verdict on one family of files: what can be taken now, and why the rest waits."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from daemon.contract.names import to_text
from daemon.intake.model import Control, Entry, Late, Ready, Waiting
from daemon.intake.names import key_of
from daemon.intake.pairs import Family, Match, match, sort_out
from daemon.intake.settle import SETTLED, Pace, Rest, Track, is_empty_too_long, name_text, rest


@dataclass(frozen=True, slots=True)
class Taken:
    """A picture that was taken, kept so that a late sidecar is recognised. `sidecar`: the one it was taken with."""

    name: bytes
    at: float
    sidecar: bytes | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The folder that contains a family.

    Attributes:
        name: empty for the inbox itself.
        control: the preset or batch that applies here.
        hold: why nothing can be taken under the control at the moment, if so. `hold_will_resolve`: waiting is enough.
        quiet_since: when something last arrived or changed in this folder.
        recent: pictures taken from here, by key and by stem.
    """

    name: bytes
    pace: Pace
    control: Control | None
    hold: str | None
    hold_will_resolve: bool
    quiet_since: float
    recent: Mapping[str, Taken]


@dataclass(slots=True)
class Verdict:
    """The decision on a family. `look_at`: when to check it again; None if only a changed file can alter the verdict."""

    ready: list[Ready] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    notices: list[Waiting] = field(default_factory=list)
    downloads: list[bytes] = field(default_factory=list)
    look_at: float | None = None

    def look_again(self, at: float) -> None:
        """Request a check at that time, unless an earlier one is due."""
        self.look_at = at if self.look_at is None else min(self.look_at, at)


def judge(members: Sequence[Track], place: Place) -> Verdict:
    """The verdict on a family of files in one folder."""
    verdict = Verdict()
    family = sort_out(members, in_inbox=not place.name)
    for track, reason in family.refused:
        _refuse(track, reason, place, verdict)
    verdict.waiting += [Waiting(place.name, t.entry.name, reason, False) for t, reason in family.foreign]
    matches = match(family)
    spoken_for = set[bytes]()
    for found in matches:
        spoken_for |= {t.entry.name for t in (found.sidecar, found.depth, *found.clashing) if t}
        _judge_picture(found, family, place, verdict)
    unused = {t.entry.name: reason for m in matches for t, reason in m.unused}
    for track in (*family.sidecars, *family.depths):
        if track.entry.name not in spoken_for:
            _judge_alone(track, unused.get(track.entry.name), family, place, verdict)
    clashes = {t.entry.name: m.clash for m in matches if m.clash for t in m.clashing}
    verdict.waiting += [Waiting(place.name, name, reason, False) for name, reason in clashes.items()]
    verdict.downloads += [t.entry.name for t in (*family.images, *family.sidecars, *family.depths) if t.entry.dataless]
    return verdict


def _refuse(track: Track, reason: str, place: Place, verdict: Verdict) -> None:
    """Show a file that is never taken. If the reason may pass, check it again for a while."""
    passing = track.entry.kind == "unreadable" or (
        track.entry.kind == "file" and place.pace.now < track.history.since + _link_hold(place)
    )
    # Nothing reports that a file has been unlocked.
    if passing or track.entry.kind == "locked":
        verdict.look_again(place.pace.now + place.pace.rules.outside_pause)
    verdict.waiting.append(Waiting(place.name, track.entry.name, reason, passing))


def _link_hold(place: Place) -> float:
    return place.pace.rules.hard_link_hold


def _judge_picture(found: Match, family: Family, place: Place, verdict: Verdict) -> None:
    """Judge one picture: it is ready, or it waits with its other files for the first reason found."""
    image, sidecar, depth = found.image, found.sidecar, found.depth
    group = [t for t in (image, sidecar, depth) if t is not None]
    if found.clash:
        verdict.waiting.append(Waiting(place.name, image.entry.name, found.clash, False))
        return
    if place.hold:
        verdict.waiting += [Waiting(place.name, t.entry.name, place.hold, place.hold_will_resolve) for t in group]
        return
    if (absence := _without_sidecar(found, place, verdict)) is not None:
        # If it is still growing, say that first; what is missing matters less.
        state = _member_rest(image, family, place.pace, go=None)
        shown = absence if state.settled else state
        verdict.waiting += [Waiting(place.name, t.entry.name, shown.reason or "", shown.look_at is not None) for t in group]
        for at in (absence.look_at, state.look_at):
            if at is not None:
                verdict.look_again(at)
        return
    twins = [twin for t in group for twin in family.twins.get(t.label.key, ())]
    renamed_in = place.pace.local and sidecar is not None and sidecar.history.vouch == "renamed_in"
    go = sidecar.history.vouched_at if sidecar is not None and renamed_in else None
    problem = None
    for track in (*group, *twins):
        state = _member_rest(track, family, place.pace, go=go)
        if not state.settled:
            verdict.waiting += [Waiting(place.name, t.entry.name, _of(track, t, state), True) for t in group]
            if state.look_at is not None:
                verdict.look_again(state.look_at)
            return
        if track.entry.size == 0 and track.label.role in ("image", "depth"):
            problem = problem or f"{name_text(track)} has been empty for {place.pace.rules.empty_hold / 60:.0f} minutes."
    if image.entry.size == 0:
        # Only the placeholder is given up. Its other files belong to the picture that may still follow under this name.
        reason = f"waiting for its picture: {name_text(image)} has been empty for too long"
        verdict.waiting += [Waiting(place.name, t.entry.name, reason, False) for t in group if t is not image]
        found, twins = Match(image), family.twins.get(image.label.key, [])
    verdict.ready.append(_ready(found, [t.entry for t in twins], place, problem))


def _of(culprit: Track, shown: Track, state: Rest) -> str:
    """The reason in the words for the file that causes it, or for the files that wait with it."""
    reason = state.reason or ""
    return reason if culprit is shown else f"waiting for {name_text(culprit)}: {reason}"


def _member_rest(track: Track, family: Family, pace: Pace, *, go: float | None) -> Rest:
    """Whether one member of a pair has settled. An empty picture only counts as settled once there is no hope for it."""
    if track.entry.size == 0 and track.label.role in ("image", "depth") and not is_empty_too_long(track, pace):
        return Rest("still empty", track.history.since + pace.rules.empty_hold)
    if track.label.role == "twin" and go is not None:
        return SETTLED
    busy = track.label.role != "twin" and track.label.key in family.downloads
    return rest(track, pace, go=go, busy=busy)


def _without_sidecar(found: Match, place: Place, verdict: Verdict) -> Rest | None:
    """Why a picture is not taken because it lacks a sidecar or a turn in its batch; None if it lacks nothing."""
    image, control, pace = found.image, place.control, place.pace
    if control is not None and control.kind == "batch":
        if control.images is not None and not _named(image, control.images):
            return Rest("not listed under `images:` in job.yaml")
        if pace.now < place.quiet_since + pace.rules.batch_quiet:
            return Rest("the folder is still being filled", place.quiet_since + pace.rules.batch_quiet)
        return None
    if found.sidecar is not None:
        return None
    if control is not None:
        until = image.history.since + pace.rules.preset_grace
        return (
            Rest("will be taken with the preset in a moment, unless its own YAML file arrives", until)
            if pace.now < until
            else None
        )
    stem = to_text(image.entry.name.rpartition(b".")[0])
    alone = Rest(f"waiting for {stem}.yaml")
    if not image.history.noticed:
        notice_at = image.history.arrived + pace.rules.lonely_notice
        if pace.now < notice_at:
            verdict.look_again(notice_at)
        else:
            verdict.notices.append(Waiting(place.name, image.entry.name, alone.reason or "", False))
    return alone


def _named(image: Track, patterns: tuple[str, ...]) -> bool:
    """Whether `images:` names this picture, by exact names or globs, compared like all names."""
    return any(fnmatch.fnmatchcase(image.label.key, key_of(pattern.encode("utf-8", "surrogatepass"))) for pattern in patterns)


def _ready(found: Match, twins: list[Entry], place: Place, problem: str | None) -> Ready:
    warnings = tuple(f"{name_text(track)} was not used: {reason}." for track, reason in found.unused)
    return Ready(
        folder=place.name,
        image=found.image.entry,
        sidecar=found.sidecar.entry if found.sidecar else None,
        depth=found.depth.entry if found.depth else None,
        twins=tuple(twins),
        control=place.control,
        warnings=warnings,
        arrived=found.image.history.arrived,
        problem=problem,
        image_written=_written(found.image),
        depth_written=_written(found.depth) if found.depth else None,
    )


def _written(track: Track) -> float | None:
    return track.history.since if track.history.written else None


def _judge_alone(track: Track, unused: str | None, family: Family, place: Place, verdict: Verdict) -> None:
    """Judge a sidecar or depth picture that belongs to no picture here."""
    reason, base = unused, track.label.base
    if reason is None and any(base in (raw.label.key, raw.label.base) for raw in family.raws):
        reason = "its picture is a camera raw file: export it as TIFF or HEIC"
    if reason is None and track.label.role == "sidecar" and (taken := place.recent.get(base)) is not None:
        reason = _after_its_picture(track, taken, place, verdict)
    if reason is None:
        reason = f"waiting for its picture, {_likely_picture(track)}"
    verdict.waiting.append(Waiting(place.name, track.entry.name, reason, False))


def _after_its_picture(track: Track, taken: Taken, place: Place, verdict: Verdict) -> str | None:
    """Why a sidecar is alone if its picture seems to have been taken; None if it is more likely the first half of a new pair.

    Somebody who drops a pair again may drop the sidecar first. So a sidecar with the name that the picture was taken with is
    never late. One with another name is late only after it has been alone for a while.
    """
    rules, picture, arrived = place.pace.rules, to_text(taken.name), track.history.arrived
    if arrived < taken.at:
        return f"{picture} was taken with another YAML file"
    again = taken.sidecar is not None and key_of(taken.sidecar) == track.label.key
    if again or arrived - taken.at >= rules.late_within:
        return None
    if not track.history.noticed:
        if place.pace.now < arrived + rules.late_grace:
            verdict.look_again(arrived + rules.late_grace)
        else:
            verdict.late.append(Late(place.name, track.entry, taken.name))
    return f"came after {picture} was taken: drop the picture again with it"


def _likely_picture(track: Track) -> str:
    """The likely name of the picture that a lone sidecar or depth picture belongs to."""
    stem = to_text(track.entry.name[: len(track.entry.name) - len(_ending(track))])
    return stem if "." in stem else f"{stem}.jpg or another picture of that name"


def _ending(track: Track) -> str:
    return track.label.key[len(track.label.base) :]
