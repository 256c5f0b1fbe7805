"""How a machine calls itself when it joins a cluster, and why it cannot join."""

from daemon.cluster.keys import name_in
from daemon.cluster.machine.naming import own_name
from daemon.cluster.security import credentials
from daemon.contract.commands import command
from daemon.settings import Settings


def name_in_cluster(settings: Settings) -> str:
    """The name in the certificate of this machine, or its host name: several machines may have the same host name.

    Raises:
        Refusal: the settings name only some of the certificate's files.
    """
    files = credentials(settings)
    try:
        if files is not None:
            with open(files.certificate, "rb") as file:
                return name_in(file.read()) or own_name()
    except (OSError, ValueError):
        pass  # `security` says what is wrong with the certificate
    return own_name()


def why_not_joined(error: BaseException, name: str) -> str:
    """Why this machine, of this name, cannot join a cluster: a clause, and what to do if that can be said.

    `error`: what Dask raised.
    """
    why = str(error.__cause__ or error)
    if "name taken" not in why:
        return why
    by_hand = command("cluster", "worker", "--name", "NAME")
    as_service = command("service", "install", "--worker", "--name", "NAME")
    return (
        f"another machine of the name {name} has joined. If this machine was only restarted, it joins within a minute. "
        f"Otherwise give it a name of its own: {by_hand}, or, for its service, {as_service}"
    )
