"""Derives the limits and the sandbox of workers from the settings."""

from loguru import logger

from daemon.platform import sandbox
from daemon.platform.memory import total_memory
from daemon.running.model_inventory import ModelInventory
from daemon.settings import Settings
from daemon.supervisor import SupervisorRules
from daemon.supervisor.code import compile_program


def supervisor_rules(settings: Settings, threads: int) -> SupervisorRules:
    """The limits and delays of workers that use `threads` threads each."""
    worker = settings.worker
    total = total_memory()
    return SupervisorRules(
        grace_seconds=worker.grace_seconds,
        shutdown_grace_seconds=worker.shutdown_grace_seconds,
        max_memory_bytes=int(total * worker.max_memory_share),
        memory_bytes=total,
        max_output_bytes=int(settings.limits.max_output_bytes),
        log_cap_bytes=int(worker.max_log_bytes),
        threads=threads,
    )


def sandbox_policy(settings: Settings, inventory: ModelInventory) -> sandbox.SandboxPolicy | None:
    """The sandbox policy of workers; None if the settings turn the sandbox off. Logs what this system cannot enforce."""
    if settings.worker.sandbox == "off":
        logger.warning("worker.sandbox is off: jobs may read and write what you may, and use the network")
        return None
    holes = sandbox.missing()
    if holes:
        logger.warning("this system cannot keep jobs from: {}", "; ".join(holes))
    compile_program()
    return sandbox.policy(settings.paths.outbox_bytes, *inventory.folders())
