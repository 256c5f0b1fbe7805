"""Judges one family of files: which can be taken now, and why the others wait."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.contract.commands import as_code
from daemon.contract.names import to_text
from daemon.intake.lookalikes import as_depth_of, lone_video, settings_with_two_endings
from daemon.intake.model import Control, Entry, Late, Ready, Waiting
from daemon.intake.names import key_of
from daemon.intake.order import name_order
from daemon.intake.pairs import Family, Match, choose_raws, match, sort_out
from daemon.intake.settle import SETTLED, Pace, SettleState, Track, is_empty_too_long, name_text, settle_state


@dataclass(frozen=True, slots=True)
class Taken:
    """A picture that was taken, remembered so that a late sidecar is recognised.

    Attributes:
        name: the picture's name.
        at: when it was taken, in monotonic seconds.
        sidecar: name of the sidecar with which it was taken, if there was one.
    """

    name: bytes
    at: float
    sidecar: bytes | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The folder that contains a family.

    Attributes:
        name: the folder's name; empty for the inbox itself.
        pace: how long files here must stay unchanged.
        control: the preset or batch that applies here, if any.
        hold: how the preset or batch file keeps everything here from being taken at the moment; None if it does not.
        hold_will_resolve: whether the hold ends by itself, so that nobody has to do anything.
        quiet_since: when something last arrived or changed in this folder.
        recent: pictures taken from here, by key and by stem.
        from_job: whether this is the source/ of a job's folder from the outbox.
    """

    name: bytes
    pace: Pace
    control: Control | None
    hold: str | None
    hold_will_resolve: bool
    quiet_since: float
    recent: Mapping[str, Taken]
    from_job: bool = False

    @property
    def reads_folders(self) -> bool:
        """Whether the folders in this one are read as well."""
        return not self.name or (b"/" not in self.name and self.control is not None and self.control.kind == "preset")


@dataclass(slots=True)
class Verdict:
    """The decision on a family.

    Attributes:
        ready: pictures that can be taken.
        waiting: all other files, with the reasons.
        late: sidecars that arrived after their picture was taken.
        notices: pictures that have waited a long time for their sidecar.
        downloads: names of files whose content is only in iCloud.
        check_at: when to judge the family again; None if only a changed file can alter the verdict.
    """

    ready: list[Ready] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    notices: list[Waiting] = field(default_factory=list)
    downloads: list[bytes] = field(default_factory=list)
    check_at: float | None = None

    def check_again(self, at: float) -> None:
        """Request a check at that time, unless an earlier one is requested already."""
        self.check_at = at if self.check_at is None else min(self.check_at, at)


def judge(members: Sequence[Track], context: Context) -> Verdict:
    """The verdict on a family of files in one folder."""
    verdict = Verdict()
    family = sort_out(members, in_inbox=not context.name, reads_folders=context.reads_folders)
    listed = context.control.images if context.control is not None and context.control.kind == "batch" else None
    choose_raws(family, listed=None if listed is None else lambda raw: _named(raw, listed))
    for track, reason in family.refused:
        _refuse(track, reason, context, verdict)
    if not context.from_job:
        named = [*family.foreign, *family.settings, *_odd_pictures(family, context)]
        verdict.waiting += [Waiting(context.name, t.entry.name, reason, False) for t, reason in named]
    matches = match(family)
    matched = set[bytes]()
    for found in matches:
        matched |= {t.entry.name for t in (found.sidecar, found.depth, *found.clashing) if t}
        _judge_picture(found, family, context, verdict)
    unused = {t.entry.name: reason for m in matches for t, reason in m.unused}
    for track in (*family.sidecars, *family.depths):
        if track.entry.name not in matched and not context.from_job:
            _judge_alone(track, unused.get(track.entry.name), family, context, verdict)
    clashes = {t.entry.name: m.clash for m in matches if m.clash for t in m.clashing}
    verdict.waiting += [Waiting(context.name, name, reason, False) for name, reason in clashes.items()]
    verdict.downloads += [t.entry.name for t in (*family.images, *family.sidecars, *family.depths) if t.entry.dataless]
    return verdict


def _odd_pictures(family: Family, context: Context) -> Iterator[tuple[Track, str]]:
    """Yield the pictures that look like depth pictures, and the videos without a photo, each with what to do about it."""
    for track, owner in family.depth_like:
        remedy = f"{as_depth_of(track, owner)}, or drop it in another folder"
        yield track, f"looks like the depth picture of {name_text(owner)}: {remedy}"
    for track in family.videos:
        if not family.images and track.label.base not in context.recent:
            yield track, lone_video(track)


def _refuse(track: Track, reason: str, context: Context, verdict: Verdict) -> None:
    """List a file that is never taken, with the reason. If the reason may pass, check the file again for a while."""
    passing = track.entry.kind == "unreadable" or (
        track.entry.kind == "file" and context.pace.now < track.history.since + _link_hold(context)
    )
    # The system does not report that a file has been unlocked, so keep checking.
    if passing or track.entry.kind == "locked":
        verdict.check_again(context.pace.now + context.pace.rules.outside_pause)
    verdict.waiting.append(Waiting(context.name, track.entry.name, reason, passing))


def _link_hold(context: Context) -> float:
    return context.pace.rules.hard_link_hold


def _judge_picture(found: Match, family: Family, context: Context, verdict: Verdict) -> None:
    """Judge one picture: it is ready, or it waits together with its other files, for the first reason found."""
    image, sidecar, depth = found.image, found.sidecar, found.depth
    group = [t for t in (image, sidecar, depth) if t is not None]
    if found.clash:
        verdict.waiting.append(Waiting(context.name, image.entry.name, found.clash, False))
        return
    if context.hold:
        verdict.waiting += [Waiting(context.name, t.entry.name, context.hold, context.hold_will_resolve) for t in group]
        return
    if (absence := _without_sidecar(found, family, context, verdict)) is not None:
        # If the picture is still growing, show that: it matters more than what is missing.
        state = _member_state(image, family, context.pace, complete_at=None)
        shown = absence if state.settled else state
        verdict.waiting += [Waiting(context.name, t.entry.name, shown.reason or "", shown.check_at is not None) for t in group]
        for at in (absence.check_at, state.check_at):
            if at is not None:
                verdict.check_again(at)
        return
    twins = [twin for t in group for twin in family.twins.get(t.label.key, ())]
    renamed_in = context.pace.local and sidecar is not None and sidecar.history.reported == "renamed_in"
    complete_at = sidecar.history.reported_at if sidecar is not None and renamed_in else None
    problem = None
    for track in (*group, *twins):
        state = _member_state(track, family, context.pace, complete_at=complete_at)
        if not state.settled:
            verdict.waiting += [Waiting(context.name, t.entry.name, _of(track, t, state), True) for t in group]
            if state.check_at is not None:
                verdict.check_again(state.check_at)
            return
        if track.entry.size == 0 and track.label.role in ("image", "depth"):
            problem = problem or f"{name_text(track)} has been empty for {context.pace.rules.empty_hold / 60:.0f} minutes."
    if image.entry.size == 0:
        # Only the empty picture is taken and fails. Its other files stay: the real picture may still follow under this name.
        reason = f"waiting for its picture: {name_text(image)} has been empty for too long: drop that again"
        verdict.waiting += [Waiting(context.name, t.entry.name, reason, False) for t in group if t is not image]
        found, twins = Match(image), family.twins.get(image.label.key, [])
    verdict.ready.append(_ready(found, family, [t.entry for t in twins], context, problem))


def _of(culprit: Track, shown: Track, state: SettleState) -> str:
    """The reason to show for one file of the group. If another file causes the wait, the reason names that file."""
    reason = state.reason or ""
    return reason if culprit is shown else f"waiting for {name_text(culprit)}: {reason}"


def _member_state(track: Track, family: Family, pace: Pace, *, complete_at: float | None) -> SettleState:
    """Whether one member of a pair has settled. An empty picture counts as settled only after it has been empty for too long."""
    if track.entry.size == 0 and track.label.role in ("image", "depth") and not is_empty_too_long(track, pace):
        return SettleState(
            "still empty, so probably still being written; otherwise drop it again", track.history.since + pace.rules.empty_hold
        )
    if track.label.role == "twin" and complete_at is not None:
        return SETTLED
    busy = track.label.role != "twin" and track.label.key in family.downloads
    return settle_state(track, pace, complete_at=complete_at, busy=busy)


def _without_sidecar(found: Match, family: Family, context: Context, verdict: Verdict) -> SettleState | None:
    """Why a picture waits for a sidecar, or for its batch; None if it needs neither.

    A picture that has waited long for its sidecar is added to the notices of the verdict, once.
    """
    image, control, pace = found.image, context.control, context.pace
    if control is not None and control.kind == "batch":
        if control.images is not None and not _named(image, control.images):
            return SettleState(f"not listed under {as_code('images:')} in job.yaml")
        if pace.now < context.quiet_since + pace.rules.batch_quiet:
            return SettleState("the folder is still being filled", context.quiet_since + pace.rules.batch_quiet)
        return None
    if found.sidecar is not None:
        return None
    if control is not None:
        until = image.history.since + pace.rules.preset_grace
        return (
            SettleState("will be taken with the preset in a moment, unless its own YAML file arrives", until)
            if pace.now < until
            else None
        )
    stem = to_text(image.entry.name.rpartition(b".")[0])
    like = next((name_text(track) for track, _ in family.settings), None)
    alone = SettleState(f"waiting for {stem}.yaml" if like is None else f"waiting for {stem}.yaml: {like} has another name")
    if not image.history.noticed:
        notice_at = image.history.arrived + pace.rules.lonely_notice
        if pace.now < notice_at:
            verdict.check_again(notice_at)
        else:
            verdict.notices.append(Waiting(context.name, image.entry.name, alone.reason or "", False))
    return alone


def _named(image: Track, patterns: tuple[str, ...]) -> bool:
    """Whether `images:` names this picture, exactly or by a glob. Names are compared by their keys, as everywhere."""
    return any(fnmatch.fnmatchcase(image.label.key, key_of(pattern.encode("utf-8", "surrogatepass"))) for pattern in patterns)


def _ready(found: Match, family: Family, twins: list[Entry], context: Context, problem: str | None) -> Ready:
    unused = () if context.from_job else (*found.unused, *family.settings)
    warnings = tuple(f"{name_text(track)} was not used: {reason}." for track, reason in unused)
    return Ready(
        folder=context.name,
        image=found.image.entry,
        sidecar=found.sidecar.entry if found.sidecar else None,
        depth=found.depth.entry if found.depth else None,
        twins=tuple(twins),
        control=context.control,
        warnings=warnings,
        arrived=found.image.history.arrived,
        problem=problem,
        image_written=_written(found.image),
        depth_written=_written(found.depth) if found.depth else None,
        from_job=context.from_job,
        name_order=name_order(found.image.entry.name),
    )


def _written(track: Track) -> float | None:
    return track.history.since if track.history.written else None


def _judge_alone(track: Track, unused: str | None, family: Family, context: Context, verdict: Verdict) -> None:
    """Judge a sidecar or depth picture that belongs to no picture here."""
    reason, base = unused, track.label.base
    if reason is None and any(base in (raw.label.key, raw.label.base) for raw in family.raws):
        reason = "its picture is a camera raw file, which needs a YAML file of its own"
    if reason is None and track.label.role == "sidecar" and (taken := context.recent.get(base)) is not None:
        reason = _after_its_picture(track, taken, context, verdict)
    if reason is None and track.label.role == "sidecar":
        reason = settings_with_two_endings(track)
    if reason is None:
        reason = f"waiting for its picture, {_likely_picture(track)}"
    verdict.waiting.append(Waiting(context.name, track.entry.name, reason, False))


def _after_its_picture(track: Track, taken: Taken, context: Context, verdict: Verdict) -> str | None:
    """Why a sidecar is alone: its picture was already taken. None if the sidecar more likely begins a new pair.

    Somebody who drops a pair again may drop the sidecar first. So if the picture was taken with a sidecar of the same name, the
    new sidecar is never late. Otherwise it is late, but only after it has been alone for a while.
    """
    rules, picture, arrived = context.pace.rules, to_text(taken.name), track.history.arrived
    if arrived < taken.at:
        return f"{picture} was taken with another YAML file"
    again = taken.sidecar is not None and key_of(taken.sidecar) == track.label.key
    if again or arrived - taken.at >= rules.late_within:
        return None
    if not track.history.noticed:
        if context.pace.now < arrived + rules.late_grace:
            verdict.check_again(arrived + rules.late_grace)
        else:
            verdict.late.append(Late(context.name, track.entry, taken.name))
    return f"came after {picture} was taken: drop the picture again with it"


def _likely_picture(track: Track) -> str:
    """The likely name of the picture that a lone sidecar or depth picture belongs to."""
    stem = to_text(track.entry.name[: len(track.entry.name) - len(_ending(track))])
    return stem if "." in stem else f"{stem}.jpg or another picture of that name"


def _ending(track: Track) -> str:
    return track.label.key[len(track.label.base) :]
