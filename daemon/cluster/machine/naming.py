"""The name of this machine in a cluster."""

import socket


def own_name() -> str:
    """The host name of this machine, without its domain."""
    return socket.gethostname().partition(".")[0] or "machine"
