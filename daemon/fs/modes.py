"""Makes everything that the daemon publishes readable, whatever the daemon's umask."""

import contextlib
import os
from collections.abc import Iterator

#: The umask for files 0644 and folders 0755, like those that workers make.
_READABLE = 0o022


@contextlib.contextmanager
def readable(published: bool) -> Iterator[None]:
    """If `published`, files and folders made while the block runs are readable for everybody who can enter their folder.

    This sets the umask instead of calling chmod. The umask applies from the moment of creation, keeps what is inherited from
    the folder (setgid, ACLs), and cannot fail on disks without modes. It belongs to the whole process. That is safe because
    only one thread of the daemon creates files.
    """
    if not published:
        yield
        return
    before = os.umask(_READABLE)
    try:
        yield
    finally:
        os.umask(before)
