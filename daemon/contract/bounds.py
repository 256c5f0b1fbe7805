"""The types of the contract's values, each with bounds.

Another process may be hostile, so every number, text and list that it sends is checked. Numbers must be finite, and within a
range that all later readers can handle (JSON, a browser, `stats`). Names and lists have a maximum length. Sentences for people
are cut instead of refused, so that a long message does not hide why a job failed.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from daemon.contract.commands import shortened, well_marked

#: Characters that are removed from workers' texts, because people see these on terminals: C0 and C1 controls except tab and
#: newline, marks that change the direction of text, and unpaired surrogates, which cannot be written into a file.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: The same without NUL, which belongs to the marks around commands (`daemon.contract.commands`).
_CONTROL_IN_PROSE = re.compile(CONTROL.pattern.replace("\x00-", "\x01-", 1))
#: Escaped, not the characters themselves: these patterns are printed in the JSON Schemas.
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NO_NUL = r"^[^\x00]*$"
_CUT = " [cut]"
#: In characters. The first is enough for a sentence with the longest possible names. The second is enough for a list of all
#: mistakes in a file, or for the end of a traceback.
_MAX_SENTENCE, _MAX_PASSAGE = 4_000, 16_000
MAX_OF_A_WORD = 200
#: Whole numbers up to this are exact in every program that reads JSON.
_MAX_WHOLE = 2**53 - 1
#: About thirty years: longer than any process or machine runs.
MAX_SECONDS = 1e9


def _sentence(said: Any) -> Any:  # noqa: ANN401 - a validator gets any type; the next one refuses what is not text
    """The text on one line, without control characters, and cut. In a log, a second line would look like another entry."""
    if not isinstance(said, str):
        return said
    return _cut(CONTROL.sub("", said.replace("\n", " ")))


def _prose(said: Any) -> Any:  # noqa: ANN401 - as above
    """As `_sentence`, but the commands in the text stay marked."""
    if not isinstance(said, str):
        return said
    return well_marked(_cut(_CONTROL_IN_PROSE.sub("", said.replace("\n", " "))))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SENTENCE else shortened(text, _MAX_SENTENCE - len(_CUT), _CUT)


def _passage(said: Any) -> Any:  # noqa: ANN401 - as above
    """The text without control characters. Only the end of a long text is kept, because a traceback names the error last."""
    return CONTROL.sub("", said)[-_MAX_PASSAGE:] if isinstance(said, str) else said


#: A sentence for people. It is cut if it is too long.
Sentence = Annotated[str, BeforeValidator(_sentence), Field(max_length=_MAX_SENTENCE)]
#: A sentence that may contain commands, which are filled in when it is shown.
Prose = Annotated[str, BeforeValidator(_prose), Field(max_length=_MAX_SENTENCE)]
Passage = Annotated[str, BeforeValidator(_passage), Field(max_length=_MAX_PASSAGE)]
#: A short name: of a stage, a layer, a program and its version, a model and its licence.
Word = Annotated[str, Field(max_length=MAX_OF_A_WORD, pattern=_PLAIN)]
#: A name that the code defines, such as an error code.
Code = Annotated[str, Field(max_length=40, pattern="^[a-z][a-z0-9_]*$")]
JobId = Annotated[str, Field(max_length=64)]
#: On disk, a name has up to 255 bytes and a path up to 4,096. As text, a byte may take four characters (`daemon.contract.names`).
#: Neither contains a NUL.
Name = Annotated[str, Field(min_length=1, max_length=4 * 255, pattern=_NO_NUL)]
Path = Annotated[str, Field(min_length=1, max_length=4 * 4096, pattern=_NO_NUL)]
Checksum = Annotated[str, Field(max_length=64, pattern="^[0-9a-f]*$")]
Bytes = Annotated[int, Field(ge=0, le=_MAX_WHOLE)]
Count = Annotated[int, Field(ge=0, le=_MAX_WHOLE)]
#: A width or height in pixels, up to the most that PNG allows.
Extent = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seconds = Annotated[float, Field(ge=0.0, le=MAX_SECONDS, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
#: Any other number, such as a depth or a difference in colour.
Finite = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
#: A process id.
Pid = Annotated[int, Field(ge=0, le=2**31 - 1)]

Warnings = Annotated[tuple[Prose, ...], Field(max_length=100)]
Timings = Annotated[dict[Word, Seconds], Field(max_length=100)]
