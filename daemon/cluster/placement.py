"""Decides what a job needs of a machine, which machines have it, and what a job waits for. Pure.

A result must not depend on which machine happened to be free. So a job goes only to machines with exactly the daemon's program
and lists, and, for each kind of models that the job may use, with the largest set of such models that any machine has.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.cluster.messages import About
from daemon.running.model_inventory import ModelKind

#: The resource of which each running job takes one.
SLOT = "slot"
#: What encodes a machine's videos, the best first (`daemon.platform.encoder`).
_ENCODERS = ("h264", "ffmpeg-vp9", "vp9")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of the cluster, as the daemon sees it.

    `address`: where its worker is. `taken`: how many of its slots are taken, as far as this daemon knows. `reached`: whether it
    answers the daemon itself. `avoided_by`: jobs whose last attempt failed because of this machine.
    """

    address: str
    about: About
    taken: int = 0
    reached: bool = True
    avoided_by: frozenset[str] = frozenset()

    @property
    def free(self) -> int:
        """How many more jobs it can take now."""
        return 0 if self.about.problem or not self.reached else max(0, self.about.slots - self.taken)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a job needs.

    `models`: as `ModelInventory.needs` returns it. `device`: a device of the settings; None: any. `formats`: what it writes.
    """

    program: str
    lists: str
    models: Mapping[ModelKind, frozenset[str]] = field(default_factory=dict)
    device: str | None = None
    formats: frozenset[str] = frozenset()


def name_of(model: str) -> str:
    """The name in `name@revision`."""
    return model.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Fit:
    """The machines that a job may run on, and the resources to ask Dask for. `lacking`: what no machine has; None if one fits."""

    machines: tuple[Machine, ...] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    lacking: str | None = None


def fit(needs: Needs, machines: Iterable[Machine], kinds: Mapping[str, ModelKind]) -> Fit:
    """The machines that have what a job needs, whether or not they have a free slot.

    Args:
        needs: what it needs.
        machines: all machines of the cluster.
        kinds: what each listed model is used for, by name.
    """
    there = list(machines)
    if not there:
        return Fit(lacking="a machine: none has joined the cluster")
    same = [machine for machine in there if machine.about.program == needs.program]
    if not same:
        others = ", ".join(sorted({machine.about.program for machine in there}))
        return Fit(lacking=f"a machine with this program ({needs.program}); those of the cluster have {others}")
    alike = [machine for machine in same if machine.about.lists == needs.lists]
    if not alike:
        return Fit(lacking="a machine with the same lists of styles and models (styles.yaml, models.yaml) as this one")
    found = [machine for machine in alike if needs.device is None or needs.device in machine.about.devices]
    if not found:
        return Fit(lacking=f"a machine with the device {needs.device}, which worker.device asks for")
    able = [machine for machine in found if needs.formats.issubset(machine.about.formats)]
    if not able:
        return Fit(lacking=f"a machine that can write {_all_of(needs.formats, found)}")
    written = sorted(needs.formats)
    if "video" in needs.formats:
        # All videos come from the best encoder that any of these machines has.
        encoder = min((_encoder(machine) for machine in able), key=_ENCODERS.index)
        able, written = [machine for machine in able if _encoder(machine) == encoder], [*written, encoder]
    found = able
    resources = {SLOT: 1.0, f"program {needs.program}": 1.0}
    resources |= {f"format {each}": 1.0 for each in written}
    if needs.device is not None:
        resources[f"device {needs.device}"] = 1.0
    for kind, names in needs.models.items():
        sets = [_of_kind(machine.about.models, kind, kinds) for machine in found]
        useful = [models for models in sets if not names or any(name_of(model) in names for model in models)]
        if not useful:
            return Fit(lacking=f"a machine with a model for {_IN_WORDS[kind]}: {', '.join(sorted(names)) or 'none is listed'}")
        best = max(useful, key=lambda models: (len(models), sorted(models)))
        found = [machine for machine, models in zip(found, sets, strict=True) if models == best]
        resources |= {f"model {model}": 1.0 for model in best}
    return Fit(tuple(found), resources)


def _encoder(machine: Machine) -> str:
    return next((each for each in _ENCODERS if each in machine.about.formats), _ENCODERS[-1])


def _all_of(formats: frozenset[str], machines: Iterable[Machine]) -> str:
    """Those of the formats that no machine writes; all, if each is written by one."""
    written = {each for machine in machines for each in machine.about.formats}
    return " and ".join(sorted(formats - written or formats))


_IN_WORDS: dict[ModelKind, str] = {
    "depth": "depth",
    "prompted": "finer depth of photos that hold depth",
    "matting": "matting",
    "painting": "painting",
}


def _of_kind(models: Collection[str], kind: ModelKind, kinds: Mapping[str, ModelKind]) -> frozenset[str]:
    return frozenset(model for model in models if kinds.get(name_of(model)) == kind)


def offered(about: About) -> dict[str, float]:
    """The resources that a machine declares to Dask: its slots, and enough of everything else for all of them."""
    names = [SLOT, f"program {about.program}"]
    names += [f"device {device}" for device in about.devices] + [f"model {model}" for model in about.models]
    names += [f"format {each}" for each in about.formats]
    return dict.fromkeys(names, float(about.slots))


@dataclass(frozen=True, slots=True)
class Seek:
    """A seat to ask for: for this job, on one of these machines (addresses), with these resources."""

    job_id: str
    addresses: tuple[str, ...]
    resources: Mapping[str, float]


def ahead(slots: int) -> int:
    """How many seats are sought on a machine while all its slots are taken, so that no slot waits for the daemon."""
    return slots // 4 + 1


def seek(jobs: Iterable[tuple[str, Fit]], sought: Sequence[Seek], machines: Iterable[Machine]) -> Iterator[Seek]:
    """Decide for which jobs to ask for a seat now: the first in the queue for which a fitting machine has a free slot.

    When no slot is free, the next few jobs ask for a seat on one machine each, and wait there. A machine on which the last
    attempt of a job failed is only chosen if no other fits.

    Args:
        jobs: the jobs of the queue in order, each with the machines that fit it. It is read only as far as seats are sought.
        sought: the seats that were asked for, and not taken yet.
        machines: all machines.
    """
    there = tuple(machines)
    free = _free(there, sought)
    least = {machine.address: -ahead(machine.about.slots) if _works(machine) else 0 for machine in there}
    if not any(free[address] > least[address] for address in free):
        return
    for job_id, fits in jobs:
        fitting = [machine for machine in fits.machines if free.get(machine.address, 0) > 0]
        preferred = [machine for machine in fitting if job_id not in machine.avoided_by]
        working = [machine for machine in fits.machines if _works(machine)]
        shunned = avoids_all(job_id, fits)
        later = [
            m for m in working if (shunned or job_id not in m.avoided_by) and free.get(m.address, 0) > least.get(m.address, 0)
        ]
        if fitting and (preferred or shunned):
            addresses = tuple(machine.address for machine in preferred or fitting)
        elif later:
            addresses = (max(later, key=lambda machine: free[machine.address] / machine.about.slots).address,)
        else:
            continue
        _take(free, addresses)
        yield Seek(job_id, addresses, fits.resources)
        if not any(free[address] > least[address] for address in free):
            return


def avoids_all(job_id: str, fits: Fit) -> bool:
    """Whether the job avoids every working machine that fits. Then it may run on any of them again."""
    return all(job_id in machine.avoided_by for machine in fits.machines if _works(machine))


def misplaced(sought: Sequence[tuple[Seek, Fit]], machines: Iterable[Machine]) -> Iterator[str]:
    """The jobs that wait for a seat on a machine without a free slot, although another that fits has one: they seek anew."""
    there = tuple(machines)
    free = _free(there, [one for one, _ in sought])
    for one, fits in sought:
        (address, *others) = one.addresses
        elsewhere = [m.address for m in fits.machines if free.get(m.address, 0) > 0 and one.job_id not in m.avoided_by]
        if not others and free.get(address, -1) < 0 and elsewhere:
            free[address] = free.get(address, -1) + 1
            _take(free, elsewhere)
            yield one.job_id


def _works(machine: Machine) -> bool:
    return machine.reached and machine.about.problem is None


def _free(machines: Iterable[Machine], sought: Iterable[Seek]) -> dict[str, int]:
    """The free slots by address; below 0, so many seats are sought beyond those."""
    free = {machine.address: machine.free for machine in machines}
    for one in sought:
        _take(free, one.addresses)
    return free


def _take(free: dict[str, int], addresses: Iterable[str]) -> None:
    """Count one slot as taken, on the machine with the most free slots among these: that is where Dask puts a task."""
    most = max((address for address in addresses if address in free), key=lambda address: free[address], default=None)
    if most is not None:
        free[most] -= 1
