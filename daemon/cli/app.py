"""The command `multiplane`: its verbs, and what applies to all of them."""

import os
import shlex
import sys
from importlib import import_module
from typing import Annotated

import typer

from daemon import __version__
from daemon.cli.common import Home, print_error
from daemon.contract.commands import command
from daemon.errors import Refusal
from daemon.settings.layout import in_checkout, make
from daemon.settings.typed_command import program_here

#: In the order of the help. Each verb is a module in `daemon.cli.verbs`; three of them share the module `control`.
VERBS = (
    *("run", "submit", "jobs", "show", "waiting", "watch", "stats", "cancel", "retry", "rm"),
    *("check", "schema", "doctor", "models", "service"),
)
#: Targets of the Makefile that people may type as verbs.
MAKE_TARGETS = ("setup", "demo", "test", "lint", "bench", "soak", "wheel", "lock", "clean")
_MODULES = {"cancel": "control", "retry": "control", "rm": "control"}


def command_line(verb: str | None = None) -> typer.Typer:
    """The command line with only this verb, or with all verbs if `verb` is None or unknown.

    Importing all verbs takes longer than most verbs run.
    """
    app = typer.Typer(
        name="multiplane",
        help="A hot folder that turns photos into depth-ordered transparent layers.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name in [verb] if verb in VERBS else VERBS:
        found = getattr(import_module(f"daemon.cli.verbs.{_MODULES.get(name, name)}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found)
        else:
            app.command()(found)
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


def _verb_typed() -> str | None:
    """The first word after the command; None if there is none.

    While zsh or bash completes a line, the line is in the environment.
    """
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS")
    words = line.split() if line else sys.argv
    return words[1] if len(words) > 1 else None


def _not_a_verb(name: str) -> Refusal:
    hint = f"Run: {make(name)}" if in_checkout() else f"An installed package has none. {command('--help')} lists the verbs."
    return Refusal(f"{name} is a command of the checkout, not a verb of multiplane", hint=hint, exit_status=2)


def _program_name() -> str:
    """The program's name in messages about wrong options. For a shell completion, it is always `multiplane`."""
    completes = "_MULTIPLANE_COMPLETE" in os.environ or any(word.endswith("-completion") for word in sys.argv)
    return "multiplane" if completes else shlex.join(program_here(os.environ))


def main() -> None:
    """Run the command line. Every refusal and every disk error becomes one sentence and a next step, never a traceback."""
    try:
        verb = _verb_typed()
        if verb in MAKE_TARGETS:
            raise _not_a_verb(verb)
        command_line(verb)(prog_name=_program_name(), complete_var="_MULTIPLANE_COMPLETE")
    except Refusal as refusal:
        print_error(refusal.message, refusal.hint)
        sys.exit(refusal.exit_status)
    except OSError as error:
        if error.filename is None:
            raise
        from daemon.cli.startup_refusal import explained

        found = explained(error)
        print_error(found.message, found.hint)
        sys.exit(found.exit_status)
