"""A few cancels at random moments of the real pipeline; `python -m tests.process.supervisor.cancels` runs a hundred."""

from tests.process.supervisor.cancels import CANCEL_SECONDS, CancelRun
from tests.waiting import SLOWEST


def test_a_cancel_in_any_state_is_done_at_once_and_leaves_the_picture_and_nothing_else(tmp_path):
    drill = CancelRun(tmp_path, seed=4)
    drill.run(4)
    drill.check()
    assert drill.states["resting"] == 1
    took = sorted(drill.took)
    # On a busy machine a single one may be late for reasons of its own.
    assert took[len(took) // 2] < CANCEL_SECONDS * SLOWEST
    assert took[-1] < 5 * CANCEL_SECONDS * SLOWEST
