"""Extended attributes on Linux, where names in the user's own namespace begin with `user.`; no Finder reads them."""

import errno
import os

FINDER_IS_HERE = False
_PREFIX = "user."


def get_attribute(path: bytes, name: str) -> bytes | None:
    """The value of an extended attribute; None if it does not exist."""
    try:
        return os.getxattr(path, _PREFIX + name, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def set_attribute(path: bytes, name: str, value: bytes) -> None:
    """Set an extended attribute."""
    os.setxattr(path, _PREFIX + name, value, follow_symlinks=False)
