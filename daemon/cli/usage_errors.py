"""Says what is wrong with a command line, and which help has the rest. The libraries' own words are not shown."""

import re

from pydantic import ValidationError
from typer._click.core import Context
from typer._click.exceptions import BadParameter, MissingParameter, NoSuchOption, UsageError

from daemon.contract.commands import command
from daemon.contract.words.printable import quoted
from daemon.contract.words.validation import faults
from daemon.sidecar.problems import choice, did_you_mean

#: What the library says about the shape of a command line, and our words for it, in which \1 is what was typed.
_SHAPES = {
    re.compile(r"Option '(.*)' requires an argument\."): r"\1 needs a value",
    re.compile(r"Option '(.*)' requires (\d+) arguments\."): r"\1 needs \2 values",
    re.compile(r"Option '(.*?)' does not take a value\."): r"\1 takes no value",
    re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL): r"there is more than this verb takes: \1",
}
_NO_COMMAND = re.compile(r"No such command '(.*?)'\.", re.DOTALL)


def in_words(error: UsageError, verb: str | None) -> tuple[str, str]:
    """What is wrong, and the command whose help says what is right.

    Args:
        error: the mistake in the command line.
        verb: the verb that was typed; None if none was.
    """
    return _message(error), _hint(error.ctx, verb)


def _message(error: UsageError) -> str:
    name = _name(error)
    if isinstance(error, MissingParameter):
        return f"{name} is missing"
    if isinstance(error, BadParameter):
        return _value_fault(error, name)
    if isinstance(error, NoSuchOption):
        known = {option for param in (error.ctx.command.params if error.ctx else ()) for option in param.opts}
        near = sorted(each for each in known if each.startswith(error.option_name) and error.option_name.startswith("--"))
        meant = f'; did you mean "{choice(near)}"?' if near else did_you_mean(error.option_name, known)
        return f"there is no option {error.option_name}{meant}"
    message = error.format_message()
    if (unknown := _NO_COMMAND.match(message)) is not None:
        verbs = getattr(error.ctx.command, "commands", {}) if error.ctx else {}
        return f"there is no verb {quoted(unknown[1])}{did_you_mean(unknown[1], verbs)}"
    ours = next((shape.sub(words, message) for shape, words in _SHAPES.items() if shape.fullmatch(message)), message)
    return ours.rstrip(".")


def _value_fault(error: BadParameter, name: str | None) -> str:
    if not isinstance(error.__cause__, ValidationError):
        if name and error.message.startswith("it "):
            return f"{name} {error.message.removeprefix('it ')}"
        return f"{name}: {error.message}" if name else error.message
    given = _given(error.__cause__)
    allowed = getattr(getattr(error.param, "type_descriptor", None), "choices", None)
    said = f"must be {choice([str(getattr(one, 'value', one)) for one in allowed])}" if allowed else None
    if said is None:
        fault = faults(error.__cause__)[0]
        said = f": {fault.clause}" if fault.is_sentence else fault.clause
    but = f", not {quoted(given)}" if given is not None and said.startswith("must be ") else ""
    return f"{name or 'a value'}{'' if said.startswith(':') else ' '}{said}{but}"


def _given(error: ValidationError) -> str | None:
    """The text that is wrong. In a list, it is that of one entry."""
    first = error.errors(include_url=False)[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ValidationError):
        return _given(inner)
    return first["input"] if isinstance(first["input"], str) else None


def _name(error: UsageError) -> str | None:
    """How the option or argument is typed; None if the mistake is in no single one."""
    param = getattr(error, "param", None)
    if param is None:
        return None
    options = [each for each in param.opts if each.startswith("-")]
    return max(options, key=len) if options else str(param.display_name_raw).upper()


def _hint(context: Context | None, verb: str | None) -> str:
    words: list[str] = []
    of_verbs = context is not None and hasattr(context.command, "commands")
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    words = words or ([verb] if verb and not of_verbs else [])
    return f"{command(*words, '--help')} lists the {'verbs' if of_verbs or not words else 'options'}."
