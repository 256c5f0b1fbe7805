"""Nothing of what was read about one job stays in memory for the next: pydantic would keep the last texts that it has read.

If it keeps a text, it returns the same object when it reads that text again.
"""

from collections.abc import Callable

import pytest

from daemon.cluster.messages import Asked, Report
from daemon.contract.messages import EVENT
from daemon.contract.records import RECORD

ATTEMPT = "0123456789abcdef0123456789abcdef"
READERS: dict[str, Callable[[], object]] = {
    "question to a machine": lambda: Asked.model_validate_json(f'{{"home": "h", "daemon": "{ATTEMPT}", "seconds": 1}}').daemon,
    "report of a machine": lambda: Report.model_validate_json(f'{{"seats": ["{ATTEMPT}"]}}').seats[0],
    "message of a worker": lambda: EVENT.validate_json(f'{{"type": "started", "job_id": "{ATTEMPT}"}}').job_id,
    "record of the journal": lambda: RECORD.validate_json(f'{{"event": "claimed", "job": "{ATTEMPT}"}}').job,
}


@pytest.mark.parametrize("what", READERS)
def test_a_text_that_was_read_is_not_kept(what: str) -> None:
    first, second = READERS[what](), READERS[what]()
    assert first == second == ATTEMPT
    assert first is not second
