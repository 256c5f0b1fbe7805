"""Caches the hashes of files, so that a job need not read gigabytes again to know that nothing has changed.

A hash is stored for a file's state: device, inode, size, and modification and change times in nanoseconds. Changing or
replacing a file changes that state, because only the system sets the change time. `models fetch` and `models verify` store
hashes. A worker looks them up, and reads only the files whose hash it does not find.

The hashes are stored in the models folder, which a worker can read but not write (`daemon.platform.sandbox`). They are used only
if nobody but this user could have written them. An attacker who can write as this user can change the program as well, and
needs no forged hash.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import time

from pipeline.weights.files import write_whole

CACHE = ".seen.json"
"""A file in the models folder: state of a file → its SHA-256."""
_TICK = 50_000_000
"""Nanoseconds, a few ticks of the kernel's file clock. A file is hashed only when its last change is older than this, so that a
later change gets a different change time."""
_SECOND = 10**9
"""Nanoseconds. Some file systems (exFAT, some shares) store whole seconds, within which two changes look the same. So no hash is
stored for a change time of whole seconds."""
_MAX_STATES = 1000
"""The most states that are stored; the oldest are dropped."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HashCache:
    """The hashes of files, looked up or computed.

    Args:
        models: the folder for fetched weights; it need not exist.
        recompute: compute every hash, even if one is stored.
    """

    def __init__(self, models: str, *, recompute: bool = False) -> None:
        self._path, self._recompute = os.path.join(models, CACHE), recompute
        self._known = _read(self._path)

    def sha256(self, path: str) -> str:
        """The SHA-256 of a file, in hexadecimal digits.

        Raises:
            OSError: it cannot be read, or changes while it is read.
        """
        with open(path, "rb") as file:
            at = os.fstat(file.fileno())
            before = _state(at)
            if not self._recompute and before in self._known:
                return self._known[before]
            young = time.time_ns() - at.st_ctime_ns
            if 0 <= young < _TICK:
                time.sleep((_TICK - young) / 1e9)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if _state(os.fstat(file.fileno())) != before:
                raise OSError(f"{path} is being changed")
            self._known.pop(before, None)
            if at.st_ctime_ns % _SECOND:
                self._known[before] = sha256
            return sha256

    def save(self) -> None:
        """Store the hashes for later.

        Raises:
            OSError: the models folder cannot be written.
        """
        write_whole(self._path, json.dumps(dict(list(self._known.items())[-_MAX_STATES:]), indent=1))


def _state(at: os.stat_result) -> str:
    return f"{at.st_dev} {at.st_ino} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}"


def _read(path: str) -> dict[str, str]:
    """The stored hashes. Empty if the file is missing, damaged or maybe written by others: this only costs time."""
    with contextlib.suppress(OSError, ValueError):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf-8") as file:
            at = os.fstat(file.fileno())
            ours = at.st_uid in (0, os.geteuid()) and not at.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            known = json.load(file) if ours and stat.S_ISREG(at.st_mode) else None
        if isinstance(known, dict):
            return {state: each for state, each in known.items() if isinstance(each, str) and _SHA256.fullmatch(each)}
    return {}
