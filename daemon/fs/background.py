"""Runs slow system calls in a separate thread, so that the caller can do other work meanwhile.

A read can be split into small pieces. A sync and the removal of a large file cannot: for a file of two gigabytes, the sync took
0.9 s and the removal 0.4 s.
"""

import threading
from collections.abc import Callable, Iterator

#: Bytes. Smaller files are synced or removed faster than anybody notices.
LARGE = 8 << 20
#: Seconds that the caller waits at a time.
_SLICE = 0.01


def run_in_thread(do: Callable[[], None]) -> Iterator[None]:
    """Run `do` in a thread, and yield None every few milliseconds until it has ended. Raises whatever `do` raises.

    If the caller stops iterating, `do` still runs to its end. So `do` must not use anything that the caller may close, such as
    an open file.
    """
    over = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            do()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            raised.append(error)
        finally:
            over.set()

    # A daemon thread does not delay the end of the process. That is safe: nobody has been told yet that `do` succeeded.
    threading.Thread(target=run, name="disk", daemon=True).start()
    while not over.wait(_SLICE):
        yield
    if raised:
        raise raised[0]
