"""Makes everything that the daemon publishes readable, whatever the daemon's umask."""

import contextlib
import os
import threading
from collections.abc import Iterator

#: The umask for files 0644 and folders 0755, like those that workers make.
_READABLE = 0o022
#: Held while a file or folder is made: the umask belongs to the whole process, and several threads make files.
_MAKING = threading.Lock()


@contextlib.contextmanager
def readable(published: bool) -> Iterator[None]:
    """If `published`, files and folders made while the block runs are readable for everybody who can enter their folder.

    This sets the umask instead of calling chmod. The umask applies from the moment of creation, keeps what is inherited from
    the folder (setgid, ACLs), and cannot fail on disks without modes. It belongs to the whole process, so only one thread at a
    time makes something that is published. Nothing else waits for the lock: a delivery to a share that hangs must not stop the
    daemon.
    """
    if not published:
        yield
        return
    with _MAKING:
        before = os.umask(_READABLE)
        try:
            yield
        finally:
            os.umask(before)
