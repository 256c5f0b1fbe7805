"""Recognises the type of a file by its first bytes, and says of one that is not read what to do with it.

Nothing here decodes. `PICTURES` lists the types that are decoded.
"""

import re
import struct

from daemon.contract.registry import PICTURES_IN_WORDS

HEAD_BYTES = 4096  # enough for every signature here, and to recognise text

PHOTOSHOP = "Photoshop document"
RAW = "camera raw file"
_OFFICE = "Office document"
JPEG_XL = "JPEG XL picture"
# (offset, signature, what people call it); the first match wins. Sources: the specifications of the formats.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (0, b"8BPS", PHOTOSHOP),
    (0, b"%PDF", "PDF"),
    (38, b"application/x-krita", "Krita document"),
    (38, b"image/openraster", "OpenRaster picture"),
    (0, b"PK\x03\x04", "ZIP archive or office document"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (0, b"Rar!\x1a\x07", "RAR archive"),
    (0, b"qoif", "QOI picture"),
    (0, b"\0\0\1\0", "Windows icon"),
    (0, b"icns", "Mac icon"),
    (0, b"gimp xcf", "GIMP document"),
    (0, b"DDS ", "DDS texture"),
    (0, b"#?RADIANCE", "Radiance HDR picture"),
    (0, b"#?RGBE", "Radiance HDR picture"),
    (0, b"FLIF", "FLIF picture"),
    (0, b"BPG\xfb", "BPG picture"),
    (0, b"AT&TFORM", "DjVu document"),
    (0, b"CSFCHUNK", "Clip Studio document"),
    (0, b"\x06\x06\xed\xf5\xd8\x1d\x46\xe5", "InDesign document"),
    (8, b"CDR", "CorelDRAW document"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (0, b"%!PS", "PostScript drawing"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript drawing"),
    (0, b"\x00\xffKA", "Affinity document"),
    (0, b"II\xbc\x01", "JPEG XR picture"),
    (0, b"\x01\xda", "SGI picture"),
    (0, b"\x0a\x05\x01", "PCX picture"),
    (0, b"SIMPLE  =", "FITS picture"),
    (128, b"DICM", "DICOM picture"),
    (522, b"\x00\x11\x02\xff", "PICT drawing"),
    (40, b" EMF", "Windows drawing"),
    (0, b"\xd7\xcd\xc6\x9a", "Windows drawing"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000 picture"),
    (0, b"\xff\x0a", JPEG_XL),
    (0, b"\x00\x00\x00\x0cJXL ", JPEG_XL),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000 picture"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR picture"),
    (0, b"FUJIFILMCCD-RAW", RAW),
    (0, b"IIRO", RAW),  # Olympus
    (0, b"IIRS", RAW),
    (0, b"MMOR", RAW),
    (0, b"IIU\x00", RAW),  # Panasonic
    (8, b"CR\x02\x00", RAW),
    (6, b"HEAPCCDR", RAW),  # Canon's CRW
    (0, b"FOVb", RAW),  # Sigma
    (0, b"\x00MRM", RAW),  # Minolta
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (8, b"AVI ", "video"),
    (8, b"WAVE", "sound file"),
    (0, b"ID3", "sound file"),
    (0, b"{\\rtf", "text document"),
    (0, b"bplist00", "property list"),
    (0, b"\xcf\xfa\xed\xfe", "program"),
    (0, b"\xca\xfe\xba\xbe", "program"),
    (0, b"\x7fELF", "program"),
    (0, b"MZ", "program"),
    (0, b"\x1a\x45\xdf\xa3", "video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video"),  # Windows Media
    (0, b"\0\0\x01\xba", "video"),  # MPEG
    (0, b"\x4c\0\0\0\x01\x14\x02\0", "Windows shortcut to another file"),
    (0, b"\xff\xfe", "text file"),  # UTF-16
    (0, b"\xfe\xff", "text file"),
    (0, b"SQLite format 3\0", "database"),
    (0, b"BLENDER", "Blender file"),
    *((4, kind, "video") for kind in (b"moov", b"mdat", b"wide", b"pnot")),  # QuickTime without a file type box
    (0, b"book\0\0\0\0mark", "Finder alias of another file"),
    (0, b"\x00\x05\x16\x07", "resource fork of another file (AppleDouble)"),
)
_BRANDS: dict[bytes, str] = {
    b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC",
    b"hevx": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"crx ": RAW, b"avci": "AVCI picture",
    b"M4A ": "sound file", b"M4B ": "sound file",
}  # fmt: skip
PICTURES = frozenset({"JPEG", "PNG", "WebP", "TIFF", "HEIC", "AVIF", "BMP", "GIF", PHOTOSHOP, RAW, JPEG_XL})
SEQUENCE = "HEIC sequence"
_STILL, _MOVING = frozenset([b"heic", b"heix", b"heim", b"heis", b"mif1"]), frozenset([b"hevc", b"hevx", b"msf1"])
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
#: The first element, or the document type, which says the same.
_FIRST_TAG = re.compile(r"<(?:!doctype\s+)?([a-z]+)")
_NETPBM = re.compile(rb"P([1-7Ff])[ \t\r\n]")
_EXPORT = "Open it in {} and export it as PNG or TIFF, then drop that."
#: Pictures that other programs can open, and what to do with them.
OTHER_PICTURES = {
    **dict.fromkeys(
        (JPEG_XL, "JPEG 2000 picture", "AVCI picture", "Mac icon", "Windows icon", "Windows cursor", "PDF"),
        _EXPORT.format("Preview or another viewer"),
    ),
    **dict.fromkeys(
        (
            "OpenEXR picture", "Radiance HDR picture", "DDS texture", "QOI picture", "JPEG XR picture", "SGI picture",
            "PCX picture", "Netpbm picture", "FITS picture", "DICOM picture", "Targa picture", "FLIF picture", "BPG picture",
        ),
        _EXPORT.format("an image editor"),
    ),
    **dict.fromkeys(
        ("SVG drawing", "PostScript drawing", "PICT drawing", "Windows drawing", "CorelDRAW document"),
        _EXPORT.format("the program that drew it"),
    ),
    "GIMP document": _EXPORT.format("GIMP"),
    "Krita document": _EXPORT.format("Krita"),
    "OpenRaster picture": _EXPORT.format("the program that painted it"),
    "Affinity document": _EXPORT.format("Affinity"),
    "Clip Studio document": _EXPORT.format("Clip Studio Paint"),
    "InDesign document": _EXPORT.format("InDesign"),
    "DjVu document": _EXPORT.format("a DjVu viewer"),
    SEQUENCE: "Export one of its pictures as PNG or TIFF, and drop that.",
    RAW: "Develop it in a photo program, export it as TIFF or HEIC, and drop that.",
}  # fmt: skip
_UNPACK = "Take the pictures out of it, and drop those."
#: Files that are no pictures, and what somebody who drops them may want.
OTHER_FILES = {
    **dict.fromkeys(("ZIP archive or office document", "gzip archive", "7-Zip archive", "RAR archive", _OFFICE), _UNPACK),
    "web page": "Open the page in a browser, save the picture itself, and drop that.",
    "Windows shortcut to another file": "Drop the original instead.",
    "video": "Export a still picture from it, and drop that.",
    "Finder alias of another file": "Drop the original instead: choose File, Show Original in Finder.",
    "resource fork of another file (AppleDouble)": "Drop the file that it belongs to, whose name does not begin with “._”.",
}
#: Sizes of a BMP's second header (BITMAPCOREHEADER to BITMAPV5HEADER); without it, text that begins with "BM" would be a BMP.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_WITH_AN = ("A", "Open", "SVG", "SGI", "Office", "In")


def sniff(head: bytes) -> str | None:
    """Name the type of a file by its first bytes.

    Args:
        head: up to `HEAD_BYTES` bytes from the start of the file.

    Returns:
        A word for people: one of `PICTURES`, or for instance "GIF", "PDF", "text file"; None if the type is unknown.
    """
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if _NETPBM.match(head):
        return "Netpbm picture"
    for offset, signature, name in _SIGNATURES:
        if head.startswith(signature, offset):
            return name
    if not head or b"\0" in head:
        return _without_signature(head)
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) < len(head) - 3:  # a character that is cut in two at the end loses up to three bytes
        return None
    return _text(text.lstrip("\ufeff \t\r\n").lower())


def _text(start: str) -> str:
    """The kind of a text by its first tag. A comment or a document type often comes before it."""
    if start.startswith("<"):
        tag = _FIRST_TAG.search(_COMMENT.sub("", start))
        kind = tag.group(1) if tag else ""
        return {"svg": "SVG drawing", "html": "web page", "plist": "property list"}.get(kind, "text file")
    return "text file"


def _without_signature(head: bytes) -> str | None:
    """Names two formats whose first bytes are only numbers, if these make sense."""
    if len(head) < 18:
        return None
    kind, width, height, bits = head[2], *struct.unpack_from("<HH", head, 12), head[16]
    if head[1] <= 1 and kind in (1, 2, 3, 9, 10, 11) and width and height and bits in (8, 15, 16, 24, 32):
        return "Targa picture"
    return "Windows cursor" if head.startswith(b"\0\0\2\0") and 0 < head[4] < 32 and head[5] == 0 else None


def _brand(head: bytes) -> str:
    """The type of an ISO base media file: the first known brand, starting with the major one (ISO 14496-12, 4.3)."""
    size = min(max(int.from_bytes(head[:4], "big"), 16), len(head))
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, size, 4))]
    if brands[0] in (b"mif1", b"msf1") and b"avif" in brands:
        return "AVIF"
    if _MOVING.intersection(brands) and not _STILL.intersection(brands):
        return SEQUENCE
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "video")


def not_read(name: str, kind: str | None) -> tuple[str, str | None]:
    """Why a file is not read, and what to do, each as a sentence; None if there is nothing particular to do.

    Args:
        name: what the sentence calls the file.
        kind: what `sniff` calls it; none of `PICTURES`.
    """
    if kind is None:
        return f"{name} is not a picture of a known kind. Pictures can be {PICTURES_IN_WORDS}.", None
    article = "an" if kind.startswith(_WITH_AN) else "a"
    if kind in OTHER_PICTURES:
        return f"{name} is {article} {kind}, which is not read.", OTHER_PICTURES[kind]
    hint = OTHER_FILES.get(kind, f"Drop a picture instead: {PICTURES_IN_WORDS}.")
    return f"{name} is {article} {kind}, not a picture.", hint
