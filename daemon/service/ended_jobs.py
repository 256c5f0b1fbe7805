"""The jobs that ended before this start, as far as the journal can be read."""

from collections.abc import Iterator
from itertools import islice

from loguru import logger

from daemon.contract.records import Job
from daemon.errors import Refusal
from daemon.journal import History


def ended_before(history: History, most: int) -> Iterator[Job]:
    """Yield the jobs that ended last, newest first, at most `most`.

    If an old segment is damaged or cannot be read, this is logged, and the jobs in it and before it are left out.
    """
    try:
        yield from islice(history.backwards(), most)
    except Refusal as refusal:
        logger.warning("{}; the page cannot show older jobs", refusal.message)
    except OSError as error:
        logger.warning("the journal cannot be read: {}; the page cannot show older jobs", error.strerror)
