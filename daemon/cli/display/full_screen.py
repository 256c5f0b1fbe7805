"""Draws lines on the whole terminal. A line that is too long goes on in the next row as if the terminal had continued it.

Between these rows there is no line break. So a terminal that joins such rows when a person copies them copies the whole line, and
a long command can be typed as it was copied. Rich's own live display ends every row with a line break.
"""

from collections.abc import Sequence
from itertools import accumulate

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.text import Text

_ERASE_REST_OF_ROW = Control((ControlType.ERASE_IN_LINE, 0)).segment


def rows_of(line: Text, width: int) -> list[Text]:
    """The rows of `width` columns that a line takes: one, unless it is longer."""
    parts = chop_cells(line.plain, width)
    return list(line.divide(list(accumulate(map(len, parts[:-1]))))) or [line]


class FullScreen:
    """Something for rich to print: lines that replace what is on a screen of `width` columns and `height` rows.

    What does not fit below is left out.
    """

    def __init__(self, lines: Sequence[Text], width: int, height: int) -> None:
        self._rows = [
            (row, number > 0) for line in lines for number, row in enumerate(rows_of(line, width))
        ][:height]  # fmt: skip
        self._rows += [(Text(), False)] * (height - len(self._rows))
        self._width = width

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        """Yield the rows, each after a line break unless it continues the row above."""
        yield Control.home()
        for number, (row, continues) in enumerate(self._rows):
            if number and not continues:
                yield Segment("\n")
            yield from row.render(console)
            # In a full row, the cursor still stands on the last character, which would be erased.
            if cell_len(row.plain) < self._width:
                yield _ERASE_REST_OF_ROW
