"""Files that are probably meant as something else: settings saved under another name, depth pictures named another way, videos.

None of them is taken, or used, by a guess. Each gets a sentence that says what it looks like and how to rename it.
"""

from collections.abc import Iterable, Mapping

from daemon.contract.names import to_text
from daemon.intake.model import Entry
from daemon.intake.names import BATCH_NAME, DEPTH_SUFFIX, PRESET_NAME, SIDECAR_EXTENSIONS, key_of
from daemon.intake.settle import Track, name_text

#: Endings of plain text, which programs add to a name and file managers hide.
_TEXT = (".txt", ".text")
#: Endings of documents, which contain more than the text that people see in them.
_DOCUMENTS = (".rtf", ".doc", ".docx", ".odt", ".pages")
_VIDEOS = (".mov", ".mp4", ".m4v", ".avi", ".mkv", ".webm")
#: Only these are read as depth: a JPEG blurs depth.
_DEPTH_PICTURES = (".png", ".tif", ".tiff")


def as_settings(track: Track, images: Iterable[Track]) -> str | None:
    """Why a file that is probably meant as settings is not read, and its right name; None if it is none.

    `images`: the pictures whose settings it may be.
    """
    key = track.label.key
    ending = next((ending for ending in _TEXT + _DOCUMENTS if key.endswith(ending)), None)
    if ending is None:
        return None
    base, name = key[: -len(ending)], to_text(track.entry.name[: -len(ending)])
    if base.endswith(SIDECAR_EXTENSIONS):
        return _renamed(ending, name)
    return _renamed(ending, f"{name}.yaml") if any(base in (i.label.key, i.label.base) for i in images) else None


def as_control(entries: Mapping[bytes, Entry]) -> str | None:
    """What to do about a file that is probably meant as the `job.yaml` or `_preset.yaml` of its folder; None if there is none."""
    for name in sorted(entries):
        key = key_of(name)
        for wanted in (BATCH_NAME, PRESET_NAME):
            for ending in _TEXT + _DOCUMENTS:
                if key in (wanted + ending, wanted.removesuffix(".yaml") + ending):
                    return f"{to_text(name)}: {_renamed(ending, wanted)}"
    return None


def as_depth(track: Track, images: Iterable[Track]) -> Track | None:
    """The picture whose depth picture this one probably is, by its name; None if there is none."""
    found = DEPTH_SUFFIX.fullmatch(track.label.base)
    if found is None or not track.label.key.endswith(_DEPTH_PICTURES):
        return None
    return next((i for i in images if i is not track and found[1] in (i.label.base, i.label.key)), None)


def depth_name(track: Track, image: Track) -> str:
    """The name that a depth picture of `image` must have; `track` is the file that should get it."""
    stem, ending = image.entry.name.rpartition(b".")[0], track.entry.name.rpartition(b".")[2]
    return f"{to_text(stem)}.depth.{to_text(ending).lower()}"


def video(key: str) -> str | None:
    """Why a video is not taken; None if the name is no video's."""
    return "a video, which is not read: export a frame of it as JPEG or PNG" if key.endswith(_VIDEOS) else None


def lone_video(track: Track) -> str:
    """Why the video of a Live Photo is listed: its photo is not here."""
    return f"a video without its photo: to make layers, export a frame of {name_text(track)} as JPEG; otherwise take it away"


def _renamed(ending: str, name: str) -> str:
    if ending in _TEXT:
        return f"its name ends in {ending}, which Finder may hide: rename it to {name}"
    return f"a document, not plain text: save it as plain text named {name} (in TextEdit: Format, Make Plain Text)"
