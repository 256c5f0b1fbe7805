"""How the machines of a cluster connect: encrypted, with certificates on both sides; in the clear only on loopback."""

import logging
import logging.config
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.utils
from distributed.security import Security
from loguru import logger

from daemon.contract.commands import command
from daemon.errors import Refusal
from daemon.settings import Settings
from daemon.settings.scheduler_address import checked_address

#: Dask sends ten probes within the time after which a silent connection is given up, one a second at most.
_LEAST_TCP_SECONDS = 12.0
#: The port of the scheduler's and the workers' own pages. They are only ever served on loopback.
_PAGES = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files with the certificates and the key, as absolute paths."""

    ca: str
    certificate: str
    key: str


def credentials(settings: Settings) -> Credentials | None:
    """The files that the settings name; None if they name none.

    Raises:
        Refusal: only some are named.
    """
    cluster, home = settings.cluster, settings.paths.home
    named = {"ca": cluster.ca, "certificate": cluster.certificate, "key": cluster.key}
    missing = [name for name, path in named.items() if path is None]
    if len(missing) == len(named):
        return None
    if missing:
        raise Refusal(
            f"the settings lack {' and '.join(f'cluster.{name}' for name in missing)}",
            hint=f"Name all three files that {command('cluster', 'keys', 'DIR')} made for this machine.",
        )
    found = (os.path.abspath(os.path.join(home, Path(path).expanduser())) for path in named.values() if path is not None)
    return Credentials(*found)


def security(settings: Settings, address: str) -> Security:
    """What Dask needs for connections to and from this address.

    Raises:
        Refusal: the address is plain tcp on another machine, or the certificates are missing or cannot be used.
    """
    try:
        checked_address(address)
    except ValueError as error:
        raise Refusal(
            f"{error}", hint=f"Make keys with {command('cluster', 'keys', 'DIR')} and use tls://.", exit_status=2
        ) from error
    if address.startswith("tcp:"):
        return Security(require_encryption=False)
    files = credentials(settings)
    if files is None:
        hint = f"Make them with {command('cluster', 'keys', 'DIR')}, and set cluster.ca, cluster.certificate and cluster.key."
        raise Refusal(f"{address} needs certificates, and the settings name none", hint=hint)
    if (trouble := trouble_of(files)) is not None:
        raise Refusal(trouble, hint=f"Check cluster.ca, cluster.certificate and cluster.key, or make new keys: {_KEYS}")
    return Security(
        tls_ca_file=files.ca,
        tls_scheduler_cert=files.certificate,
        tls_scheduler_key=files.key,
        tls_worker_cert=files.certificate,
        tls_worker_key=files.key,
        tls_client_cert=files.certificate,
        tls_client_key=files.key,
        require_encryption=True,
        tls_min_version=ssl.TLSVersion.TLSv1_3,
    )


_KEYS = command("cluster", "keys", "DIR")


def trouble_of(files: Credentials) -> str | None:
    """A sentence that says why these files cannot be used; None if they can."""
    for path in (files.ca, files.certificate, files.key):
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        if path == files.key and stat.S_IMODE(mode) & 0o077:
            return f"{path} is a private key, but others may read it: its mode is {stat.S_IMODE(mode):04o}, and should be 0600"
    try:
        context = ssl.create_default_context(cafile=files.ca)
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        return f"{files.ca}, {files.certificate} and {files.key} cannot be used: {error.strerror or error}"
    return None


def configure(lost_seconds: float) -> None:
    """Set what Dask reads from its own configuration, in this process. Files of other Dask users on this machine do not count.

    No work stealing and no reruns, because only the daemon decides whether an attempt is repeated. Of the messages and tasks that
    Dask would keep for its own developers, only the last ones are kept: they would grow for the first thousands of jobs.
    """
    dask.config.refresh(paths=[], env={})
    values: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.work-stealing": False,
        "distributed.scheduler.worker-ttl": f"{lost_seconds:g}s",
        "distributed.scheduler.active-memory-manager.start": False,
        "distributed.scheduler.http.routes": ["distributed.http.health"],
        "distributed.worker.http.routes": ["distributed.http.health"],
        "distributed.worker.profile.enabled": False,
        "distributed.comm.retry.count": 0,
        "distributed.comm.timeouts.connect": "10s",
        "distributed.comm.timeouts.tcp": f"{max(lost_seconds, _LEAST_TCP_SECONDS):g}s",
        "distributed.admin.log-length": 1,
        "distributed.admin.low-level-log-length": 1,
        "distributed.diagnostics.computations.max-history": 1,
        "distributed.diagnostics.erred-tasks.max-history": 1,
        "distributed.admin.event-loop": "asyncio",
        "distributed.admin.tick.interval": "500ms",
        "distributed.admin.system-monitor.interval": "10s",
        "distributed.admin.system-monitor.disk": False,
        "distributed.admin.system-monitor.log-length": 10,
        "distributed.client.scheduler-info-interval": "1h",
    }
    dask.config.set(values)
    ours = {"handlers": ["own"], "propagate": False, "level": "INFO"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"own": {"()": _ToOwnLog}},
            "loggers": dict.fromkeys(("distributed", "tornado", "asyncio"), ours),
        }
    )


def forget_keys() -> None:
    """Let Dask forget the keys of tasks that it has seen: it would remember 100,000, and ours never come again."""
    dask.utils.key_split.cache_clear()


class _ToOwnLog(logging.Handler):
    """Takes what Dask logs into our log, as details: what people should know of it, this program says itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        logger.opt(exception=record.exc_info).debug("{}: {}", record.name, record.getMessage())


def server_options(protection: Security) -> dict[str, Any]:
    """What a scheduler and a worker of ours have in common, as arguments of Dask's classes.

    Their own pages are on a free port of the loopback interface. All parts of Dask that can be left out are left out: no job uses
    them, and one of them, `spans`, would keep some kilobytes of each job that came alone, without end.
    """
    return {"security": protection, "dashboard": False, "dashboard_address": _PAGES, "extensions": {}}
