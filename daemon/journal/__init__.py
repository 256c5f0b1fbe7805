"""The journal: every decision as a line of JSON, which is on the disk before anybody acts on it.

- `line`: the format of one record.
- `segment`: understands the content of one file, and tells a torn tail from damage. `outline` finds each job's records in it.
- `segment_files`: the names of the files, and reading them.
- `writer`: appends records to a segment. `journal` opens the whole folder, and begins new segments.
- `ledger`: records decisions, and tells its subscribers.
- `chain`: checks that the segments follow one another. `head` shows whether the end is missing.
- `history`: searches all segments. `index` is a file beside each older segment that saves time; `search` uses and
  renews it, and finds the jobs of many pictures at once.
- `pruning`: removes old segments. `elapsed_time` counts their age.
- `lock`: keeps a second daemon out.

A module is imported when a name of it is used first, because the verbs need only some, and a person waits for their imports.
"""

from typing import TYPE_CHECKING

from daemon.first_use import import_on_first_use

if TYPE_CHECKING:
    from daemon.journal.history import History
    from daemon.journal.journal import Journal, Recovered
    from daemon.journal.line import Entry, UnreplayableError
    from daemon.journal.lock import hold_lock
    from daemon.journal.pruning import old_segments, prune
    from daemon.journal.writer import JournalError
else:
    __getattr__ = import_on_first_use(
        __name__,
        {
            "history": ["History"],
            "journal": ["Journal", "Recovered"],
            "line": ["Entry", "UnreplayableError"],
            "lock": ["hold_lock"],
            "pruning": ["old_segments", "prune"],
            "writer": ["JournalError"],
        },
    )


__all__ = [
    "Entry", "History", "Journal", "JournalError", "Recovered", "UnreplayableError", "hold_lock", "old_segments", "prune",
]  # fmt: skip
