"""Machines with a network each, on one Linux computer: network namespaces, joined by a router that can stop to forward packets.

A router that does not forward drops packets without a word to the sender, as a broken switch does. Needs root and `ip`.
"""

import os
import shutil
import subprocess

#: How every process of a machine begins its command.
Within = tuple[str, ...]


def why_impossible() -> str | None:
    """Why there can be no namespaces here, a clause; None if there can."""
    if shutil.which("ip") is None:
        return "there is no command ip"
    name = f"mp{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.strip()}"
    ip("netns", "delete", name)
    return None


def ip(*arguments: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Networks:
    """Machines, each in a network of its own behind one router.

    Args:
        names: the machines.
    """

    def __init__(self, *names: str) -> None:
        self._prefix = f"mp{os.getpid()}"
        self._router = f"{self._prefix}-router"
        self._names = {name: number for number, name in enumerate(names)}

    def __enter__(self) -> "Networks":
        ip("netns", "add", self._router)
        for name, number in self._names.items():
            own, net = f"{self._prefix}-{name}", f"10.213.{number}"
            ip("netns", "add", own)
            # Made in a namespace, so nothing of this computer's own network is touched.
            ip("-n", own, "link", "add", "wire", "type", "veth", "peer", "name", f"port{number}", "netns", self._router)
            ip("-n", own, "address", "add", f"{net}.2/24", "dev", "wire")
            ip("-n", self._router, "address", "add", f"{net}.1/24", "dev", f"port{number}")
            for space, link in ((own, "lo"), (own, "wire"), (self._router, f"port{number}")):
                ip("-n", space, "link", "set", link, "up")
            ip("-n", own, "route", "add", "default", "via", f"{net}.1")
            self.forward(name, on=True)
        return self

    def __exit__(self, *_error: object) -> None:
        for name in (*(f"{self._prefix}-{name}" for name in self._names), self._router):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def address(self, name: str) -> str:
        """The address of a machine."""
        return f"10.213.{self._names[name]}.2"

    def within(self, name: str) -> Within:
        """What the command of a process on this machine begins with."""
        return ("ip", "netns", "exec", f"{self._prefix}-{name}")

    def forward(self, name: str, *, on: bool) -> None:
        """Let the router forward packets from and to a machine, or drop them."""
        number = self._names[name]
        if on:
            self._in_router(f"echo 1 > /proc/sys/net/ipv4/conf/port{number}/forwarding")
            self._in_router(f"ip route delete blackhole 10.213.{number}.2/32 || true")
        else:
            # From it, packets are dropped because the port does not forward; to it, because their route ends.
            self._in_router(f"echo 0 > /proc/sys/net/ipv4/conf/port{number}/forwarding")
            ip("-n", self._router, "route", "add", "blackhole", f"10.213.{number}.2/32")

    def _in_router(self, command: str) -> None:
        subprocess.run(["ip", "netns", "exec", self._router, "sh", "-c", command], check=True, capture_output=True)
