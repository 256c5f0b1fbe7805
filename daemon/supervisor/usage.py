"""Checks how much a running job has written so far."""

from daemon.fs import FileSystem
from daemon.supervisor.rules import SupervisorRules

#: The most files and folders that a job may make. A result has about thirty; a worker that makes far more floods the disk.
_MAX_NAMES = 3_000


class Usage:
    """Checks an attempt folder against the limits for results."""

    def __init__(self, fs: FileSystem, folder: bytes, rules: SupervisorRules) -> None:
        self._fs, self._folder, self._limit = fs, folder, rules.max_output_bytes

    def excess(self) -> str | None:
        """A sentence that says what is too much in the folder; None if it is within the limits, or cannot be measured now."""
        if self._limit is None:
            return None
        total = names = 0
        try:
            for below in self._fs.tree(self._folder):
                names += 1
                total += below.charge
                if names > _MAX_NAMES:
                    return f"The job made more than {_MAX_NAMES:,} files and folders; a usual result has about thirty."
                if total > self._limit:
                    return f"The job wrote more than the {self._limit // 1_000_000:,} MB that its result may have."
        except PermissionError:
            return "The job created a folder that cannot be read, so its size is unknown."
        except OSError:
            return None  # the worker moves files meanwhile, or the disk fails, which the worker notices; measure again later
        return None
