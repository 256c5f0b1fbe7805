"""Says of files and folders in the inbox that are no supported pictures what they are, by their names, and what to do with them.

Only names are looked at here. What a file really is, the worker finds out. Pure and stateless.
"""

from daemon.contract.registry import PICTURES_IN_WORDS

_EXPORT = "is not read; export it as PNG or TIFF"
_VIDEO = "a video, which is not read: export a frame of it as JPEG or PNG"
_PICTURES = {
    ".jp2": "JPEG 2000", ".j2k": "JPEG 2000", ".j2c": "JPEG 2000", ".jpc": "JPEG 2000", ".jpf": "JPEG 2000", ".jpx": "JPEG 2000",
    ".jpm": "JPEG 2000", ".jph": "JPEG 2000", ".jxr": "JPEG XR", ".exr": "OpenEXR", ".hdr": "Radiance HDR", ".tga": "TGA",
    ".dds": "DDS", ".qoi": "QOI", ".flif": "FLIF", ".bpg": "BPG", ".djvu": "DjVu", ".ppm": "PPM", ".pgm": "PGM", ".pbm": "PBM",
    ".pfm": "PFM", ".pcx": "PCX", ".sgi": "SGI", ".fits": "FITS", ".dcm": "DICOM", ".pict": "PICT", ".emf": "EMF", ".wmf": "WMF",
    ".ico": "an icon", ".icns": "an icon", ".cur": "a cursor", ".svg": "SVG", ".svgz": "SVG", ".pdf": "PDF",
    ".ai": "an Illustrator document", ".eps": "PostScript", ".cdr": "a CorelDRAW document", ".indd": "an InDesign document",
    ".xcf": "a GIMP document", ".kra": "a Krita document", ".ora": "OpenRaster", ".clip": "a Clip Studio document",
    ".afphoto": "an Affinity document", ".afdesign": "an Affinity document", ".procreate": "a Procreate document",
    ".pxd": "a Pixelmator document", ".pxm": "a Pixelmator document", ".sketch": "a Sketch document", ".fig": "a Figma document",
    ".heics": "a HEIC sequence", ".avci": "AVCI",
}  # fmt: skip
_OTHERS = {
    _VIDEO: (
        ".mp4", ".m4v", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".m2ts", ".wmv", ".mpg", ".mpeg", ".flv", ".insv", ".lrv",
        ".mxf",
    ),
    "a sound file; take it away": (".mp3", ".m4a", ".wav", ".aac", ".aif", ".aiff", ".flac", ".ogg"),
    "an archive; take the pictures out of it, and drop those": (".zip", ".rar", ".7z", ".gz", ".tgz", ".tar", ".dmg"),
    "a document; save the pictures from it, and drop those": (
        ".doc", ".docx", ".ppt", ".pptx", ".xls", ".xlsx", ".odt", ".odp", ".key", ".pages", ".numbers", ".rtf", ".rtfd", ".eml",
        ".mht", ".webarchive", ".html", ".htm",
    ),
    "a link; drop the picture itself": (".webloc", ".url", ".lnk"),
    "a Finder alias; drop the original instead (in Finder: File, Show Original)": (" alias",),
    "a Photos library; export the pictures from it, and drop those": (".photoslibrary", ".aplibrary", ".photolibrary"),
    "a Live Photo in a package; drop the picture in it (in Finder: Show Package Contents)": (".pvt", ".livephoto"),
}  # fmt: skip
_REASONS = {ending: f"{what} {_EXPORT}" for ending, what in _PICTURES.items()} | {
    ending: what for what, endings in _OTHERS.items() for ending in endings
}
_PLACEHOLDER = ".icloud"
_IN_ICLOUD = "still in iCloud: choose Download Now in Finder"


def is_in_icloud(key: str) -> bool:
    """Whether a name is that of a placeholder, `.photo.jpg.icloud`, that macOS before 14 keeps for a file not downloaded yet."""
    return key.startswith(".") and key.endswith(_PLACEHOLDER) and len(key) > len(_PLACEHOLDER) + 1


def kind_in_words(key: str) -> str | None:
    """What a file or folder is, judged by its name's ending, and what to do; None for an unknown ending.

    Args:
        key: the name as `names.key_of` returns it.
    """
    return next((reason for ending, reason in _REASONS.items() if key.endswith(ending)), None)


def reason(key: str) -> str:
    """Why a file that is no supported picture by its name is not taken, for the waiting list."""
    if is_in_icloud(key):
        return _IN_ICLOUD
    known = kind_in_words(key)
    if known is not None:
        return f"not a supported picture: {known}"
    return (
        f"not a supported picture by its name ({PICTURES_IN_WORDS}): if it is one, rename it with its ending, such as .jpg; "
        "otherwise take it away"
    )
