"""The daemon itself: `assembly` builds it, and `loop` gathers events, lets the core decide, and acts.

`parts` connects the parts. `hotfolder` is the inbox as the loop sees it. `requests` answers the command line, and
`trash_actions` handles what people do with job folders. Everything else is in the packages by subject: `daemon.claiming`,
`daemon.running`, `daemon.views`, `daemon.health` and `daemon.notify`.
"""

from daemon.service.assembly import assemble
from daemon.service.loop import EXIT_RESTART, Service

__all__ = ["EXIT_RESTART", "Service", "assemble"]
