"""Why a daemon does not start: causes that may pass are distinguished from those that need a person."""

import errno
import os

import pytest

from daemon.cli.startup_refusal import EXIT_DISK, EXIT_PERMISSION, explained


@pytest.mark.parametrize(
    ("number", "path", "status"),
    [
        (errno.EACCES, "/Volumes/A share that is not mounted/Multiplane", EXIT_DISK),
        (errno.EACCES, b"/Volumes/A share that is not mounted", EXIT_DISK),
        (errno.EACCES, "/Volumes", EXIT_PERMISSION),
        (errno.EPERM, "/Users/me/Desktop/Multiplane", EXIT_PERMISSION),
        (errno.EIO, "/home/me/Multiplane", EXIT_DISK),
    ],
)
def test_a_share_that_is_not_mounted_yet_may_pass_and_a_missing_permission_does_not(
    number: int, path: str | bytes, status: int
) -> None:
    refusal = explained(OSError(number, os.strerror(number), path))
    assert refusal.exit_status == status
    assert os.fsdecode(path) in refusal.message
    assert refusal.hint
