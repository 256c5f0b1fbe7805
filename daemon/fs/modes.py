"""Who may read what the daemon makes: one rule for all that it publishes, whatever its umask."""

import contextlib
import os
from collections.abc import Iterator

#: Files 0644, folders 0755: as the workers make their results.
_READABLE = 0o022


@contextlib.contextmanager
def readable(published: bool) -> Iterator[None]:
    """Let what is made in the block be readable for everybody who may enter its folder, if it is published.

    A changed umask rather than a chmod: it holds from the first moment, keeps what the folder hands down (setgid, ACLs), and
    cannot fail on disks that have no modes. One thread alone makes files in the daemon.
    """
    if not published:
        yield
        return
    before = os.umask(_READABLE)
    try:
        yield
    finally:
        os.umask(before)
