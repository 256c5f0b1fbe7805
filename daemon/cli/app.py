"""The command `multiplane`: its verbs, and what applies to all of them.

A person waits for every import. So this module imports only what `--help` and `--version` need; a verb's module is imported when
the verb was typed, and what reports an error when there is one.
"""

import contextlib
import gc
import os
import shlex
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError

from daemon import __version__
from daemon.cli import exit_status
from daemon.cli.options import Asked, Home
from daemon.contract.words.printable import spell_what_cannot_be_shown
from daemon.settings.program import program_here

if TYPE_CHECKING:
    from daemon.errors import Refusal

#: In the order of the help, with what the help says: the first line of each docstring. Each verb is a module in
#: `daemon.cli.verbs`; three of them share the module `control`.
VERBS = {
    "run": "Run the daemon in the foreground until you stop it (Ctrl-C, SIGTERM).",
    "submit": "Copy pictures into the inbox, each with its depth picture (NAME.depth.png) if there is one.",
    "jobs": "List the jobs: running, pending in order, then ended ones, most recent first.",
    "show": "Show the history of one job: what was asked, what happened when, how it ended.",
    "waiting": "List what is still in the inbox, and why.",
    "watch": "Show the running jobs, the queue and the waiting list, live. Without a terminal, print them once.",
    "stats": "Show how many jobs ended each day, how long they took by mode, and what failed.",
    "cancel": "Cancel pending or running jobs. Their pictures stay in source/.",
    "retry": "Run failed or cancelled jobs again with what is in source/ now. Correct a wrong YAML file there first.",
    "redo": "Make new jobs of copies of ended jobs' pictures. The old jobs, their pictures and their results stay.",
    "rm": "Remove ended jobs with their folders, including the original pictures in source/.",
    "prune": "Remove jobs that ended long ago, with their folders and the original pictures in them, or only their results.",
    "check": "Check YAML files, presets and pictures without dropping them; exit 1 if one would be refused.",
    "schema": "Print the JSON Schema of the YAML file, status.json, layer_manifest.json, daemon.json or a command's JSON.",
    "doctor": "Check folders, journal, daemon, weights, device and more; exit 1 if something is wrong.",
    "config": "Show every setting that applies, and where it is set.",
    "models": "List models; fetch, check and remove their weights.",
    "cluster": "Run jobs on many machines: make keys, start scheduler and workers.",
    "service": "Run the daemon in the background, under launchd or systemd.",
}
#: Targets of the Makefile that people may type as verbs.
MAKE_TARGETS = ("setup", "demo", "test", "lint", "bench", "soak", "wheel", "lock", "clean")
_MODULES = {
    "cancel": "control",
    "retry": "control",
    "rm": "control",
    "redo": "upkeep.redo",
    "prune": "upkeep.prune",
    "config": "upkeep.config",
}


def command_line(verb: str | None = None) -> typer.Typer:
    """The command line with only this verb, or with all verbs if `verb` is None or unknown."""
    # Imported here, because `multiplane --help` shows no examples.
    from daemon.cli.examples import epilog

    app = _without_verbs()
    for name in [verb] if verb in VERBS else VERBS:
        found = getattr(import_module(f"daemon.cli.verbs.{_MODULES.get(name, name)}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found)
        else:
            app.command(epilog=epilog(name))(found)
    return app


def overview() -> typer.Typer:
    """The command line for lines that name no verb: help, version, completion of a verb's name. Its verbs cannot be run."""
    app = _without_verbs()
    for name, said in VERBS.items():
        app.command(name, help=said)(_nothing)
    return app


def _nothing() -> None:
    raise AssertionError("a verb was run that was not typed")


def _without_verbs() -> typer.Typer:
    app = typer.Typer(
        name="multiplane",
        help="A hot folder that turns photos into depth-ordered transparent layers.",
        epilog=f"Exit status:\n\n{exit_status.table()}",
        context_settings={"help_option_names": ["--help", "-h"]},
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(" ".join(("multiplane", __version__)))
        raise typer.Exit


def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
    home: Home = None,
) -> None:
    # Verbs read this variable, so --home may also stand before the verb.
    if home:
        os.environ["MULTIPLANE_HOME"] = os.fspath(home)


def _words() -> list[str]:
    """The words after the command. While zsh or bash completes a line, the line is in the environment."""
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS")
    return (line.split() if line else sys.argv)[1:]


def _typed(words: list[str]) -> typer.Typer:
    """The command line that these words need. Raises Refusal if the first is a target of the Makefile."""
    if words and words[0] in VERBS:
        return command_line(words[0])
    if words and words[0] in MAKE_TARGETS:
        raise _not_a_verb(words[0])
    # A verb may follow options.
    return command_line() if any(word in VERBS for word in words) else overview()


def _not_a_verb(name: str) -> "Refusal":
    from daemon.contract.commands import command
    from daemon.errors import Refusal
    from daemon.settings.layout import in_checkout, make

    hint = f"Run: {make(name)}" if in_checkout() else f"An installed package has none. {command('--help')} lists the verbs."
    return Refusal(f"{name} is a command of the checkout, not a verb of multiplane", hint=hint, exit_status=2)


def _program_name() -> str:
    """The program's name in messages about wrong options. For a shell completion, it is always `multiplane`."""
    completes = "_MULTIPLANE_COMPLETE" in os.environ or any(word.endswith("-completion") for word in sys.argv)
    return "multiplane" if completes else shlex.join(program_here(os.environ))


def main() -> None:
    """Run the command line. Every refusal and every disk error becomes one sentence and a next step, never a traceback."""
    _open_closed_streams()
    Asked.remember("--json" in _words())
    spell_what_cannot_be_shown()
    _run()


def _open_closed_streams() -> None:
    """Connect standard streams that were closed (`2>&-`) with nothing.

    Otherwise, writing there fails, and the next file that is opened takes their place and gets what others print.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _run() -> None:
    try:
        try:
            app = _typed(_words())
        finally:
            gc.freeze()  # otherwise the first search would go through all that was imported
            gc.enable()
        try:
            _answer(app)
        finally:
            sys.stdout.flush()  # an error can still be told here
    except SystemExit as ended:
        # The libraries of the command line end the program with 1 if nobody reads the output any more.
        if isinstance(ended.__context__, BrokenPipeError):
            _of_output(ended.__context__)
            sys.exit(exit_status.ExitStatus.UNREAD)
        raise
    except Exception as error:
        found = _of_output(error) or _explained(error)
        if found is None:
            raise
        if found.exit_status != exit_status.ExitStatus.UNREAD:
            from daemon.cli.common import print_error

            print_error(found.message, found.hint)
        sys.exit(found.exit_status)


def _of_output(error: Exception) -> "Refusal | None":
    """The refusal that tells that standard output cannot be written, if that is why `error` was raised: one more byte fails, too.

    What is still to be written then goes nowhere, so that the interpreter does not fail with it in the end.
    """
    from daemon.errors import Refusal

    if not isinstance(error, OSError) or error.filename is not None:
        return None
    try:
        os.write(1, b"\n")
    except OSError as again:
        if again.errno == error.errno:
            with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 1)
            hint = "If its disk is full, make room on it. Then type the command again."
            unread = isinstance(again, BrokenPipeError)
            status = exit_status.ExitStatus.UNREAD if unread else exit_status.ExitStatus.DISK
            return Refusal(f"the output cannot be written: {error.strerror}", hint=hint, exit_status=status)
    return None


def _answer(app: typer.Typer) -> NoReturn:
    """Run the verb that was typed. A mistake in the command line is told in our words, to people and to programs."""
    try:
        status = app(prog_name=_program_name(), complete_var="_MULTIPLANE_COMPLETE", standalone_mode=False)
    except NoArgsIsHelpError as error:  # the help is printed already
        sys.exit(error.exit_code)
    except UsageError as error:
        from daemon.cli.common import print_error
        from daemon.cli.usage_errors import in_words

        print_error(*in_words(error, next((word for word in _words() if word in VERBS), None)))
        sys.exit(error.exit_code)
    sys.exit(status if isinstance(status, int) else 0)


def _explained(error: Exception) -> "Refusal | None":
    """The refusal that tells a person about an error; None if the error is a mistake of the program."""
    from daemon.errors import Refusal

    if isinstance(error, OSError) and (error.filename is not None or error.errno in exit_status.NO_SPACE):
        from daemon.cli.startup_refusal import explained

        return explained(error)
    return error if isinstance(error, Refusal) else None
