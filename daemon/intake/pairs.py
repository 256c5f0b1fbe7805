"""Finds the files of one family that belong together (picture, sidecar and depth picture), or says why this is ambiguous.

A family consists of the files whose names are the same before their known extensions. No file outside a family affects the
verdict on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from daemon.intake.kinds import unread
from daemon.intake.kinds.refused import HARD_LINK, REFUSED
from daemon.intake.lookalikes import as_depth, as_depth_of, as_settings
from daemon.intake.names import VIDEO_OF_A_PHOTO, stray_ending
from daemon.intake.settle import Track, name_text


@dataclass(slots=True)
class Family:
    """The members of a family by role.

    Attributes:
        raws: camera raw files, until `choose_raws` decides about them; then those that are not taken.
        twins: AppleDouble files, by the key of the file to which they belong.
        downloads: keys of files whose download is unfinished.
        refused: files that are never taken because of what they are on the disk (a link, for instance), with the reason.
        foreign: files of kinds that are not for Multiplane, with the reason.
        settings: files that are probably meant as settings, with what to do about them.
        depth_like: pictures that are probably meant as the depth pictures of others, with those others.
        videos: videos that a phone stores next to a photo.
    """

    images: list[Track] = field(default_factory=list)
    sidecars: list[Track] = field(default_factory=list)
    depths: list[Track] = field(default_factory=list)
    raws: list[Track] = field(default_factory=list)
    twins: dict[str, list[Track]] = field(default_factory=dict)
    downloads: set[str] = field(default_factory=set)
    refused: list[tuple[Track, str]] = field(default_factory=list)
    foreign: list[tuple[Track, str]] = field(default_factory=list)
    settings: list[tuple[Track, str]] = field(default_factory=list)
    depth_like: list[tuple[Track, Track]] = field(default_factory=list)
    videos: list[Track] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Match:
    """The files that belong to one picture.

    Attributes:
        clash: a sentence that says why it is ambiguous which files belong to the picture; then nothing is taken.
        clashing: the files that make it ambiguous, apart from the picture.
        unused: files of lower rank, each with the reason that is shown for it.
    """

    image: Track
    sidecar: Track | None = None
    depth: Track | None = None
    clash: str | None = None
    clashing: tuple[Track, ...] = ()
    unused: tuple[tuple[Track, str], ...] = ()


def sort_out(members: Sequence[Track], *, in_inbox: bool, reads_folders: bool) -> Family:
    """Sort the members of a family by role. Only regular files without further hard links can be taken.

    `reads_folders`: whether folders in this folder are read as well, so that they need no line here.
    """
    family, others = Family(), list[Track]()
    for track in members:
        role = track.label.role
        if role == "companion" and track.label.key.endswith(VIDEO_OF_A_PHOTO):
            family.videos.append(track)
        if role in ("ignored", "companion", "control"):
            continue
        if role == "twin":
            if track.entry.kind == "file" and track.entry.nlink == 1:
                family.twins.setdefault(track.label.key, []).append(track)
        elif role == "download":
            family.downloads.add(track.label.key)
        elif track.entry.kind == "directory":
            if not reads_folders:
                family.foreign.append(
                    (track, "a folder inside a folder is not read: move its pictures, or the folder, up one level")
                )
        elif track.entry.kind != "file":
            family.refused.append((track, REFUSED[track.entry.kind]))
        elif track.entry.nlink > 1:
            family.refused.append((track, HARD_LINK))
        elif role == "raw":
            family.raws.append(track)
        elif role == "other":
            others.append(track)
        else:
            {"image": family.images, "sidecar": family.sidecars, "depth": family.depths}[role].append(track)
    _set_depth_like_apart(family)
    for track in others:
        if (reason := as_settings(track, family.images)) is not None:
            family.settings.append((track, reason))
        else:
            stray = stray_ending(track.entry.name, in_inbox=in_inbox)
            reason = f"its name ends in {stray}: rename it without that" if stray else unread.reason(track.label.key)
            family.foreign.append((track, reason))
    return family


def _set_depth_like_apart(family: Family) -> None:
    """Move the pictures that are probably depth pictures of others out of `images`. One with a sidecar of its own stays."""
    bases = {sidecar.label.base for sidecar in family.sidecars}
    for track in list(family.images):
        if (owner := as_depth(track, family.images)) is not None and bases.isdisjoint((track.label.key, track.label.base)):
            family.depth_like.append((track, owner))
    apart = {id(track) for track, _ in family.depth_like}
    family.images = [track for track in family.images if id(track) not in apart]


def choose_raws(family: Family, *, listed: Callable[[Track], bool] | None) -> None:
    """Move camera raw files that somebody asked for to the pictures, and the others to the foreign files.

    Cameras write a JPEG beside most raw files. So a raw file is only taken if a sidecar is for it and not for a picture, or if
    the `images:` of a batch name it; otherwise every photo would be layered twice.

    Args:
        family: changed in place.
        listed: whether `images:` names a file; None without such a list.
    """
    bases = {image.label.base for image in family.images}
    for raw in family.raws:
        named = {track.label.base for track in family.sidecars}
        own = raw.label.key in named or (raw.label.base in named and raw.label.base not in bases)
        if own or (listed is not None and listed(raw)):
            family.images.append(raw)
        else:
            name = name_text(raw)
            reason = f"a camera raw file, taken only with a YAML file of its own, {name}.yaml; better export it as TIFF or HEIC"
            family.foreign.append((raw, reason))
    family.raws = [raw for raw in family.raws if raw not in family.images]


def match(family: Family) -> list[Match]:
    """The files that belong to each picture of the family.

    Sidecars rank in the order `photo.jpg.yaml`, `photo.jpg.yml`, `photo.yaml`, `photo.yml`; depth pictures likewise. A full name
    fits every picture with its key; a short name fits every picture with its stem. A name that fits several is ambiguous.
    """
    return [_match_one(image, family) for image in family.images]


def _match_one(image: Track, family: Family) -> Match:
    sidecars = _ranked(image, family.sidecars, family.images, (".yaml", ".yml"))
    depths = _ranked(image, family.depths, family.images, ("",))
    clash, clashing = None, list[Track]()
    for found, what in ((sidecars, "YAML file"), (depths, "depth picture")):
        if not found:
            continue
        reason = _clash(image, found[0], family.images, what)
        if reason:
            clash = clash or reason
            clashing += found[0]
    if not clash and not depths and (like := next((t for t, owner in family.depth_like if owner is image), None)) is not None:
        clash = f"{name_text(like)} looks like its depth picture: {as_depth_of(like, image)}, or take it away"
    if clash:
        return Match(image, clash=clash, clashing=tuple(clashing))
    unused = tuple(
        (track, f"{name_text(found[0][0])} is used instead")
        for found in (sidecars, depths)
        for rank in found[1:]
        for track in rank
    )
    return Match(image, sidecars[0][0] if sidecars else None, depths[0][0] if depths else None, unused=unused)


def _ranked(image: Track, tracks: list[Track], images: list[Track], endings: tuple[str, ...]) -> list[list[Track]]:
    """The members of `tracks` whose names refer to this picture: one list per rank, the best rank first."""
    names = {i.label.key for i in images}
    ranks = []
    for base in (image.label.key, image.label.base):
        if base != image.label.key and image.label.role == "raw" and _finished(images, base):
            continue  # the short form is the finished picture's
        # If `a.jpg` exists, `a.jpg.yaml` is its full form, and not the short form for `a.jpg.png`.
        if base != image.label.key and base in names:
            continue
        ranks += [[t for t in tracks if t.label.base == base and t.label.key.endswith(end)] for end in endings]
    return [rank for rank in ranks if rank]


def _finished(images: list[Track], base: str) -> list[Track]:
    """The pictures with this stem that are no camera raw files."""
    return [image for image in images if image.label.base == base and image.label.role != "raw"]


def _clash(image: Track, rank: list[Track], images: list[Track], what: str) -> str | None:
    """A sentence that says why the files of the best rank are ambiguous; None if they are not."""
    if len(rank) > 1:
        return f"ambiguous: {' and '.join(sorted(name_text(t) for t in rank))} name the same picture"
    base = rank[0].label.base
    full = base == image.label.key
    sharing = [i for i in images if base == (i.label.key if full else i.label.base)]
    sharing = _finished(sharing, base) or sharing
    if len(sharing) > 1:
        names = " and ".join(sorted(name_text(i) for i in sharing))
        return f"ambiguous: {names} share the {what} {name_text(rank[0])}"
    return None
