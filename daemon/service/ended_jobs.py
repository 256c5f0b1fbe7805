"""The jobs that ended before this start, as far as the journal can be read."""

from collections.abc import Iterator
from itertools import islice

from loguru import logger

from daemon.contract.commands import command
from daemon.contract.records import Job
from daemon.errors import Refusal
from daemon.journal import History


class EndedBefore:
    """The jobs that ended last, for whoever shows them or recognizes the outbox by them.

    A damaged segment is logged once, and the jobs in it are left out. `history`: the journal.
    """

    def __init__(self, history: History) -> None:
        self._history = history.leaving_out(self._tell)
        self._told: set[str] = set()

    def __call__(self, most: int) -> Iterator[Job]:
        """Yield the jobs, newest first, at most `most`.

        If a segment cannot be read, this is logged, and the jobs in it and before it are left out.
        """
        try:
            yield from islice(self._history.backwards(), most)
        except Refusal as refusal:
            logger.warning("{}; the page cannot show older jobs", refusal.message)
        except OSError as error:
            logger.warning("the journal cannot be read: {}; the page cannot show older jobs", error.strerror)

    def _tell(self, damage: Refusal) -> None:
        if damage.message not in self._told:
            self._told.add(damage.message)
            logger.warning("{}; work goes on without the jobs in it; {} says what to do", damage.message, command("doctor"))
