"""Slow operations that the system does in one go: they run in a separate thread, while the caller does other work.

Reading can be split up. A sync cannot, nor can the removal of a large file: for two gigabytes they took 0.9 and 0.4 seconds.
"""

import threading
from collections.abc import Callable, Iterator

#: Bytes. Smaller files are synced or removed faster than anybody notices.
LARGE = 8 << 20
#: Seconds for which the caller is held up at a time.
_SLICE = 0.01


def run_in_thread(do: Callable[[], None]) -> Iterator[None]:
    """Run `do`, and yield None every few milliseconds until it is done. Raises its errors.

    `do` must not need anything that belongs to its caller, such as an open file: if the caller stops iterating, it still runs
    to its end.
    """
    over = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            do()
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
            raised.append(error)
        finally:
            over.set()

    # The thread does not keep the process from ending: what is not synced by then was not promised to anybody.
    threading.Thread(target=run, name="disk", daemon=True).start()
    while not over.wait(_SLICE):
        yield
    if raised:
        raise raised[0]
