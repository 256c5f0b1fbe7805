"""Extended attributes on Linux, where what belongs to nobody but the user begins with `user.`; no Finder reads them."""

import errno
import os

FINDER_IS_HERE = False
_PREFIX = "user."


def get_attribute(path: bytes, name: str) -> bytes | None:
    """The value of an extended attribute; none if there is none."""
    try:
        return os.getxattr(path, _PREFIX + name, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def set_attribute(path: bytes, name: str, value: bytes) -> None:
    """Set an extended attribute."""
    os.setxattr(path, _PREFIX + name, value, follow_symlinks=False)
