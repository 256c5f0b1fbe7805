"""The command line: the verbs, one small file each.

Verbs read the journal and the status files themselves. To change something, they send the daemon a request: a small file in
.state/requests/. There is no socket and no server.
"""

import atexit
import gc
import sys


def main() -> None:
    """Run the command line. Never prints a traceback for what a person can put right."""
    # Nothing of what is imported is garbage, and looking for some takes a tenth of the time; `app.main` enables this again.
    gc.disable()
    # At its end, the interpreter would look for garbage in everything that was imported, which takes as long again.
    atexit.register(gc.freeze)
    try:
        from daemon.cli.app import main as run

        run()
    except KeyboardInterrupt:  # before the verb was there to end by itself
        sys.exit(130)
