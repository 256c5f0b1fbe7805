"""How much a running job has written so far."""

import os

from daemon.fs import FileSystem
from daemon.supervisor.rules import SupervisorRules

#: Names looked at in one go; a result has some thirty. A worker that makes more is flooding the disk with them.
_MOST_NAMES = 3_000


class Usage:
    """Measures an attempt folder."""

    def __init__(self, fs: FileSystem, folder: bytes, rules: SupervisorRules) -> None:
        self._fs, self._folder, self._limit = fs, folder, rules.max_output_bytes

    def exceeds_output(self) -> bool:
        """Whether the files in the folder are larger together than a result may be, or far more than a result has."""
        return self._limit is not None and self._is_over(self._limit)

    def _is_over(self, limit: int) -> bool:
        total = names = 0
        folders = [self._folder]
        while folders:
            folder = folders.pop()
            try:
                entries = self._fs.scan(folder)
            except OSError:
                continue  # the worker removed it meanwhile, or the disk will tell its writer
            names += len(entries)
            if names > _MOST_NAMES:
                return True
            for entry in entries:
                path = os.path.join(folder, entry.name)
                if entry.kind == "directory":
                    folders.append(path)
                elif entry.kind == "file":
                    total += self._size(path)
            if total > limit:
                return True
        return False

    def _size(self, path: bytes) -> int:
        try:
            return self._fs.lstat(path).size
        except OSError:
            return 0
