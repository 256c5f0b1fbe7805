"""Asks iCloud to download files whose content is not on this disk, without waiting for them."""

import subprocess
from collections.abc import Callable, Iterable

from loguru import logger

from daemon.platform.files import request_download

#: How many of the programs that send a request may run at once; each ends after a moment.
_MAX_AT_ONCE = 4
#: Seconds until the same file is requested again: iCloud may forget a request when the network fails.
_AGAIN_SECONDS = 600.0


class Downloads:
    """Requests downloads, and remembers what was requested.

    `request` starts a program that asks iCloud for one file, and returns the process. It returns None if this system has no
    iCloud.
    """

    def __init__(self, request: Callable[[bytes], subprocess.Popen[bytes] | None] = request_download) -> None:
        self._request = request
        self._asked: dict[bytes, float] = {}
        self._programs: list[subprocess.Popen[bytes]] = []

    def ask(self, paths: Iterable[bytes], now: float) -> None:
        """Request these files, and forget all others. `now` is monotonic seconds.

        If too many requests are running, the remaining files are requested at the next call.
        """
        wanted = set(paths)
        self._asked = {path: at for path, at in self._asked.items() if path in wanted}
        self._programs = [program for program in self._programs if program.poll() is None]
        for path in sorted(wanted):
            if now - self._asked.get(path, float("-inf")) < _AGAIN_SECONDS:
                continue
            if len(self._programs) >= _MAX_AT_ONCE:
                return
            self._asked[path] = now
            try:
                program = self._request(path)
            except OSError as error:
                logger.warning("cannot ask iCloud for {}: {}", path.decode(errors="replace"), error)
                continue
            if program is not None:
                self._programs.append(program)
