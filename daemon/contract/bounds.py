"""Bounds for every value of the contract: the one place that defines its types.

Whatever another process sends is hostile input, and so is every number, text and list in it. Numbers are finite, and within a
range that all later readers can handle (JSON, a browser, `stats`). Names and lists have a maximum length. Sentences for people
are cut rather than refused, so that a long message does not hide why a job failed.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

#: C0 and C1 controls except tab and newline, marks that change the direction of text, and unpaired surrogates, which no file
#: can hold. Workers' texts are shown on terminals.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = "^[^\x00-\x1f\x7f-\x9f]*$"
_CUT = " [cut]"
#: The first fits a sentence with the longest possible names. The second fits a list of everything wrong with a file, or the end
#: of a traceback.
_MAX_SENTENCE, _MAX_PASSAGE = 4_000, 16_000
MAX_OF_A_WORD = 200
#: Whole numbers up to this are exact in every program that reads JSON.
_MAX_WHOLE = 2**53 - 1
#: About thirty years, longer than any of our clocks has run.
MAX_SECONDS = 1e9


def _sentence(said: Any) -> Any:  # noqa: ANN401 - a validator takes what comes; what is no text is refused after it
    """The text on one line, without control characters, cut at its end. A second line in a log would look like another entry."""
    if not isinstance(said, str):
        return said
    text = CONTROL.sub("", said.replace("\n", " "))
    return text if len(text) <= _MAX_SENTENCE else text[: _MAX_SENTENCE - len(_CUT)] + _CUT


def _passage(said: Any) -> Any:  # noqa: ANN401 - as above
    """The text without control characters. Of a long text, the end is kept, because a traceback names the error last."""
    return CONTROL.sub("", said)[-_MAX_PASSAGE:] if isinstance(said, str) else said


#: A sentence for people; a longer one is cut.
Sentence = Annotated[str, BeforeValidator(_sentence), Field(max_length=_MAX_SENTENCE)]
Passage = Annotated[str, BeforeValidator(_passage), Field(max_length=_MAX_PASSAGE)]
#: A short name: of a stage, a layer, a program and its version, a model and its licence.
Word = Annotated[str, Field(max_length=MAX_OF_A_WORD, pattern=_PLAIN)]
#: Names that the code defines, such as error codes.
Code = Annotated[str, Field(max_length=40, pattern="^[a-z][a-z0-9_]*$")]
JobId = Annotated[str, Field(max_length=64)]
#: A name has up to 255 bytes and a path up to 4,096. As text, each byte may take four characters (`daemon.contract.names`).
Name = Annotated[str, Field(min_length=1, max_length=4 * 255)]
Path = Annotated[str, Field(min_length=1, max_length=4 * 4096)]
Checksum = Annotated[str, Field(max_length=64, pattern="^[0-9a-f]*$")]
Bytes = Annotated[int, Field(ge=0, le=_MAX_WHOLE)]
Count = Annotated[int, Field(ge=0, le=_MAX_WHOLE)]
#: Width or height in pixels; a PNG can hold no more.
Extent = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seconds = Annotated[float, Field(ge=0.0, le=MAX_SECONDS, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
#: Any other number, such as a depth or a difference in colour.
Finite = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
#: A process id.
Pid = Annotated[int, Field(ge=0, le=2**31 - 1)]

Warnings = Annotated[tuple[Sentence, ...], Field(max_length=100)]
Timings = Annotated[dict[Word, Seconds], Field(max_length=100)]
