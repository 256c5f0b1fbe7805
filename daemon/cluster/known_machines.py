"""What the daemon knows of the machines: which jobs fit where, which slots are taken, and which job avoids which machine."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from loguru import logger

from daemon.cluster.placement import Fit, Machine, Needs, fit, name_of
from daemon.running.model_inventory import ModelInventory, ModelKind

#: For so many seconds, a machine that failed is avoided by the job that it failed.
_AVOID_SECONDS = 300.0


class KnownMachines:
    """The machines, as last seen.

    Args:
        program, lists: those of this daemon (`program_mark`, `lists_mark`).
        device: a device that all jobs ask for; None: any.
        inventory: the models that are listed here.
        taken: returns the address of each slot that is taken, as far as this daemon knows.
    """

    def __init__(
        self,
        program: str,
        lists: str,
        device: str | None,
        inventory: ModelInventory,
        taken: Callable[[], Iterable[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._program, self._lists, self._device, self._inventory = program, lists, device, inventory
        self._taken, self._clock = taken, clock
        self._machines: dict[str, Machine] = {}
        #: Jobs that avoid machines, by the machine's name; with the time until which they do.
        self._avoided: dict[str, dict[str, float]] = {}
        self._fits: dict[tuple[frozenset[str], tuple[tuple[ModelKind, frozenset[str]], ...]], Fit] = {}

    @property
    def slots(self) -> int:
        """How many jobs all machines can run at once."""
        return sum(machine.about.slots for machine in self._machines.values())

    def name(self, address: str | None) -> str:
        """The name of the machine at this address."""
        return self._machines[address].about.name if address in self._machines else "a machine"

    def see(self, machines: Mapping[str, Machine]) -> None:
        """These are the machines now, by address."""
        if _abilities(machines) != _abilities(self._machines):
            self._fits = {}
        for address in machines.keys() - self._machines.keys():
            logger.info("{} has joined the cluster", machines[address].about.name)
        for address in self._machines.keys() - machines.keys():
            logger.warning("{} has left the cluster", self._machines[address].about.name)
        self._machines = dict(machines)

    def forget(self) -> None:
        """The connection to the cluster is lost."""
        self._machines, self._fits = {}, {}

    def fit(self, models: Mapping[ModelKind, frozenset[str]], formats: Iterable[str]) -> Fit:
        """Where a job that needs these models and writes these formats fits, with the machines as they are at this moment."""
        key = frozenset(formats), tuple(sorted(models.items()))
        if key not in self._fits:
            needs = Needs(self._program, self._lists, models, self._device, key[0])
            self._fits[key] = fit(needs, self._machines.values(), self._kinds())
        found = self._fits[key]
        current = {machine.address: machine for machine in self.now()}
        return replace(found, machines=tuple(current[each.address] for each in found.machines if each.address in current))

    def now(self) -> list[Machine]:
        """The machines, with what is known of them at this moment."""
        taken: dict[str, int] = {}
        for address in self._taken():
            taken[address] = taken.get(address, 0) + 1
        now = self._clock()
        return [
            replace(
                machine,
                taken=taken.get(machine.address, 0),
                avoided_by=frozenset(
                    job_id for job_id, until in self._avoided.get(machine.about.name, {}).items() if until > now
                ),
            )
            for machine in self._machines.values()
        ]

    def avoid(self, machine: str, job_id: str) -> None:
        """Let a job avoid the machine of this name for some minutes: it failed there through no fault of its own."""
        now = self._clock()
        self._avoided.setdefault(machine, {})[job_id] = now + _AVOID_SECONDS
        self._avoided = {
            name: left
            for name, jobs in self._avoided.items()
            if (left := {each: until for each, until in jobs.items() if until > now})
        }

    def _kinds(self) -> Mapping[str, ModelKind]:
        names = {name_of(model) for machine in self._machines.values() for model in machine.about.models}
        return {name: kind for name in names if (kind := self._inventory.kind_of(name)) is not None}


def _abilities(machines: Mapping[str, Machine]) -> dict[str, tuple[object, ...]]:
    """What decides which jobs a machine can run, by address."""
    return {a: (m.about.program, m.about.lists, m.about.models, m.about.devices, m.about.formats) for a, m in machines.items()}
