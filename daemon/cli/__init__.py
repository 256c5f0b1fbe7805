"""The command line: the verbs, one small file each.

Verbs read the journal and the status files themselves; what changes something is asked of the daemon by a small file in
.state/requests/. There is no socket and no server.
"""

from daemon.cli.app import main

__all__ = ["main"]
