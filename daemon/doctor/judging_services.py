"""Turns facts about the installed services into findings."""

import os
from collections.abc import Iterator

from daemon.contract.commands import command
from daemon.doctor.model import Facts, Finding, ServiceFacts
from daemon.platform.service.current import NAMES, out_of_date, renewal


def services(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the service of the daemon, and about those of a cluster's programs that are installed."""
    if facts.service.home is None and not facts.service.error:
        hint = f"To start it automatically: {command('service', 'install')}"
        yield Finding(area="service", grade="note", sentence="The daemon is not installed as a service.", hint=hint)
    else:
        yield _service(facts.service, facts.home)
    for each in facts.cluster_services:
        yield _service(each, facts.home)


def _service(service: ServiceFacts, home: str) -> Finding:
    name, install = NAMES[service.role], renewal(service.role, service.slots, service.name)
    if service.error:
        sentence = f"The file of {name}, {service.file}, cannot be used: {service.error}."
        return Finding(area="service", grade="problem", sentence=sentence, hint=f"Install it again: {install}")
    if service.barred:
        hint = f"Let the user that the service runs as enter it, or install the service again as that user: {install}"
        sentence = f"{_capital(name)} cannot start: {service.barred}."
        return Finding(area="service", grade="problem", sentence=sentence, hint=hint)
    if not service.python_there:
        sentence = f"{_capital(name)} should start {service.python}, which no longer exists."
        return Finding(area="service", grade="problem", sentence=sentence, hint=f"Install it again: {install}")
    if service.home is None or os.path.realpath(service.home) != os.path.realpath(home):
        sentence = f"{_capital(name)} is installed for another home, {service.home}."
        return Finding(area="service", grade="note", sentence=sentence, hint="One home is served at a time.")
    if service.outdated:
        sentence = out_of_date(service.outdated, service.role)
        return Finding(area="service", grade="note", sentence=sentence, hint=f"Renew it: {install}")
    return Finding(area="service", grade="ok", sentence=f"{_capital(name)} is installed: {service.file}.")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
