"""`python -m pipeline …`: the programs that the daemon runs as separate processes."""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run one sub-command and return the exit status. Each sub-command's modules are imported only when it is chosen."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker", help="do one job: commands on standard input, events on descriptor 3")
    worker.add_argument("--events-fd", type=int, default=3, help="the descriptor of the inherited pipe for events")
    worker.add_argument("--warm", choices=("light", "depth", "painting"), default="light", help="what to load before the job")
    worker.add_argument(
        "--template-fd", type=int, help="be a template that forks workers on request; an inherited socket (Linux)"
    )
    worker.add_argument("--sandbox", help="what the worker may read and use, as JSON; it enters this sandbox first")
    commands.add_parser("guardian", help="kill its own process group when standard input closes")
    models = commands.add_parser("models", help="list, fetch, check and remove models; see models -h", add_help=False)
    models.add_argument("rest", nargs=argparse.REMAINDER)
    commands.add_parser("devices", help="print which devices can run models on this machine, as JSON")
    chosen = parser.parse_args(arguments)
    if chosen.command == "models":
        from pipeline.weights import command

        try:
            return command.main(chosen.rest)
        except KeyboardInterrupt:  # again, while it was ending
            return 130
    if chosen.command == "devices":
        from pipeline import devices

        return devices.main()
    if chosen.command == "guardian":
        from pipeline.worker import guardian

        return guardian.main()
    if chosen.template_fd is not None:
        from pipeline.worker import template

        return template.main(chosen.template_fd, chosen.warm)
    from pipeline.worker import entry as worker_module

    return worker_module.main(chosen.events_fd, chosen.warm, chosen.sandbox)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
