"""The cluster, if one is configured: gathers the facts about it, and turns them into findings."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from daemon.catalogues.reading import SAME_LISTS
from daemon.contract.commands import command
from daemon.contract.words.printable import counted
from daemon.doctor.model import ClusterFacts, ClusterMember, Facts, Finding
from daemon.errors import Refusal
from daemon.settings import Settings

#: Days before a certificate expires from which this is worth a note: enough to visit every machine.
_SOON_DAYS = 60.0


def cluster_facts(settings: Settings) -> ClusterFacts | None:
    """Ask the scheduler that the settings name; None if they name none. Errors become facts."""
    address = settings.cluster.scheduler
    if address is None:
        return None
    try:
        # Dask takes a second to import, and may not be installed.
        from daemon.cluster.keys import valid_until
        from daemon.cluster.security import credentials
        from daemon.cluster.survey import survey
    except ModuleNotFoundError as error:
        return ClusterFacts(address=address, trouble=f"the library {error.name} is missing", hint=_INSTALL)
    days = None
    try:
        if (files := credentials(settings)) is not None:
            with open(files.certificate, "rb") as file:
                days = (valid_until(file.read()) - datetime.now(UTC)).total_seconds() / 86400
        found = survey(settings, address)
    except Refusal as refusal:
        return ClusterFacts(address=address, days=days, trouble=refusal.message, hint=refusal.hint)
    except (OSError, ValueError) as error:
        return ClusterFacts(address=address, trouble=f"the certificate cannot be read: {error}", hint=_KEYS)
    share = settings.cluster.shared_folder
    return ClusterFacts(
        address=address,
        days=days,
        members=tuple(
            ClusterMember(
                name=machine.about.name,
                slots=machine.about.slots,
                same_program=machine.same_program,
                same_lists=machine.same_lists,
                problem=machine.about.problem,
            )
            for machine in found.machines
        ),
        share_missing=None if share is None or os.path.isdir(share.expanduser()) else os.fspath(share),
    )


_INSTALL = "Install it with: pipx install 'multiplane[cluster]', or set cluster.scheduler to null."
_KEYS = f"Check cluster.certificate, or make new keys: {command('cluster', 'keys', 'DIR')}"


def cluster(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the cluster."""
    found = facts.cluster
    if found is None:
        return
    if found.days is not None and found.days < _SOON_DAYS:
        grade, when = ("problem", "has expired") if found.days < 0 else ("note", f"expires in {found.days:.0f} days")
        sentence = f"This machine's certificate for the cluster {when}."
        yield Finding(area="cluster", grade=grade, sentence=sentence, hint=_KEYS)
    if found.share_missing is not None:
        sentence = f"The share {found.share_missing} (cluster.shared_folder) is not mounted: files travel through the connection."
        yield Finding(area="cluster", grade="note", sentence=sentence, hint="Mount it, or set cluster.shared_folder to null.")
    if found.trouble is not None:
        sentence = f"The cluster cannot be used: {found.trouble.rstrip('.')}."
        yield Finding(area="cluster", grade="problem", sentence=sentence, hint=found.hint or _KEYS)
        return
    if not found.members:
        hint = f"On each machine: {command('cluster', 'worker', found.address)}"
        yield Finding(area="cluster", grade="problem", sentence=f"No machine has joined the cluster {found.address}.", hint=hint)
        return
    useful = [member for member in found.members if member.same_program and member.same_lists and member.problem is None]
    for member in found.members:
        if not member.same_program:
            hint = "Install the same version there; it then joins by itself."
            sentence = f"{member.name} has another version of the program than this machine, so it gets no jobs from here."
            yield Finding(area="cluster", grade="note" if useful else "problem", sentence=sentence, hint=hint)
        elif not member.same_lists:
            sentence = f"{member.name} has another styles.yaml or models.yaml than this machine, so it gets no jobs from here."
            yield Finding(area="cluster", grade="note" if useful else "problem", sentence=sentence, hint=SAME_LISTS)
        elif member.problem is not None:
            sentence = f"{member.name} takes no jobs: {member.problem}."
            hint = f"Check that machine; {command('cluster', 'status')} shows when it takes jobs again."
            yield Finding(area="cluster", grade="note" if useful else "problem", sentence=sentence, hint=hint)
    if useful:
        slots = sum(member.slots for member in useful)
        names = ", ".join(member.name for member in useful)
        yield Finding(
            area="cluster", grade="ok", sentence=f"The cluster {found.address} runs {counted(slots, 'job')} at once, on {names}."
        )
