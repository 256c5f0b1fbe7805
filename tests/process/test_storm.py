"""A few minutes of bad weather in a few seconds; `python -m tests.process.storm` has more of it."""

import pytest

from tests.process.storm import CANCEL_SECONDS, ORPHAN_SECONDS, cancels, kills

# Each kill is a start of the daemon: on a machine with other work they take longer than the suite's limit for one test.
pytestmark = pytest.mark.timeout(400)


def test_no_worker_outlives_a_killed_daemon_and_every_job_ends_once(tmp_path):
    assert max(kills(tmp_path, 3, seed=3)) < ORPHAN_SECONDS


def test_a_cancel_at_any_moment_ends_the_job_at_once_and_leaves_nothing(tmp_path):
    took = sorted(cancels(tmp_path, 3, seed=4))
    # On a busy machine a single one may be late for reasons of its own.
    assert took[len(took) // 2] < CANCEL_SECONDS
    assert took[-1] < 5 * CANCEL_SECONDS
