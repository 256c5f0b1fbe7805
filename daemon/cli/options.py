"""The options that the verbs share, and how their values are completed. `multiplane --install-completion` sets up the shell."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from daemon.journal import History
    from daemon.settings import Settings


#: How many of the last ended jobs are looked at: completion must be fast.
_LAST = 10_000
#: Characters with a meaning for a shell.
_SPECIAL = re.compile(r"""[\s'"`$&|;<>()*?!\[\]{}#~\\]""")
_SPECIAL_IN_QUOTES = re.compile(r"""["`$\\]""")
_LOST_IN_ZSH = frozenset("'\"\\")


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
    from daemon.contract.requests import is_job_id

    return [name for name in _job_folders(ctx) if name.startswith(incomplete) and is_job_id(name)]


def live_job_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the jobs that have not ended and begin with `incomplete`, sorted; empty if the journal cannot be read."""
    return _begun(_known(ctx, _live), incomplete)


def ended_job_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """`job_ids` of jobs that have ended."""
    live = set(_known(ctx, _live))
    return [job_id for job_id in job_ids(ctx, incomplete) if job_id not in live]


def failed_job_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the last jobs that failed or were cancelled and begin with `incomplete`; empty if the journal cannot be read."""
    return _begun(_known(ctx, _failed), incomplete)


def batches(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the last batches that begin with `incomplete`, sorted; empty if the journal cannot be read."""
    return [word for name in _begun(_known(ctx, _batches), incomplete) if (word := _typeable(name)) is not None]


def models(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the models that begin with `incomplete`, sorted; empty if their lists cannot be read."""
    settings = _settings(ctx)
    if settings is None:
        return []
    from daemon.catalogues.models import catalogue
    from daemon.errors import Refusal

    try:
        return _begun(catalogue(settings.paths.model_lists).models, incomplete)
    except (Refusal, OSError):
        return []


def words_of(field: str) -> Callable[[str], list[str]]:
    """What completes the option of a field of the sidecar that allows certain words."""

    def words(incomplete: str) -> list[str]:
        from daemon.sidecar.fields import FIELDS

        return [word for word in FIELDS[field].choices if word.startswith(incomplete)]

    return words


def presets(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the inbox's preset folders that begin with `incomplete`, sorted; empty if the inbox cannot be read."""
    settings = _settings(ctx)
    if settings is None:
        return []
    from daemon.cli.submitting.preset_folders import preset_names

    begun = [name for name in preset_names(settings.paths.inbox) if name.startswith(incomplete)]
    return [word for name in begun if (word := _typeable(name)) is not None]


def styles(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the styles that begin with `incomplete`; empty if their lists cannot be read."""
    settings = _settings(ctx)
    return [name for name in settings.styles if name.startswith(incomplete)] if settings else []


def formats(incomplete: str) -> list[str]:
    """The formats that begin with what follows the last comma of `incomplete`, each with what comes before it."""
    from daemon.contract.registry import FORMATS

    before, comma, begun = incomplete.rpartition(",")
    words = [each.word for each in FORMATS if each.word not in before.split(",")] + ([] if comma else ["none"])
    return [before + comma + word for word in words if word.startswith(begun)]


def _typeable(name: str) -> str | None:
    """The name as one word for the shell that asks, after the quote that was typed; None if the shell would change it."""
    shell = os.environ.get("_MULTIPLANE_COMPLETE")
    if shell == "complete_zsh":
        # zsh quotes the word itself. But Typer's answer to it loses these characters, and another name would be wrong.
        return None if _LOST_IN_ZSH & set(name) else name
    if shell != "complete_bash":
        return name
    words, place = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", "0"))
    quote = words[place][:1] if place < len(words) else ""
    if quote == "'":
        return name.replace("'", "'\\''")
    return (_SPECIAL_IN_QUOTES if quote == '"' else _SPECIAL).sub(r"\\\g<0>", name)


def _job_folders(ctx: typer.Context) -> list[str]:
    """The names of the folders in the outbox, sorted; empty if they cannot be read."""
    settings = _settings(ctx)
    if settings is None:
        return []
    from daemon.cli.common import fs

    try:
        found = fs.scan(settings.paths.outbox_bytes)
    except OSError:
        return []
    return sorted(os.fsdecode(entry.name) for entry in found if entry.kind == "directory")


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})


def _known(ctx: typer.Context, ask: "Callable[[History], Iterable[str]]") -> list[str]:
    """What the journal of the home answers; empty if it cannot be read."""
    settings = _settings(ctx)
    if settings is None:
        return []
    from daemon.cli.common import fs
    from daemon.cli.job_queries import JobQueries
    from daemon.errors import Refusal

    try:
        return list(ask(JobQueries(fs, settings).history))
    except (Refusal, OSError):
        return []


def _live(history: "History") -> Iterator[str]:
    jobs = history.now()
    for several in (jobs.live, jobs.returned, jobs.unclaimed, jobs.uncopied):
        yield from several


def _failed(history: "History") -> Iterator[str]:
    return (ended.job for ended in islice(history.ended_entries(), _LAST) if ended.state in ("failed", "cancelled"))


def _batches(history: "History") -> Iterator[str]:
    live = (job.accepted.name_of_batch for job in history.now().live.values())
    return (name for name in chain(live, (ended.name_of_batch for ended in islice(history.ended_entries(), _LAST))) if name)


def _settings(ctx: typer.Context) -> "Settings | None":
    """The settings of the home that was typed; None if they are wrong.

    The verb will report what is wrong. A message printed here would appear inside the line that is being typed.
    """
    # `--help` imports this module, too, and needs none of these.
    from daemon.cli.common import settings_at
    from daemon.errors import Refusal

    home = _home_typed(ctx)
    try:
        return settings_at(Path(home) if home else None)
    except (Refusal, OSError):
        return None


def _home_typed(ctx: typer.Context) -> str | Path | None:
    """The home that was typed after the verb or before it, or that of the variable; None if there is none."""
    context: Any = ctx
    while context is not None:
        source = context.get_parameter_source("home")
        if source is not None and source.name == "COMMANDLINE":
            return cast("str | Path | None", context.params.get("home"))
        context = context.parent
    return ctx.params.get("home")
