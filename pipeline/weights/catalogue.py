"""Reads the lists of models that a worker or a command knows: the program's own list and the user's.

The weights themselves are not read here.
"""

import functools

from daemon.catalogues import models
from daemon.catalogues.models import Catalogue, Entry
from daemon.catalogues.reading import SHIPPED
from daemon.contract.commands import RETRY, command
from daemon.errors import Internal, Refusal, WeightsMissing


@functools.lru_cache(maxsize=4)
def catalogue(*paths: str) -> Catalogue:
    """Read the lists of models. Each list adds to the one before it. Without paths, the program's own list is read.

    Raises:
        Internal: a file is missing or not valid; the message names file and line.
    """
    try:
        return models.catalogue(paths or (SHIPPED["models"],))
    except Refusal as refusal:
        raise Internal(refusal.message, hint=f"{refusal.hint} Then: {RETRY}.") from refusal


def entry_of(name: str, listed: Catalogue | None = None) -> Entry:
    """The entry of one model, in the shipped catalogue if none is given.

    Raises:
        WeightsMissing: no model with that name is listed.
    """
    found = (listed or catalogue()).models
    if name not in found:
        raise WeightsMissing(f"No model is called {name}.", hint=f"{command('models', 'list')} shows the names.")
    return found[name]
