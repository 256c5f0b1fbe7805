"""An example of each verb, for the end of its `--help`. A test reads each one as the command line would."""

from daemon.contract.commands import SHORT, command

#: By verb; the words after a space belong to a verb with subcommands.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (command("run"), command("run", "--once", "--home", "Pictures/Layers")),
    "submit": (
        command("submit", "beach.jpg", "--num-layers", "6", "--wait"),
        command("submit", "a.jpg", "b.jpg", "--preset", "photo in 4 layers", "--output", "layers", "--if-exists", "skip"),
    ),
    "jobs": (command("jobs", "--state", "failed"), command("jobs", "--batch", "holiday", "--json")),
    "show": (command("show", "order-123"),),
    "waiting": (command("waiting"),),
    "watch": (command("watch"),),
    "stats": (command("stats", "--days", "30"),),
    "cancel": (command("cancel", "order-123"), command("cancel", "--batch", "holiday")),
    "retry": (command("retry", "order-123"), command("retry", "--batch", "holiday")),
    "redo": (command("redo", "order-123", "--num-layers", "6"), command("redo", "--guessed")),
    "rm": (command("rm", "order-123"),),
    "prune": (
        command("prune", "--older-than", "30d", "--dry-run"),
        command("prune", "--older-than", "2w", "--state", "failed"),
    ),
    "check": (command("check", "beach.jpg.yaml", "beach.jpg"),),
    "schema": (command("schema", "status"),),
    "doctor": (command("doctor"),),
    "config": (command("config"), command("config", "--json")),
    "models list": (command("models", "list"),),
    "models fetch": (command("models", "fetch", "depth-anything-v2-small"),),
    "models verify": (command("models", "verify"),),
    "models remove": (command("models", "remove", "depth-anything-v2-small"),),
    "service install": (command("service", "install"), command("service", "install", "--print")),
    "service uninstall": (command("service", "uninstall"),),
    "service start": (command("service", "start"),),
    "service stop": (command("service", "stop"),),
    "service restart": (command("service", "restart"),),
    "service status": (command("service", "status", "--json"),),
    "service logs": (command("service", "logs"),),
    "cluster keys": (command("cluster", "keys", "keys", "studio.local", "attic.local"),),
    "cluster scheduler": (command("cluster", "scheduler"),),
    "cluster worker": (command("cluster", "worker", "tls://studio.local:8786", "--slots", "2"),),
    "cluster status": (command("cluster", "status"),),
}


def epilog(verb: str) -> str | None:
    """The examples of a verb, one a paragraph; None if it has none."""
    several = EXAMPLES.get(verb)
    if several is None:
        return None
    # Without the backticks, because people copy a whole line.
    return "\n\n".join(("Examples:" if len(several) > 1 else "Example:", *(SHORT.fill(each).strip("`") for each in several)))
