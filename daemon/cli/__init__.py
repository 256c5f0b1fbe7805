"""The command line: the verbs, one small file each.

Verbs read the journal and the status files themselves. To change something, they send the daemon a request: a small file in
.state/requests/. There is no socket and no server.
"""

from daemon.cli.app import main

__all__ = ["main"]
