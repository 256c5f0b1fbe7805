"""What a name in the inbox means: a picture, a sidecar, a depth picture, or a file that is not for Multiplane.

Names are compared as NFC, case-folded text, because a Mac may write the same name in two ways on two file systems. Files are
always opened by the bytes from `scandir`. Pure and stateless.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daemon.intake.kinds.unread import is_in_icloud
from daemon.intake.model import Entry

Role = Literal["image", "sidecar", "depth", "raw", "companion", "twin", "download", "control", "other", "ignored"]

IMAGE_EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".jps", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif",
    ".avifs", ".jxl", ".psd", ".psb", ".bmp", ".gif",
)  # fmt: skip
SIDECAR_EXTENSIONS = (".yaml", ".yml")
DEPTH_EXTENSIONS = (".depth.png", ".depth.tif", ".depth.tiff")
# Files that a phone stores next to a picture. They stay in the inbox.
COMPANION_EXTENSIONS = (".mov", ".aae", ".xmp")
VIDEO_OF_A_PHOTO = ".mov"
# Camera raw formats of Canon, Nikon, Sony, Adobe, Fujifilm, Olympus, Panasonic, Pentax, Samsung, Leica, Hasselblad, Phase One,
# Sigma, Kodak, Minolta, Epson and GoPro.
RAW_EXTENSIONS = (
    ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw", ".rwl",
    ".3fr", ".fff", ".iiq", ".x3f", ".dcr", ".kdc", ".mrw", ".erf", ".raw", ".gpr",
)  # fmt: skip
# Endings of files that programs have not finished writing.
UNFINISHED_EXTENSIONS = (
    ".part", ".partial", ".crdownload", ".download", ".tmp", ".filepart", ".uploading", ".opdownload", ".aria2",
)  # fmt: skip
# If a file with one of these endings exists, so does the file without the ending, which is still being filled (Firefox, aria2).
BUSY_EXTENSIONS = (".part", ".aria2")
IGNORED_NAMES = frozenset({"icon\r", "thumbs.db", "desktop.ini"})
IGNORED_FOLDERS = frozenset({"__macosx", "@eadir", "#recycle"})
# Files in which file managers store their view of a folder. A folder that contains nothing else counts as empty.
SYSTEM_NAMES = frozenset(
    {".ds_store", "._.ds_store", ".localized", ".directory", "icon\r", "._icon\r", "thumbs.db", "desktop.ini"}
)
PRESET_NAME = "_preset.yaml"
BATCH_NAME = "job.yaml"
# What every job's folder in the outbox contains.
STATUS_NAME, SOURCE_NAME = b"status.json", b"source"

#: How other programs name the depth picture of `photo`. It is no depth picture for us, but it belongs to the family of `photo`.
DEPTH_SUFFIX = re.compile(r"(.+)[ ._-](?:depth|depth[ _-]?map|disparity|disp)", re.DOTALL)
_DEPTH_ENDS = ("depth", "map", "disparity", "disp")
_PLAIN_ASCII = re.compile(rb"[ -@\[-~]*\Z")


@dataclass(frozen=True, slots=True)
class Label:
    """What a name means.

    Attributes:
        role: the kind of file, judged by its name.
        key: the name in the form in which names are compared. A twin or an unfinished download has the key of the file that it
            belongs to.
        base: the key without the extension that determines the role (`photo` of `photo.jpg`, `photo.jpg` of `photo.jpg.yaml`).
        family: the base without any known extension or `_depth`. Only files of one family can belong together.
    """

    role: Role
    key: str
    base: str
    family: str


def key_of(name: bytes) -> str:
    """The text by which a name is compared: NFC and case-folded. Bytes that are not UTF-8 stay distinct (PEP 383)."""
    if _PLAIN_ASCII.match(name):
        return name.decode("ascii")
    text = name.decode("utf-8", "surrogateescape")
    # Case folding can undo the normalization (Unicode 3.13, D146), so normalize again.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def ignored_folder(name: bytes) -> bool:
    """Whether a folder of the inbox is ignored: it is not even listed."""
    key = key_of(name)
    return key.startswith(".") or key in IGNORED_FOLDERS or key.endswith(".download")


def folder_above(folder: bytes) -> bytes | None:
    """The folder that contains a folder of the inbox; empty for the inbox itself, which no folder contains (None)."""
    return folder.rpartition(b"/")[0] if folder else None


def is_job_folder(entries: Mapping[bytes, Entry]) -> bool:
    """Whether a folder with these entries is a job's folder from the outbox, or a copy of one."""
    status, source = entries.get(STATUS_NAME), entries.get(SOURCE_NAME)
    return status is not None and source is not None and (status.kind, source.kind) == ("file", "directory")


def is_system_file(name: bytes) -> bool:
    """Whether a file only holds a file manager's notes about its folder."""
    return key_of(name) in SYSTEM_NAMES


def is_batch_file(name: bytes) -> bool:
    """Whether a file in an inbox folder is its `job.yaml`, or the AppleDouble file of its `job.yaml`."""
    return key_of(name) in (BATCH_NAME, "._" + BATCH_NAME)


def classify(name: bytes, *, in_inbox: bool) -> Label:
    """What a file name means. `in_inbox`: it is directly in the inbox, where `job.yaml` is only the sidecar of `job.jpg`."""
    key = key_of(name)
    if key.startswith("."):
        return _hidden(key)
    if key in IGNORED_NAMES or key.startswith("~$") or key.endswith("~"):
        return _label("ignored", key, key)
    if key == PRESET_NAME or (key == BATCH_NAME and not in_inbox):
        return _label("control", key, key)
    if key.endswith(BUSY_EXTENSIONS):
        target = key[: key.rindex(".")]
        return _label("download", target, target)
    if key.endswith(UNFINISHED_EXTENSIONS):
        return _label("ignored", key, key)
    if extension := _extension(key, DEPTH_EXTENSIONS):
        return _label("depth", key, key[: -len(extension)])
    dot = key.rfind(".")
    extension = key[dot:] if dot > 0 else ""
    base = key[:dot] if dot > 0 else key
    return _label(_ROLES.get(extension, "other"), key, base)


def stray_ending(name: bytes, *, in_inbox: bool) -> str | None:
    """What must be removed from the end of a name ("a dot", "a space") before it is recognised; None if nothing must."""
    text = name.decode("utf-8", "surrogateescape")
    end = len(text)
    while end and (text[end - 1] == "." or text[end - 1].isspace() or unicodedata.category(text[end - 1]) in ("Cc", "Cf")):
        end -= 1
    bare = text[:end].encode("utf-8", "surrogateescape")
    if end == len(text) or classify(bare, in_inbox=in_inbox).role not in _MEANT:
        return None
    return "a dot" if text[-1] == "." else "a space" if text[-1] in " \u00a0" else "an invisible character"


_MEANT: tuple[Role, ...] = ("image", "sidecar", "depth", "raw", "control")
_BY_ROLE: tuple[tuple[Role, tuple[str, ...]], ...] = (
    ("image", IMAGE_EXTENSIONS),
    ("sidecar", SIDECAR_EXTENSIONS),
    ("companion", COMPANION_EXTENSIONS),
    ("raw", RAW_EXTENSIONS),
)
_ROLES = {extension: role for role, extensions in _BY_ROLE for extension in extensions}
_FAMILY_EXTENSIONS = DEPTH_EXTENSIONS + IMAGE_EXTENSIONS + RAW_EXTENSIONS + SIDECAR_EXTENSIONS


def _hidden(key: str) -> Label:
    """The label of a dotfile. Dotfiles are ignored, with two exceptions.

    AppleDouble files have the key of the file they belong to. A placeholder of a picture in iCloud is shown, because Finder shows
    it as that picture.
    """
    if is_in_icloud(key) and _extension(key.removesuffix(".icloud"), _FAMILY_EXTENSIONS):
        return _label("other", key, key)
    if key.startswith("._") and len(key) > 2:
        return _label("twin", key[2:], key[2:])
    return _label("ignored", key, key)


def _label(role: Role, key: str, base: str) -> Label:
    family = base
    while extension := _extension(family, _FAMILY_EXTENSIONS):
        family = family[: -len(extension)]
    if family.endswith(_DEPTH_ENDS) and (found := DEPTH_SUFFIX.fullmatch(family)):
        family = found[1]
        while extension := _extension(family, _FAMILY_EXTENSIONS):
            family = family[: -len(extension)]
    return Label(role, key, base, family)


def _extension(key: str, extensions: tuple[str, ...]) -> str:
    """The first of the extensions that the key ends with. Empty if there is none, or if the key is only an extension."""
    if not key.endswith(extensions):
        return ""
    return next((e for e in extensions if key.endswith(e) and len(key) > len(e)), "")
