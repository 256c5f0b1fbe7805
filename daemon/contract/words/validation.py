"""Puts what pydantic says about a wrong value into plain words. No other module repeats pydantic's own sentences.

Pydantic writes for programmers ("Input should be a valid integer, unable to parse string as an integer"), and its sentences
change with its versions. Here each type of error has words of ours. A type that has none, such as one of a later version, gets
a general sentence.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daemon.contract.words.printable import counted, replace_unprintable

Context = Mapping[str, object]
Words = str | Callable[[Context], str]

#: What is said about an error of a type that has no words here.
GENERAL = "has a value that is not allowed"
#: In characters. A sentence may repeat text that a stranger wrote.
_MAX_CLAUSE = 300
#: Words between single quotes, as pydantic lists the values that are allowed.
_IN_QUOTES = re.compile(r"'((?:[^'\\]|\\.)*)'")
#: What pydantic adds to a place inside a union: the name of the branch, such as `literal['auto','model']` or `tuple[float, ...]`.
_BRANCH = re.compile(r".*\[.*|(?:constrained|lax|json|function|nullable|chain|definition|is)-.*|int|float|str|bool|bytes|none")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        place: the keys and positions that lead to the value; empty if all that was checked is meant.
        clause: what is wrong, in words that follow the name of the value ("must be a whole number"), or a sentence if
            `is_sentence`.
        is_sentence: whether the clause is a sentence of its own, which a check of ours wrote.
    """

    place: tuple[str, ...]
    clause: str
    is_sentence: bool = False

    def __str__(self) -> str:
        name = ".".join(self.place)
        if self.is_sentence:
            return f"{name}: {self.clause}" if name else self.clause
        return f"{name or 'it'} {self.clause}"


def faults(error: ValidationError) -> list[Fault]:
    """All that is wrong, in pydantic's order, without repetitions."""
    return list(dict.fromkeys(fault for each in error.errors(include_url=False, include_input=False) for fault in _faults(each)))


def in_words(error: Exception) -> str:
    """The first thing that is wrong, and how many more there are; any other exception in one line of its own words."""
    if not isinstance(error, ValidationError):
        said = str(error).strip().splitlines()
        return said[0] if said else type(error).__name__
    found = faults(error)
    more = f" (and {counted(len(found) - 1, 'more mistake')})" if found[1:] else ""
    return f"{found[0]}{more}"


def clause_of(kind: str, context: Context) -> str:
    """What is wrong, in words that follow the name of the value.

    Args:
        kind: pydantic's type of the error.
        context: what pydantic knows about it: bounds, allowed values.
    """
    words = _WORDS.get(kind, GENERAL)
    try:
        said = words if isinstance(words, str) else words(context)
    except (KeyError, TypeError, ValueError):  # another version of pydantic knows something else
        said = GENERAL
    return replace_unprintable(said)[:_MAX_CLAUSE]


def _faults(each: ErrorDetails) -> list[Fault]:
    place = tuple(
        replace_unprintable(str(part)) for part in each["loc"] if not (isinstance(part, str) and _BRANCH.fullmatch(part))
    )
    context = each.get("ctx", {})
    own = context.get("error")
    if isinstance(own, ValidationError):  # a check that calls pydantic itself
        return [replace(inner, place=(*place, *inner.place)) for inner in faults(own)]
    if each["type"] in ("value_error", "assertion_error") and str(own or ""):
        return [Fault(place, replace_unprintable(str(own))[:_MAX_CLAUSE], is_sentence=True)]
    return [Fault(place, clause_of(each["type"], context))]


def _bound(words: str, name: str) -> Words:
    def said(context: Context) -> str:
        bound = context[name]
        return f"must be {words} {f'{bound:g}' if isinstance(bound, float) else bound}"

    return said


def _length(words: str, name: str, what: str | None = None) -> Words:
    def said(context: Context) -> str:
        count = context[name]
        return f"must have {words} {counted(count, what) if what else entries(count)}" if isinstance(count, int) else GENERAL

    def entries(count: int) -> str:
        return f"{count:,} {'entry' if count == 1 else 'entries'}"

    return said


def _one_of(name: str) -> Words:
    def said(context: Context) -> str:
        allowed = _unquoted(str(context[name]))
        return f"must be {_choice(allowed)}" if allowed else GENERAL

    return said


def _unquoted(listed: str) -> list[str]:
    return _IN_QUOTES.findall(listed) or [each for each in re.split(r", | or ", listed) if each]


def _choice(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _tag(context: Context) -> str:
    name, tags = str(context["discriminator"]).strip("'"), _choice(_unquoted(str(context["expected_tags"])))
    return f"must have {'an' if name[:1] in 'aeiou' else 'a'} {name}: {tags}"


def _no_tag(context: Context) -> str:
    return f"needs a {str(context['discriminator']).strip(chr(39))}"


_DATE = "must be a date, such as 2026-01-31"
_TIME = "must be a time of day, such as 14:30"
_MOMENT = "must be a date and time, such as 2026-01-31T14:30:00Z"
_SPAN = "must be a length of time"
_LIST, _GROUP, _TEXT, _WHOLE, _NUMBER, _YES_NO = (
    "must be a list", "must be a group of fields", "must be text", "must be a whole number", "must be a number",
    "must be true or false",
)  # fmt: skip
_URL, _UUID, _MISSING, _UNKNOWN = "must be a web address", "must be a UUID", "is missing", "is not a known field"

_WORDS: dict[str, Words] = {
    "missing": _MISSING, "missing_argument": _MISSING, "missing_keyword_only_argument": _MISSING,
    "missing_positional_only_argument": _MISSING, "missing_sentinel_error": _MISSING, "no_such_attribute": _MISSING,
    "extra_forbidden": _UNKNOWN, "unexpected_keyword_argument": _UNKNOWN, "unexpected_positional_argument": _UNKNOWN,
    "invalid_key": "has a name that is not text", "multiple_argument_values": "is given twice",
    "frozen_field": "cannot be changed", "frozen_instance": "cannot be changed",
    "json_invalid": "is not valid JSON", "json_type": "must be JSON",
    "recursion_loop": "contains itself", "recursion_depth_exceeded": "is nested too deeply",
    "none_required": "must be empty", "ellipsis_error": GENERAL,
    "greater_than": _bound("above", "gt"), "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("below", "lt"), "less_than_equal": _bound("at most", "le"),
    "multiple_of": _bound("a multiple of", "multiple_of"), "finite_number": "must be a finite number",
    "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE, "int_parsing_size": "has too many digits",
    "float_type": _NUMBER, "float_parsing": _NUMBER, "complex_type": _NUMBER, "complex_str_parsing": _NUMBER,
    "decimal_type": _NUMBER, "decimal_parsing": _NUMBER, "fraction_type": _NUMBER, "fraction_parsing": _NUMBER,
    "decimal_max_digits": "has too many digits", "decimal_max_places": "has too many digits after the point",
    "decimal_whole_digits": "has too many digits before the point",
    "bool_type": _YES_NO, "bool_parsing": _YES_NO,
    "string_type": _TEXT, "string_unicode": "must be text in UTF-8", "string_not_ascii": "must be text without accents",
    "string_too_short": _length("at least", "min_length", "character"),
    "string_too_long": _length("at most", "max_length", "character"),
    "string_pattern_mismatch": "contains characters that are not allowed, or not in this order",
    "bytes_type": "must be bytes", "bytes_invalid_encoding": "is not encoded as it must be",
    "bytes_too_short": _length("at least", "min_length", "byte"), "bytes_too_long": _length("at most", "max_length", "byte"),
    "enum": _one_of("expected"), "literal_error": _one_of("expected"),
    "list_type": _LIST, "tuple_type": _LIST, "named_tuple_type": _LIST, "set_type": _LIST, "frozen_set_type": _LIST,
    "deque_type": _LIST, "iterable_type": _LIST, "iteration_error": _LIST, "set_item_not_hashable": "has entries of a wrong kind",
    "too_short": _length("at least", "min_length"), "too_long": _length("at most", "max_length"),
    "dict_type": _GROUP, "frozen_dict_type": _GROUP, "ordered_dict_type": _GROUP, "counter_type": _GROUP, "mapping_type": _GROUP,
    "model_type": _GROUP, "model_attributes_type": _GROUP, "dataclass_type": _GROUP, "dataclass_exact_type": _GROUP,
    "arguments_type": _GROUP,
    "union_tag_invalid": _tag, "union_tag_not_found": _no_tag,
    "date_type": _DATE, "date_parsing": _DATE, "date_from_datetime_parsing": _DATE, "date_from_datetime_inexact": _DATE,
    "date_past": "must be a date in the past", "date_future": "must be a date in the future",
    "time_type": _TIME, "time_parsing": _TIME,
    "datetime_type": _MOMENT, "datetime_parsing": _MOMENT, "datetime_object_invalid": _MOMENT,
    "datetime_from_date_parsing": _MOMENT, "datetime_past": "must be in the past", "datetime_future": "must be in the future",
    "timezone_naive": "must have no time zone", "timezone_aware": "must have a time zone, such as the Z at its end",
    "timezone_offset": "has another time zone than it must have",
    "time_delta_type": _SPAN, "time_delta_parsing": _SPAN,
    "path_type": "must be a path", "path_not_file": "is not the path of a file",
    "path_not_directory": "is not the path of a folder",
    "path_exists": "names something that is already there", "path_not_exists": "names something that is not there",
    "byte_size": "must be a size, such as 500 MB", "byte_size_unit": "must be a size in a known unit, such as 500 MB",
    "url_type": _URL, "url_parsing": _URL, "url_syntax_violation": _URL, "url_too_long": "is too long", "url_scheme": _URL,
    "uuid_type": _UUID, "uuid_parsing": _UUID, "uuid_version": _UUID,
}  # fmt: skip
