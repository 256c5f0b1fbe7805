"""The options that the verbs share, and the completion of job ids. `multiplane --install-completion` sets up the shell."""

import os
from pathlib import Path
from typing import Annotated

import typer


def _home(text: str) -> Path:
    """The folder that was named. An empty name is refused: in a script, it is a variable that was never set."""
    if not text:
        raise typer.BadParameter("it is empty. Name a folder, or leave --home out.")
    return Path(text)


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        parser=_home,
        metavar="PATH",
        envvar="MULTIPLANE_HOME",
        help="The folder that holds inbox and outbox. Default: the checkout, or ~/Multiplane for an installed package.",
    ),
]


class Asked:
    """How this command was asked to answer. `for_json`: errors are printed as JSON, too."""

    for_json = False

    @classmethod
    def remember(cls, wanted: bool) -> bool:
        """Note whether JSON is wanted, and return it."""
        cls.for_json = wanted
        return wanted


Json = Annotated[
    bool,
    typer.Option("--json", callback=Asked.remember, is_eager=True, help="Print JSON for programs instead of text for people."),
]


def job_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The job ids that begin with `incomplete`, sorted; empty if the outbox cannot be read.

    Completion must be fast, so this reads only the names of the folders in the outbox, not the state of the jobs.
    """
    # `--help` imports this module, too, and needs none of these.
    from daemon.cli.common import fs, settings_at
    from daemon.contract.requests import is_job_id
    from daemon.errors import Refusal

    home = ctx.params.get("home")
    try:
        outbox = settings_at(Path(home) if home else None).paths.outbox_bytes
        names = [os.fsdecode(entry.name) for entry in fs.scan(outbox) if entry.kind == "directory"]
    except (Refusal, OSError):
        # The verb will report what is wrong. A message printed here would appear inside the line that is being typed.
        return []
    return sorted(name for name in names if name.startswith(incomplete) and is_job_id(name))
