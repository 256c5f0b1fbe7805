"""Extended attributes on macOS, through getxattr(2) and setxattr(2): Python wraps these only on Linux."""

import ctypes
import errno
import os
import sys

assert sys.platform == "darwin"  # noqa: S101 - tells mypy which half of the standard library there is

FINDER_IS_HERE = True
# From <sys/xattr.h>: do not follow a link. From <sys/errno.h>: no such attribute.
_NOFOLLOW = 0x0001
_ENOATTR = 93
#: Tags take some hundred bytes; Finder never writes anything much larger.
_MAX_BYTES = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)
_PATH, _NAME, _SIZE, _FLAGS = ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
_libc.getxattr.argtypes = (_PATH, _NAME, ctypes.c_void_p, _SIZE, ctypes.c_uint32, _FLAGS)
_libc.getxattr.restype = ctypes.c_ssize_t
_libc.setxattr.argtypes = (_PATH, _NAME, ctypes.c_char_p, _SIZE, ctypes.c_uint32, _FLAGS)
_libc.setxattr.restype = ctypes.c_int


def get_attribute(path: bytes, name: str) -> bytes | None:
    """The value of an extended attribute; None if it does not exist, or if it is too long to be Finder's."""
    value = ctypes.create_string_buffer(_MAX_BYTES)
    size = _libc.getxattr(path, name.encode(), value, _MAX_BYTES, 0, _NOFOLLOW)
    if size >= 0:
        return value.raw[:size]
    number = ctypes.get_errno()
    if number in (_ENOATTR, errno.ERANGE):
        return None
    raise OSError(number, os.strerror(number), path)


def set_attribute(path: bytes, name: str, value: bytes) -> None:
    """Set an extended attribute."""
    if _libc.setxattr(path, name.encode(), value, len(value), 0, _NOFOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
