"""There are no templates on macOS; see `daemon.platform.template`."""

from collections.abc import Mapping, Sequence
from typing import Literal

POSSIBLE = False


class TemplateLost(Exception):
    """A template did not fork a worker."""


class Template:
    """Never made."""

    pid = 0

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        raise OSError(f"there are no templates on macOS: {argv}, {environment}")

    def fileno(self) -> int:
        """Never called."""
        raise NotImplementedError

    def hear(self) -> Literal["ready", "gone"] | None:
        """Never called."""
        raise NotImplementedError

    def fork(self, request: Mapping[str, object], descriptors: Sequence[int], group: int) -> int:
        """Never called."""
        raise NotImplementedError

    def kill(self) -> None:
        """Never called."""
        raise NotImplementedError

    def is_gone(self) -> bool:
        """Never called."""
        raise NotImplementedError

    def why(self) -> str:
        """Never called."""
        raise NotImplementedError
