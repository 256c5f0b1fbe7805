"""Asks a scheduler which machines there are, for people."""

import asyncio
from collections.abc import Iterator

from pydantic import ValidationError

from daemon import __version__
from daemon.catalogues.reading import SAME_LISTS
from daemon.cluster.client import close, connect
from daemon.cluster.machine.about import lists_mark
from daemon.cluster.messages import About, ClusterMachine, ClusterSurvey, program_mark
from daemon.cluster.security import configure, security
from daemon.contract.commands import command
from daemon.errors import Refusal
from daemon.settings import Settings

#: Seconds until a scheduler that does not answer is given up.
_PATIENCE = 10.0


def survey(settings: Settings, address: str) -> ClusterSurvey:
    """Ask the scheduler at this address.

    Raises:
        Refusal: it does not answer, or does not let us in.
    """
    protection = security(settings, address)
    configure(_PATIENCE)

    async def ask() -> dict[str, dict[str, object]]:
        client = await connect(address, protection, _PATIENCE)
        try:
            if client.scheduler is None:
                raise ConnectionError("the connection was closed")
            identity = await client.scheduler.identity(n_workers=-1)
        finally:
            await close(client)
        found: dict[str, dict[str, object]] = identity["workers"]
        return found

    try:
        workers = asyncio.run(asyncio.wait_for(ask(), 2 * _PATIENCE))
    except (OSError, TimeoutError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Refusal(
            f"the scheduler {address} does not answer: {why}",
            hint=f"Start it with {command('cluster', 'scheduler')}, and check the certificates of both machines.",
            exit_status=69,
        ) from error
    return compared(address, workers, program_mark(), lists_mark(settings.paths.own_models, settings.paths.own_styles))


def compared(address: str, workers: dict[str, dict[str, object]], program: str, lists: str) -> ClusterSurvey:
    """The machines as the scheduler describes its workers, compared with the program and the lists of this machine."""
    machines = []
    for where, worker in workers.items():
        metrics = worker.get("metrics")
        try:
            about = About.model_validate(metrics.get("multiplane") if isinstance(metrics, dict) else None)
        except ValidationError:
            continue  # a Dask worker of somebody else: no job is ever sent there
        same = {"same_program": about.program == program, "same_lists": about.lists == lists}
        machines.append(ClusterMachine(address=where, about=about, **same))
    machines.sort(key=lambda machine: machine.about.name)
    return ClusterSurvey(scheduler=address, version=__version__, program=program, lists=lists, machines=tuple(machines))


def table(found: ClusterSurvey) -> Iterator[str]:
    """The lines that a person reads."""
    if not found.machines:
        yield f"No machine has joined {found.scheduler}. On each: {command('cluster', 'worker', found.scheduler)}"
        return
    yield f"{'machine':20} {'slots':>5} {'busy':>4}  {'program':24} devices"
    for machine in found.machines:
        about = machine.about
        program = about.program if machine.same_program else f"{about.program} (another!)"
        yield f"{about.name:20} {about.slots:5} {len(about.jobs):4}  {program:24} {', '.join(about.devices)}"
        yield f"{'':20} models: {', '.join(about.models) or 'none'}"
        if about.jobs:
            yield f"{'':20} running: {', '.join(about.jobs)}"
        if not machine.same_lists:
            yield f"{'':20} styles.yaml or models.yaml: not as on this machine!"
        if about.problem:
            yield f"{'':20} takes no jobs: {about.problem}"
    if not all(machine.same_program for machine in found.machines):
        yield f"This machine has {found.program}. Machines with another program get no jobs from it: update them."
    if not all(machine.same_lists for machine in found.machines):
        yield f"Machines with another styles.yaml or models.yaml get no jobs from this one. {SAME_LISTS}"
