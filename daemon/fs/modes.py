"""Who can read what the daemon makes: one rule for everything it publishes, whatever its umask."""

import contextlib
import os
from collections.abc import Iterator

#: The umask for files 0644 and folders 0755, like those that workers make.
_READABLE = 0o022


@contextlib.contextmanager
def readable(published: bool) -> Iterator[None]:
    """If `published`, make what is created in the block readable for everybody who can enter its folder.

    This changes the umask instead of calling chmod. It works from the first moment, keeps what the folder passes on (setgid,
    ACLs), and cannot fail on disks without modes. Only one thread of the daemon creates files.
    """
    if not published:
        yield
        return
    before = os.umask(_READABLE)
    try:
        yield
    finally:
        os.umask(before)
