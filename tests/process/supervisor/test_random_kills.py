"""A few random kills; `python -m tests.process.supervisor.random_kills` runs more."""

import pytest

from tests.process.supervisor.random_kills import ORPHAN_SECONDS, kills
from tests.waiting import SLOWEST

# Each kill is a start of the daemon: on a machine with other work they take longer than the suite's limit for one test.
pytestmark = pytest.mark.timeout(400)


def test_no_worker_outlives_a_killed_daemon_and_every_job_ends_once(tmp_path):
    assert max(kills(tmp_path, 3, seed=3)) < ORPHAN_SECONDS * SLOWEST
