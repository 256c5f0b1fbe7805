"""Who can write to the state folder. Whoever can has the power of the daemon's user (SECURITY.md), so nobody else may."""

import errno
import grp
import os
import pwd
import shlex
import stat
import tempfile
from dataclasses import dataclass

from daemon.contract.commands import as_code
from daemon.errors import Refusal
from daemon.fs.removable import user_named
from daemon.settings import Layout

#: EX_NOPERM of sysexits.h: only a person can change the permissions.
_EXIT_PERMISSION = 77


@dataclass(frozen=True, slots=True)
class Access:
    """Why somebody else has a say in the state folder: one sentence, without its full stop. `hint`: what to do about it."""

    message: str
    hint: str


def refuse_what_others_wrote(paths: Layout) -> None:
    """Refuse a state folder that is another user's, or that others can write to: its journal and its requests may be theirs.

    Folders that do not exist yet are no reason to refuse.

    Raises:
        Refusal: it is such a folder; the exit status is 77.
        OSError: this cannot be determined.
    """
    if (access := others_control(paths)) is not None:
        raise Refusal(access.message, hint=access.hint, exit_status=_EXIT_PERMISSION)


def others_control(paths: Layout) -> Access | None:
    """Why others can write to the state folder, its journal or its requests; None if they cannot. Raises OSError."""
    accesses = map(others_can_write, (paths.state_bytes, paths.journal_bytes, paths.requests_bytes))
    return next((access for access in accesses if access is not None), None)


def others_can_write(path: bytes) -> Access | None:
    """Why others can write to a folder of the daemon's own; None if they cannot, or if it does not exist.

    Links are followed, as the daemon follows them. On a disk without permissions (exFAT, for example), the answer is None: there
    everybody who may use the disk may write everything.

    Raises:
        OSError: this cannot be determined.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    shown, me = os.fsdecode(path), os.geteuid()
    if found.st_uid not in (0, me):
        owner, mine = user_named(found.st_uid), user_named(me)
        message = f"{shown} belongs to {owner}, who could give the daemon commands as {mine}"
        return Access(
            message,
            f"Run Multiplane as {owner}. If {mine} is right, look for what {owner} changed there, then give {mine} the folder: "
            f"{as_code(shlex.join(('chown', '-R', str(me), shown)))}",
        )
    if not _lets_others_write(found) or not _has_permissions(path):
        return None
    return Access(
        f"others than {user_named(me)} can write to {shown}, and so give the daemon commands",
        f"Look for what they changed there, then take the right from them: {as_code(shlex.join(('chmod', '-R', 'go-w', shown)))}",
    )


def others_can_replace(path: bytes) -> Access | None:
    """Why others can rename a folder of the daemon's own, and put another in its place; None if they cannot.

    Raises:
        OSError: this cannot be determined.
    """
    above = os.path.dirname(os.path.realpath(path))
    found = os.stat(above)
    if not _lets_others_write(found) or found.st_mode & stat.S_ISVTX or not _has_permissions(path):
        return None
    shown = os.fsdecode(above)
    return Access(
        f"others can write to {shown}, and so rename the {os.fsdecode(os.path.basename(path))} in it: the daemon would then stop",
        f"Share inbox and outbox instead of the home: {as_code(shlex.join(('chmod', 'go-w', shown)))}",
    )


def _lets_others_write(found: os.stat_result) -> bool:
    """Whether users other than this one may write, by the folder's mode. The group that a user is alone in lets nobody else."""
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_private(found.st_gid)


def _is_private(gid: int) -> bool:
    """Whether a group is this user's own, without other members, as many Linux systems give one to each user."""
    try:
        user = pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _has_permissions(path: bytes) -> bool:
    """Whether a folder's disk keeps permissions: not if a private folder that is made there is not private."""
    try:
        with tempfile.TemporaryDirectory(dir=path, prefix=b".private-") as private:
            return not os.stat(private).st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            return True
        raise
