"""Runs slow system calls in separate threads, so that the caller can do other work meanwhile, or several of them at once.

A read can be split into small pieces. A sync and the removal of a large file cannot: for a file of two gigabytes, the sync took
0.9 s and the removal 0.4 s. Syncs of different files that run side by side cost little more than one, because the disk commits
them together: 48 small files and folders took 220 ms one after the other on ext4, and 10 ms side by side.
"""

import threading
from collections.abc import Callable, Iterator, Sequence

#: Bytes. Smaller files are synced or removed faster than anybody notices.
LARGE = 8 << 20
#: Seconds that the caller waits at a time.
_SLICE = 0.01
#: The most threads at once for calls that run side by side.
_MOST = 16


def run_in_thread(do: Callable[[], None], *, wait: float = _SLICE) -> Iterator[None]:
    """Run `do` in a thread, and yield None every `wait` seconds until it has ended. Raises whatever `do` raises.

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
    try:
        threading.Thread(target=run, name="disk", daemon=True).start()
    except RuntimeError:  # the system has no thread left for us
        run()
    while not over.wait(wait):
        yield
    if raised:
        raise raised[0]


def run_side_by_side(calls: Sequence[Callable[[], None]]) -> list[OSError | None]:
    """Run all calls, several at once, and wait for them. Returns the error of each that failed with an OSError, in their order.

    The calls must not depend on each other. Raises the first error that is no OSError, after all have ended.
    """
    from concurrent.futures import ThreadPoolExecutor  # a verb that only looks needs none

    if len(calls) == 1:
        return [_error_of(calls[0])]
    with ThreadPoolExecutor(max_workers=min(_MOST, max(1, len(calls))), thread_name_prefix="disk") as threads:
        return list(threads.map(_error_of, calls))


def _error_of(call: Callable[[], None]) -> OSError | None:
    try:
        call()
    except OSError as error:
        return error
    return None
