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
#: Only these are read as depth.
_DEPTH_PICTURES = (".png", ".tif", ".tiff")
#: These blur depth. Only a name that cannot be a photo's is taken for that of a depth picture.
_BLURRED = (b"jpg", b"jpeg", b"webp")
_BLURRED_DEPTH = (".depth.jpg", ".depth.jpeg", ".depth.webp")


def as_settings(track: Track, images: Iterable[Track]) -> str | None:
    """Why a file that is probably meant as settings is not read, and its right name; None if it is none.

    `images`: the pictures whose settings it may be.
    """
    if (reason := settings_under_another_name(track.entry.name)) is not None:
        return reason
    key = track.label.key
    ending = _ending(key)
    if ending is None:
        return None
    base, name = key[: -len(ending)], to_text(track.entry.name[: -len(ending)])
    return _renamed(ending, f"{name}.yaml") if any(base in (i.label.key, i.label.base) for i in images) else None


def settings_under_another_name(name: bytes) -> str | None:
    """Why `photo.yaml.txt`, or a document called so, is not read, and its right name; None for all other names."""
    key = key_of(name)
    ending = _ending(key)
    if ending is None or not key[: -len(ending)].endswith(SIDECAR_EXTENSIONS):
        return None
    return _renamed(ending, to_text(name[: -len(ending)]))


def settings_with_two_endings(track: Track) -> str | None:
    """What to do about a YAML file called `photo.txt.yaml`, which no picture can be meant by; None for all other names."""
    base = track.label.base
    ending = next((each for each in (*_TEXT, *_DOCUMENTS, *SIDECAR_EXTENSIONS) if base.endswith(each)), None)
    if ending is None:
        return None
    whole = track.label.key[len(base) - len(ending) :]
    return f"its name ends in {whole}: rename it to {to_text(track.entry.name[: -len(whole)])}.yaml"


def _ending(key: str) -> str | None:
    return next((ending for ending in _TEXT + _DOCUMENTS if key.endswith(ending)), None)


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
    if found is None or not track.label.key.endswith(_DEPTH_PICTURES + _BLURRED_DEPTH):
        return None
    return next((i for i in images if i is not track and found[1] in (i.label.base, i.label.key)), None)


def as_depth_of(track: Track, image: Track) -> str:
    """What to do so that `track` is read as the depth picture of `image`, as a command to a person."""
    stem, ending = image.entry.name.rpartition(b".")[0], track.entry.name.rpartition(b".")[2].lower()
    if ending in _BLURRED:
        return f"save it as {to_text(stem)}.depth.png, because {to_text(ending).upper()} blurs depth"
    return f"rename it to {to_text(stem)}.depth.{to_text(ending)}"


def lone_video(track: Track) -> str:
    """Why the video of a Live Photo is listed: its photo is not here."""
    return f"a video without its photo: to make layers, export a frame of {name_text(track)} as JPEG; otherwise take it away"


def _renamed(ending: str, name: str) -> str:
    if ending in _TEXT:
        return f"its name ends in {ending}, which Finder may hide: rename it to {name}"
    return f"a document, not plain text: save it as plain text named {name} (in TextEdit: Format, Make Plain Text)"
