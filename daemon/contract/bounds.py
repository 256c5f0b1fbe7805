"""How large a value of the contract may be: the one place of its types.

Whatever another process says is hostile input, and so is every number, text and list in it. Numbers are finite and have a range
that is kept by all who read them later (JSON, a browser, `stats`). Names and lists have a length. Sentences for people are cut
rather than refused, so that the reason for which a job failed is not lost because somebody told it at length.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

#: C0 and C1 controls but tab and newline, the marks that turn the direction of text, and halves of characters that no file can
#: hold: what a worker says is shown on terminals.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = "^[^\x00-\x1f\x7f-\x9f]*$"
_CUT = " [cut]"
#: A sentence with the longest names in it; a report that lists all that is wrong with a file, or the end of a traceback.
_MAX_SENTENCE, _MAX_PASSAGE = 4_000, 16_000
MAX_OF_A_WORD = 200
#: Whole numbers up to here are the same in every program that reads JSON.
_MAX_WHOLE = 2**53 - 1
#: Some thirty years; longer than any of our clocks has run.
MAX_SECONDS = 1e9


def _sentence(said: Any) -> Any:  # noqa: ANN401 - a validator takes what comes; what is no text is refused after it
    """The text on one line, without control characters, cut at its end: in a log a second line would pass for another entry."""
    if not isinstance(said, str):
        return said
    text = CONTROL.sub("", said.replace("\n", " "))
    return text if len(text) <= _MAX_SENTENCE else text[: _MAX_SENTENCE - len(_CUT)] + _CUT


def _passage(said: Any) -> Any:  # noqa: ANN401 - as above
    """The text without control characters; of a long one the end, as a traceback says last what went wrong."""
    return CONTROL.sub("", said)[-_MAX_PASSAGE:] if isinstance(said, str) else said


#: For people; a longer one is cut.
Sentence = Annotated[str, BeforeValidator(_sentence), Field(max_length=_MAX_SENTENCE)]
Passage = Annotated[str, BeforeValidator(_passage), Field(max_length=_MAX_PASSAGE)]
#: The name of a stage, of a layer, of a program and its version, of a model and its licence.
Word = Annotated[str, Field(max_length=MAX_OF_A_WORD, pattern=_PLAIN)]
#: Names that the code gives, such as those of errors.
Code = Annotated[str, Field(max_length=40, pattern="^[a-z][a-z0-9_]*$")]
JobId = Annotated[str, Field(max_length=64)]
#: 255 bytes, and the 4,096 of a path, each of which may take four characters as text (`daemon.contract.names`).
Name = Annotated[str, Field(min_length=1, max_length=4 * 255)]
Path = Annotated[str, Field(min_length=1, max_length=4 * 4096)]
Checksum = Annotated[str, Field(max_length=64, pattern="^[0-9a-f]*$")]
Bytes = Annotated[int, Field(ge=0, le=_MAX_WHOLE)]
Count = Annotated[int, Field(ge=0, le=_MAX_WHOLE)]
#: Width or height in pixels; PNG has room for no more.
Extent = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seconds = Annotated[float, Field(ge=0.0, le=MAX_SECONDS, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
#: Any other number: a depth, a distance of colours.
Finite = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
#: A process, as the system numbers it.
Pid = Annotated[int, Field(ge=0, le=2**31 - 1)]

Warnings = Annotated[tuple[Sentence, ...], Field(max_length=100)]
Timings = Annotated[dict[Word, Seconds], Field(max_length=100)]
