"""What the two systems report about a file beyond POSIX: birth time, dataless, locked, leases, canonical paths."""

import sys

if sys.platform == "darwin":
    from daemon.platform.files.macos import (
        MAC_ATTRIBUTES,
        birth_time,
        canonical,
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
    "copy_attributes",
    "is_dataless",
    "is_fixed",
    "is_locked",
    "open_for_writing_elsewhere",
    "path_of",
    "permission_hint",
    "request_download",
]
