"""The exit statuses of the command line: the same number means the same for every verb but `service status`.

A job's own error has a status too (`daemon.errors`); only worker processes exit with those.
"""

import errno
from enum import IntEnum

#: What the system says if a person may not read or write something. Trying again does not help.
NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
#: What it says if a disk, or a person's share of it, is full.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class ExitStatus(IntEnum):
    """What a verb ended with."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    UNKNOWN = 4
    EXISTS = 5
    REFUSED = 6
    UNDELIVERED = 7
    NO_WEIGHTS = 32
    WEIGHTS = 33
    LICENCE = 34
    NO_NETWORK = 69
    BUG = 70
    NO_SERVICE = 71
    DISK = 74
    NO_DAEMON = 75
    DENIED = 77
    SETTINGS = 78
    RESTART = 80
    INTERRUPTED = 130
    UNREAD = 141
    TERMINATED = 143


MEANINGS: dict[ExitStatus, str] = {
    ExitStatus.DONE: "everything that was asked for is done, or is a request that waits for the daemon",
    ExitStatus.FAILED: "a job failed, a request was refused, or a check found something wrong",
    ExitStatus.USAGE: "the command line is wrong: an unknown option, a wrong value; submit: every picture was refused",
    ExitStatus.CANCELLED: "a job was cancelled, and none failed; service status: the daemon is not alive",
    ExitStatus.UNKNOWN: "there is no such job, batch or model, or the job was removed",
    ExitStatus.EXISTS: "the id or the folder for the result is taken (submit --if-exists fail)",
    ExitStatus.REFUSED: "submit: some pictures were refused; the others were submitted, and with --wait, completed",
    ExitStatus.UNDELIVERED: "submit --wait: all are completed, but a result could not be delivered yet; it is tried again",
    ExitStatus.NO_WEIGHTS: "models: there are no weights of this model",
    ExitStatus.WEIGHTS: "models: weights are not what they should be",
    ExitStatus.LICENCE: "models fetch: the licence has to be accepted first",
    ExitStatus.NO_NETWORK: "models fetch: the hub cannot be reached; cluster status: the scheduler cannot be reached",
    ExitStatus.BUG: "models: a bug in the program",
    ExitStatus.NO_SERVICE: "service: the service manager of the system refused",
    ExitStatus.DISK: (
        "a disk or the output cannot be read or written; run: the journal cannot be written; to look at jobs: a damaged file of "
        "the journal was left out"
    ),
    ExitStatus.NO_DAEMON: "no daemon runs that could do it, and nothing is lost; run: another daemon runs already",
    ExitStatus.DENIED: "a permission is missing",
    ExitStatus.SETTINGS: "the settings or the folders are wrong",
    ExitStatus.RESTART: "run, as a service: the program was changed, and is to be started again",
    ExitStatus.INTERRUPTED: "a person interrupted it with Ctrl-C",
    ExitStatus.UNREAD: "the program that read the output ended first, as after `| head`",
    ExitStatus.TERMINATED: "it was asked to end with SIGTERM, as by `timeout`",
}


def after(error: BaseException | None) -> ExitStatus:
    """The status of a verb that ends because a file or folder could not be read or written."""
    return ExitStatus.DENIED if isinstance(error, OSError) and error.errno in NO_PERMISSION else ExitStatus.DISK


def table() -> str:
    """The exit statuses, one a line, for `--help`."""
    return "\n\n".join(f"{status:>2}  {meaning}" for status, meaning in MEANINGS.items())
