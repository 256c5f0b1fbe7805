"""Gathers the facts about the services that are installed for this user."""

import os

from daemon.doctor.model import ServiceFacts
from daemon.fs import FileSystem
from daemon.platform.reach import why_not_run
from daemon.platform.service import Role, manager
from daemon.platform.service.current import outdated
from daemon.settings import Settings

_MAX_BYTES = 1 << 20
_CLUSTER_ROLES: tuple[Role, ...] = ("worker", "scheduler")


def service_facts(fs: FileSystem, settings: Settings, role: Role) -> ServiceFacts:
    """The facts about one service."""
    its = manager(role)
    file = str(its.path())
    try:
        data = fs.read(os.fsencode(its.path()), _MAX_BYTES)
        installed, entries = its.read(data), outdated(its, data, settings, role)
    except FileNotFoundError:
        return ServiceFacts(file=file, role=role)
    except (OSError, ValueError) as error:
        return ServiceFacts(file=file, role=role, error=str(error))
    return ServiceFacts(
        file=file,
        role=role,
        home=installed.home,
        python=installed.python,
        slots=installed.slots,
        name=installed.name,
        python_there=os.access(installed.python, os.X_OK),
        barred=why_not_run(installed.python),
        outdated=entries,
    )


def cluster_services(fs: FileSystem, settings: Settings) -> tuple[ServiceFacts, ...]:
    """The facts about the services of a cluster's programs, if there are any."""
    found = (service_facts(fs, settings, role) for role in _CLUSTER_ROLES)
    return tuple(each for each in found if each.home is not None or each.error)
