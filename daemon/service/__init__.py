"""The daemon itself: one loop that gathers events, lets the core decide, and performs.

`ledger` records decisions, `claims` takes pairs from the inbox, `runs` brings jobs to their end, `requests` hears the command
line, `recovery` puts a home in order at start, `board` keeps the views true, `service` is the loop.
"""

from daemon.service.service import EXIT_ANEW, Service

__all__ = ["EXIT_ANEW", "Service"]
