"""The daemon itself: `assembly` makes it, `loop` gathers events, lets the core decide, and performs.

`parts` says how the parts hang together. `hotfolder` is the inbox as the loop sees it, `requests` hears the command line,
`trash_actions` what a person does to the folders of jobs. All else lies in the rooms by subject: `daemon.claiming`,
`daemon.running`, `daemon.views`, `daemon.health` and `daemon.notify`.
"""

from daemon.service.assembly import assemble
from daemon.service.loop import EXIT_ANEW, Service

__all__ = ["EXIT_ANEW", "Service", "assemble"]
