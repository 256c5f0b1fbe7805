"""What the network thread tells the daemon's one thread. Attempts are named as in `.work/`."""

from dataclasses import dataclass

from daemon.cluster.messages import About
from daemon.supervisor import Outcome


@dataclass(frozen=True, slots=True)
class Connected:
    """The scheduler answers."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The scheduler does not answer; `why`, a clause. All seats are lost, and all attempts are given up."""

    why: str


@dataclass(frozen=True, slots=True)
class MachinesSeen:
    """The machines of the cluster: what each says about itself, and whether it answers the daemon, by the worker's address."""

    machines: dict[str, tuple[About, bool]]


@dataclass(frozen=True, slots=True)
class SeatTaken:
    """An attempt has a seat on the machine at this address."""

    attempt: str
    address: str


@dataclass(frozen=True, slots=True)
class SeatLost:
    """An attempt without an order has no seat any more, or will get none."""

    attempt: str


@dataclass(frozen=True, slots=True)
class Moved:
    """An attempt progressed; `fraction` is from 0 to 1."""

    attempt: str
    stage: str
    fraction: float


@dataclass(frozen=True, slots=True)
class Printed:
    """A worker printed something, which belongs into job.log."""

    attempt: str
    output: bytes


@dataclass(frozen=True, slots=True)
class SlotFree:
    """The processes of an attempt are gone; its result is still on its way."""

    attempt: str


@dataclass(frozen=True, slots=True)
class Over:
    """An attempt has ended. A result is in the attempt's folder in .work/."""

    attempt: str
    outcome: Outcome


Event = Connected | Disconnected | MachinesSeen | SeatTaken | SeatLost | Moved | Printed | SlotFree | Over
