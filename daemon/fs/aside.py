"""What the system does in one go and may take long: done on a thread of its own, while the caller does other things.

Reading can be cut into pieces; a sync cannot, nor can the removal of a large file: two gigabytes took 0.9 and 0.4 seconds.
"""

import threading
from collections.abc import Callable, Iterator

#: A smaller file is synced or removed faster than anybody notices, bytes.
LARGE = 8 << 20
#: How long the caller is held up at a time, seconds.
_SLICE = 0.01


def done_aside(do: Callable[[], None]) -> Iterator[None]:
    """Do it, with a None every few milliseconds until it is done; raises what it raises.

    `do` must need nothing of its caller's, such as an open file: whoever stops listening leaves it to come to its end alone.
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

    # It keeps no process from its end: what is not synced by then was not promised to anybody.
    threading.Thread(target=run, name="disk", daemon=True).start()
    while not over.wait(_SLICE):
        yield
    if raised:
        raise raised[0]
