"""Remembers what does not work at present, so that each problem is logged only once although the operation is retried."""

from loguru import logger


class Troubles:
    """The current problems, by subject."""

    def __init__(self) -> None:
        self._logged: dict[str, str] = {}

    @property
    def first(self) -> str | None:
        """The sentence about the oldest problem; None if there is none."""
        return next(iter(self._logged.values()), None)

    def tell(self, about: str, problem: str) -> None:
        """Log a problem, unless it is the last problem that was logged for this subject."""
        if problem != self._logged.get(about):
            logger.warning("{}", problem)
        self._logged[about] = problem

    def over(self, about: str) -> None:
        """Forget the problem with a subject: the operation succeeded, or is no longer needed."""
        self._logged.pop(about, None)
