"""What is retried until it works, and logged once."""

from loguru import logger


class Troubles:
    """What cannot be done at present, by subject."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    @property
    def first(self) -> str | None:
        """A clause about the oldest trouble; None if there is none."""
        return next(iter(self._told.values()), None)

    def tell(self, about: str, problem: str) -> None:
        """Log that something does not work, and why, unless that has been logged already."""
        if problem != self._told.get(about):
            logger.warning("{}", problem)
        self._told[about] = problem

    def over(self, about: str) -> None:
        """Forget a trouble: what had failed now worked, or is no longer wanted."""
        self._told.pop(about, None)
