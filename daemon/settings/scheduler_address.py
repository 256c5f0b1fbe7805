"""The address of a cluster's scheduler: what it may look like, and why some addresses are refused."""

import ipaddress
import re

from daemon.contract.words.printable import quoted

#: The port of a Dask scheduler, unless the address names another.
DEFAULT_PORT = 8786
_FORM = re.compile(r"(tls|tcp)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?")


def checked_address(address: str) -> str:
    """The address with its port.

    Raises:
        ValueError: it is not the address of a scheduler, or connections to it would not be protected. The message is a sentence
            that says what is wrong.
    """
    found = _FORM.fullmatch(address)
    if found is None or int(found[3] or DEFAULT_PORT) > 65535:
        raise ValueError(f"must be an address such as tls://studio.local:{DEFAULT_PORT}, not {quoted(address)}")
    scheme, host, port = found.groups()
    if scheme == "tcp" and not is_loopback(host):
        raise ValueError(
            f"{address} is refused: a port of the cluster runs any program that anybody sends it, so connections to other "
            "machines must be encrypted, with certificates on both sides (tls://). Plain tcp:// is for 127.0.0.1 only"
        )
    return f"{scheme}://{host}:{port or DEFAULT_PORT}"


def host_of(address: str) -> str:
    """The host in an address that `checked_address` has returned."""
    return address.partition("://")[2].rpartition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether a host is certainly this machine. A name other than `localhost` might be looked up as another machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
