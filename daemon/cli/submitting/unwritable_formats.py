"""Finds formats that no machine can write that a job may run on: this one, or with a cluster, any of its machines."""

from collections.abc import Sequence

from daemon.contract.commands import command
from daemon.contract.registry import FORMATS, OutputFormat
from daemon.errors import FormatUnavailable, Refusal
from daemon.platform.packages import how_to_install, unwritable
from daemon.settings import Settings


def format_fault(formats: Sequence[str], settings: Settings) -> FormatUnavailable | None:
    """Why these formats cannot be written, all by one machine; None if they can. If a cluster is configured, it is asked.

    Raises:
        Refusal: the cluster cannot be asked, or none of its machines takes jobs from here, so this is not known.
    """
    scheduler = settings.cluster.scheduler
    if scheduler is None:
        missing = unwritable(formats)
        return _not_here(missing[0]) if missing else None
    # Only these are not written by every machine, whatever it lacks. Asking takes seconds.
    wanted = [each for each in FORMATS if each.word in formats and each.imported]
    return _nowhere(wanted, _written_on(settings, scheduler)) if wanted else None


def _written_on(settings: Settings, scheduler: str) -> list[frozenset[str]]:
    """What each machine of the cluster can write that takes jobs from here. Raises Refusal."""
    try:
        from daemon.cluster.survey import survey  # Dask takes a second to import, and may not be installed.
    except ModuleNotFoundError as error:
        raise Refusal(f"the library {error.name} is missing", hint=f"See: {command('doctor')}.") from error
    machines = [machine for machine in survey(settings, scheduler).machines if machine.alike]
    if not machines:
        raise Refusal(
            f"no machine with this program and these lists has joined {scheduler}", hint=f"See: {command('cluster', 'status')}."
        )
    return [frozenset(machine.about.formats) for machine in machines]


def _nowhere(wanted: Sequence[OutputFormat], written: Sequence[frozenset[str]]) -> FormatUnavailable | None:
    """The fault if no machine writes all of these formats. `written`: what each machine writes."""
    words = {each.word for each in wanted}
    if any(words <= each for each in written):
        return None
    return FormatUnavailable(
        f"No machine of the cluster can write {' and '.join(sorted(words))}.",
        hint=f"Install {' and '.join(each.package for each in wanted)} on one of them, and restart the worker there.",
    )


def _not_here(missing: OutputFormat) -> FormatUnavailable:
    return FormatUnavailable(
        f"This machine cannot write the format {missing.word}, because the package {missing.package} is not installed.",
        hint=f"Install it: {how_to_install(missing.package)}",
    )
