"""Numbers of things in sentences."""

import pytest

from daemon.contract.words.printable import counted


@pytest.mark.parametrize(("count", "said"), [(0, "0 records"), (1, "1 record"), (2, "2 records"), (1200, "1,200 records")])
def test_one_thing_has_no_plural(count: int, said: str) -> None:
    assert counted(count, "record") == said
