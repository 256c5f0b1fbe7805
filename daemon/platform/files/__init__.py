"""What macOS and Linux know about a file beyond POSIX: its birth time, whether it is in iCloud, locked, or open for writing."""

import sys

if sys.platform == "darwin":
    from daemon.platform.files.macos import (
        MAC_ATTRIBUTES,
        birth_time,
        canonical,
        clone,
        copy_attributes,
        is_dataless,
        is_fixed,
        is_locked,
        open_for_writing_elsewhere,
        path_of,
        permission_hint,
        request_download,
    )
else:
    from daemon.platform.files.linux import (
        MAC_ATTRIBUTES,
        birth_time,
        canonical,
        clone,
        copy_attributes,
        is_dataless,
        is_fixed,
        is_locked,
        open_for_writing_elsewhere,
        path_of,
        permission_hint,
        request_download,
    )

__all__ = [
    "MAC_ATTRIBUTES",
    "birth_time",
    "canonical",
    "clone",
    "copy_attributes",
    "is_dataless",
    "is_fixed",
    "is_locked",
    "open_for_writing_elsewhere",
    "path_of",
    "permission_hint",
    "request_download",
]
