"""The journal: everything that was decided, as JSON lines, durable before anybody acts on it.

`line` is the format. `segment` reads one file and tells a torn tail from damage. `writer` appends. `journal` opens the whole
folder. `chain` checks that the segments follow one another, with `head` for the last one. `history` reads back over all
segments. `pruning` removes old ones, by the time that `elapsed_time` counts. `lock` keeps a second daemon out.
"""

from daemon.journal.history import History
from daemon.journal.journal import Journal, Recovered
from daemon.journal.line import Entry, UnreplayableError
from daemon.journal.lock import hold_lock
from daemon.journal.pruning import prune
from daemon.journal.writer import JournalError

__all__ = ["Entry", "History", "Journal", "JournalError", "Recovered", "UnreplayableError", "hold_lock", "prune"]
