"""What is tried again until it works, and has been logged once."""

from loguru import logger


class Troubles:
    """What cannot be done at present, by what it is about."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    @property
    def first(self) -> str | None:
        """The one that lasts longest, a clause; none if there is none."""
        return next(iter(self._told.values()), None)

    def tell(self, about: str, problem: str) -> None:
        """It does not work, for this reason."""
        if problem != self._told.get(about):
            logger.warning("{}", problem)
        self._told[about] = problem

    def over(self, about: str) -> None:
        """It worked, or is wanted no more."""
        self._told.pop(about, None)
